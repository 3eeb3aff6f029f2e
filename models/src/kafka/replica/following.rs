//! What a fetcher thread does with answers (`AbstractFetcherThread.doWork`, `ReplicaFetcherThread`). The real thread blocks in
//! each request; here [`ReplicaManager::pump`] goes on where it would.

use super::fetcher::{FetchState, FetcherId, InFlight, Lookup};
use super::follower::AppendFailure;
use super::storage::FlushWaiter;
use super::{ReplicaManager, ReplicaTimer};
use crate::defect::Defect;
use crate::id::TopicPartition;
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::channel::{ChannelEvent, ChannelId, ChannelTimer, ConnInput};
use crate::kafka::metadata_cache::MetadataCache;
use crate::kafka::protocol::{
    ErrorCode, FetchResponse, FetchedPartition, OffsetAnswer, OffsetQuery, OffsetSpec, Request, Response,
};
use crate::observation::TruncateReason;
use crate::time::Span;
use crate::world::{Ctx, Timer};

impl ReplicaManager {
    /// Something happened on a connection. Gives it back if the connection is none of the fetchers'.
    pub fn on_conn(&mut self, ctx: &mut Ctx<'_>, cache: &MetadataCache, input: ConnInput) -> Option<ConnInput> {
        let owner = self.fetchers.iter_mut().find(|(_, fetcher)| fetcher.channel.conn() == Some(input.conn()));
        let Some((key, fetcher)) = owner else { return Some(input) };
        let event = fetcher.channel.on_input(ctx, input);
        self.on_channel_event(ctx, key, event);
        // Consumers may wait for what came.
        self.complete_woken_fetches(ctx, cache);
        None
    }

    /// A timer of a fetcher's channel fired.
    pub fn on_channel_timer(&mut self, ctx: &mut Ctx<'_>, _cache: &MetadataCache, timer: ChannelTimer) {
        let ChannelId::Fetcher(source, number) = timer.channel else { return };
        let key = (source, number);
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        let event = fetcher.channel.on_timer(ctx, timer.kind);
        self.on_channel_event(ctx, key, event);
    }

    fn on_channel_event(&mut self, ctx: &mut Ctx<'_>, key: FetcherId, event: ChannelEvent) {
        match event {
            ChannelEvent::Nothing => {}
            ChannelEvent::Connected | ChannelEvent::MayReconnect => self.pump(ctx, key),
            ChannelEvent::Response { response, .. } => self.on_response(ctx, key, response),
            ChannelEvent::Disconnected { .. } => {
                // A request that fails, be it for want of a connection, delays every partition of the thread.
                let until = ctx.now + self.fetch_backoff();
                if let Some(fetcher) = self.fetchers.get_mut(key) {
                    fetcher.fail_all(until);
                }
                self.arm_backoff(ctx, key);
            }
        }
    }

    /// Sends the next request of a thread, if it is free and has something to ask.
    pub(super) fn pump(&mut self, ctx: &mut Ctx<'_>, key: FetcherId) {
        let Some(fetcher) = self.fetchers.get(key) else { return };
        if fetcher.in_flight.is_some() || fetcher.flushes > 0 {
            return;
        }
        let epochs = if fetcher.rules.truncates_on_fetch { Vec::new() } else { self.maybe_truncate(ctx, key) };
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        if !fetcher.has_work() || !fetcher.channel.ready(ctx) {
            return;
        }
        let config = &self.shared.config;
        let timeout = Span::from_ms(config.request_timeout_ms.into());
        let (request, in_flight) = if !epochs.is_empty() {
            (Request::OffsetsForLeaderEpoch(epochs.clone()), InFlight::Epochs(epochs))
        } else if let Some(lookup) = fetcher.next_lookup() {
            let query = OffsetQuery {
                partition: lookup.partition,
                current_leader_epoch: fetcher.rules.stated(lookup.leader_epoch),
                at: lookup.at,
                replica: Some(self.shared.broker),
            };
            (Request::ListOffsets(vec![query]), InFlight::Offsets(lookup))
        } else {
            let Some(fetch) = fetcher.build(self.shared.broker, config, &self.partitions) else { return };
            (Request::Fetch(Box::new(fetch)), InFlight::Fetch)
        };
        fetcher.channel.send(ctx, request, timeout);
        fetcher.in_flight = Some(in_flight);
    }

    /// Lets every thread go on that can.
    pub(super) fn pump_all(&mut self, ctx: &mut Ctx<'_>) {
        let keys: Vec<_> = self.fetchers.keys().collect();
        for key in keys {
            self.pump(ctx, key);
        }
    }

