//! Who is controller: `maybeResign`, `elect`, `triggerControllerMove`, `onControllerResignation`.

use super::KafkaController;
use super::failover::FailoverStep;
use super::thread::{Call, Failure, Frame, Guard, Io, Results, Then};
use crate::defect::Defect;
use crate::id::BrokerId;
use crate::kafka::metrics::Metric;
use crate::kafka::znode::{self, ControllerZnode};
use crate::observation::Observation;
use crate::zk::protocol::{ANY_VERSION, CreateMode, Op, OpResult, ZkError};

impl KafkaController {
    /// `maybeResign`, first half: the watch on `/controller` is armed again.
    pub(super) fn maybe_resign(&mut self, io: &mut Io<'_, '_>) {
        let was_active = self.is_active();
        let arm = Op::Exists { path: znode::CONTROLLER.into(), watch: true };
        self.ask(io, vec![arm], Then::ResignWatchArmed { was_active });
    }

    pub(super) fn on_resign_watch_armed(
        &mut self,
        io: &mut Io<'_, '_>,
        was_active: bool,
        results: &Results,
    ) -> Result<(), Failure> {
        match results.first() {
            Some(Ok(_) | Err(ZkError::NoNode)) => {
                self.ask(io, vec![read_controller()], Then::ResignRead { was_active });
            }
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    pub(super) fn on_resign_read(
        &mut self,
        io: &mut Io<'_, '_>,
        was_active: bool,
        results: &Results,
    ) -> Result<(), Failure> {
        let stored = controller_id(results)?;
        if self.is_inert(stored) {
            self.set_active_controller(io, None);
            self.thread.push([Frame::Call(Call::RemoveInertController), Frame::Call(Call::Elect)]);
            return Ok(());
        }
        self.set_active_controller(io, stored);
        if was_active && !self.is_active() {
            self.resign(io);
        }
        Ok(())
    }

    /// `processControllerChange`, and the handlers of `ControllerMovedException` in `process` and `elect`.
    ///
    /// `Defect::ControllerVacancyMissed`: they resign and no more, in the belief that the watch on `/controller` brings an
    /// election when the node goes. But its creation spent that watch, and only now is it armed again.
    pub(super) fn follow_controller_change(&mut self) {
        if self.defects.has(Defect::ControllerVacancyMissed) {
            self.thread.call(Call::MaybeResign);
        } else {
            self.thread.push([Frame::Call(Call::MaybeResign), Frame::Call(Call::ElectIfVacant)]);
        }
    }

    /// The second half of the repaired [`Self::follow_controller_change`], which `maybe_resign` has just told who it is.
    pub(super) fn elect_if_vacant(&mut self) {
        if self.active_controller.is_none() {
            self.thread.call(Call::Elect);
        }
    }

    /// `elect`: if nobody is controller, become it.
    pub(super) fn elect(&mut self, io: &mut Io<'_, '_>) {
        self.ask(io, vec![read_controller()], Then::ElectRead);
    }

    pub(super) fn on_elect_read(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        let stored = controller_id(results)?;
        if self.is_inert(stored) {
            self.set_active_controller(io, None);
            self.thread.push([Frame::Call(Call::RemoveInertController), Frame::Call(Call::Elect)]);
            return Ok(());
        }
        self.set_active_controller(io, stored);
        if stored.is_none() {
            self.thread.push([Frame::Guard(Guard::Elect)]);
            self.ask(io, vec![read_epoch()], Then::EpochRead);
        }
        Ok(())
    }

    /// `registerControllerAndIncrementControllerEpoch`.
    pub(super) fn on_epoch_read(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        if let Some((epoch, version)) = controller_epoch(results)? {
            self.claim(io, epoch + 1, version);
        } else {
            let create =
                Op::Create { path: znode::CONTROLLER_EPOCH.into(), data: "0".into(), mode: CreateMode::Persistent };
            self.ask(io, vec![create], Then::EpochCreated);
        }
        Ok(())
    }

    pub(super) fn on_epoch_created(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        match results.first() {
            Some(Ok(_)) => self.claim(io, 1, 0),
            Some(Err(ZkError::NodeExists)) => self.ask(io, vec![read_epoch()], Then::EpochRead),
            other => return Err(unexpected(other)),
        }
        Ok(())
    }

    fn claim(&mut self, io: &mut Io<'_, '_>, epoch: i32, version: i32) {
        let content =
            ControllerZnode { version: 2, brokerid: self.broker.0, timestamp: io.ctx.wall.as_ms().to_string() };
        let claim = Op::Multi(vec![
            Op::Create { path: znode::CONTROLLER.into(), data: znode::encode(&content), mode: CreateMode::Ephemeral },
            Op::SetData { path: znode::CONTROLLER_EPOCH.into(), data: epoch.to_string().into(), version },
        ]);
        self.ask(io, vec![claim], Then::ElectionDone { epoch });
    }

    pub(super) fn on_election_done(
        &mut self,
        io: &mut Io<'_, '_>,
        epoch: i32,
        results: &Results,
    ) -> Result<(), Failure> {
        let error = match results.first() {
            Some(Ok(OpResult::Multi(parts))) => match parts.as_slice() {
                [Ok(_), Ok(OpResult::Stat(stat))] => {
                    let version = stat.version;
                    self.won(io, epoch, version);
                    return Ok(());
                }
                parts => parts.iter().find_map(|part| {
                    part.as_ref()
                        .err()
                        .copied()
                        .filter(|e| !matches!(e, ZkError::RolledBack | ZkError::RuntimeInconsistency))
                }),
            },
            Some(Err(error)) => Some(*error),
            _ => None,
        };
        match error {
            // Somebody was faster, or it was this broker itself and the answer got lost with a connection.
            Some(ZkError::NodeExists | ZkError::BadVersion) => {
                self.ask(io, vec![read_controller()], Then::VerifyController { epoch });
                Ok(())
            }
            Some(error) => Err(Failure::Keeper(error)),
            None => Err(Failure::Other),
        }
    }

    pub(super) fn on_verify_controller(
        &mut self,
        io: &mut Io<'_, '_>,
        epoch: i32,
        results: &Results,
    ) -> Result<(), Failure> {
        if controller_id(results)? != Some(self.broker) {
            return Err(Failure::ControllerMoved);
        }
        self.ask(io, vec![read_epoch()], Then::VerifyEpoch { epoch });
        Ok(())
    }

    pub(super) fn on_verify_epoch(
        &mut self,
        io: &mut Io<'_, '_>,
        epoch: i32,
        results: &Results,
    ) -> Result<(), Failure> {
        match controller_epoch(results)? {
            Some((stored, version)) if stored == epoch => {
                self.won(io, epoch, version);
                Ok(())
            }
            Some(_) => Err(Failure::ControllerMoved),
            None => Err(Failure::Other),
        }
    }

    fn won(&mut self, io: &mut Io<'_, '_>, epoch: i32, epoch_zk_version: i32) {
        self.context.epoch = epoch;
        self.context.epoch_zk_version = epoch_zk_version;
        self.thread.acted = true;
        io.ctx.observe(Observation::ControllerBegin { epoch });
        self.set_active_controller(io, Some(self.broker));
        self.thread.call(Call::Failover(FailoverStep::Feature));
        if self.defects.has(Defect::ZombieAdoptsNewEpoch) {
            self.thread.call(Call::FollowEpoch);
        }
    }

    /// `Defect::ZombieAdoptsNewEpoch`, KAFKA-1096: whoever was elected once follows `/controller_epoch`, and takes over
    /// what he reads there as his own. Repaired: an election alone sets the epoch, and nobody watches the node.
    pub(super) fn read_new_epoch(&mut self, io: &mut Io<'_, '_>) {
        let read = Op::GetData { path: znode::CONTROLLER_EPOCH.into(), watch: true };
        self.ask(io, vec![read], Then::EpochAdopted);
    }

    pub(super) fn on_new_epoch_read(&mut self, results: &Results) -> Result<(), Failure> {
        if let Some((epoch, version)) = controller_epoch(results)? {
            (self.context.epoch, self.context.epoch_zk_version) = (epoch, version);
        }
        Ok(())
    }

    /// The new session's handler, once the broker is registered. `Defect::ResignThenSeeOwnNode`, KAFKA-4229: it resigns
    /// whatever has happened since the session began, and the election that follows finds its own node. Repaired: it resigns
    /// only if `/controller` names another.
    pub(super) fn reelect_in_new_session(&mut self, io: &mut Io<'_, '_>) {
        if self.defects.has(Defect::ResignThenSeeOwnNode) {
            self.set_active_controller(io, None);
            self.resign(io);
            self.thread.call(Call::Elect);
        } else {
            self.thread.push([Frame::Call(Call::MaybeResign), Frame::Call(Call::Elect)]);
        }
    }

    /// `triggerControllerMove`: gives the role up so that somebody else, or this broker afresh, may take it.
    pub(super) fn trigger_controller_move(&mut self, io: &mut Io<'_, '_>) {
        self.ask(io, vec![read_controller()], Then::MoveRead);
    }

    pub(super) fn on_move_read(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        self.set_active_controller(io, controller_id(results)?);
        if self.is_active() {
            let (epoch, version) = (self.context.epoch, self.context.epoch_zk_version);
            self.set_active_controller(io, None);
            self.resign(io);
            self.thread.push([Frame::Guard(Guard::Move)]);
            let delete = Op::Delete { path: znode::CONTROLLER.into(), version: ANY_VERSION };
            self.ask_fenced_by(io, epoch, version, vec![delete], Then::Ignore);
        }
        Ok(())
    }

    /// `onControllerResignation`. Nobody is told: brokers go by the old controller until a new one speaks.
    pub(super) fn resign(&mut self, io: &mut Io<'_, '_>) {
        self.handlers_registered = false;
        if let Some(timer) = self.rebalance_timer.take() {
            io.ctx.cancel(timer);
        }
        self.channels.shutdown(io.ctx);
        if self.runs() {
            io.ctx.observe(Observation::ControllerEnd { epoch: self.context.epoch });
        }
        let context = std::mem::take(&mut self.context);
        if self.defects.has(Defect::ResignedControllerStillListens) && context.epoch > 0 && !self.in_former_term {
            self.former = Some(context);
        }
        self.context.changed = true;
        // `Defect::PoisonedRequestBatch`, KAFKA-12315: the batches keep what the last term left in them, and
        // `newBatch` of the next term refuses to work. Repaired, as its PR #10089 proposed: a resignation clears them.
        if !self.defects.has(Defect::PoisonedRequestBatch) {
            self.partition_batch.clear();
            self.replica_batch.clear();
        }
    }

    /// The event thread has ended: `onControllerResignation` in `KafkaController.shutdown`. The node goes with the session.
    pub(super) fn close(&mut self, io: &mut Io<'_, '_>) {
        if self.is_active() || self.runs() {
            self.set_active_controller(io, None);
            self.resign(io);
        }
    }

    /// Whether `/controller` names this broker although no controller runs here, and the rule for that is switched on.
    ///
    /// `Defect::InertController`, KAFKA-13461, KAFKA-13407: the id is believed, the gauge shows 1, nothing works. The
    /// repaired rule is ours: a broker that finds its own id without having won that election deletes the node and stands
    /// for election. It does so whether its own session owns the node (an election whose outcome it never learnt) or
    /// another one (an orphan, or the session of an earlier life): it is registered under `/brokers/ids` by its current
    /// session, so no other process can be this broker. See [`Self::remove_inert_controller`] for the protection.
    fn is_inert(&self, stored: Option<BrokerId>) -> bool {
        stored == Some(self.broker) && !self.runs() && !self.defects.has(Defect::InertController)
    }

    /// Deletes an inert `/controller`. Every election rewrites `/controller_epoch`; its version is read first and checked
    /// with the deletion, so the node of a controller elected in between is never hit.
    pub(super) fn remove_inert_controller(&mut self, io: &mut Io<'_, '_>) {
        self.ask(io, vec![read_epoch()], Then::InertEpochRead);
    }

    pub(super) fn on_inert_epoch_read(&mut self, io: &mut Io<'_, '_>, results: &Results) -> Result<(), Failure> {
        let Some((_, epoch_version)) = controller_epoch(results)? else { return Err(Failure::Other) };
        self.ask(io, vec![read_controller()], Then::InertControllerRead { epoch_version });
        Ok(())
    }

    pub(super) fn on_inert_controller_read(
        &mut self,
        io: &mut Io<'_, '_>,
        epoch_version: i32,
        results: &Results,
    ) -> Result<(), Failure> {
        if controller_id(results)? == Some(self.broker) {
            let delete = Op::Multi(vec![
                Op::Check { path: znode::CONTROLLER_EPOCH.into(), version: epoch_version },
                Op::Delete { path: znode::CONTROLLER.into(), version: ANY_VERSION },
            ]);
            // Whatever comes of it, the election that follows reads again.
            self.ask(io, vec![delete], Then::Ignore);
        }
        Ok(())
    }

    /// Sets `activeControllerId`; the gauge ActiveControllerCount follows.
    pub(super) fn set_active_controller(&mut self, io: &mut Io<'_, '_>, id: Option<BrokerId>) {
        let before = self.is_active();
        self.active_controller = id;
        let active = self.is_active();
        if active != before {
            io.ctx.observe(Observation::ActiveController { active });
            self.metrics.set(io.ctx, Metric::ActiveControllerCount, active.into());
        }
    }
}

/// `KafkaZkClient.getControllerId`. Its read re-arms the watch, since the handler is registered.
fn read_controller() -> Op {
    Op::GetData { path: znode::CONTROLLER.into(), watch: true }
}

fn read_epoch() -> Op {
    Op::GetData { path: znode::CONTROLLER_EPOCH.into(), watch: false }
}

fn controller_id(results: &Results) -> Result<Option<BrokerId>, Failure> {
    match results.first() {
        Some(Ok(OpResult::Data { data, .. })) => {
            let content: ControllerZnode = znode::decode(data).ok_or(Failure::Other)?;
            Ok(Some(BrokerId(content.brokerid)))
        }
        Some(Err(ZkError::NoNode)) => Ok(None),
        other => Err(unexpected(other)),
    }
}

fn controller_epoch(results: &Results) -> Result<Option<(i32, i32)>, Failure> {
    match results.first() {
        Some(Ok(OpResult::Data { data, stat })) => {
            let epoch = data.trim().parse().map_err(|_| Failure::Other)?;
            Ok(Some((epoch, stat.version)))
        }
        Some(Err(ZkError::NoNode)) => Ok(None),
        other => Err(unexpected(other)),
    }
}

/// What is thrown for a result that the caller has no use for.
pub(super) fn unexpected(result: Option<&Result<OpResult, ZkError>>) -> Failure {
    match result {
        Some(Err(error)) => Failure::Keeper(*error),
        _ => Failure::Other,
    }
}
