//! Processes, timers, disks; runs as values.

use models::id::{DiskToken, TimerId};
use models::observation::DownCause;

use super::*;
use crate::disk::{DiskFault, Failing};

fn timer(id: u64, ms: u64, timer: u8) -> Effect<Word, u8> {
    Effect::SetTimer { id: TimerId(id), after: Span::from_ms(ms), timer }
}

#[test]
fn timers_never_fire_once_cancelled_or_in_another_life() {
    let mut world = World::new(1, Span::ZERO);
    for effect in [timer(1, 10, 1), timer(2, 20, 2), timer(3, 6_000, 3), Effect::CancelTimer(TimerId(1))] {
        world.act(0, effect);
    }
    world.run_to(100);
    world.sim.kill(ProcessId(0));
    world.run_to(20_000);
    let log: Vec<_> = world.sim.process(ProcessId(0)).log.iter().map(|(at, note)| (at.as_ms(), *note)).collect();
    assert_eq!(log, [(0, Note::Start), (20, Note::Timer(2)), (5_100, Note::Start)]);
}

#[test]
fn a_timer_follows_its_hosts_clock_when_the_drift_changes() {
    for drift_ppb in [-100_000_000, -7, 3, 100_000_000] {
        let mut world = World::new(2, Span::ZERO);
        world.act(0, timer(1, 1_000, 1));
        world.act(1, timer(1, 1_000, 1));
        world.run_to(100);
        assert_eq!(world.sim.set_clock_drift(HostId(0), drift_ppb), 0);
        world.run_to(500);
        assert_eq!(world.sim.set_clock_drift(HostId(0), 0), drift_ppb);
        world.run_to(2_000);
        let fired = |process| {
            let log = &world.sim.process(ProcessId(process)).log;
            log.iter().find(|(_, note)| *note == Note::Timer(1)).map(|(at, _)| at.as_ns())
        };
        let (drifting, sound) = (fired(0).expect("it fires"), fired(1));
        // By the clock of its own host, which is what is logged. It is never early.
        assert!((1_000_000_000..1_000_000_010).contains(&drifting), "{drift_ppb} ppb: {drifting}");
        assert_eq!(sound, Some(1_000_000_000), "another host's timer stays");
    }
}

#[test]
fn a_paused_process_is_late_and_may_still_cancel() {
    let mut world = World::new(1, Span::ZERO);
    world.act(0, timer(1, 10, 1));
    world.act(0, timer(2, 11, 2));
    world.sim.pause(ProcessId(0));
    world.run_to(1_000);
    world.act(0, Effect::CancelTimer(TimerId(2)));
    world.sim.resume(ProcessId(0));
    assert_eq!((world.when(0, Note::Timer(1)), world.when(0, Note::Timer(2))), (Some(1_000), None));
}

#[test]
fn a_resumed_process_reads_what_has_come_before_it_takes_a_read_timeout() {
    let mut world = World::new(2, Span::ZERO);
    for (id, after, kind) in [(1, 10, 50), (2, 20, 1)] {
        world.act(0, timer(id, after, kind));
    }
    world.sim.pause(ProcessId(0));
    world.run_to(100);
    world.act(1, Effect::SendDatagram { to: ProcessId(0), message: Word(7) });
    world.run_to(200);
    world.sim.resume(ProcessId(0));
    let log: Vec<_> = world.sim.process(ProcessId(0)).log.iter().map(|(_, note)| *note).collect();
    assert_eq!(log, [Note::Start, Note::Timer(1), Note::Datagram(7), Note::Timer(50)]);
}

#[test]
fn a_start_takes_its_time_and_peers_of_a_killed_process_learn_of_it_late() {
    let mut world = World::on_a_busy_machine(2, Span::from_ms(40));
    world.act(1, Effect::Connect { conn: ConnId(1), to: Address { process: ProcessId(0), port: PORT } });
    world.run_to(100);
    world.sim.hold_down(ProcessId(0));
    world.sim.kill(ProcessId(0));
    world.run_to(1_000);
    let learned = world.when(1, Note::Closed(CloseReason::Eof)).expect("the peer learns of it in the end");
    assert!((101..=300).contains(&learned), "{learned} ms: five waits of at most 40 ms");
    world.sim.start(ProcessId(0));
    world.run_to(9_000);
    let up: Vec<_> = world.seen(0).into_iter().filter(|(_, what)| *what == Observation::Up).map(|(at, _)| at).collect();
    assert!(up.len() == 2 && (3_000..=4_000).contains(&up[1]), "{up:?}: a start takes 2 to 3 s");
}

#[test]
fn a_process_reads_a_sigterm_when_it_runs_and_goes_in_its_own_time() {
    let mut world = World::new(2, Span::ZERO);
    world.sim.pause(ProcessId(0));
    world.run_to(5);
    world.sim.terminate(ProcessId(0));
    world.sim.terminate(ProcessId(1));
    world.run_to(1_000);
    assert_eq!((world.when(0, Note::Terminate), world.when(1, Note::Terminate)), (None, Some(5)));
    world.sim.resume(ProcessId(0));
    assert_eq!(world.when(0, Note::Terminate), Some(1_000));
    assert!(world.sim.is_up(ProcessId(0)) && world.sim.is_up(ProcessId(1)), "neither has exited");
}