    fn on_response(&mut self, ctx: &mut Ctx<'_>, key: FetcherId, response: Response) {
        let Some(in_flight) = self.fetchers.get_mut(key).and_then(|fetcher| fetcher.in_flight.take()) else { return };
        match (in_flight, response) {
            (InFlight::Fetch, Response::Fetch(response)) => self.on_fetched(ctx, key, response),
            (InFlight::Offsets(lookup), Response::ListOffsets(answers)) => {
                self.on_offsets(ctx, key, lookup, answers.first());
            }
            (InFlight::Epochs(queries), Response::OffsetsForLeaderEpoch(answers)) => {
                self.on_epoch_ends(ctx, key, &queries, &answers);
            }
            _ => {}
        }
        self.arm_backoff(ctx, key);
        self.pump(ctx, key);
    }

    fn on_fetched(&mut self, ctx: &mut Ctx<'_>, key: FetcherId, response: FetchResponse) {
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        let failed = response.error != ErrorCode::None;
        fetcher.on_session_answer(response.session, failed);
        if failed {
            return;
        }
        for fetched in response.partitions {
            let Some(fetcher) = self.fetchers.get(key) else { return };
            match fetcher.state_as_requested(fetched.partition) {
                Some(state) => self.on_fetched_partition(ctx, key, state, fetched),
                // An answer that no longer fits is not for this state. The defective thread cuts the log of whoever leads
                // meanwhile (KAFKA-13207, R10).
                None if self.shared.defects.has(Defect::TruncateAfterRoleChange)
                    && fetcher.has_requested(fetched.partition) =>
                {
                    if let (Some(end), Some(partition)) =
                        (fetched.diverging_epoch, self.partitions.get_mut(fetched.partition))
                    {
                        partition.truncate_to_epoch_end(ctx, &mut self.shared, end, TruncateReason::DivergingEpoch);
                    }
                }
                None => {}
            }
        }
        if self.shared.defects.has(Defect::TruncateAfterRoleChange) {
            self.shut_idle_fetchers(ctx);
        }
    }

    fn on_fetched_partition(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: FetcherId,
        state: FetchState,
        fetched: FetchedPartition,
    ) {
        let id = fetched.partition;
        match fetched.error {
            ErrorCode::None if fetched.diverging_epoch.is_some() => {
                let Some(partition) = self.partitions.get_mut(id) else { return };
                if let Some(end) = fetched.diverging_epoch {
                    // The answer's high watermark is not for a log that was not cut yet (KAFKA-14704, R11).
                    if self.shared.defects.has(Defect::HwBeforeTruncation) {
                        partition.take_high_watermark(ctx, &mut self.shared, fetched.high_watermark);
                    }
                    partition.truncate_to_epoch_end(ctx, &mut self.shared, end, TruncateReason::DivergingEpoch);
                }
                self.restart_at_log_end(key, id, state);
            }
            ErrorCode::None => self.on_records(ctx, key, state, fetched),
            ErrorCode::OffsetOutOfRange => {
                if let Some(fetcher) = self.fetchers.get_mut(key) {
                    fetcher.look_up(id, OffsetSpec::Latest);
                }
            }
            error => self.on_partition_error(ctx, key, id, error),
        }
    }

    fn on_records(&mut self, ctx: &mut Ctx<'_>, key: FetcherId, state: FetchState, fetched: FetchedPartition) {
        let id = fetched.partition;
        let Some(partition) = self.partitions.get_mut(id) else { return };
        let last_epoch = fetched.records.last().map(|batch| batch.leader_epoch);
        let leader_high_watermark = fetched.high_watermark;
        let appended = partition.append_as_follower(
            ctx,
            &mut self.shared,
            fetched.records,
            fetched.high_watermark,
            fetched.log_start_offset,
        );
        let flush = match appended {
            Ok(flush) => flush,
            Err(AppendFailure::Misplaced) => return self.fail_fetcher(id),
            // The real thread marks the partition as failed.
            Err(AppendFailure::Disk) => return self.remove_fetcher(id),
        };
        self.shared.metrics.lag(id, leader_high_watermark.saturating_sub(partition.log.log_end()));
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        if flush {
            let waiter = FlushWaiter::Fetcher(key.0, key.1);
            self.shared.storage.flush_log(ctx, partition, partition.log.log_end(), waiter);
            fetcher.flushes += 1;
        }
        if last_epoch.is_none() && state.answered {
            return;
        }
        // KAFKA-15510: an empty first answer makes the defective follower forget the epoch of its last record.
        let kept = if self.shared.defects.has(Defect::ForgottenFetchedEpoch) { None } else { state.last_fetched_epoch };
        let last_fetched_epoch = last_epoch.or(kept);
        fetcher.set(id, FetchState { offset: partition.log.log_end(), last_fetched_epoch, answered: true, ..state });
    }

