//! The simpler forms of a fault. Each is simpler in one respect and never leads back.

use models::time::Span;

use crate::fault::{Fault, HostSelector, Place, ProcessSelector, Route};
use crate::netem::{Correlated, Distribution, Loss, Netem};
use crate::scenario::Scenario;
use crate::units::Share;

impl Fault {
    /// The fault in simpler words, the simplest first: a cut for what is a cut at times or in part, a kill for a crash of the
    /// host, one host for a site, one clause of netem less, one place of a list less, rounder numbers.
    pub fn simpler(&self, scenario: &Scenario) -> Vec<Self> {
        let mut forms = self.simpler_kinds(scenario);
        for route in self.route().into_iter().flat_map(|route| route.simpler(scenario)) {
            let mut form = self.clone();
            if let Some(place) = form.route_mut() {
                *place = route;
            }
            forms.push(form);
        }
        match self {
            Self::Impair { route, netem } => {
                let impair = |netem| Self::Impair { route: route.clone(), netem };
                forms.extend(netem.simpler().into_iter().map(impair));
            }
            Self::FailDisk { host, dir: Some(_) } => forms.push(Self::FailDisk { host: *host, dir: None }),
            Self::FillDisk { host, leave } if *leave > 0 => forms.push(Self::FillDisk { host: *host, leave: 0 }),
            _ => {}
        }
        forms.extend(self.rounder());
        forms
    }

    fn simpler_kinds(&self, scenario: &Scenario) -> Vec<Self> {
        match self {
            Self::Flap { route, .. } | Self::Impair { route, .. } => vec![Self::Cut(route.clone())],
            Self::Stop { process, .. } => vec![Self::Kill { process: *process }],
            Self::HostCrash { host: HostSelector::Of(process) } => vec![Self::Kill { process: *process }],
            Self::HostCrash { host: HostSelector::Host(host) } => {
                let deployment = scenario.deployment();
                let mut on_it = deployment.on_host(*host);
                match (on_it.next(), on_it.next()) {
                    (Some(only), None) => vec![Self::Kill { process: only.selector() }],
                    _ => Vec::new(),
                }
            }
            Self::SlowDisk { host, .. } => vec![Self::StallDisk { host: *host }],
            _ => Vec::new(),
        }
    }

    /// The route that packets are hit on.
    fn route(&self) -> Option<&Route> {
        match self {
            Self::Cut(route)
            | Self::Impair { route, .. }
            | Self::Flap { route, .. }
            | Self::ResetConnections(route) => Some(route),
            _ => None,
        }
    }

    fn route_mut(&mut self) -> Option<&mut Route> {
        match self {
            Self::Cut(route)
            | Self::Impair { route, .. }
            | Self::Flap { route, .. }
            | Self::ResetConnections(route) => Some(route),
            _ => None,
        }
    }

    /// Everything that names a process, or a host by a process.
    pub fn processes_mut(&mut self) -> Vec<&mut ProcessSelector> {
        fn of_host(host: &mut HostSelector) -> Option<&mut ProcessSelector> {
            if let HostSelector::Of(process) = host { Some(process) } else { None }
        }
        match self {
            Self::Kill { process }
            | Self::Stop { process, .. }
            | Self::Pause { process }
            | Self::AuthFailed { process } => vec![process],
            Self::HostCrash { host }
            | Self::SlowDisk { host, .. }
            | Self::StallDisk { host }
            | Self::FailDisk { host, .. }
            | Self::FillDisk { host, .. }
            | Self::ClockJump { host, .. }
            | Self::ClockDrift { host, .. } => of_host(host).into_iter().collect(),
            Self::DeleteController | Self::Reconfigure { .. } => Vec::new(),
            Self::Cut(route)
            | Self::Impair { route, .. }
            | Self::Flap { route, .. }
            | Self::ResetConnections(route) => {
                let places = route.from.iter_mut().chain(&mut route.to);
                places
                    .filter_map(|place| match place {
                        Place::Host(host) => of_host(host),
                        Place::Site(_) => None,
                    })
                    .collect()
            }
        }
    }

    /// The spans that say how bad it is, duration aside.
    fn spans_mut(&mut self) -> Vec<&mut Span> {
        match self {
            Self::Impair { netem, .. } => vec![&mut netem.delay, &mut netem.jitter],
            Self::Flap { down, up, .. } => vec![down, up],
            Self::Stop { grace, .. } => vec![grace],
            Self::SlowDisk { latency, .. } => vec![latency],
            _ => Vec::new(),
        }
    }

    fn shares_mut(&mut self) -> Vec<&mut Share> {
        match self {
            Self::Impair { netem: Netem { loss: Loss::Random(loss), .. }, .. } => vec![&mut loss.share],
            _ => Vec::new(),
        }
    }

