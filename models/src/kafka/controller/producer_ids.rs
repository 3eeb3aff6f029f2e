//! `processAllocateProducerIds`: blocks of producer ids from `/latest_producer_id_block` (`ZkProducerIdManager`).

use serde::{Deserialize, Serialize};

use super::KafkaController;
use super::life_cycle::unexpected;
use super::thread::{Call, Failure, Frame, Guard, Io, Results, Then};
use crate::id::BrokerId;
use crate::kafka::protocol::{ErrorCode, Origin, Response};
use crate::kafka::znode;
use crate::zk::protocol::{Op, OpResult, ZkError};

/// `ProducerIdsBlock.PRODUCER_ID_BLOCK_SIZE`.
const BLOCK: u32 = 1000;

/// Content of `/latest_producer_id_block`: the last block given away.
#[derive(Serialize, Deserialize)]
struct ProducerIdBlockZnode {
    version: u32,
    broker: i32,
    block_start: String,
    block_end: String,
}

impl KafkaController {
    pub(super) fn allocate_producer_ids(
        &mut self,
        io: &mut Io<'_, '_>,
        origin: Origin,
        broker: BrokerId,
        broker_epoch: i64,
    ) {
        let refusal = if !self.takes_itself_for_active() {
            Some(ErrorCode::NotController)
        } else if self.context.live_brokers.get(&broker) != Some(&broker_epoch) {
            Some(ErrorCode::StaleBrokerEpoch)
        } else {
            None
        };
        match refusal {
            Some(error) => self.answer(io, origin, Response::AllocateProducerIds(Err(error))),
            None => self.thread.push([
                Frame::Call(Call::ReadProducerIdBlock { origin, broker }),
                Frame::Guard(Guard::AllocateProducerIds(origin)),
            ]),
        }
    }

    /// `getNewProducerIdBlock`: read, then write on condition of the version read, until nobody else was faster.
    pub(super) fn read_producer_id_block(&mut self, io: &mut Io<'_, '_>, origin: Origin, broker: BrokerId) {
        let read = Op::GetData { path: znode::PRODUCER_ID_BLOCK.into(), watch: false };
        self.ask(io, vec![read], Then::ProducerIdBlockRead { origin, broker });
    }

    pub(super) fn on_producer_id_block_read(
        &mut self,
        io: &mut Io<'_, '_>,
        origin: Origin,
        broker: BrokerId,
        results: &Results,
    ) -> Result<(), Failure> {
        let (start, version) = match results.first() {
            // The node is created empty at start-up.
            Some(Ok(OpResult::Data { data, stat })) if data.is_empty() => (0, stat.version),
            Some(Ok(OpResult::Data { data, stat })) => {
                let last: ProducerIdBlockZnode = znode::decode(data).ok_or(Failure::Other)?;
                let end: u64 = last.block_end.parse().map_err(|_| Failure::Other)?;
                (end.checked_add(1).ok_or(Failure::Other)?, stat.version)
            }
            other => return Err(unexpected(other)),
        };
        // Ids are positive 64-bit numbers in the real protocol.
        let end = start.checked_add(u64::from(BLOCK - 1)).filter(|end| *end <= i64::MAX.cast_unsigned());
        let end = end.ok_or(Failure::Other)?;
        let block = ProducerIdBlockZnode {
            version: 1,
            broker: broker.0,
            block_start: start.to_string(),
            block_end: end.to_string(),
        };
        let write = Op::SetData { path: znode::PRODUCER_ID_BLOCK.into(), data: znode::encode(&block), version };
        self.ask(io, vec![write], Then::ProducerIdBlockWritten { origin, broker, start });
        Ok(())
    }

    pub(super) fn on_producer_id_block_written(
        &mut self,
        io: &mut Io<'_, '_>,
        origin: Origin,
        broker: BrokerId,
        start: u64,
        results: &Results,
    ) -> Result<(), Failure> {
        match results.first() {
            Some(Ok(_)) => self.answer(io, origin, Response::AllocateProducerIds(Ok((start, BLOCK)))),
            Some(Err(ZkError::BadVersion)) => self.thread.call(Call::ReadProducerIdBlock { origin, broker }),
            other => return Err(unexpected(other)),
        }
        Ok(())
    }
}
