//! A broker that answers as it is told, keeps a log per partition, and remembers what it was asked.

use std::collections::{BTreeMap, VecDeque};
use std::hash::{Hash, Hasher};
use std::sync::Arc;

use super::super::ClientTimer;
use crate::id::{BrokerId, ConnId, ProducerId, TopicPartition};
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::protocol::{
    Body, EpochAnswer, EpochEnd, EpochQuery, ErrorCode, FetchPartition, FetchRequest, FetchResponse, FetchedPartition,
    Frame, MetadataResponse, OffsetAnswer, OffsetQuery, OffsetSpec, PartitionMetadata, ProduceRequest, ProduceResult,
    RecordBatch, Request, Response,
};
use crate::time::{Instant, Span};
use crate::world::{Ctx, In, KAFKA_PORT, Message, Timer};

/// What to do with one produce request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Script {
    Append,
    Refuse(ErrorCode),
    AppendThenRefuse(ErrorCode),
    AppendThenSay(ErrorCode),
    AppendThenClose,
    Close,
    Silence,
}

#[derive(Clone, Debug, Default)]
pub(super) struct FakeBroker {
    pub(super) id: BrokerId,
    /// What it tells of the cluster.
    pub(super) brokers: Vec<BrokerId>,
    pub(super) leaders: BTreeMap<TopicPartition, (Option<BrokerId>, i32)>,
    /// One per produce request; appends when there is none left.
    pub(super) script: VecDeque<Script>,
    /// One per CreateTopics request; success when there is none left.
    pub(super) create_script: VecDeque<ErrorCode>,
    pub(super) logs: BTreeMap<TopicPartition, Vec<Arc<RecordBatch>>>,
    pub(super) seen: Vec<(Instant, ConnId, Request)>,
    pub(super) closed: Vec<Instant>,
    pub(super) next_producer: u64,
    /// The follower to which it sends readers.
    pub(super) prefers: Option<BrokerId>,
    /// It serves readers as a follower.
    pub(super) serves: bool,
    pub(super) session: BTreeMap<TopicPartition, FetchPartition>,
    pub(super) session_epoch: u32,
    pub(super) fetches: VecDeque<(ConnId, u32, FetchRequest)>,
}

impl Hash for FakeBroker {
    fn hash<H: Hasher>(&self, state: &mut H) {
        self.id.hash(state);
    }
}

impl FakeBroker {
    pub(super) fn end(&self, partition: TopicPartition) -> u64 {
        self.logs.get(&partition).and_then(|log| log.last()).map_or(0, |batch| batch.next_offset())
    }

    pub(super) fn produced(&self) -> Vec<&ProduceRequest> {
        let produce = |(_, _, request): &'_ (Instant, ConnId, Request)| matches!(request, Request::Produce(_));
        let requests = self.seen.iter().filter(|seen| produce(seen));
        requests.map(|(_, _, r)| if let Request::Produce(p) = r { p } else { unreachable!("filtered") }).collect()
    }

    pub(super) fn on_input(&mut self, input: In, ctx: &mut Ctx<'_>) {
        match input {
            In::Start => {
                self.fetches.clear();
                ctx.listen(KAFKA_PORT);
            }
            In::Closed { .. } => self.closed.push(ctx.now),
            In::Message { conn, message: Message::Kafka(Frame { correlation, body: Body::Request(request), .. }) } => {
                self.seen.push((ctx.now, conn, request.clone()));
                self.on_request(ctx, conn, correlation, request);
            }
            In::Timer { .. } => {
                if let Some((conn, correlation, request)) = self.fetches.pop_front() {
                    let response = self.fetch(&request);
                    answer(ctx, conn, correlation, Response::Fetch(response));
                }
            }
            _ => {}
        }
    }

    fn on_request(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, correlation: u32, request: Request) {
        let response = match request {
            Request::Produce(request) => return self.produce(ctx, conn, correlation, &request),
            Request::Fetch(request) => {
                self.fetches.push_back((conn, correlation, *request));
                ctx.set_timer(Span::from_ms(10), Timer::Kafka(KafkaTimer::Client(ClientTimer::Ready)));
                return;
            }
            Request::Metadata { .. } => Response::Metadata(Arc::new(self.metadata())),
            Request::InitProducerId => {
                self.next_producer += 1;
                Response::InitProducerId(Ok((ProducerId(self.next_producer), 0)))
            }
            Request::ListOffsets(queries) => Response::ListOffsets(queries.iter().map(|q| self.offset(q)).collect()),
            Request::OffsetsForLeaderEpoch(queries) => {
                Response::OffsetsForLeaderEpoch(queries.iter().map(|query| self.epoch_end(query)).collect())
            }
            Request::CreateTopics { topics, .. } => {
                let error = self.create_script.pop_front().unwrap_or(ErrorCode::None);
                if matches!(error, ErrorCode::None | ErrorCode::TopicAlreadyExists) {
                    for partition in topics
                        .iter()
                        .flat_map(|&(topic, n, _)| (0..n).map(move |partition| TopicPartition { topic, partition }))
                    {
                        self.leaders.insert(partition, (Some(self.id), 0));
                    }
                }
                Response::CreateTopics(topics.iter().map(|(topic, ..)| (*topic, error)).collect())
            }
            request => panic!("a client does not ask {request:?}"),
        };
        answer(ctx, conn, correlation, response);
    }

