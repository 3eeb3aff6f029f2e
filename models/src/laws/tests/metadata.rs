//! Histories of the controller, the store, and what brokers make of them.

use super::history::{History, P};
use super::{Law, Planted};
use crate::id::BrokerId;
use crate::kafka::znode;
use crate::observation::{Observation, ServedState};

fn ask(h: &mut History, leader_epoch: i32, isr: &[i32]) {
    h.broker(1, Observation::IsrChange { partition: P, leader_epoch, isr: znode::brokers(isr) });
}

fn answer(h: &mut History, isr: &[i32], stored: Option<i32>) {
    h.broker(1, Observation::IsrChangeEnd { partition: P, leader_epoch: 0, isr: znode::brokers(isr), stored });
}

fn load(h: &mut History, epoch: i32, partition_epoch: i32) {
    let (leader, isr) = (Some(BrokerId(1)), znode::brokers(&[1, 2, 3]));
    let state = ServedState { partition: P, leader, leader_epoch: 0, isr, partition_epoch };
    h.broker(2, Observation::ControllerLoaded { epoch, states: [state].into() });
}

pub(super) const STORIES: &[Planted] = &[
    (
        // Restarted and not told of its registration, it takes what was meant for its earlier life.
        Law::BrokerEpoch,
        |h| {
            h.down(2, false);
            h.broker(2, Observation::Up);
            h.request((1, 1), (0, -1), true);
        },
        |h| {
            h.down(2, false);
            h.broker(2, Observation::Up);
            h.request((1, 1), (1, -1), true);
            h.request((1, 1), (0, -1), false);
            h.register(2);
            h.request((1, 1), (0, 0), true);
        },
    ),
    (
        Law::EpochMonotonic,
        |h| {
            h.elect_controller(2, 3);
            h.elect_controller(3, 2);
        },
        |h| {
            h.elect_controller(2, 3);
            h.elect_controller(3, 4);
        },
    ),
    (
        Law::EpochMonotonic,
        |h| {
            h.state(Some(2), 2, &[1, 2, 3]);
            h.state(Some(2), 1, &[1, 2, 3]);
        },
        |h| {
            h.state(Some(2), 2, &[1, 2, 3]);
            h.state(Some(2), 2, &[1, 2]);
            h.state(Some(1), 5, &[1, 2]);
        },
    ),
    (
        Law::IsrChangeCas,
        |h| h.state(Some(2), 0, &[1, 2]),
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.state(Some(2), 1, &[1, 2]);
        },
    ),
    (
        Law::OneInflightIsrChange,
        |h| {
            ask(h, 0, &[1, 2]);
            ask(h, 0, &[1, 3]);
        },
        |h| {
            ask(h, 0, &[1, 2]);
            answer(h, &[1, 2, 3], None);
            ask(h, 0, &[1, 2]);
            // A new epoch makes an end of it.
            h.begin(1, 1);
            ask(h, 1, &[1, 3]);
        },
    ),
    (
        Law::SuccessMeansStored,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            answer(h, &[1, 3], Some(1));
        },
        // Stored, and replaced meanwhile.
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.state(Some(1), 0, &[1]);
            answer(h, &[1, 2], Some(1));
        },
    ),
    (
        Law::ReloadOnElection,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.elect_controller(2, 2);
            load(h, 2, 0);
        },
        // What is stored after the election may be known or not.
        |h| {
            h.elect_controller(2, 2);
            h.state(Some(1), 0, &[1, 2]);
            load(h, 2, 0);
            load(h, 2, 1);
        },
    ),
    (
        Law::NoElectOutside,
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.state(Some(3), 1, &[3]);
        },
        |h| {
            h.state(Some(1), 0, &[1, 2]);
            h.state(None, 1, &[2]);
            h.state(Some(2), 2, &[2]);
        },
    ),
    (
        Law::AtomicBatch,
        |h| {
            h.state(None, 1, &[2]);
            h.state(Some(2), 2, &[2, 3]);
        },
        |h| {
            h.state(None, 1, &[2]);
            h.state(Some(2), 2, &[2]);
            h.state(Some(2), 2, &[2, 3]);
        },
    ),
];