    /// With one number rounder.
    fn rounder(&self) -> Vec<Self> {
        let mut forms = Vec::new();
        for index in 0..self.clone().spans_mut().len() {
            let mut form = self.clone();
            let value = *form.spans_mut()[index];
            for round in round_spans(value) {
                *form.spans_mut()[index] = round;
                forms.push(form.clone());
            }
        }
        for index in 0..self.clone().shares_mut().len() {
            let mut form = self.clone();
            let value = form.shares_mut()[index].ppm();
            for ppm in round_values(value.into()) {
                *form.shares_mut()[index] = Share::from_ppm(u32::try_from(ppm).unwrap_or(u32::MAX));
                forms.push(form.clone());
            }
        }
        forms
    }
}

/// Rounder numbers near `value`, the roundest first; none if it has one digit.
pub fn round_values(value: u64) -> Vec<u64> {
    let mut rounder = Vec::new();
    let mut unit = 1u64;
    while let Some(next) = unit.checked_mul(10).filter(|next| *next <= value) {
        unit = next;
    }
    while unit >= 10 && rounder.len() < 2 {
        let round = value.saturating_add(unit / 2) / unit * unit;
        if round == value {
            break;
        }
        rounder.push(round);
        unit /= 10;
    }
    rounder
}

/// Rounder spans near `span`, the roundest first: one digit, then two, of its largest unit.
pub fn round_spans(span: Span) -> Vec<Span> {
    round_values(span.as_ns()).into_iter().map(Span::from_ns).collect()
}

impl Route {
    /// One way becomes both, one place of a list goes, a site becomes one of its hosts.
    fn simpler(&self, scenario: &Scenario) -> Vec<Self> {
        let mut forms = Vec::new();
        for (from, places) in [(true, &self.from), (false, &self.to)] {
            let with = |places: Vec<Place>| {
                let mut form = self.clone();
                *(if from { &mut form.from } else { &mut form.to }) = places;
                form
            };
            if places.len() > 1 {
                for index in 0..places.len() {
                    let mut fewer = places.clone();
                    fewer.remove(index);
                    forms.push(with(fewer));
                }
            }
            for (index, place) in places.iter().enumerate() {
                let Place::Site(site) = place else { continue };
                let hosts: Vec<_> = scenario.topology.hosts_of(*site).collect();
                for host in hosts.iter().filter(|_| hosts.len() > 1) {
                    let mut narrower = places.clone();
                    narrower[index] = Place::Host(HostSelector::Host(*host));
                    forms.push(with(narrower));
                }
            }
        }
        if !self.both_ways {
            forms.push(Self { both_ways: true, ..self.clone() });
        }
        forms
    }
}

impl Netem {
    /// With one clause less, or a simpler one.
    fn simpler(&self) -> Vec<Self> {
        let clear: [fn(&mut Self); 9] = [
            |netem| {
                (netem.delay, netem.jitter, netem.correlation) = (Span::ZERO, Span::ZERO, Share::NONE);
                (netem.distribution, netem.reorder, netem.gap) = (Distribution::Uniform, Correlated::default(), 0);
            },
            |netem| {
                (netem.jitter, netem.correlation, netem.distribution) =
                    (Span::ZERO, Share::NONE, Distribution::Uniform);
            },
            |netem| netem.loss = Loss::default(),
            |netem| netem.duplicate = Correlated::default(),
            |netem| netem.corrupt = Correlated::default(),
            |netem| (netem.reorder, netem.gap) = (Correlated::default(), 0),
            |netem| netem.rate = None,
            |netem| netem.limit = None,
            |netem| {
                netem.correlation = Share::NONE;
                for value in [&mut netem.duplicate, &mut netem.corrupt, &mut netem.reorder] {
                    value.correlation = Share::NONE;
                }
                if let Loss::Random(loss) = &mut netem.loss {
                    loss.correlation = Share::NONE;
                }
            },
        ];
        let forms = clear.into_iter().map(|clear| {
            let mut form = self.clone();
            clear(&mut form);
            form
        });
        forms.filter(|form| form != self && *form != Self::default()).collect()
    }
}

#[test]
fn round_numbers_are_near_and_the_roundest_comes_first() {
    assert_eq!(round_values(237), [200, 240]);
    assert_eq!(round_values(240), [200]);
    assert_eq!(round_values(12_345), [10_000, 12_000]);
    assert_eq!(round_values(15), [20]);
    for round in [0, 7, 20, 3_000] {
        assert_eq!(round_values(round), Vec::<u64>::new(), "{round}");
    }
    assert_eq!(round_spans(Span::from_us(1_234)), [Span::from_ms(1), Span::from_us(1_200)]);
}
