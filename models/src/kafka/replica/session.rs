//! Incremental fetch sessions on the leader's side (KIP-227), and the fetches that wait in them (`DelayedFetch`).
//!
//! A session remembers which of its partitions may have news, so that a fetch costs what changed and not what is followed.
//! All others are *quiet*: the fetcher stands at their end, knows their high watermark, and, if it is a follower, is in the
//! ISR. For a quiet partition each fetch of the session is a fetch at the log's end; [`Session::last_fetch`] says when
//! that was last, and [`super::remote::RemoteReplica`] takes it over before the partition changes.

use super::ReplicaTimer;
use super::purgatory::Deadlines;
use crate::id::{BrokerId, ConnId, TopicPartition};
use crate::kafka::by_partition::ByPartition;
use crate::kafka::config::Text;
use crate::kafka::protocol::{ErrorCode, FetchPartition, FetchRequest, Origin};
use crate::sorted_map::SortedMap;
use crate::sorted_set::SortedSet;
use crate::time::Instant;
use crate::world::Ctx;

/// One partition of a session.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct SessionPartition {
    /// The position, as last told.
    pub(super) fetch: FetchPartition,
    /// High watermark and log start that the fetcher was last told; `None` until then.
    pub(super) told: Option<(u64, u64)>,
}

/// A fetch that waits for data.
#[derive(Clone, Copy, Debug, Hash)]
pub(super) struct WaitingFetch {
    /// Whom to answer.
    pub(super) origin: Origin,
    /// When at the latest.
    pub(super) deadline: Instant,
    /// How much to wait for.
    pub(super) min_bytes: u64,
}

/// A session.
#[derive(Clone, Debug, Hash)]
pub(super) struct Session {
    conn: ConnId,
    /// The follower, or `None` for a consumer.
    pub(super) replica: Option<BrokerId>,
    next_epoch: u32,
    /// Everything that is fetched.
    pub(super) partitions: ByPartition<SessionPartition>,
    /// Partitions that may have news.
    news: SortedSet<TopicPartition>,
    /// The partition after which the next answer begins, so that large answers serve all in turn.
    pub(super) cursor: Option<TopicPartition>,
    /// When the last fetch arrived.
    pub(super) last_fetch: Instant,
    /// Most bytes of an answer.
    pub(super) max_bytes: u64,
    /// Where a consumer stands.
    pub(super) rack: Option<Text>,
    /// The fetch that waits.
    pub(super) waiting: Option<WaitingFetch>,
    woken: bool,
}

impl Session {
    /// Of the partitions that may have news, the first one to be served.
    pub(super) fn first_news(&self) -> Option<TopicPartition> {
        self.cursor.and_then(|cursor| self.news.after(cursor)).or_else(|| self.news.first())
    }

    /// The one to be served after `served`; `None` once it is the cursor's turn again.
    pub(super) fn next_news(&self, served: TopicPartition) -> Option<TopicPartition> {
        let next = self.news.after(served);
        match self.cursor {
            None => next,
            Some(cursor) if served > cursor => next.or_else(|| self.news.first().filter(|first| *first <= cursor)),
            Some(cursor) => next.filter(|next| *next <= cursor),
        }
    }

    /// The partition became quiet.
    pub(super) fn hush(&mut self, partition: TopicPartition) {
        self.news.remove(&partition);
    }
}

/// `FetchSessionCache`, without its limit: a session lives as long as its connection.
#[derive(Clone, Debug, Hash)]
pub(super) struct FetchSessions {
    /// By id; there is none with id 0. Nearly every event of a broker looks at one or two.
    sessions: Vec<Option<Box<Session>>>,
    by_conn: SortedMap<ConnId, u32>,
    deadlines: Deadlines,
    woken: Vec<u32>,
}

impl FetchSessions {
    /// None.
    pub(super) fn new() -> Self {
        Self {
            sessions: vec![None],
            by_conn: SortedMap::default(),
            deadlines: Deadlines::new(ReplicaTimer::FetchExpiry),
            woken: Vec::new(),
        }
    }

    /// The session of a connection.
    pub(super) fn of_conn(&self, conn: ConnId) -> Option<u32> {
        self.by_conn.get(conn).copied()
    }

