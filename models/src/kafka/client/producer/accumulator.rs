//! `RecordAccumulator`: batches per partition, memory, and where each partition with something to send stands.
//!
//! The Java client looks at every partition in every round of its sender thread. Here a partition is looked at when
//! something about it changed, and then stands in exactly one place until the next change.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use super::batch::{BATCH_OVERHEAD, PartitionState, ProducerBatch, RECORD_OVERHEAD};
use crate::id::{BrokerId, ValueId};
use crate::kafka::config::ProducerConfig;
use crate::kafka::protocol::RecordBatch;
use crate::time::Instant;

/// Where a partition stands.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) enum Place {
    /// It has nothing to send, or is muted until an answer.
    Idle,
    /// It has something to send to this leader.
    Ready(BrokerId),
    /// It lingers or backs off until then.
    Waiting(Instant),
    /// Its leader is unknown.
    Homeless,
    /// Idempotence forbids to send more until what is under way is answered.
    Stopped,
}

/// Partitions that can be sent to one broker, served round robin.
#[derive(Clone, Debug, Default, Hash)]
struct ReadyQueue {
    partitions: BTreeSet<u32>,
    cursor: u32,
}

/// There is not enough memory for another batch.
#[derive(Debug)]
pub(super) struct OutOfMemory;

/// All partitions of a producer.
#[derive(Clone, Debug, Hash)]
pub(super) struct Accumulator {
    /// The partitions, by index.
    pub(super) partitions: Vec<PartitionState>,
    places: Vec<Place>,
    ready: BTreeMap<BrokerId, ReadyQueue>,
    /// Partitions in all of these queues.
    ready_count: usize,
    waiting: BTreeSet<(Instant, u32)>,
    homeless: BTreeSet<u32>,
    batch_size: u32,
    free_memory: u64,
    next_serial: u64,
}

impl Accumulator {
    pub(super) fn new(partitions: usize, config: &ProducerConfig) -> Self {
        Self {
            partitions: vec![PartitionState::default(); partitions],
            places: vec![Place::Idle; partitions],
            ready: BTreeMap::new(),
            ready_count: 0,
            waiting: BTreeSet::new(),
            homeless: BTreeSet::new(),
            batch_size: config.batch_size,
            free_memory: config.buffer_memory,
            next_serial: 0,
        }
    }

    /// The next name of a batch.
    pub(super) const fn next_serial(&mut self) -> u64 {
        self.next_serial += 1;
        self.next_serial
    }

    /// Adds a record to the partition's last batch, or begins one if there is memory. A batch takes `batch.size` bytes of
    /// memory however little is in it (`BufferPool`).
    pub(super) fn append(
        &mut self,
        partition: u32,
        value: ValueId,
        record_size: u32,
        now: Instant,
        wall: Instant,
    ) -> Result<(), OutOfMemory> {
        let size = record_size + RECORD_OVERHEAD;
        let queue = &mut self.partitions[partition as usize].queue;
        if let Some(last) = queue.back_mut().filter(|last| !last.closed) {
            if last.wire.size + size <= self.batch_size {
                last.push(value, size, now);
                last.closed = last.wire.size >= self.batch_size;
                return Ok(());
            }
            last.closed = true;
        }
        let memory = u64::from(self.batch_size.max(BATCH_OVERHEAD + size));
        self.free_memory = self.free_memory.checked_sub(memory).ok_or(OutOfMemory)?;
        self.next_serial += 1;
        let wire = RecordBatch {
            base_offset: 0,
            leader_epoch: -1,
            producer: None,
            values: Arc::new([value]),
            content: None,
            size: BATCH_OVERHEAD + size,
            timestamp: wall,
        };
        queue.push_back(ProducerBatch {
            serial: self.next_serial,
            closed: wire.size >= self.batch_size,
            wire: Arc::new(wire),
            handed_over: vec![now],
            created: now,
            queued: now,
            attempts: 0,
            sent_epoch: -1,
            indefinite: false,
            sequence_reset: false,
            memory,
        });
        Ok(())
    }

    /// Gives the memory of a finished batch back.
    pub(super) const fn release(&mut self, memory: u64) {
        self.free_memory += memory;
    }

    /// Puts a partition where it belongs.
    pub(super) fn put(&mut self, partition: u32, place: Place) {
        let old = std::mem::replace(&mut self.places[partition as usize], place);
        if old == place {
            return;
        }
        match old {
            Place::Idle | Place::Stopped => {}
            Place::Ready(broker) => {
                if let Some(queue) = self.ready.get_mut(&broker) {
                    self.ready_count -= usize::from(queue.partitions.remove(&partition));
                }
            }
            Place::Waiting(until) => {
                self.waiting.remove(&(until, partition));
            }
            Place::Homeless => {
                self.homeless.remove(&partition);
            }
        }
        match place {
            Place::Idle | Place::Stopped => {}
            Place::Ready(broker) => {
                let new = self.ready.entry(broker).or_default().partitions.insert(partition);
                self.ready_count += usize::from(new);
            }
            Place::Waiting(until) => {
                self.waiting.insert((until, partition));
            }
            Place::Homeless => {
                self.homeless.insert(partition);
            }
        }
    }

    /// Takes the next partition that can be sent to the broker, if `fits` says so; it is idle then.
    pub(super) fn next_ready(&mut self, broker: BrokerId, fits: impl FnOnce(&PartitionState) -> bool) -> Option<u32> {
        let queue = self.ready.get_mut(&broker)?;
        let next = queue.partitions.range(queue.cursor..).next().or_else(|| queue.partitions.first()).copied()?;
        if !fits(&self.partitions[next as usize]) {
            return None;
        }
        queue.cursor = next + 1;
        self.ready_count -= usize::from(queue.partitions.remove(&next));
        self.places[next as usize] = Place::Idle;
        Some(next)
    }

    /// The first broker after `after` that something can be sent to.
    pub(super) fn next_ready_broker(&self, after: Option<BrokerId>) -> Option<BrokerId> {
        use std::ops::Bound::{Excluded, Unbounded};
        if self.ready_count == 0 {
            return None;
        }
        let from = after.map_or(Unbounded, Excluded);
        self.ready.range((from, Unbounded)).find(|(_, queue)| !queue.partitions.is_empty()).map(|(broker, _)| *broker)
    }

    /// Whether something can be sent to the broker.
    pub(super) fn has_ready(&self, broker: BrokerId) -> bool {
        self.ready.get(&broker).is_some_and(|queue| !queue.partitions.is_empty())
    }

    /// Whether a partition has something to send, wherever it stands.
    pub(super) fn is_placed(&self, partition: u32) -> bool {
        self.places[partition as usize] != Place::Idle
    }

    /// The earliest end of a wait.
    pub(super) fn next_wait(&self) -> Option<Instant> {
        self.waiting.first().map(|(until, _)| *until)
    }

    /// The partitions that wait until `now` at most.
    pub(super) fn waited_until(&self, now: Instant) -> Vec<u32> {
        self.waiting.range(..=(now, u32::MAX)).map(|(_, partition)| *partition).collect()
    }

    /// The partitions without a known leader.
    pub(super) fn homeless(&self) -> Vec<u32> {
        self.homeless.iter().copied().collect()
    }
}
