//! Serving fetches, to followers and consumers alike (`ReplicaManager.fetchMessages`, `DelayedFetch`).

use super::ReplicaManager;
use super::partition::Read;
use super::purgatory::respond;
use super::session::{SessionPartition, WaitingFetch};
use crate::defect::Defect;
use crate::id::{BrokerId, TopicPartition};
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{ErrorCode, FetchRequest, FetchResponse, FetchedPartition, Origin, Response};
use crate::time::Span;
use crate::world::Ctx;

/// An answer in the making.
#[derive(Debug, Default)]
struct Collected {
    partitions: Vec<FetchedPartition>,
    bytes: u64,
    /// An error, a divergence or another replica to read from is answered at once.
    urgent: bool,
    /// Partitions left out for lack of room follow this one.
    stopped_after: Option<TopicPartition>,
}

impl Collected {
    /// Adds what a read found if the fetcher does not know it (`FetchSession.CachedPartition.maybeUpdateResponseData`).
    fn add(&mut self, id: TopicPartition, known: &SessionPartition, read: Read) {
        let news = read.error.is_some()
            || read.diverging.is_some()
            || read.preferred.is_some()
            || !read.records.is_empty()
            || known.told != Some((read.high_watermark, read.log_start));
        if !news {
            return;
        }
        self.urgent |= read.error.is_some() || read.diverging.is_some() || read.preferred.is_some();
        self.bytes += read.records.iter().map(|batch| u64::from(batch.size)).sum::<u64>();
        self.partitions.push(FetchedPartition {
            partition: id,
            error: read.error.unwrap_or(ErrorCode::None),
            high_watermark: read.high_watermark,
            log_start_offset: read.log_start,
            diverging_epoch: read.diverging,
            preferred_read_replica: read.preferred,
            records: read.records,
        });
    }
}

impl ReplicaManager {
    /// Reads and answers: at once if there is enough, an error or a divergence, else when there is, or after the wait time.
    /// A fetch with session epoch 0 opens a session in place of the connection's old one.
    pub fn fetch(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, origin: Origin, request: &FetchRequest) {
        let id = match self.admit(origin, request) {
            Ok(Some(id)) => id,
            Ok(None) => return refuse(ctx, origin, ErrorCode::None),
            Err(error) => return refuse(ctx, origin, error),
        };
        let collected = self.first_read(ctx, cache, id);
        let enough = collected.urgent
            || collected.bytes >= u64::from(request.min_bytes)
            || request.max_wait == Span::ZERO
            || self.shared.sessions.get(id).is_none_or(|session| session.partitions.is_empty());
        if enough {
            self.answer(ctx, id, origin, collected);
        } else {
            let deadline = ctx.now + request.max_wait;
            self.shared.sessions.wait(ctx, id, WaitingFetch { origin, deadline, min_bytes: request.min_bytes.into() });
        }
        self.complete_woken_fetches(ctx, cache);
    }

    /// The session of a fetch; none if it is a full fetch of nothing.
    fn admit(&mut self, origin: Origin, request: &FetchRequest) -> Result<Option<u32>, ErrorCode> {
        if request.session.epoch == 0 {
            if let Some(old) = self.shared.sessions.of_conn(origin.conn) {
                self.close_session(old);
            }
            let opens = !request.partitions.is_empty();
            return Ok(opens.then(|| self.shared.sessions.open(origin.conn, request)));
        }
        let id = self.shared.sessions.resume(request)?;
        for forgotten in &request.forgotten {
            if let Some(partition) = self.partitions.get_mut(*forgotten) {
                partition.unwatch(id, &self.shared.sessions);
            }
            if let Some(session) = self.shared.sessions.get_mut(id) {
                session.partitions.remove(*forgotten);
                session.hush(*forgotten);
            }
        }
        Ok(Some(id))
    }

    /// Reads every partition that may have news, and takes note of where a follower stands. Only this read does so: not the
    /// later ones of the same request.
    fn first_read(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, id: u32) -> Collected {
        let mut collected = Collected::default();
        let Some(session) = self.shared.sessions.get(id) else { return collected };
        let (replica, max_bytes) = (session.replica, session.max_bytes);
        let mut next = session.first_news();
        while let Some(tp) = next {
            let Some(session) = self.shared.sessions.get(id) else { break };
            next = session.next_news(tp);
            let Some(known) = session.partitions.get(tp).copied() else { continue };
            let read = self.read_one(cache, id, replica, &known, &mut collected, max_bytes);
            if read.error.is_none()
                && let Some(partition) = self.partitions.get_mut(tp)
            {
                // KAFKA-13141 (R09): a position that diverges is no progress; the defective leader stores it.
                let trusted = self.shared.defects.has(Defect::DivergingFetchCountsAsProgress);
                if let Some(follower) = replica.filter(|_| trusted || read.diverging.is_none()) {
                    partition.on_follower_fetch(ctx, cache, &mut self.shared, follower, &known.fetch);
                }
                if read.diverging.is_none() && read.preferred.is_none() && partition.is_quiet_for(&known, replica) {
                    if let Some(session) = self.shared.sessions.get_mut(id) {
                        session.hush(tp);
                    }
                    for remote in partition.remotes.iter_mut().filter(|remote| Some(remote.id) == replica) {
                        remote.quiet_in = Some(id);
                    }
                }
            }
            collected.add(tp, &known, read);
        }
        if let Some(session) = self.shared.sessions.get_mut(id) {
            session.last_fetch = ctx.now;
        }
        collected
    }

