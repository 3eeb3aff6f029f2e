//! The determinism doctor finds what is planted, names the process that did it, and finds nothing where there is nothing.

use std::collections::BTreeSet;
use std::collections::HashSet;
use std::hash::Hash;
use std::sync::Arc;

use models::fingerprint::Fingerprint;
use models::id::{HostId, ProcessId};
use models::process::{Context, Input, Loss, Payload, Process};
use models::random::Random;
use models::time::{Instant, Span};
use sim::kernel::trace::What;
use sim::kernel::{HostSpec, LOOPBACK, ProcessSpec, RestartPolicy, Simulation, SimulationSpec};
use sim::net::topology::{LinkProfile, Site, SiteGraph};
use sim::travel::doctor::{self, Diagnosis, Difference};

const PEERS: u16 = 8;
/// The one that gossips.
const GOSSIP: ProcessId = ProcessId(3);

#[derive(Clone, Debug, Hash)]
struct Rumour(u64);

impl Payload for Rumour {
    fn wire_size(&self) -> u32 {
        8
    }

    fn fold(&self, into: &mut Fingerprint) {
        self.hash(into);
    }
}

/// Whom the gossip tells.
#[derive(Clone, Debug)]
enum Friends {
    Ordered(BTreeSet<ProcessId>),
    /// What the doctor has to find; the engine's and the models' own clippy.toml forbid it.
    Unordered(HashSet<ProcessId>),
}

#[derive(Clone, Debug)]
struct Toy {
    friends: Option<Friends>,
    told: u64,
    heard: u64,
}

impl Process for Toy {
    type Message = Rumour;
    type Timer = u8;

    fn on_input(&mut self, input: Input<Rumour, u8>, ctx: &mut Context<'_, Rumour, u8>) {
        match (input, &self.friends) {
            (Input::Start | Input::Timer { .. }, Some(friends)) => {
                self.told += 1;
                let friends: Vec<_> = match friends {
                    Friends::Ordered(friends) => friends.iter().copied().collect(),
                    Friends::Unordered(friends) => friends.iter().copied().collect(),
                };
                // Only the third round is out of order, so that there is something to agree in before.
                let round = self.told;
                let friends = if round < 3 { (0..PEERS).map(ProcessId).collect() } else { friends };
                friends
                    .into_iter()
                    .filter(|friend| *friend != GOSSIP)
                    .for_each(|f| ctx.send_datagram(f, Rumour(round)));
                ctx.set_timer(Span::from_ms(400), 0);
            }
            (Input::Datagram { .. }, _) => self.heard += 1,
            _ => {}
        }
    }

    fn crash(&mut self, _loss: Loss, _random: &mut Random) -> bool {
        false
    }

    fn fold_state(&self, into: &mut Fingerprint) {
        (self.told, self.heard).hash(into);
    }
}

fn simulation(friends: impl Into<FriendsOf>) -> Simulation<Toy> {
    let FriendsOf(friends) = friends.into();
    let link = LinkProfile { delay: Span::from_ms(5), ..LinkProfile::default() };
    let mut sites = SiteGraph::new();
    sites.add_node(Site { name: Arc::from("here"), inside: link });
    let toy = |id| Toy { friends: (ProcessId(id) == GOSSIP).then(|| friends.clone()), told: 0, heard: 0 };
    Simulation::new(SimulationSpec {
        seed: 1,
        sites,
        loopback: LOOPBACK,
        tcp: Default::default(),
        hosts: (0..PEERS).map(|_| HostSpec::default()).collect(),
        processes: (0..PEERS)
            .map(|id| ProcessSpec {
                stream: None,
                process: toy(id),
                host: HostId(id),
                restart: RestartPolicy::default(),
                start_at: Instant::ZERO,
                start_up: Default::default(),
            })
            .collect(),
    })
}

struct FriendsOf(Friends);

impl From<BTreeSet<ProcessId>> for FriendsOf {
    fn from(friends: BTreeSet<ProcessId>) -> Self {
        Self(Friends::Ordered(friends))
    }
}

impl From<HashSet<ProcessId>> for FriendsOf {
    fn from(friends: HashSet<ProcessId>) -> Self {
        Self(Friends::Unordered(friends))
    }
}

const LIMIT: Instant = Instant::from_ns(5_000_000_000);

fn everyone<C: FromIterator<ProcessId>>() -> C {
    (0..PEERS).map(ProcessId).collect()
}

#[test]
fn two_runs_of_a_sound_process_agree() {
    let diagnosis = doctor::examine(|| simulation(everyone::<BTreeSet<_>>()), LIMIT);
    let Diagnosis::Deterministic { compared, .. } = diagnosis else { panic!("{diagnosis:?}") };
    assert!(compared > 100, "{compared} things are hardly a run");
}

#[test]
fn an_unordered_iteration_is_blamed_on_the_process_that_iterates() {
    // Two orders of seven friends are the same once in 5,040; three rounds and more are compared.
    let diagnosis = doctor::examine(|| simulation(everyone::<HashSet<_>>()), LIMIT);
    let Diagnosis::Parted(difference) = diagnosis else { panic!("the planted iteration was not found") };
    let Difference { reordered, handling, .. } = &*difference;
    assert_eq!(difference.process(), Some(GOSSIP), "{difference:?}");
    assert!(reordered, "{difference:?}");
    assert!(matches!(handling.as_ref().expect("it handled a timer").what, What::Input(Input::Timer { .. })));
    assert_eq!(difference.at(), Some(Instant::from_ns(800_000_000)), "the third round is the first that differs");
    let text = doctor::text(&difference, Instant::ZERO, |id| format!("toy-{}", id.0));
    assert!(text.starts_with("NOT DETERMINISTIC: two runs part at +0.800s, in toy-3"), "{text}");
    assert!(text.contains("suspect    iteration over something unordered"), "{text}");
    assert!(text.contains("handling   +0.800s  toy-3 <- Timer"), "{text}");
}
