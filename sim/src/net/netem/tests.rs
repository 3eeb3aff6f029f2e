//! The model against what a real kernel did, and against arithmetic.

use models::random::Purpose;

use super::*;

fn run(netem: Netem, packets: u64) -> (u64, u64, Vec<u64>) {
    let mut random = Random::new(3, Purpose::Link, 0);
    let mut state = NetemState::default();
    let (mut lost, mut doubled, mut delays) = (0, 0, Vec::new());
    for n in 0..packets {
        let now = Instant::from_ns(n * 1_000_000);
        let [first, second] = state.pass(&netem, &mut random, now, 100);
        lost += u64::from(first.is_none());
        doubled += u64::from(second.is_some());
        delays.extend(first.map(|at| at.since(now).as_ns() / 1_000));
    }
    (lost, doubled, delays)
}

#[test]
fn loss_has_the_rates_that_were_measured_in_a_real_kernel() {
    let random = |percent: u32, correlation: u32| {
        Loss::Random(Chance { probability: Ppm(percent * 10_000), correlation: Ppm(correlation * 10_000) })
    };
    let ppm = |loss| run(Netem { loss, ..Netem::default() }, 200_000).0 * 5;
    for (loss, range) in [
        (Loss::None, 0..=0),
        (random(10, 0), 98_000..=102_000),
        (random(10, 25), 17_000..=24_000),
        (random(10, 50), 0..=2_500),
        (random(50, 25), 490_000..=510_000),
        (random(100, 0), 1_000_000..=1_000_000),
        // Stationary share of the bad state p / (p + r) = 1/10, of which 80 % is lost.
        (Loss::GilbertElliott { p: Ppm(10_000), r: Ppm(90_000), bad: Ppm(800_000), good: Ppm::NEVER }, 74_000..=86_000),
        (
            Loss::FourState {
                p13: Ppm(10_000),
                p31: Ppm(990_000),
                p32: Ppm(10_000),
                p23: Ppm::ALWAYS,
                p14: Ppm::NEVER,
            },
            8_000..=12_000,
        ),
    ] {
        let lost = ppm(loss);
        assert!(range.contains(&lost), "{loss:?}: {lost} ppm");
    }
}

#[test]
fn delay_rate_limit_and_copies() {
    let ms = Span::from_ms;
    let (_, _, delays) = run(Netem { delay: ms(50), jitter: ms(10), ..Netem::default() }, 20_000);
    assert!(delays.iter().all(|us| (40_000..=60_000).contains(us)));
    let overtaken = delays.windows(2).filter(|w| w[1] + 1_000 < w[0]).count();
    assert!(overtaken > 8_000, "jitter reorders: {overtaken}");

    let normal = Netem { delay: ms(50), jitter: ms(10), distribution: Distribution::Normal, ..Netem::default() };
    let (_, _, delays) = run(normal, 20_000);
    let near = delays.iter().filter(|us| (40_000..=60_000).contains(*us)).count();
    assert!((13_300..14_000).contains(&near), "68 % within one deviation: {near}");

    let (lost, ..) = run(Netem { delay: ms(50), limit: 10, ..Netem::default() }, 1_000);
    assert_eq!(lost, 800, "10 of the 50 packets of each 50 ms fit");

    let (_, _, delays) = run(Netem { rate: 50_000, ..Netem::default() }, 3);
    assert_eq!(delays, [2_000, 3_000, 4_000], "100 bytes take 2 ms and queue up");

    let twice = Chance { probability: Ppm(100_000), correlation: Ppm::NEVER };
    let (lost, doubled, _) = run(Netem { duplicate: twice, ..Netem::default() }, 20_000);
    assert!(lost == 0 && (1_850..2_150).contains(&doubled), "{doubled}");

    let some = Chance { probability: Ppm(250_000), correlation: Ppm::NEVER };
    let (_, _, delays) = run(Netem { delay: ms(5), reorder: some, gap: 5, ..Netem::default() }, 20_000);
    let early = delays.iter().filter(|us| **us == 0).count();
    assert!((2_300..2_700).contains(&early), "1 in 4 of those after the gap: {early}");
}

/// Runs 400,000 packets of a loss and returns how many of a million are lost.
fn lost_ppm(loss: Loss) -> u64 {
    run(Netem { loss, ..Netem::default() }, 400_000).0 * 5 / 2
}

#[test]
fn correlation_changes_the_rate_of_loss_as_in_the_kernel() {
    // Per cent: the nominal loss, the correlation, and what a real kernel lost of 40,000 packets, with room for its sampling error
    // (three standard deviations) and ours.
    for (nominal, correlation, lost) in [
        (10, 25, 15_500..=21_000),
        (30, 25, 227_000..=240_000),
        (30, 0, 290_000..=304_000),
        (20, 75, 600..=2_200),
        (1, 25, 0..=20),
        (10, 50, 500..=2_000),
        (50, 25, 490_000..=510_000),
        (20, 50, 24_000..=34_000),
        (5, 10, 10_000..=14_000),
    ] {
        let chance = Chance { probability: Ppm(nominal * 10_000), correlation: Ppm(correlation * 10_000) };
        let found = lost_ppm(Loss::Random(chance));
        assert!(lost.contains(&found), "loss {nominal}% {correlation}%: {found} ppm");
        // Corruption draws in the same way.
        let damaged = run(Netem { corrupt: chance, ..Netem::default() }, 400_000).0 * 5 / 2;
        assert!(lost.contains(&damaged), "corrupt {nominal}% {correlation}%: {damaged} ppm");
    }
}

