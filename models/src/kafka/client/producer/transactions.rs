//! `TransactionManager`, as far as idempotence goes: the producer's identity and the rules of sequences.

use std::collections::BTreeSet;

use super::batch::{PartitionState, ProducerBatch, ProducerIdAndEpoch, advance};
use crate::id::ProducerId;
use crate::kafka::channel::ChannelId;
use crate::kafka::client::errors::is_retriable;
use crate::kafka::protocol::ErrorCode;

/// The highest epoch; after it a new producer id is asked for (`Short.MAX_VALUE`).
const MAX_EPOCH: u16 = 0x7fff;

/// How far the request for a producer id has come.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum InitProducerId {
    /// It is to be sent.
    Needed,
    /// It is under way.
    Asked(ChannelId, u32),
    /// It failed; it will be needed again after the back-off.
    BackingOff,
    /// There is an identity, or none is wanted.
    Done,
}

/// The identity of an idempotent producer.
#[derive(Clone, Debug, Hash)]
pub(super) struct TransactionManager {
    enabled: bool,
    identity: Option<ProducerIdAndEpoch>,
    /// How far the request for an identity has come.
    pub(super) init: InitProducerId,
    bump_required: bool,
    rewrite: BTreeSet<u32>,
    unresolved: BTreeSet<u32>,
}

impl TransactionManager {
    pub(super) const fn new(enabled: bool) -> Self {
        Self {
            enabled,
            identity: None,
            init: if enabled { InitProducerId::Needed } else { InitProducerId::Done },
            bump_required: false,
            rewrite: BTreeSet::new(),
            unresolved: BTreeSet::new(),
        }
    }

    /// A broker gave an id.
    pub(super) fn initialized(&mut self, partitions: &mut [PartitionState], id: ProducerId, epoch: u16) {
        self.identity = Some((id, epoch));
        self.init = InitProducerId::Done;
        self.rewrite_sequences(partitions, (id, epoch));
    }

    /// Whether the first batch of the queue must not be sent now
    /// (`RecordAccumulator.shouldStopDrainBatchesForPartition`).
    pub(super) fn must_wait(&self, partition: &PartitionState, first: &ProducerBatch) -> bool {
        if !self.enabled {
            return false;
        }
        if self.identity.is_none() {
            return true;
        }
        match first.base_sequence() {
            // A new batch waits while older ones of another identity are under way, or while it is unknown which
            // sequences the broker has.
            None => {
                partition.unresolved.is_some() || (partition.has_sequenced() && partition.identity != self.identity)
            }
            // A retried one waits for its turn: retries go out one at a time.
            Some(sequence) => partition.first_sequence() != Some(sequence),
        }
    }

    /// Numbers a batch that is about to be sent, unless it has a number (`RecordAccumulator.drainBatchesForOneNode`).
    pub(super) fn assign(&self, partition: &mut PartitionState, batch: &mut ProducerBatch) {
        let Some(identity) = self.identity.filter(|_| self.enabled && batch.base_sequence().is_none()) else { return };
        if partition.identity != Some(identity) && !partition.has_sequenced() {
            partition.restart_sequences(identity);
        }
        batch.mark(identity, partition.next_sequence);
        partition.next_sequence = advance(partition.next_sequence, batch.wire.values.len() as u32);
    }

    /// A batch was acknowledged.
    pub(super) fn completed(&self, partition: &mut PartitionState, batch: &ProducerBatch) {
        if let Some(last) = batch.last_sequence() {
            partition.last_acked = Some(partition.last_acked.map_or(last, |acked| acked.max(last)));
        }
    }

    /// Whether a failed batch is worth another attempt (`TransactionManager.canRetry`). May ask for an epoch bump.
    pub(super) fn can_retry(
        &mut self,
        index: u32,
        partition: &PartitionState,
        batch: &ProducerBatch,
        error: ErrorCode,
    ) -> bool {
        let (true, Some(base)) = (self.enabled, batch.base_sequence()) else { return is_retriable(error) };
        match error {
            ErrorCode::UnknownProducerId => {
                if !batch.sequence_reset {
                    self.require_bump(index);
                }
                true
            }
            ErrorCode::OutOfOrderSequenceNumber => {
                let waits_for_others =
                    partition.unresolved.is_none() && (batch.sequence_reset || !partition.is_next(base));
                if !waits_for_others && partition.unresolved.is_none_or(|next| next == base) {
                    // A real gap: the broker will never accept these sequences.
                    self.require_bump(index);
                }
                true
            }
            _ => is_retriable(error),
        }
    }

