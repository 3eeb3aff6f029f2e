//! What a server keeps on disk: the transaction log behind its sync thread, the newest snapshot, and the two epochs.

use std::collections::{BTreeMap, VecDeque};

use super::log::{Log, Position, Proposal};
use super::tree::DataTree;
use crate::id::{DiskToken, Zxid};
use crate::process::{DiskError, Loss};
use crate::random::Random;
use crate::world::Ctx;

/// A transaction on its way through the sync thread, and the role whose pipeline waits for it.
#[derive(Clone, Debug, Hash)]
pub(super) struct SyncRequest {
    pub(super) proposal: Proposal,
    /// [`super::Server`]'s generation when it was queued: an older role's acknowledgements go nowhere.
    pub(super) generation: u32,
}

/// What an fsync is for.
#[derive(Clone, Debug, Hash)]
pub(super) enum DiskOp {
    /// A batch of the sync thread.
    Flush(Vec<SyncRequest>),
    /// Everything before an election begins: the shutdown joins the sync thread.
    Join,
    /// `acceptedEpoch`.
    AcceptedEpoch(u32),
    /// `currentEpoch`.
    CurrentEpoch(u32),
    /// What a learner was given to synchronise with.
    Synchronised,
}

#[derive(Clone, Debug, Hash)]
struct Pending {
    op: DiskOp,
    generation: u32,
    covers: usize,
    cut: u32,
}

/// A finished fsync.
pub(super) struct Done {
    pub(super) op: DiskOp,
    pub(super) generation: u32,
    /// Set if more of the log is durable than before.
    pub(super) synced: Option<Position>,
}

/// See the module.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Storage {
    log: Log,
    /// How much of the log an fsync has covered.
    synced: usize,
    /// The newest snapshot, with the length of the log that it stands for.
    snapshot: Option<(usize, DataTree)>,
    pub(super) accepted_epoch: u32,
    pub(super) current_epoch: u32,
    /// The sync thread's queue and its user-space buffer: memory.
    queue: VecDeque<SyncRequest>,
    flushing: bool,
    /// The sync thread has been started and does not run yet.
    held: bool,
    /// The sync thread was asleep, and has been woken.
    waking: bool,
    pending: BTreeMap<DiskToken, Pending>,
    next_token: u64,
    /// Grows when the log is cut, so that a flush under way does not vouch for what replaced its records.
    cut: u32,
    since_snapshot: u32,
}

impl Storage {
    pub(super) fn log(&self) -> &Log {
        &self.log
    }

    /// Length of the log at the newest snapshot: what lies before is not in `committedLog` after a restart.
    pub(super) fn snapshot_len(&self) -> usize {
        self.snapshot.as_ref().map_or(0, |(len, _)| *len)
    }

    pub(super) fn last_zxid(&self) -> Zxid {
        self.log.end().zxid
    }

    /// How far an fsync, or what a power loss has left, vouches for the log.
    pub(super) fn durable(&self) -> Position {
        self.log.position(self.synced)
    }

    pub(super) fn has_unsynced(&self) -> bool {
        self.synced < self.log.len()
    }

    pub(super) fn queued(&self) -> impl Iterator<Item = &Proposal> {
        self.queue.iter().map(|request| &request.proposal)
    }

    /// Writes a record. It survives the process from now on, the host only after an fsync.
    pub(super) fn append(&mut self, ctx: &mut Ctx<'_>, proposal: Proposal) -> Result<(), DiskError> {
        // The same record again comes only of defect ZOOKEEPER-4712.
        if proposal.zxid() <= self.last_zxid()
            && let at = self.log.count_through(proposal.zxid())
            && at > 0
            && *self.log.get(at - 1) == proposal
        {
            return Ok(());
        }
        ctx.write(u64::from(proposal.txn().size()))?;
        self.log.push(proposal);
        self.since_snapshot += 1;
        Ok(())
    }

    pub(super) fn enqueue(&mut self, proposal: Proposal, generation: u32) {
        self.queue.push_back(SyncRequest { proposal, generation });
    }

    /// The sync thread is being started: what is queued waits for [`Storage::release`].
    pub(super) fn hold(&mut self) {
        self.held = true;
    }

    /// The sync thread runs.
    pub(super) fn release(&mut self) {
        self.held = false;
    }

    /// Wakes the sync thread if there is something for it and it sleeps. Returns whether it did.
    pub(super) fn wake(&mut self) -> bool {
        let sleeps = !self.flushing && !self.held && !self.waking;
        let wakes = sleeps && !self.queue.is_empty();
        self.waking |= wakes;
        wakes
    }

    /// The sync thread that was woken runs.
    pub(super) fn awake(&mut self) {
        self.waking = false;
    }

