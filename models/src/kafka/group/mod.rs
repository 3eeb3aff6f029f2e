//! `GroupCoordinator` and `GroupMetadataManager`: a broker's part as coordinator of consumer groups (classic protocol).
//!
//! A group belongs to the leader of one partition of `__consumer_offsets`. What has to outlast the coordinator, generations
//! and committed offsets, is appended to that partition's log with `acks=all` through the ordinary replica; everything
//! else is memory, lost with the process and unloaded when leadership goes. [`load`] follows leadership, [`join`] and
//! [`sync`] are the rebalance, [`expiry`] what time alone does, [`offsets`] commits and fetches.
//!
//! Not modelled: static membership, transactional commits, cooperative rebalancing, expiry of offsets, `group.max.size`.

mod expiry;
mod join;
mod load;
pub mod messages;
mod offsets;
mod state;
mod sync;
#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::sync::Arc;

use self::load::{Load, Role};
use self::messages::{CoordinatorRecord, GroupRequest, GroupResponse, Membership, OffsetCommit, Position};
use self::state::GroupMetadata;
use super::Timer as KafkaTimer;
use super::broker::BrokerTimer;
use super::config::BrokerConfig;
use super::metadata_cache::MetadataCache;
use super::protocol::{ErrorCode, Frame, Origin, Response};
use super::replica::{CoordinatorEvent, ReplicaManager};
use crate::defect::Defects;
use crate::id::{Group, Topic, TopicPartition};
use crate::observation::Observation;
use crate::time::{Instant, Span};
use crate::world::{Ctx, Message, Timer};

/// What the coordinator works with while it handles something: the broker's own replicas, and the world.
#[derive(Debug)]
pub struct Host<'a, 'c> {
    /// The world.
    pub ctx: &'a mut Ctx<'c>,
    /// Where records are kept.
    pub replicas: &'a mut ReplicaManager,
    /// What the broker knows of the cluster.
    pub cache: &'a MetadataCache,
}

/// What follows when records are appended, or when that failed.
#[derive(Clone, Debug, Hash)]
enum Pending {
    /// Positions are kept: the member hears of it.
    Commit { origin: Origin, commit: OffsetCommit },
    /// The leader's assignment is stored: everybody gets its share.
    Assignment { group: Group, generation: i32, shares: messages::Assignment },
    /// The group is empty; nobody waits.
    Nothing,
}

/// Appends that are not answered.
#[derive(Clone, Debug, Default, Hash)]
struct Appends {
    last: u64,
    pending: BTreeMap<u64, Pending>,
}

impl Appends {
    /// `GroupMetadataManager.appendForGroup`: `offsets.commit.required.acks` is -1.
    fn append(
        &mut self,
        host: &mut Host<'_, '_>,
        config: &BrokerConfig,
        partition: TopicPartition,
        records: Arc<[CoordinatorRecord]>,
        pending: Pending,
    ) {
        self.last += 1;
        self.pending.insert(self.last, pending);
        let timeout = Span::from_ms(config.offsets_commit_timeout_ms.into());
        host.replicas.append_for_coordinator(host.ctx, host.cache, partition, records, timeout, self.last);
    }
}

/// The groups that a broker coordinates.
#[derive(Clone, Debug, Hash)]
pub struct GroupCoordinator {
    config: Arc<BrokerConfig>,
    defects: Defects,
    /// Per partition the largest leader epoch under which it was loaded or unloaded (KAFKA-10614).
    epochs: BTreeMap<u16, i32>,
    partitions: BTreeMap<u16, Role>,
    loads: BTreeMap<u64, Load>,
    last_load: u64,
    groups: BTreeMap<Group, GroupMetadata>,
    appends: Appends,
    /// For when the timer is set.
    armed: Option<Instant>,
}

impl GroupCoordinator {
    /// A coordinator of nothing yet.
    pub fn new(config: Arc<BrokerConfig>, defects: Defects) -> Self {
        Self {
            config,
            defects,
            epochs: BTreeMap::new(),
            partitions: BTreeMap::new(),
            loads: BTreeMap::new(),
            last_load: 0,
            groups: BTreeMap::new(),
            appends: Appends::default(),
            armed: None,
        }
    }

    /// The partition of `__consumer_offsets` that a group belongs to.
    pub fn partition_of(&self, group: &Group) -> TopicPartition {
        offsets_partition(group, self.config.offsets_topic_num_partitions)
    }

    /// Handles a request other than FindCoordinator. The answer may come with a later input.
    pub fn handle(&mut self, host: &mut Host<'_, '_>, origin: Origin, request: GroupRequest) {
        match request {
            GroupRequest::FindCoordinator { .. } => {
                respond(host.ctx, origin, GroupResponse::Coordinator(Err(ErrorCode::InvalidRequest)));
            }
            GroupRequest::Join(join) => self.join(host, origin, join),
            GroupRequest::Sync(sync) => self.sync(host, origin, sync),
            GroupRequest::Heartbeat(membership) => {
                let error = self.heartbeat(host, &membership).err().unwrap_or(ErrorCode::None);
                respond(host.ctx, origin, GroupResponse::Heartbeat(error));
            }
            GroupRequest::Leave { group, member } => {
                let error = self.leave(host, &group, member).err().unwrap_or(ErrorCode::None);
                respond(host.ctx, origin, GroupResponse::Leave(error));
            }
            GroupRequest::Commit(commit) => self.commit(host, origin, commit),
            GroupRequest::Fetch { group, partitions } => {
                let answer = self.fetch(host, &group, &partitions);
                respond(host.ctx, origin, GroupResponse::Fetch(answer));
            }
        }
        self.arm(host.ctx);
    }

