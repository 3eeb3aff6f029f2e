//! `Sender`: sends what is ready, and turns answers, time-outs and lost connections into outcomes.

use std::sync::Arc;

use super::accumulator::Place;
use super::batch::ProducerBatch;
use super::transactions::InitProducerId;
use super::{MAX_REQUEST_SIZE, Producer};
use crate::defect::Defect;
use crate::id::BrokerId;
use crate::kafka::channel::ChannelId;
use crate::kafka::client::errors::{is_definite_rejection, is_invalid_metadata};
use crate::kafka::config::Acks;
use crate::kafka::protocol::{ErrorCode, ProduceRequest, ProduceResult, Request, Response};
use crate::observation::Observation;
use crate::time::{Instant, Span};
use crate::world::Ctx;

impl Producer {
    /// One round of the sender thread.
    pub(super) fn run_sender(&mut self, ctx: &mut Ctx<'_>) {
        if self.transactions.settle(&mut self.accumulator.partitions) {
            self.place_all(ctx);
        }
        self.ask_for_identity(ctx);
        if self.blocked.is_some() {
            self.unblock(ctx);
        }
        let mut broker = self.accumulator.next_ready_broker(None);
        while let Some(to) = broker {
            self.send_to(ctx, to);
            broker = self.accumulator.next_ready_broker(Some(to));
        }
    }

    /// Finds out where a partition belongs now (`RecordAccumulator.ready`).
    pub(super) fn place(&mut self, ctx: &mut Ctx<'_>, index: u32) {
        let place = self.place_of(ctx.now, index);
        self.accumulator.put(index, place);
        match place {
            Place::Homeless => self.network.request_update(ctx),
            Place::Waiting(until) => self.ready_alarm.at(ctx, until),
            Place::Idle | Place::Ready(_) | Place::Stopped => {}
        }
    }

    fn place_of(&self, now: Instant, index: u32) -> Place {
        let partition = &self.accumulator.partitions[index as usize];
        let Some(first) = partition.queue.front().filter(|_| !partition.muted) else { return Place::Idle };
        let Some(leader) = self.network.metadata.leader(index) else { return Place::Homeless };
        if self.transactions.must_wait(partition, first) {
            return Place::Stopped;
        }
        let exhausted = self.blocked.is_some_and(|blocked| blocked.for_memory);
        let ms = if first.attempts > 0 {
            // A new leader is tried at once (KAFKA-15415).
            let same_leader = first.sent_epoch == self.network.metadata.leadership(index).epoch;
            if same_leader { self.spec.config.retry_backoff_ms } else { 0 }
        } else if first.closed || exhausted || partition.queue.len() > 1 {
            0
        } else {
            self.spec.config.linger_ms
        };
        let due = first.queued + Span::from_ms(ms.into());
        if due > now { Place::Waiting(due) } else { Place::Ready(leader) }
    }

    /// After a change of identity, which may hold back what was ready as well.
    fn place_all(&mut self, ctx: &mut Ctx<'_>) {
        for index in 0..self.accumulator.partitions.len() as u32 {
            if self.accumulator.is_placed(index) {
                self.place(ctx, index);
            }
        }
    }

    /// Sends requests to a broker while there is something to send and a slot for it.
    fn send_to(&mut self, ctx: &mut Ctx<'_>, broker: BrokerId) {
        while self.accumulator.has_ready(broker) && self.network.ready(ctx, broker) {
            let (mut batches, mut names, mut size) = (Vec::new(), Vec::new(), 0);
            // One batch per partition: a partition that was taken is placed again only after the request has gone.
            while let Some(index) = self.accumulator.next_ready(broker, |partition| {
                let next = partition.queue.front().map_or(0, |batch| batch.wire.size);
                size == 0 || size + next <= MAX_REQUEST_SIZE
            }) {
                let Some(batch) = self.take_batch(index) else { continue };
                size += batch.wire.size;
                batches.push((self.network.metadata.partition(index), Arc::clone(&batch.wire)));
                names.push((index, batch.serial));
                self.accumulator.partitions[index as usize].in_flight.push_back(batch);
            }
            self.send_request(ctx, broker, batches, names);
        }
    }

    fn take_batch(&mut self, index: u32) -> Option<ProducerBatch> {
        let epoch = self.network.metadata.leadership(index).epoch;
        let partition = &mut self.accumulator.partitions[index as usize];
        let mut batch = partition.queue.pop_front()?;
        self.transactions.assign(partition, &mut batch);
        batch.closed = true;
        batch.sent_epoch = epoch;
        // KAFKA-3197 (T01): the defective producer counts on the connection's one request, which holds for as long as the
        // partition's leader stays where it is.
        let by_partition = !self.spec.defects.has(Defect::ReorderWithOneInFlight);
        partition.muted = by_partition && self.spec.config.max_in_flight_requests_per_connection == 1;
        Some(batch)
    }

