//! `SocketServer`: accepted connections. A connection is muted while one of its requests is being handled, so that
//! requests of a connection are handled and answered one after the other.

use std::collections::VecDeque;

use crate::id::ConnId;
use crate::kafka::protocol::{Origin, Request};
use crate::sorted_map::SortedMap;

#[derive(Clone, Debug, Default, Hash)]
struct Connection {
    /// The request being handled.
    busy: Option<u32>,
    waiting: VecDeque<(u32, Request)>,
}

/// All accepted connections.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct Connections(SortedMap<ConnId, Connection>);

impl Connections {
    pub(super) fn accept(&mut self, conn: ConnId) {
        self.0.insert(conn, Connection::default());
    }

    /// Whether it was there. What waits on it is dropped unread.
    pub(super) fn remove(&mut self, conn: ConnId) -> bool {
        self.0.remove(conn).is_some()
    }

    /// Takes all of them, to be closed.
    pub(super) fn drain(&mut self) -> impl Iterator<Item = ConnId> + use<> {
        std::mem::take(&mut self.0).into_entries().map(|(conn, _)| conn)
    }

    /// A request came: gives it back if it is to be handled now.
    pub(super) fn arrived(&mut self, origin: Origin, request: Request) -> Option<Request> {
        let connection = self.0.get_mut(origin.conn)?;
        if connection.busy.is_some() {
            connection.waiting.push_back((origin.correlation, request));
            return None;
        }
        connection.busy = Some(origin.correlation);
        Some(request)
    }

    /// A request is answered, or wants no answer: gives the one to be handled next.
    pub(super) fn answered(&mut self, origin: Origin) -> Option<(Origin, Request)> {
        let connection = self.0.get_mut(origin.conn)?;
        if connection.busy != Some(origin.correlation) {
            return None;
        }
        let next = connection.waiting.pop_front();
        connection.busy = next.as_ref().map(|(correlation, _)| *correlation);
        next.map(|(correlation, request)| (Origin { conn: origin.conn, correlation }, request))
    }
}