    /// Reads again for a fetch that waits.
    fn read_again(&mut self, cache: &MetadataCache, id: u32) -> Collected {
        let mut collected = Collected::default();
        let Some(session) = self.shared.sessions.get(id) else { return collected };
        let (replica, max_bytes) = (session.replica, session.max_bytes);
        let mut next = session.first_news();
        while let Some(tp) = next {
            let Some(session) = self.shared.sessions.get(id) else { break };
            next = session.next_news(tp);
            let Some(known) = session.partitions.get(tp).copied() else { continue };
            let read = self.read_one(cache, id, replica, &known, &mut collected, max_bytes);
            collected.add(tp, &known, read);
        }
        collected
    }

    fn read_one(
        &mut self,
        cache: &MetadataCache,
        id: u32,
        replica: Option<BrokerId>,
        known: &SessionPartition,
        collected: &mut Collected,
        max_bytes: u64,
    ) -> Read {
        let tp = known.fetch.partition;
        if !cache.contains(tp) {
            return Read::failed(ErrorCode::UnknownTopicOrPartition);
        }
        let Some(partition) = self.partitions.get_mut(tp) else {
            return Read::failed(self.missing(tp, ErrorCode::NotLeaderOrFollower));
        };
        partition.watch(id, replica);
        if let Some(rack) = self.shared.sessions.get(id).and_then(|session| session.rack.as_ref())
            && let Some(preferred) = partition.preferred_replica(&self.shared, rack, known.fetch.fetch_offset)
        {
            return partition.redirect(&known.fetch, preferred);
        }
        let left = max_bytes.saturating_sub(collected.bytes);
        let read = partition.read(&known.fetch, replica, left, collected.bytes == 0);
        if !read.records.is_empty() {
            collected.stopped_after = Some(tp);
        }
        read
    }

    fn answer(&mut self, ctx: &mut Ctx<'_>, id: u32, origin: Origin, collected: Collected) {
        if let Some(session) = self.shared.sessions.get_mut(id) {
            for told in &collected.partitions {
                if let Some(known) = session.partitions.get_mut(told.partition) {
                    // A fetcher takes no high watermark from an error or a divergence (KAFKA-14704).
                    let taken = told.error == ErrorCode::None && told.diverging_epoch.is_none();
                    known.told = taken.then_some((told.high_watermark, told.log_start_offset));
                }
            }
            session.cursor = collected.stopped_after.filter(|_| collected.bytes >= session.max_bytes);
        }
        let response = FetchResponse { error: ErrorCode::None, session: id, partitions: collected.partitions };
        respond(ctx, origin, Response::Fetch(response));
    }

    /// Answers the waiting fetches that were woken, if they have enough now (`DelayedFetch.tryComplete`). Called at the end of
    /// whatever may have woken some, so that an answer holds everything that one request appended.
    pub(super) fn complete_woken_fetches(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache) {
        while let Some(id) = self.shared.sessions.pop_woken() {
            let Some(waiting) = self.shared.sessions.get(id).and_then(|session| session.waiting) else { continue };
            let collected = self.read_again(cache, id);
            if collected.urgent || collected.bytes >= waiting.min_bytes {
                self.shared.sessions.take_waiting(id);
                self.answer(ctx, id, waiting.origin, collected);
            }
        }
    }

    /// Answers the waiting fetches whose time is over.
    pub(super) fn expire_fetches(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache) {
        for id in self.shared.sessions.expired(ctx) {
            if let Some(waiting) = self.shared.sessions.take_waiting(id) {
                let collected = self.read_again(cache, id);
                self.answer(ctx, id, waiting.origin, collected);
            }
        }
    }

    /// Closes a session: what it remembered for its followers is taken over by its partitions.
    pub(super) fn close_session(&mut self, id: u32) {
        let Some(session) = self.shared.sessions.get(id) else { return };
        for tp in session.partitions.keys() {
            if let Some(partition) = self.partitions.get_mut(tp) {
                partition.unwatch(id, &self.shared.sessions);
            }
        }
        self.shared.sessions.close(id);
    }
}

fn refuse(ctx: &mut Ctx<'_>, origin: Origin, error: ErrorCode) {
    respond(ctx, origin, Response::Fetch(FetchResponse { error, session: 0, partitions: Vec::new() }));
}