#[test]
fn the_supervisor_starts_what_ended_unless_told_otherwise() {
    let killed = |lossy, cause| Observation::Down { lossy, cause };
    let exited = || DownCause::Exited(Arc::from("asked to"));
    let mut world = World::new(1, Span::ZERO);
    world.act(0, timer(1, 10, 99));
    world.run_to(6_000);
    world.sim.hold_down(ProcessId(0));
    world.sim.kill(ProcessId(0));
    world.run_to(20_000);
    world.sim.start(ProcessId(0));
    world.sim.crash_host(HostId(0), Loss::PageCache);
    world.sim.start(ProcessId(0));
    world.run_to(30_000);
    world.sim.boot_host(HostId(0));
    world.sim.pause(ProcessId(0));
    world.run_to(30_001);
    assert_eq!(
        world.seen(0),
        [
            (0, Observation::Up),
            (10, killed(false, exited())),
            (5_010, Observation::Up),
            (6_000, killed(false, DownCause::Killed)),
            (20_000, Observation::Up),
            (20_000, killed(true, DownCause::HostCrash)),
            (30_000, Observation::Up),
            (30_000, Observation::Pause),
        ]
    );
    assert_eq!(world.sim.incarnation(ProcessId(0)), 4);

    let mut world = World::with(1, LinkProfile::default(), RestartPolicy::Never);
    world.sim.kill(ProcessId(0));
    world.run_to(100_000);
    assert!(!world.sim.is_up(ProcessId(0)));
}

#[test]
fn fsyncs_end_in_order_stall_and_fail() {
    let mut world = World::new(1, Span::ZERO);
    let fsync = |token| Effect::Fsync(DiskToken(token));
    world.act(0, fsync(1));
    world.act(0, Effect::Read { token: DiskToken(2), bytes: 1_000_000 });
    world.act(0, fsync(3));
    world.run_to(100);
    world.sim.set_disk_fault(HostId(0), DiskFault::Stall);
    world.act(0, fsync(4));
    world.run_to(5_000);
    assert_eq!(world.when(0, Note::Disk(4, true)), None);
    world.sim.clear_disk_fault(HostId(0), DiskFault::Stall);
    world.run_to(5_100);
    world.sim.set_disk_fault(HostId(0), DiskFault::Fails(Failing::ALL));
    world.act(0, fsync(5));
    world.run_to(5_200);
    world.act(0, fsync(6));
    world.sim.kill(ProcessId(0));
    world.run_to(6_000);
    let log = &world.sim.process(ProcessId(0)).log;
    let disk = log.iter().filter_map(|(_, n)| if let Note::Disk(t, ok) = n { Some((*t, *ok)) } else { None });
    let order: Vec<_> = disk.collect();
    assert_eq!(order, [(1, true), (2, true), (3, true), (4, true), (5, false)]);
    let at = |token| world.when(0, Note::Disk(token, true)).expect("it ended");
    assert!(at(1) >= 1 && at(2) >= at(1) + 2 && at(3) > at(2) && (5_001..5_003).contains(&at(4)));
}

#[test]
fn a_run_is_a_function_of_its_seed_and_a_clone_goes_on_like_its_original() {
    let start = || {
        let link = LinkProfile { delay: Span::from_ms(3), jitter: Span::from_ms(2), ..LinkProfile::default() };
        let mut world = World::with(3, link, RestartPolicy::default());
        let conn = world.open(0, 1);
        world.cut(1, 0);
        world.send(0, conn, 0..50);
        world.act(0, Effect::SendDatagram { to: ProcessId(2), message: Word(9) });
        world.act(2, timer(1, 500, 1));
        world.run_to(1_200);
        world
    };
    let go_on = |sim: &mut Simulation<Node>| {
        sim.kill(ProcessId(1));
        sim.run_until(Instant::ZERO + Span::from_secs(60), &mut |_: &Observed| {});
        (sim.fingerprint(), *sim.events())
    };
    let mut world = start();
    let mut clone = world.sim.clone();
    let end = go_on(&mut world.sim);
    assert_eq!(go_on(&mut clone), end);
    assert_eq!(go_on(&mut start().sim), end);
    let mut other = start().sim;
    other.pause(ProcessId(0));
    assert_ne!(go_on(&mut other).0, end.0);
}

#[test]
fn an_observer_is_shown_everything_once_and_in_order_however_a_run_is_cut() {
    // Several times what is shown together, and a rest.
    let last = 3 * SHOWN_TOGETHER as u64 + 100;
    let seen_in_pieces_of = |ms: u64| {
        let mut world = World::new(1, Span::ZERO);
        (1..=last).for_each(|n| world.act(0, timer(n, n, 98)));
        (1..=(last + ms) / ms).for_each(|piece| world.run_to(piece * ms));
        world
            .seen(0)
            .into_iter()
            .filter(|(_, what)| matches!(what, Observation::ZkIllegalMessage { .. }))
            .map(|(ms, _)| ms)
            .collect::<Vec<_>>()
    };
    let all: Vec<u64> = (1..=last).collect();
    for ms in [7, 1_500, 2 * last] {
        assert_eq!(seen_in_pieces_of(ms), all, "in pieces of {ms} ms");
    }
}