#[test]
fn bursts_have_the_rates_that_were_measured_in_a_real_kernel() {
    let percent = |n: u32| Ppm(n * 10_000);
    // `gemodel 5% 20% 100% 0%` lost 150 of 1,000, `gemodel 5% 20% 70%` 13.1 %, `state 5% 80%` 65 of 1,000, `state 50% 50%` 50 %:
    // the model stands at the stationary rates, which are 20, 14, 5.9 and 50 %.
    let gilbert = |bad| Loss::GilbertElliott { p: percent(5), r: percent(20), bad, good: Ppm::NEVER };
    let state = |p13, p31| Loss::FourState { p13, p31, p32: Ppm::NEVER, p23: Ppm::ALWAYS, p14: Ppm::NEVER };
    for (loss, lost) in [
        (gilbert(Ppm::ALWAYS), 193_000..=207_000),
        (gilbert(percent(70)), 134_000..=146_000),
        (state(percent(5), percent(80)), 56_000..=61_500),
        (state(percent(50), percent(50)), 495_000..=505_000),
    ] {
        let found = lost_ppm(loss);
        assert!(lost.contains(&found), "{loss:?}: {found} ppm");
    }
}

#[test]
fn a_packet_that_is_doubled_and_lost_arrives_once_and_its_copy_takes_its_own_chance() {
    let half = Loss::Random(Chance { probability: Ppm(500_000), correlation: Ppm::NEVER });
    let always = Chance { probability: Ppm::ALWAYS, correlation: Ppm::NEVER };
    // A real kernel delivered 400 of 400, 107 of them twice.
    let (lost, twice, _) = run(Netem { duplicate: always, loss: half, ..Netem::default() }, 40_000);
    assert_eq!(lost, 0);
    assert!((9_700..10_300).contains(&twice), "a quarter comes twice: {twice}");
}

#[test]
fn a_rate_or_the_wish_for_order_stops_jitter_from_reordering() {
    let jitter = Netem { delay: Span::from_ms(50), jitter: Span::from_ms(20), ..Netem::default() };
    let inversions = |netem| {
        let (_, _, delays) = run(netem, 400);
        let arrivals: Vec<u64> = (0..).zip(delays).map(|(n, delay)| n * 1_000 + delay).collect();
        arrivals.windows(2).filter(|pair| pair[1] < pair[0]).count()
    };
    // A real kernel had 195 in 400.
    assert!((160..230).contains(&inversions(jitter)), "{}", inversions(jitter));
    assert_eq!(inversions(Netem { keep_order: true, ..jitter }), 0);
    assert_eq!(inversions(Netem { rate: 10_000_000, ..jitter }), 0);
}

#[test]
fn a_full_queue_drops_at_its_tail_at_the_rate_of_the_line() {
    // 200 packets of 1,000 bytes within 100 ms into 1 Mbit/s: `rate 1mbit limit 20` delivered 32 of them.
    let mut random = Random::new(3, Purpose::Link, 0);
    let mut state = NetemState::default();
    let netem = Netem { rate: 125_000, limit: 20, ..Netem::default() };
    let passed = (0..200).filter(|n| {
        let now = Instant::from_ns(n * 500_000);
        state.pass(&netem, &mut random, now, 1_000)[0].is_some()
    });
    assert_eq!(passed.count(), 32);
    // A damaged packet takes its time on the line too; cells and overhead add to it.
    let damaged = Chance { probability: Ppm::ALWAYS, correlation: Ppm::NEVER };
    let mut state = NetemState::default();
    let line = Netem { rate: 100_000, overhead: 20, cell: 50, ..Netem::default() };
    state.pass(&Netem { corrupt: damaged, ..line }, &mut random, Instant::ZERO, 100);
    let next = state.pass(&line, &mut random, Instant::ZERO, 100)[0].expect("it passes");
    assert_eq!(next.as_ms(), 3, "twice 120 bytes in cells of 50 are 300 bytes");
}

#[test]
fn slots_gather_packets() {
    let ms = Span::from_ms;
    let slots =
        |packets, bytes| Netem { slot: Some(Slot { min: ms(20), max: ms(30), packets, bytes }), ..Netem::default() };
    let (lost, _, delays) = run(slots(0, 0), 10_000);
    assert!(lost == 0 && delays.iter().all(|us| *us <= 30_000));
    let mean = delays.iter().sum::<u64>() / 10_000;
    assert!((11_500..14_500).contains(&mean), "half a slot in the mean: {mean} us");
    // At most so many in each slot: a thousand packets a second back up.
    for netem in [slots(10, 0), slots(0, 1_000)] {
        let (_, _, delays) = run(netem, 1_000);
        let last = delays.last().copied().unwrap_or(0);
        assert!((1_300_000..1_700_000).contains(&last), "100 slots of 25 ms for 1,000 packets: {last} us");
    }
}

#[test]
fn reordering_lets_every_nth_packet_overtake() {
    let always = Chance { probability: Ppm::ALWAYS, correlation: Ppm::NEVER };
    let (_, _, delays) = run(Netem { delay: Span::from_ms(20), reorder: always, gap: 5, ..Netem::default() }, 1_000);
    let early: Vec<usize> = delays.iter().enumerate().filter(|(_, us)| **us == 0).map(|(n, _)| n).collect();
    assert_eq!(early.len(), 200);
    assert!(early.windows(2).all(|pair| pair[1] - pair[0] == 5), "{early:?}");
}