    /// Something happened to the broker's replicas that concerns coordinators.
    pub fn on_event(&mut self, host: &mut Host<'_, '_>, event: CoordinatorEvent) {
        match event {
            CoordinatorEvent::Elected { partition, leader_epoch } => self.elected(host, partition, leader_epoch),
            CoordinatorEvent::Resigned { partition, leader_epoch } => self.resigned(host, partition, leader_epoch),
            CoordinatorEvent::Read { load } => self.loaded(host, load),
            CoordinatorEvent::Appended { append, error, base_offset } => {
                self.appended(host, append, error, base_offset);
            }
        }
        self.arm(host.ctx);
    }

    /// The coordinator's timer fired.
    pub fn on_timer(&mut self, host: &mut Host<'_, '_>) {
        self.armed = None;
        self.expire(host);
        self.arm(host.ctx);
    }

    /// `validateGroupStatus`: whether this broker coordinates the group.
    fn check(&self, group: &Group) -> Result<(), ErrorCode> {
        match self.partitions.get(&self.partition_of(group).partition) {
            Some(Role::Owned { .. }) => Ok(()),
            Some(Role::Loading) => Err(ErrorCode::CoordinatorLoadInProgress),
            None => Err(ErrorCode::NotCoordinator),
        }
    }

    /// The leader epoch under which the group's partition was loaded.
    fn epoch_of(&self, group: &Group) -> i32 {
        match self.partitions.get(&self.partition_of(group).partition) {
            Some(Role::Owned { leader_epoch }) => *leader_epoch,
            Some(Role::Loading) | None => -1,
        }
    }

    fn appended(&mut self, host: &mut Host<'_, '_>, append: u64, error: ErrorCode, base_offset: Option<u64>) {
        match self.appends.pending.remove(&append) {
            Some(Pending::Commit { origin, commit }) => self.committed(host, origin, &commit, error, base_offset),
            Some(Pending::Assignment { group, generation, shares }) => {
                self.assignment_stored(host, &group, generation, &shares, error);
            }
            Some(Pending::Nothing) | None => {}
        }
    }

    /// One timer for all deadlines. Heartbeats move deadlines away, not the timer: it looks again when it fires.
    fn arm(&mut self, ctx: &mut Ctx<'_>) {
        let Some(first) = self.groups.values().filter_map(GroupMetadata::next_deadline).min() else { return };
        if self.armed.is_none_or(|armed| first < armed) {
            self.armed = Some(first);
            let after = first.max(ctx.now) - ctx.now;
            ctx.set_timer(after, Timer::Kafka(KafkaTimer::Broker(BrokerTimer::GroupExpiry)));
        }
    }
}

/// `GroupMetadataManager.partitionFor`: `Utils.abs(groupId.hashCode)` over the number of partitions.
pub fn offsets_partition(group: &Group, partitions: u32) -> TopicPartition {
    let hash = group.0.encode_utf16().fold(0i32, |hash, unit| hash.wrapping_mul(31).wrapping_add(unit.into()));
    // `Utils.abs` makes 0 of the least integer.
    let hash = hash.checked_abs().unwrap_or(0).unsigned_abs();
    TopicPartition { topic: Topic::CONSUMER_OFFSETS, partition: (hash % partitions.max(1)) as u16 }
}

/// Answers a request.
fn respond(ctx: &mut Ctx<'_>, origin: Origin, response: GroupResponse) {
    ctx.send(origin.conn, Message::Kafka(Frame::response(origin.correlation, Response::Group(response))));
}

/// Reports a group's state.
fn observe_state(ctx: &mut Ctx<'_>, config: &BrokerConfig, name: &Group, group: &GroupMetadata) {
    ctx.observe(Observation::GroupState {
        partition: offsets_partition(name, config.offsets_topic_num_partitions),
        group: name.clone(),
        state: group.state(),
        generation: group.generation,
        members: group.members.len() as u32,
    });
}

/// Reports a sign of life.
fn observe_heard(ctx: &mut Ctx<'_>, membership: &Membership) {
    let Membership { group, member, generation } = membership.clone();
    ctx.observe(Observation::MemberHeard { group, member, generation, clock: ctx.now });
}

/// The positions without their epochs, for observers.
fn offsets_of(positions: &[(TopicPartition, Position)]) -> Arc<[(TopicPartition, u64)]> {
    positions.iter().map(|(partition, position)| (*partition, position.offset)).collect()
}