    fn send_request(
        &mut self,
        ctx: &mut Ctx<'_>,
        broker: BrokerId,
        batches: Vec<(crate::id::TopicPartition, Arc<crate::kafka::protocol::RecordBatch>)>,
        names: Vec<(u32, u64)>,
    ) {
        if batches.is_empty() {
            return;
        }
        let acks = self.spec.config.acks;
        let timeout = Span::from_ms(self.spec.config.request_timeout_ms.into());
        let request = Request::Produce(ProduceRequest { acks, timeout, batches });
        let to = ChannelId::Client(broker);
        if acks == Acks::None {
            self.network.send_without_answer(ctx, to, request);
            for (index, serial) in names {
                self.complete(ctx, index, serial, ErrorCode::None, None);
            }
            return;
        }
        let correlation = self.network.send(ctx, to, request);
        for &(index, _) in &names {
            self.place(ctx, index);
        }
        self.requests.insert((broker, correlation), names);
    }

    /// An answer to one of our requests.
    pub(super) fn on_answer(&mut self, ctx: &mut Ctx<'_>, from: ChannelId, correlation: u32, response: Response) {
        match response {
            Response::Produce(results) => {
                let ChannelId::Client(broker) = from else { return };
                let Some(names) = self.requests.remove((broker, correlation)) else { return };
                for (at, (index, serial)) in names.into_iter().enumerate() {
                    let (error, offset) = self.result_of(&results, at, index);
                    self.complete(ctx, index, serial, error, offset);
                }
            }
            Response::InitProducerId(result) if self.transactions.init == InitProducerId::Asked(from, correlation) => {
                match result {
                    Ok((id, epoch)) => {
                        self.transactions.initialized(&mut self.accumulator.partitions, id, epoch);
                        self.place_all(ctx);
                    }
                    Err(_) => self.back_off_identity(ctx),
                }
            }
            _ => {}
        }
    }

    /// The result of the partition at `index`; most answers follow the request's order. A partition that the answer leaves
    /// out got no answer.
    fn result_of(&self, results: &[ProduceResult], at: usize, index: u32) -> (ErrorCode, Option<u64>) {
        let partition = self.network.metadata.partition(index);
        let same_place = results.get(at).filter(|result| result.partition == partition);
        match same_place.or_else(|| results.iter().find(|result| result.partition == partition)) {
            Some(result) => (result.error, result.base_offset),
            None => (ErrorCode::UnknownServerError, None),
        }
    }

    /// A connection is gone, and with it the answers to these requests.
    pub(super) fn on_lost(&mut self, ctx: &mut Ctx<'_>, from: ChannelId, failed: &[u32], timed_out: bool) {
        if let InitProducerId::Asked(node, _) = self.transactions.init
            && node == from
        {
            self.back_off_identity(ctx);
        }
        let ChannelId::Client(broker) = from else { return };
        let error = if timed_out { ErrorCode::RequestTimedOut } else { ErrorCode::NetworkException };
        for correlation in failed {
            for (index, serial) in self.requests.remove((broker, *correlation)).unwrap_or_default() {
                self.complete(ctx, index, serial, error, None);
            }
        }
    }

    fn ask_for_identity(&mut self, ctx: &mut Ctx<'_>) {
        if self.transactions.init == InitProducerId::Needed
            && let Some(node) = self.network.least_loaded_ready(ctx)
        {
            let correlation = self.network.send(ctx, node, Request::InitProducerId);
            self.transactions.init = InitProducerId::Asked(node, correlation);
        }
    }

    fn back_off_identity(&mut self, ctx: &mut Ctx<'_>) {
        self.transactions.init = InitProducerId::BackingOff;
        self.retry_alarm.at(ctx, ctx.now + Span::from_ms(self.spec.config.retry_backoff_ms.into()));
    }

