//! `StaticHostProvider`: the connect string, shuffled once, then round robin.

use crate::id::Address;
use crate::random::Random;

/// The servers in the order in which they are tried.
#[derive(Clone, Debug, Default, Hash)]
pub(super) struct HostProvider {
    servers: Vec<Address>,
    current: Option<usize>,
    /// Where the round is complete: the last server that confirmed a session, or the first one.
    last: Option<usize>,
}

impl HostProvider {
    pub(super) fn shuffled(servers: &[Address], random: &mut Random) -> Self {
        let mut hosts = Self::in_order(servers);
        random.shuffle(&mut hosts.servers);
        hosts
    }

    pub(super) fn in_order(servers: &[Address]) -> Self {
        assert!(!servers.is_empty(), "a connect string names at least one server");
        Self { servers: servers.to_vec(), current: None, last: None }
    }

    /// The next server, and whether it is the one where the round began: then the caller sleeps first.
    pub(super) fn next(&mut self) -> (Address, bool) {
        let next = self.current.map_or(0, |current| (current + 1) % self.servers.len());
        self.current = Some(next);
        let round_complete = self.last == Some(next);
        if self.last.is_none() {
            self.last = Some(0);
        }
        (self.servers[next], round_complete)
    }

    pub(super) fn on_connected(&mut self) {
        self.last = self.current;
    }
}

#[test]
fn a_round_ends_at_the_last_server_that_worked() {
    let address = |n| Address { process: crate::id::ProcessId(n), port: crate::id::Port(1) };
    let mut random = Random::new(1, crate::random::Purpose::Process, 0);
    let mut hosts = HostProvider::shuffled(&[address(0), address(1), address(2)], &mut random);
    let order: Vec<_> = (0..3).map(|_| hosts.next()).collect();
    assert!(order.iter().all(|(_, complete)| !complete), "the first round does not pause");
    assert_eq!(hosts.next(), (order[0].0, true));
    assert_eq!(hosts.next(), (order[1].0, false));
    hosts.on_connected();
    assert_eq!(hosts.next(), (order[2].0, false));
    assert_eq!(hosts.next(), (order[0].0, false));
    assert_eq!(hosts.next(), (order[1].0, true));
}