    /// `SyncRequestProcessor.run`: group commit. Appends what is queued, at most a batch, and starts its fsync unless one
    /// is under way. With `forceSync=no` the batch is returned at once.
    pub(super) fn pump(&mut self, ctx: &mut Ctx<'_>, force_sync: bool) -> Result<Vec<SyncRequest>, DiskError> {
        if self.flushing || self.held || self.waking || self.queue.is_empty() {
            return Ok(Vec::new());
        }
        let count = self.queue.len().min(MAX_BATCH_SIZE);
        let batch: Vec<_> = self.queue.drain(..count).collect();
        for request in &batch {
            self.append(ctx, request.proposal.clone())?;
        }
        if !force_sync {
            return Ok(batch);
        }
        self.flushing = true;
        let generation = batch[0].generation;
        self.fsync(ctx, DiskOp::Flush(batch), generation);
        Ok(Vec::new())
    }

    /// Appends everything that is queued without waiting for it to be synced.
    pub(super) fn drain(&mut self, ctx: &mut Ctx<'_>) -> Result<(), DiskError> {
        (self.held, self.waking) = (false, false);
        for request in std::mem::take(&mut self.queue) {
            self.append(ctx, request.proposal)?;
        }
        Ok(())
    }

    /// Starts an fsync that covers all that was written so far.
    pub(super) fn fsync(&mut self, ctx: &mut Ctx<'_>, op: DiskOp, generation: u32) {
        self.next_token += 1;
        let token = DiskToken(self.next_token);
        self.pending.insert(token, Pending { op, generation, covers: self.log.len(), cut: self.cut });
        ctx.fsync(token);
    }

    /// An fsync has succeeded.
    pub(super) fn complete(&mut self, token: DiskToken) -> Option<Done> {
        let Pending { op, generation, covers, cut } = self.pending.remove(&token)?;
        if matches!(op, DiskOp::Flush(_)) {
            self.flushing = false;
        }
        let more = cut == self.cut && covers > self.synced;
        if more {
            self.synced = covers;
        }
        Some(Done { op, generation, synced: more.then(|| self.log.position(covers)) })
    }

    /// Cuts the log to its first `len` transactions, durably (`FileTxnLog.truncate`). Snapshots of more go too: keeping
    /// them is ZOOKEEPER-1549 and -4837; the rule here is ours.
    pub(super) fn truncate(&mut self, ctx: &mut Ctx<'_>, len: usize) {
        let gone: u64 = (len..self.log.len()).map(|at| u64::from(self.log.get(at).txn().size())).sum();
        ctx.free(gone);
        self.log.truncate(len);
        self.synced = self.synced.min(len);
        self.cut += 1;
        self.snapshot = self.snapshot.take().filter(|(at, _)| *at <= len);
    }

    /// Writes a snapshot of `tree`, not fsynced. A tree that is ahead of its log must wait: commits may overtake the own
    /// disk, and a snapshot stands for a prefix of the log.
    pub(super) fn take_snapshot(&mut self, ctx: &mut Ctx<'_>, tree: &DataTree) -> Result<(), DiskError> {
        let len = self.log.count_through(tree.applied().zxid);
        if self.log.position(len) != tree.applied() {
            return Ok(());
        }
        ctx.write(tree.bytes())?;
        self.snapshot = Some((len, tree.clone()));
        self.since_snapshot = 0;
        Ok(())
    }

    /// Whether the log has grown by `snapCount` since the last snapshot.
    pub(super) fn snapshot_due(&self, snap_count: u32) -> bool {
        self.since_snapshot >= snap_count
    }

    /// Takes the history behind a received snapshot for the own one. Real servers keep older logs and snapshots beside
    /// the new one; sharing the leader's history stands for that, so that a later TRUNC always has something to cut.
    ///
    /// The snapshot is on disk already (`syncSnapshot`). Returns the end of the log now.
    pub(super) fn replace(&mut self, log: Log, tree: &DataTree) -> Position {
        self.synced = log.len();
        self.cut += 1;
        self.snapshot = Some((log.len(), tree.clone()));
        self.log = log;
        self.since_snapshot = 0;
        self.log.end()
    }

    /// `loadDataBase`: the newest snapshot and everything logged after it.
    pub(super) fn load(&self) -> DataTree {
        let (from, mut tree) = self.snapshot.clone().unwrap_or_default();
        let mut ignored = Vec::new();
        for at in from..self.log.len() {
            // Nobody waits for these results: the requests were answered or lost in an earlier life.
            let _ = tree.apply(self.log.get(at), &mut ignored);
            ignored.clear();
        }
        tree
    }

    /// What a crash leaves. Returns whether written records were lost.
    pub(super) fn crash(&mut self, loss: Loss, random: &mut Random) -> bool {
        self.queue.clear();
        self.pending.clear();
        self.flushing = false;
        (self.held, self.waking) = (false, false);
        if loss == Loss::Memory {
            return false;
        }
        let keep = match loss {
            Loss::Unsynced => self.synced,
            _ => random.within(self.synced as u64, self.log.len() as u64) as usize,
        };
        let lost = keep < self.log.len();
        self.log.truncate(keep);
        self.cut += 1;
        // What the kernel happened to write out is durable; what the snapshot has beyond it is not.
        self.synced = keep;
        self.snapshot = self.snapshot.take().filter(|(at, _)| *at <= keep);
        lost
    }
}

/// `zookeeper.maxBatchSize`.
const MAX_BATCH_SIZE: usize = 1000;