    /// `Sender.completeBatch`: success, another attempt, or failure. Batches that expired meanwhile are gone already.
    fn complete(&mut self, ctx: &mut Ctx<'_>, index: u32, serial: u64, error: ErrorCode, offset: Option<u64>) {
        let partition = &mut self.accumulator.partitions[index as usize];
        partition.muted = false;
        if let Some(mut batch) = partition.take_in_flight(serial) {
            match error {
                ErrorCode::None => self.succeed(ctx, index, batch, offset),
                ErrorCode::MessageTooLarge if batch.wire.values.len() > 1 => self.split(ctx, index, batch),
                _ if self.can_retry(ctx.now, index, &batch, error) => {
                    batch.attempts += 1;
                    batch.queued = ctx.now;
                    batch.indefinite |= !is_definite_rejection(error);
                    self.accumulator.partitions[index as usize].reenqueue(batch);
                }
                // The broker has it, but has forgotten where.
                ErrorCode::DuplicateSequenceNumber => self.succeed(ctx, index, batch, None),
                _ => {
                    // With its attempts exhausted nobody knows whether the sequence was used.
                    self.transactions.failed(index, batch.attempts < self.spec.config.retries);
                    self.fail(ctx, index, batch, error);
                }
            }
            if is_invalid_metadata(error) {
                self.network.request_update(ctx);
            }
        }
        self.place(ctx, index);
    }

    fn can_retry(&mut self, now: Instant, index: u32, batch: &ProducerBatch, error: ErrorCode) -> bool {
        batch.created + self.delivery_timeout() > now
            && batch.attempts < self.spec.config.retries
            && error != ErrorCode::DuplicateSequenceNumber
            && self.transactions.can_retry(index, &self.accumulator.partitions[index as usize], batch, error)
    }

    fn succeed(&mut self, ctx: &mut Ctx<'_>, index: u32, batch: ProducerBatch, offset: Option<u64>) {
        self.transactions.completed(&mut self.accumulator.partitions[index as usize], &batch);
        self.accumulator.release(batch.memory);
        self.unfinished -= batch.wire.values.len() as u64;
        let partition = self.network.metadata.partition(index);
        let acks = self.spec.config.acks;
        for (at, (value, handed_over)) in batch.wire.values.iter().zip(&batch.handed_over).enumerate() {
            let offset = offset.map(|base| base + at as u64);
            let latency = ctx.now - *handed_over;
            ctx.observe(Observation::SendOk { partition, value: *value, offset, acks, latency });
        }
    }

    fn fail(&mut self, ctx: &mut Ctx<'_>, index: u32, batch: ProducerBatch, error: ErrorCode) {
        self.accumulator.release(batch.memory);
        self.unfinished -= batch.wire.values.len() as u64;
        let partition = self.network.metadata.partition(index);
        let definite = is_definite_rejection(error) && !batch.indefinite;
        for &value in batch.wire.values.iter() {
            ctx.observe(match definite {
                true => Observation::SendFail { partition, value, error },
                false => Observation::SendUnknown { partition, value, error },
            });
        }
    }

    /// `RecordAccumulator.splitAndReenqueue`: the halves go out on their own, and may be split again (KAFKA-8350).
    fn split(&mut self, ctx: &mut Ctx<'_>, index: u32, batch: ProducerBatch) {
        let serial = self.accumulator.next_serial();
        let (mut first, mut second) = batch.split(serial);
        (first.queued, second.queued) = (ctx.now, ctx.now);
        let partition = &mut self.accumulator.partitions[index as usize];
        // In this order the halves stay in order with sequences and without.
        partition.reenqueue(second);
        partition.reenqueue(first);
    }

    /// Fails every batch older than `delivery.timeout.ms`, in the queue or under way (`Sender.sendProducerData`).
    pub(super) fn expire(&mut self, ctx: &mut Ctx<'_>) {
        let timeout = self.delivery_timeout();
        let mut next: Option<Instant> = None;
        for index in 0..self.accumulator.partitions.len() as u32 {
            let partition = &mut self.accumulator.partitions[index as usize];
            let mut expired = Vec::new();
            for batches in [&mut partition.in_flight, &mut partition.queue] {
                let mut at = 0;
                while let Some(batch) = batches.get(at) {
                    let deadline = batch.created + timeout;
                    if deadline <= ctx.now {
                        expired.extend(batches.remove(at));
                    } else {
                        next = Some(next.map_or(deadline, |first| first.min(deadline)));
                        at += 1;
                    }
                }
            }
            if expired.is_empty() {
                continue;
            }
            for batch in expired {
                // A batch that was sent once and not retried is not marked, in the Java client either.
                if batch.attempts > 0 {
                    let partition = &mut self.accumulator.partitions[index as usize];
                    self.transactions.mark_unresolved(index, partition, &batch);
                }
                self.fail(ctx, index, batch, ErrorCode::RequestTimedOut);
            }
            self.place(ctx, index);
        }
        if let Some(next) = next {
            self.delivery_alarm.at(ctx, next);
        }
    }
}