    /// `AbstractFetcherThread.fetchOffsetAndTruncate`: cut to the leader's end if that is below ours; drop everything only if
    /// ours is below the leader's start (KAFKA-2143).
    fn on_offsets(&mut self, ctx: &mut Ctx<'_>, key: FetcherId, lookup: Lookup, answer: Option<&OffsetAnswer>) {
        let id = lookup.partition;
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        if !fetcher.finish_lookup(lookup) {
            return;
        }
        let (Some(state), Some(partition)) = (fetcher.state(id), self.partitions.get_mut(id)) else { return };
        let log_end = partition.log.log_end();
        let always = self.shared.defects.has(Defect::ResetToStartOnOutOfRange);
        match answer {
            Some(answer) if answer.error == ErrorCode::None => match lookup.at {
                OffsetSpec::Latest if answer.offset >= log_end => return fetcher.look_up(id, OffsetSpec::Earliest),
                OffsetSpec::Latest => {
                    partition.truncate(ctx, &mut self.shared, answer.offset, TruncateReason::OutOfRange);
                }
                OffsetSpec::Earliest if always || answer.offset > log_end => {
                    partition.truncate_fully(ctx, &mut self.shared, answer.offset);
                }
                OffsetSpec::Earliest => {}
            },
            answer => {
                let error = answer.map_or(ErrorCode::UnknownServerError, |answer| answer.error);
                return self.on_partition_error(ctx, key, id, error);
            }
        }
        self.restart_at_log_end(key, id, FetchState { looking_up: false, ..state });
    }

    fn restart_at_log_end(&mut self, key: FetcherId, id: TopicPartition, state: FetchState) {
        let (Some(fetcher), Some(partition)) = (self.fetchers.get_mut(key), self.partitions.get(id)) else { return };
        let (offset, last_fetched_epoch) = (partition.log.log_end(), partition.log.epochs().latest());
        fetcher.set(id, FetchState { offset, last_fetched_epoch, ..state });
    }

    pub(super) fn on_partition_error(
        &mut self,
        ctx: &mut Ctx<'_>,
        key: FetcherId,
        id: TopicPartition,
        error: ErrorCode,
    ) {
        if error == ErrorCode::FencedLeaderEpoch {
            // The epoch sent is still the one we follow in: failed, until the controller tells a new one.
            self.fail_fetcher(id);
        } else if let Some(fetcher) = self.fetchers.get_mut(key) {
            fetcher.delay(id, ctx.now + Span::from_ms(self.shared.config.replica_fetch_backoff_ms.into()));
        }
    }

    fn arm_backoff(&mut self, ctx: &mut Ctx<'_>, key: FetcherId) {
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        let Some(first) = fetcher.first_delay() else { return };
        if fetcher.backoff_armed.is_none_or(|(armed, _)| first < armed) {
            let timer = ReplicaTimer::FetcherBackoff(key.0, key.1);
            let timer = ctx.set_timer(first - ctx.now, Timer::Kafka(KafkaTimer::Replica(timer)));
            fetcher.backoff_armed = Some((first, timer));
        }
    }

    /// Delays of a thread may be over.
    pub(super) fn on_fetcher_backoff(&mut self, ctx: &mut Ctx<'_>, key: FetcherId) {
        let Some(fetcher) = self.fetchers.get_mut(key) else { return };
        // Of a clock that was slowed down meanwhile it is too early still: the timer is over, the delay is not.
        if let Some((armed, timer)) = fetcher.backoff_armed.take()
            && armed > ctx.now
        {
            ctx.cancel(timer);
        }
        fetcher.end_delays(ctx.now);
        self.arm_backoff(ctx, key);
        self.pump(ctx, key);
    }

    /// A flush that a thread waited for is done.
    pub(super) fn on_fetcher_flushed(&mut self, ctx: &mut Ctx<'_>, key: FetcherId) {
        if let Some(fetcher) = self.fetchers.get_mut(key) {
            fetcher.flushes = fetcher.flushes.saturating_sub(1);
        }
        self.pump(ctx, key);
    }
}
