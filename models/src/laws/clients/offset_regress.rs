//! J-OFFSET-REGRESS: the end of a log that a leader names is not below one that was named before, nor below what was polled or
//! acknowledged by all in-sync replicas. A leader that has been replaced may not know better and is not judged; a new one that
//! has not reached the start of its epoch has to say that it cannot tell.

use crate::laws::ledger::{Law, Ledger};
use crate::laws::views::Views;

pub(in crate::laws) const SOURCE: &str = "KIP-207";

/// The largest end that was named or is implied by an acknowledgement, by partition.
#[derive(Clone, Debug)]
pub(in crate::laws) struct OffsetRegress {
    ends: Vec<u64>,
}

impl OffsetRegress {
    pub(in crate::laws) fn new(partitions: usize) -> Self {
        Self { ends: vec![0; partitions] }
    }

    /// A record at `offset` was acknowledged with acks=all.
    pub(in crate::laws) fn on_ack(&mut self, partition: usize, offset: u64) {
        self.ends[partition] = self.ends[partition].max(offset + 1);
    }

    /// Judges the answer of a leader of `epoch`; consumers have read below `read_to`.
    pub(in crate::laws) fn on_answer(
        &mut self,
        partition: usize,
        (offset, epoch): (u64, i32),
        read_to: u64,
        views: Views<'_>,
        ledger: &mut Ledger,
    ) {
        let floor = self.ends[partition].max(read_to);
        self.ends[partition] = floor.max(offset);
        if !views.is_current(partition, epoch) {
            return;
        }
        ledger.judged(Law::OffsetRegress, 1);
        if offset < floor {
            ledger.breach(Law::OffsetRegress, views.gate.log(partition, offset), views.at, views.process, || {
                let name = views.roster.name(partition);
                let what =
                    format!("a client was told that {name} ends at {offset}; {floor} was named, read or acknowledged");
                (what, views.partition_state(partition))
            });
        }
    }
}
