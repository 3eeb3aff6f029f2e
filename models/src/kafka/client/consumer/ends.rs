//! `KafkaConsumer.endOffsets`, asked again and again as lag monitors do.

use std::collections::BTreeMap;

use super::Consumer;
use crate::id::BrokerId;
use crate::kafka::Timer as KafkaTimer;
use crate::kafka::channel::ChannelId;
use crate::kafka::client::ClientTimer;
use crate::kafka::protocol::{ErrorCode, OffsetAnswer, OffsetQuery, OffsetSpec, Request};
use crate::observation::Observation;
use crate::world::{Ctx, Timer};

impl Consumer {
    /// Sets the timer for the next question, if it is to ask at all.
    pub(super) fn schedule_end_question(&self, ctx: &mut Ctx<'_>) {
        if let Some(interval) = self.spec.end_offsets_every {
            ctx.set_timer(interval, Timer::Kafka(KafkaTimer::Client(ClientTimer::EndOffsets)));
        }
    }

    /// Asks every leader to which a connection is ready for the ends of its partitions. Who is not there is asked next time.
    pub(super) fn ask_ends(&mut self, ctx: &mut Ctx<'_>) {
        self.schedule_end_question(ctx);
        let mut queries: BTreeMap<BrokerId, Vec<OffsetQuery>> = BTreeMap::new();
        for index in 0..self.partitions.len() as u32 {
            let Some(leader) = self.network.metadata.leader(index) else { continue };
            queries.entry(leader).or_default().push(OffsetQuery {
                partition: self.network.metadata.partition(index),
                current_leader_epoch: Some(self.network.metadata.leadership(index).epoch),
                at: OffsetSpec::Latest,
                replica: None,
            });
        }
        for (leader, queries) in queries {
            if self.network.ready(ctx, leader) {
                let correlation = self.network.send(ctx, ChannelId::Client(leader), Request::ListOffsets(queries));
                self.end_questions.insert((leader, correlation));
            }
        }
    }

    /// The ends were told.
    pub(super) fn on_ends(&mut self, ctx: &mut Ctx<'_>, answers: &[OffsetAnswer]) {
        for answer in answers {
            if answer.error == ErrorCode::None {
                ctx.observe(Observation::EndOffset { partition: answer.partition, offset: answer.offset });
            } else {
                self.network.request_update(ctx);
            }
        }
    }
}
