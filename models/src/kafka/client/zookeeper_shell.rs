//! What an operator does by hand with `zookeeper-shell`: a session of its own for one command.

use crate::id::Address;
use crate::kafka::znode;
use crate::process::Input;
use crate::time::Span;
use crate::world::{Ctx, In, Message, Timer};
use crate::zk::client::{ClientCnxnSocket, ZkClientEvent, ZkClientSpec, ZooKeeper};
use crate::zk::protocol::{ANY_VERSION, Op, ZkError};

/// `-timeout` of `ZooKeeperMain`.
const SESSION_TIMEOUT: Span = Span::from_secs(30);

/// A shell; closed while there is no command.
#[derive(Clone, Debug, Hash)]
pub(super) struct ZooKeeperShell {
    servers: std::sync::Arc<[Address]>,
    /// The number of the last handle.
    handles: u32,
    zk: Option<ZooKeeper>,
}

impl ZooKeeperShell {
    pub(super) fn new(servers: std::sync::Arc<[Address]>) -> Self {
        Self { servers, handles: 0, zk: None }
    }

    /// `delete /controller`: what operators do to have a controller elected. Ignored while the last command is under way.
    pub(super) fn delete_controller(&mut self, ctx: &mut Ctx<'_>) {
        if self.zk.as_ref().is_some_and(ZooKeeper::is_alive) || self.servers.is_empty() {
            return;
        }
        self.handles += 1;
        let spec = ZkClientSpec {
            servers: self.servers.clone(),
            session_timeout: SESSION_TIMEOUT,
            socket: ClientCnxnSocket::Nio,
            gives_up: false,
            thread_delay: Span::ZERO,
        };
        let mut zk = ZooKeeper::new(self.handles, spec);
        zk.start(ctx);
        let mut out = Vec::new();
        zk.submit(ctx, delete(), &mut out);
        self.zk = Some(zk);
        self.act(ctx, out);
    }

    /// Takes an input if it is the session's; gives it back if not.
    pub(super) fn on_input(&mut self, ctx: &mut Ctx<'_>, input: In) -> Option<In> {
        let Some(zk) = &mut self.zk else { return Some(input) };
        let mut out = Vec::new();
        match input {
            Input::Opened { conn } if zk.owns(conn) => zk.on_opened(ctx, conn),
            Input::Message { conn, message: Message::Zk(message) } => zk.on_message(ctx, conn, *message, &mut out),
            Input::Closed { conn, .. } if zk.owns(conn) => zk.on_closed(ctx, conn, &mut out),
            Input::Timer { timer: Timer::ZkClient(timer), .. } => zk.on_timer(ctx, timer, &mut out),
            input => return Some(input),
        }
        self.act(ctx, out);
        None
    }

    fn act(&mut self, ctx: &mut Ctx<'_>, mut events: Vec<ZkClientEvent>) {
        let Some(zk) = &mut self.zk else { return };
        while !events.is_empty() {
            for event in std::mem::take(&mut events) {
                match event {
                    // Nobody knows whether it was done: once more, which at worst finds nothing, or the next one's node.
                    ZkClientEvent::Reply { result: Err(ZkError::ConnectionLoss), .. } => {
                        zk.submit(ctx, delete(), &mut events);
                    }
                    ZkClientEvent::Reply { .. } => zk.close(ctx, &mut events),
                    ZkClientEvent::Connected
                    | ZkClientEvent::Disconnected
                    | ZkClientEvent::Expired
                    | ZkClientEvent::Watch { .. } => {}
                }
            }
        }
    }
}

fn delete() -> Op {
    Op::Delete { path: znode::CONTROLLER.into(), version: ANY_VERSION }
}
