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
