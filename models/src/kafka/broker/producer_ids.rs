//! `RPCProducerIdManager`: producer ids from blocks that the controller hands out.

use crate::id::ProducerId;
use crate::kafka::protocol::ErrorCode;
use crate::time::{Instant, Span};

/// A block of ids.
#[derive(Clone, Copy, Debug, Default, Hash)]
struct Block {
    first: u64,
    size: u64,
    /// How many were handed out.
    used: u64,
}

/// The current block, the next one, and the demand for it. It does not block: KAFKA-15028.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct ProducerIdManager {
    current: Block,
    next: Option<Block>,
    /// A request is under way, or its block has not been begun.
    requested: bool,
    not_before: Instant,
    demand: bool,
}

impl ProducerIdManager {
    /// The next id, or `CoordinatorLoadInProgress` while there is none.
    pub(super) fn generate(&mut self, now: Instant) -> Result<ProducerId, ErrorCode> {
        if self.current.used == self.current.size {
            let Some(next) = self.next.take() else {
                self.request(now);
                return Err(ErrorCode::CoordinatorLoadInProgress);
            };
            self.current = next;
            self.requested = false;
        }
        let offset = self.current.used;
        self.current.used += 1;
        if offset == self.current.size * PREFETCH_PERCENT / 100 {
            self.request(now);
        }
        Ok(ProducerId(self.current.first + offset))
    }

    /// Whether a block is to be asked for, told once.
    pub(super) fn take_demand(&mut self) -> bool {
        std::mem::take(&mut self.demand)
    }

    /// Whether it waits for the answer.
    pub(super) fn is_waiting(&self) -> bool {
        self.requested && self.next.is_none()
    }

    /// The controller's answer.
    pub(super) fn on_block(&mut self, now: Instant, answer: Result<(u64, u32), ErrorCode>) {
        match answer {
            Ok((first, size)) => self.next = Some(Block { first, size: size.into(), used: 0 }),
            Err(_) => {
                self.requested = false;
                self.not_before = now + RETRY_BACKOFF;
            }
        }
    }

    /// The request was given up unanswered.
    pub(super) fn on_give_up(&mut self) {
        self.requested = false;
    }

    fn request(&mut self, now: Instant) {
        if now >= self.not_before && self.next.is_none() && !self.requested {
            self.requested = true;
            self.demand = true;
        }
    }
}

/// `PidPrefetchThreshold`.
const PREFETCH_PERCENT: u64 = 90;
/// `RetryBackoffMs`.
const RETRY_BACKOFF: Span = Span::from_ms(50);

#[test]
fn a_block_is_asked_for_when_nine_tenths_are_used() {
    let mut ids = ProducerIdManager::default();
    let at = Instant::from_ns(1);
    let demand = |ids: &mut ProducerIdManager, count| {
        let got: Vec<_> = (0..count).map(|_| (ids.generate(at).map(|id| id.0), ids.take_demand())).collect();
        (got.first().copied(), got.last().copied(), got.iter().filter(|(_, demand)| *demand).count())
    };
    let empty = Err(ErrorCode::CoordinatorLoadInProgress);
    assert_eq!(demand(&mut ids, 2), (Some((empty, true)), Some((empty, false)), 1), "one request, however many ask");

    ids.on_block(at, Ok((5_000, 1_000)));
    assert_eq!(demand(&mut ids, 900), (Some((Ok(5_000), false)), Some((Ok(5_899), false)), 0));
    assert_eq!(demand(&mut ids, 1), (Some((Ok(5_900), true)), Some((Ok(5_900), true)), 1));
    assert_eq!(demand(&mut ids, 99), (Some((Ok(5_901), false)), Some((Ok(5_999), false)), 0));
    assert_eq!(ids.generate(at), Err(ErrorCode::CoordinatorLoadInProgress));

    ids.on_block(at, Err(ErrorCode::StaleBrokerEpoch));
    assert!(ids.generate(at + RETRY_BACKOFF - Span::from_ns(1)).is_err() && !ids.take_demand(), "not before 50 ms");
    assert!(ids.generate(at + RETRY_BACKOFF).is_err() && ids.take_demand());
    ids.on_block(at, Ok((9_000, 1_000)));
    assert_eq!(ids.generate(at), Ok(ProducerId(9_000)));
}