    /// A batch failed for good with its attempts not exhausted: its sequence is missing now
    /// (`TransactionManager.handleFailedBatch`).
    pub(super) fn failed(&mut self, index: u32, adjust_sequences: bool) {
        if self.enabled && adjust_sequences {
            self.require_bump(index);
        }
    }

    /// A retried batch expired: whether the broker has its sequences is unknown (`markSequenceUnresolved`).
    pub(super) fn mark_unresolved(&mut self, index: u32, partition: &mut PartitionState, batch: &ProducerBatch) {
        let Some(last) = batch.last_sequence().filter(|_| self.enabled) else { return };
        let next = advance(last, 1);
        partition.unresolved = Some(partition.unresolved.map_or(next, |known| known.max(next)));
        self.unresolved.insert(index);
    }

    fn require_bump(&mut self, index: u32) {
        self.bump_required = true;
        self.rewrite.insert(index);
    }

    /// What the sender thread does at the head of each round: resolves sequences of drained partitions
    /// (`maybeResolveSequences`) and bumps the epoch if that was asked for. Returns whether anything changed.
    pub(super) fn settle(&mut self, partitions: &mut [PartitionState]) -> bool {
        if self.unresolved.is_empty() && !self.bump_required {
            return false;
        }
        let mut changed = false;
        for index in std::mem::take(&mut self.unresolved) {
            let partition = &mut partitions[index as usize];
            if partition.has_sequenced() {
                self.unresolved.insert(index);
                continue;
            }
            if !partition.is_next(partition.next_sequence) {
                // All that was under way expired. Otherwise a later batch succeeded, and so did the expired one.
                self.require_bump(index);
            }
            partition.unresolved = None;
            changed = true;
        }
        if self.bump_required {
            self.bump(partitions);
            changed = true;
        }
        changed
    }

    /// `bumpIdempotentProducerEpoch`: without asking anybody.
    fn bump(&mut self, partitions: &mut [PartitionState]) {
        let Some((id, epoch)) = self.identity else { return };
        self.bump_required = false;
        if epoch == MAX_EPOCH {
            self.identity = None;
            self.init = InitProducerId::Needed;
            return;
        }
        let identity = (id, epoch + 1);
        self.identity = Some(identity);
        self.rewrite_sequences(partitions, identity);
    }

    fn rewrite_sequences(&mut self, partitions: &mut [PartitionState], identity: ProducerIdAndEpoch) {
        for index in std::mem::take(&mut self.rewrite) {
            let partition = &mut partitions[index as usize];
            partition.restart_sequences(identity);
            partition.unresolved = None;
            self.unresolved.remove(&index);
        }
    }
}

#[test]
fn the_last_epoch_is_followed_by_a_new_producer_id() {
    use super::accumulator::Accumulator;
    use crate::id::ValueId;
    use crate::kafka::config::ProducerConfig;
    use crate::time::Instant;

    let check = |epoch: u16, expected: (InitProducerId, Option<ProducerIdAndEpoch>)| {
        let mut accumulator = Accumulator::new(1, &ProducerConfig::default());
        accumulator.append(0, ValueId(0), 100, Instant::ZERO, Instant::ZERO).expect("there is memory");
        let mut transactions = TransactionManager::new(true);
        transactions.initialized(&mut accumulator.partitions, ProducerId(1), epoch);
        let mut batch = accumulator.partitions[0].queue.pop_front().expect("one was appended");
        transactions.assign(&mut accumulator.partitions[0], &mut batch);
        accumulator.partitions[0].in_flight.push_back(batch);
        transactions.failed(0, true);
        assert!(transactions.settle(&mut accumulator.partitions));
        assert_eq!((transactions.init, transactions.identity), expected);
        if transactions.identity.is_none() {
            transactions.initialized(&mut accumulator.partitions, ProducerId(2), 0);
        }
        assert_eq!(accumulator.partitions[0].identity, transactions.identity, "renumbered under the new identity");
        assert!(!transactions.settle(&mut accumulator.partitions), "once");
    };
    check(MAX_EPOCH - 1, (InitProducerId::Done, Some((ProducerId(1), MAX_EPOCH))));
    check(MAX_EPOCH, (InitProducerId::Needed, None));
}