    /// A session.
    pub(super) fn get(&self, id: u32) -> Option<&Session> {
        self.sessions.get(id as usize)?.as_deref()
    }

    /// A session.
    pub(super) fn get_mut(&mut self, id: u32) -> Option<&mut Session> {
        self.sessions.get_mut(id as usize)?.as_deref_mut()
    }

    /// Opens the session of a full fetch.
    pub(super) fn open(&mut self, conn: ConnId, request: &FetchRequest) -> u32 {
        let told = None;
        let partitions =
            request.partitions.iter().map(|fetch| (fetch.partition, SessionPartition { fetch: *fetch, told }));
        let session = Session {
            conn,
            replica: request.replica,
            next_epoch: 1,
            partitions: partitions.collect(),
            news: request.partitions.iter().map(|fetch| fetch.partition).collect(),
            cursor: None,
            last_fetch: Instant::ZERO,
            max_bytes: request.max_bytes.into(),
            rack: request.rack.clone(),
            waiting: None,
            woken: false,
        };
        let id = self.sessions.len() as u32;
        self.sessions.push(Some(Box::new(session)));
        self.by_conn.insert(conn, id);
        id
    }

    /// Takes the next fetch of a session: new positions. Forgotten partitions are left to the caller.
    ///
    /// # Errors
    /// The session is unknown, or the epoch is not the next one.
    pub(super) fn resume(&mut self, request: &FetchRequest) -> Result<u32, ErrorCode> {
        let id = request.session.id;
        let session = self.get_mut(id).ok_or(ErrorCode::FetchSessionIdNotFound)?;
        if session.next_epoch != request.session.epoch {
            return Err(ErrorCode::InvalidFetchSessionEpoch);
        }
        session.next_epoch = session.next_epoch.checked_add(1).unwrap_or(1);
        session.max_bytes = request.max_bytes.into();
        for fetch in &request.partitions {
            let told = session.partitions.get(fetch.partition).and_then(|known| known.told);
            session.partitions.insert(fetch.partition, SessionPartition { fetch: *fetch, told });
            session.news.insert(fetch.partition);
        }
        Ok(id)
    }

    /// Takes a session out.
    pub(super) fn close(&mut self, id: u32) -> Option<Session> {
        let session = *self.sessions.get_mut(id as usize)?.take()?;
        self.by_conn.remove(session.conn);
        if let Some(waiting) = session.waiting {
            self.deadlines.remove(waiting.deadline, id.into());
        }
        Some(session)
    }

    /// Notes that a partition may have news for a session, and wakes the fetch that waits in it if `wake`.
    pub(super) fn note(&mut self, id: u32, partition: TopicPartition, wake: bool) {
        let Some(session) = self.sessions.get_mut(id as usize).and_then(Option::as_mut) else { return };
        session.news.insert(partition);
        if wake && session.waiting.is_some() && !session.woken {
            session.woken = true;
            self.woken.push(id);
        }
    }

    /// The next session whose waiting fetch was woken.
    pub(super) fn pop_woken(&mut self) -> Option<u32> {
        let id = self.woken.pop()?;
        if let Some(session) = self.get_mut(id) {
            session.woken = false;
        }
        Some(id)
    }

    /// Lets a fetch wait.
    pub(super) fn wait(&mut self, ctx: &mut Ctx<'_>, id: u32, waiting: WaitingFetch) {
        if let Some(session) = self.sessions.get_mut(id as usize).and_then(Option::as_mut) {
            if let Some(given_up) = session.waiting.replace(waiting) {
                self.deadlines.remove(given_up.deadline, id.into());
            }
            self.deadlines.insert(ctx, waiting.deadline, id.into());
        }
    }

    /// Takes the waiting fetch of a session out, to answer it.
    pub(super) fn take_waiting(&mut self, id: u32) -> Option<WaitingFetch> {
        let waiting = self.get_mut(id)?.waiting.take()?;
        self.deadlines.remove(waiting.deadline, id.into());
        Some(waiting)
    }

    /// The timer fired: the sessions whose waiting fetch has waited long enough.
    pub(super) fn expired(&mut self, ctx: &mut Ctx<'_>) -> Vec<u32> {
        self.deadlines.expired(ctx).into_iter().map(|id| id as u32).collect()
    }
}
