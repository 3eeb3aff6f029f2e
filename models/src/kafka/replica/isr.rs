//! The ISR as its leader sees it: committed, or with one change under way to the controller (KIP-497).

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use crate::id::{BrokerId, TopicPartition};
use crate::kafka::protocol::AlterPartitionItem;

/// `PartitionState`: the committed ISR and the change that is under way, if any.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub(super) enum IsrState {
    /// Nothing is under way.
    Committed(Arc<[BrokerId]>),
    /// One replica is to join.
    PendingExpand {
        /// The last one known to be stored.
        committed: Arc<[BrokerId]>,
        /// The one asked for.
        proposed: Arc<[BrokerId]>,
    },
    /// Replicas are to leave.
    PendingShrink {
        /// The last one known to be stored.
        committed: Arc<[BrokerId]>,
        /// The one asked for.
        proposed: Arc<[BrokerId]>,
    },
}

impl IsrState {
    /// The committed ISR: what `acks=all` is accepted on.
    pub(super) fn isr(&self) -> &Arc<[BrokerId]> {
        match self {
            Self::Committed(isr) => isr,
            Self::PendingExpand { committed, .. } | Self::PendingShrink { committed, .. } => committed,
        }
    }

    /// Every broker that may be in the ISR by now: what the high watermark waits for.
    pub(super) fn maximal_isr(&self) -> &Arc<[BrokerId]> {
        match self {
            Self::PendingExpand { proposed, .. } => proposed,
            _ => self.isr(),
        }
    }

    /// The ISR that was asked for, if a change is under way.
    pub(super) fn proposed(&self) -> Option<&Arc<[BrokerId]>> {
        match self {
            Self::Committed(_) => None,
            Self::PendingExpand { proposed, .. } | Self::PendingShrink { proposed, .. } => Some(proposed),
        }
    }
}

/// `DefaultAlterPartitionManager`: ISR changes on their way to the controller. A partition has at most one, sent or not.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct IsrChanges {
    unsent: BTreeMap<TopicPartition, AlterPartitionItem>,
    in_flight: BTreeSet<TopicPartition>,
}

impl IsrChanges {
    /// Queues a change. False if one of that partition is queued or under way (`OPERATION_NOT_ATTEMPTED`).
    pub(super) fn submit(&mut self, item: AlterPartitionItem) -> bool {
        if self.in_flight.contains(&item.partition) || self.unsent.contains_key(&item.partition) {
            return false;
        }
        self.unsent.insert(item.partition, item);
        true
    }

    /// All queued changes for one request; none while another is under way.
    pub(super) fn take(&mut self) -> Vec<AlterPartitionItem> {
        if !self.in_flight.is_empty() || self.unsent.is_empty() {
            return Vec::new();
        }
        let unsent = std::mem::take(&mut self.unsent);
        self.in_flight.extend(unsent.keys().copied());
        unsent.into_values().collect()
    }

    /// A change was answered.
    pub(super) fn answered(&mut self, partition: TopicPartition) {
        self.in_flight.remove(&partition);
    }

    /// A change has to be sent again as it is.
    pub(super) fn resend(&mut self, item: AlterPartitionItem) {
        self.in_flight.remove(&item.partition);
        self.unsent.insert(item.partition, item);
    }
}
