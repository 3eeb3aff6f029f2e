//! Histories of clients.

use super::history::{History, P};
use super::{Law, Planted};
use crate::observation::Observation;

fn answer(h: &mut History, broker: u16, leader_epoch: i32, offset: u64) {
    h.broker(broker, Observation::EndOffsetAnswer { partition: P, leader_epoch, offset });
}

fn log_start(h: &mut History, log_start: u64) {
    h.broker(2, Observation::LogStart { partition: P, log_start });
}

pub(super) const STORIES: &[Planted] = &[
    // What retention deleted is not lost; what stands behind the log's start is.
    (
        Law::LostWrite,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            log_start(h, 1);
            h.poll(2, &[3]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            log_start(h, 2);
            h.poll(2, &[3]);
        },
    ),
    // A reader that was to begin at the end owes nothing of what lies before; with it there is one that owes all.
    (
        Law::LostWrite,
        |h| {
            h.see(6, Observation::Assign { partitions: [P].into() });
            h.see(7, Observation::Assign { partitions: [P].into() });
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.see(6, Observation::FirstPosition { partition: P, offset: 0 });
            h.see(7, Observation::FirstPosition { partition: P, offset: 2 });
            h.poll(2, &[3]);
        },
        |h| {
            h.see(7, Observation::Assign { partitions: [P].into() });
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.see(7, Observation::FirstPosition { partition: P, offset: 2 });
            h.poll(2, &[3]);
        },
    ),
    // Overtaken by retention, the reader goes on at the end, as it was told to.
    (
        Law::Unseen,
        |h| {
            h.see(7, Observation::Assign { partitions: [P].into() });
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.see(7, Observation::PositionReset { partition: P, from: 0, to: 3 });
            h.end_offset(3);
        },
        |h| {
            h.see(7, Observation::Assign { partitions: [P].into() });
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            log_start(h, 1);
            h.see(7, Observation::PositionReset { partition: P, from: 0, to: 3 });
            h.end_offset(3);
        },
    ),
    (
        Law::PollSkip,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.poll(0, &[1]);
            h.poll(1, &[2]);
            h.poll(2, &[3]);
            h.write(&[1, 2, 3], 3, 0, &[4, 5]);
            h.see(6, Observation::Assign { partitions: [P].into() });
            (0..5).for_each(|offset| h.see(6, poll(offset, offset + 1)));
            h.poll(4, &[5]);
        },
        // Told to go on elsewhere.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2, 3]);
            h.poll(0, &[1, 2, 3]);
            h.write(&[1, 2, 3], 3, 0, &[4, 5]);
            h.see(6, Observation::Assign { partitions: [P].into() });
            (0..5).for_each(|offset| h.see(6, poll(offset, offset + 1)));
            h.see(7, Observation::PositionReset { partition: P, from: 3, to: 4 });
            h.poll(4, &[5]);
        },
    ),
    (
        Law::NonmonotonicPoll,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.poll(0, &[1, 2]);
            h.poll(1, &[2]);
        },
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            h.poll(0, &[1, 2]);
            h.see(7, Observation::Assign { partitions: [P].into() });
            h.poll(0, &[1, 2]);
        },
    ),
    (
        Law::NonmonotonicSend,
        |h| {
            h.send(1);
            h.send(2);
            h.write(&[1, 2, 3], 0, 0, &[2, 1]);
        },
        // Acknowledged in another order than they stand in.
        |h| {
            h.send(1);
            h.send(2);
            (1..=3).for_each(|broker| h.append(broker, 0, 0, &[1, 2]));
            h.high_watermark(&[1], 0, 2);
            h.ok(2, Some(1));
            h.ok(1, Some(0));
        },
    ),
    (
        Law::OffsetRegress,
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1, 2]);
            answer(h, 1, 0, 1);
        },
        // A deposed leader cannot know better.
        |h| {
            h.write(&[1, 2, 3], 0, 0, &[1]);
            h.state(Some(2), 1, &[2, 3]);
            h.begin(2, 1);
            h.write(&[2, 3], 1, 1, &[2]);
            answer(h, 1, 0, 1);
            answer(h, 2, 1, 2);
        },
    ),
];

fn poll(offset: u64, value: u64) -> Observation {
    let values = [crate::id::ValueId(value)].into();
    Observation::Poll { partition: P, base_offset: offset, values, replica: crate::id::BrokerId(1) }
}