    fn metadata(&self) -> MetadataResponse {
        let partitions = self.leaders.iter().map(|(&partition, &(leader, leader_epoch))| {
            let error = if leader.is_some() { ErrorCode::None } else { ErrorCode::LeaderNotAvailable };
            PartitionMetadata { partition, error, leader, leader_epoch }
        });
        MetadataResponse {
            controller: self.brokers.last().copied(),
            brokers: self.brokers.clone(),
            partitions: partitions.collect(),
            unknown_topics: Vec::new(),
        }
    }

    fn produce(&mut self, ctx: &mut Ctx<'_>, conn: ConnId, correlation: u32, request: &ProduceRequest) {
        let script = self.script.pop_front().unwrap_or(Script::Append);
        let appends = !matches!(script, Script::Refuse(_) | Script::Close | Script::Silence);
        let results = request.batches.iter().map(|(partition, batch)| {
            let base_offset = appends.then(|| self.append(*partition, batch, 0));
            let error = match script {
                Script::Refuse(error) | Script::AppendThenRefuse(error) | Script::AppendThenSay(error) => error,
                _ => ErrorCode::None,
            };
            let base_offset = base_offset.filter(|_| error == ErrorCode::None);
            ProduceResult { partition: *partition, error, base_offset }
        });
        let results = results.collect();
        match script {
            Script::AppendThenClose | Script::Close => ctx.close(conn),
            Script::Silence => {}
            _ => answer(ctx, conn, correlation, Response::Produce(results)),
        }
    }

    /// Appends, unless the mark is known; returns the offset.
    pub(super) fn append(&mut self, partition: TopicPartition, batch: &RecordBatch, leader_epoch: i32) -> u64 {
        let base_offset = self.end(partition);
        let log = self.logs.entry(partition).or_default();
        if let Some(known) = log.iter().find(|known| batch.producer.is_some() && known.producer == batch.producer) {
            return known.base_offset;
        }
        log.push(Arc::new(RecordBatch { base_offset, leader_epoch, ..batch.clone() }));
        base_offset
    }

    fn check(&self, partition: TopicPartition, epoch: Option<i32>) -> ErrorCode {
        match self.leaders.get(&partition) {
            Some(&(Some(leader), current)) if leader == self.id => match epoch.unwrap_or(current) {
                asked if asked < current => ErrorCode::FencedLeaderEpoch,
                asked if asked > current => ErrorCode::UnknownLeaderEpoch,
                _ => ErrorCode::None,
            },
            _ => ErrorCode::NotLeaderOrFollower,
        }
    }

    fn offset(&self, query: &OffsetQuery) -> OffsetAnswer {
        let offset = if query.at == OffsetSpec::Latest { self.end(query.partition) } else { 0 };
        let error = self.check(query.partition, query.current_leader_epoch);
        OffsetAnswer { partition: query.partition, error, offset, leader_epoch: -1 }
    }

    fn epoch_end(&self, query: &EpochQuery) -> EpochAnswer {
        let error = self.check(query.partition, query.current_leader_epoch);
        let log = self.logs.get(&query.partition).map_or(&[][..], Vec::as_slice);
        let last = log.iter().rfind(|batch| batch.leader_epoch <= query.leader_epoch);
        let end = last.map(|batch| EpochEnd { epoch: batch.leader_epoch, end_offset: batch.next_offset() });
        EpochAnswer { partition: query.partition, error, end }
    }

    fn fetch(&mut self, request: &FetchRequest) -> FetchResponse {
        let full = request.session.epoch == 0;
        if full {
            self.session.clear();
        } else if request.session.epoch != self.session_epoch + 1 {
            let error = ErrorCode::InvalidFetchSessionEpoch;
            return FetchResponse { error, session: 0, partitions: Vec::new() };
        }
        self.session_epoch = request.session.epoch;
        self.session.extend(request.partitions.iter().map(|p| (p.partition, *p)));
        request.forgotten.iter().for_each(|partition| assert!(self.session.remove(partition).is_some()));
        let partitions = self.session.values().map(|p| self.read(p));
        let news = partitions.filter(|p| {
            full || p.error != ErrorCode::None || !p.records.is_empty() || p.preferred_read_replica.is_some()
        });
        FetchResponse { error: ErrorCode::None, session: 7, partitions: news.collect() }
    }

    fn read(&self, fetch: &FetchPartition) -> FetchedPartition {
        let end = self.end(fetch.partition);
        let mut error =
            if self.serves { ErrorCode::None } else { self.check(fetch.partition, fetch.current_leader_epoch) };
        if error == ErrorCode::None && fetch.fetch_offset > end {
            error = ErrorCode::OffsetOutOfRange;
        }
        let log = self.logs.get(&fetch.partition).map_or(&[][..], Vec::as_slice);
        let reads = error == ErrorCode::None && self.prefers.is_none();
        let records = log.iter().filter(|batch| reads && batch.next_offset() > fetch.fetch_offset);
        FetchedPartition {
            partition: fetch.partition,
            error,
            high_watermark: end,
            log_start_offset: 0,
            diverging_epoch: None,
            preferred_read_replica: self.prefers,
            records: records.cloned().collect(),
        }
    }
}

fn answer(ctx: &mut Ctx<'_>, conn: ConnId, correlation: u32, response: Response) {
    ctx.send(conn, Message::Kafka(Frame::response(correlation, response)));
}
