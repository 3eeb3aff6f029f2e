//! `sim fuzz`: many schedules, and what they broke.

pub(super) mod args;
mod progress;
mod repeat;
mod report;

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io::{self, Write};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use models::defect::{Defect, System};
use replay::record::Record;
use scenarios::Scenario;
use scenarios::swarm::{Configuration, Profile, Swarm};

use self::args::{Annotate, FuzzArgs, StrategyArg};
use self::progress::Progress;
use self::repeat::Repeat;
use self::report::Speed;
use super::changes::Changes;
use super::stopwatch::Stopwatch;
use super::{Exit, Failure, campaign as threads, input, plan};
use crate::fuzz::campaign::{self, News};
use crate::fuzz::case::{CaseResult, Forks};
use crate::fuzz::guided::{self, Admitted, corpus::Corpus};
use crate::fuzz::spec::{Spec, Strategy};
use crate::fuzz::store::{Store, StoreError, write_atomically};
use crate::fuzz::summary::Summary;
use crate::fuzz::{annotate, junit};

const DEFAULT_SCENARIO: &str = "stretch-cluster";
/// Seeds, if neither they nor a time are given.
const DEFAULT_SEEDS: (u64, u64) = (0, 100);

/// Runs a campaign.
///
/// # Errors
/// The input is bad, or the output cannot be written.
pub(super) fn fuzz(args: &FuzzArgs) -> Result<Exit, Failure> {
    let spec = spec(args)?;
    let swarm = spec.swarm().map_err(Failure::Input)?;
    if args.show {
        return show(&spec, &swarm);
    }
    let time = args.time.as_deref().map(time).transpose()?;
    let session = RefCell::new(Session::new(args, &spec, time)?);
    let stop = interruptible()?;
    let done: Vec<u64> = session.borrow().results.keys().copied().collect();
    let is_done = |seed: u64| done.binary_search(&seed).is_ok();
    let jobs = threads::threads(args.jobs);
    match spec.strategy {
        Strategy::Random => {
            let on_news = &mut |news| session.borrow_mut().on_news(news, &stop);
            campaign::run(&spec, &swarm, &Forks, jobs, &is_done, &stop, on_news)?;
        }
        Strategy::Guided => {
            let mut corpus = session.borrow_mut().corpus()?;
            guided::run(
                (&spec, &swarm),
                &Forks,
                jobs,
                &mut corpus,
                (&is_done, &stop),
                &mut |news| session.borrow_mut().on_news(news, &stop),
                &mut |corpus, admitted| session.borrow().keep_corpus(corpus, admitted),
            )?;
        }
    }
    session.into_inner().finish(args, &spec)
}

/// What the flags mean.
fn spec(args: &FuzzArgs) -> Result<Spec, Failure> {
    let scenario = base(args.scenario.as_deref(), &args.defect, &args.changes)?;
    if args.strategy == StrategyArg::Guided && args.shard.1 > 1 {
        let why = "guided search learns from all of its cases; give each machine other `--seeds` instead";
        return Err(Failure::Input(format!("--shard {}/{}: {why}", args.shard.0, args.shard.1)));
    }
    let profile = Profile::parse(&args.profile).map_err(|error| Failure::Input(format!("--profile: {error}")))?;
    let (from, to) = match (args.seeds, &args.time) {
        (Some((from, to)), _) => (from, Some(to)),
        (None, Some(_)) => (0, None),
        (None, None) => (DEFAULT_SEEDS.0, Some(DEFAULT_SEEDS.1)),
    };
    Ok(Spec {
        build: crate::build_identity(),
        name: scenario.name.clone(),
        scenario: scenario.to_yaml(),
        profile,
        configuration: if args.keep_configuration { Configuration::Kept } else { Configuration::Drawn },
        strategy: args.strategy.into(),
        from,
        to,
        shard: args.shard,
    })
}

/// The scenario that worlds are drawn from. Without a name it is the small one that campaigns run by default.
///
/// # Errors
/// There is no such scenario or defect, or a change does not fit.
pub(super) fn base(name: Option<&str>, defects: &[String], changes: &Changes) -> Result<Scenario, Failure> {
    let mut scenario = input::scenario(name.unwrap_or(DEFAULT_SCENARIO))?;
    switch_on(&mut scenario, defects)?;
    let mut changes = changes.clone();
    if name.is_none() {
        changes = Changes {
            duration: changes.duration.or_else(|| Some("120s".to_owned())),
            topics: changes.topics.or(Some(1)),
            partitions: changes.partitions.or(Some(10)),
            rate: changes.rate.or(Some(100)),
            known_breaches: changes.known_breaches,
        };
    }
    plan::change(&mut scenario, &changes)?;
    Ok(scenario)
}

/// The defect of a word, or of its id.
///
/// # Errors
/// There is none.
pub(super) fn defect(word: &str) -> Result<Defect, Failure> {
    Defect::ALL.iter().copied().find(|defect| defect.word() == word || defect.facts().id == word).ok_or_else(|| {
        let known = Defect::ALL.iter().map(|defect| defect.word());
        let hint = scenarios::nearest::hint(word, known);
        Failure::Input(format!("there is no defect `{word}`{hint}; `sim defects list` names them all"))
    })
}

/// Switches defects on, as if the scenario file had named them.
fn switch_on(scenario: &mut Scenario, words: &[String]) -> Result<(), Failure> {
    for word in words {
        let defect = defect(word)?;
        let cluster = &mut scenario.cluster;
        match defect.facts().system {
            System::Kafka if !cluster.has_kafka() => {
                return Err(Failure::Input(format!("--defect {word}: this scenario has no Kafka cluster")));
            }
            System::Kafka => cluster.kafka.defects = cluster.kafka.defects.with(defect),
            System::ZooKeeper => cluster.zookeeper.defects = cluster.zookeeper.defects.with(defect),
        }
    }
    Ok(())
}

fn time(text: &str) -> Result<Duration, Failure> {
    let span = scenarios::units::parse_span(text).filter(|span| span.as_ns() > 0);
    let expected = || Failure::Input(format!("--for {text}: expected a number with a unit, such as 90s or 10m"));
    span.map(|span| Duration::from_nanos(span.as_ns())).ok_or_else(expected)
}

/// Prints the first seed's case.
fn show(spec: &Spec, swarm: &Swarm) -> Result<Exit, Failure> {
    let case = swarm.case(spec.from);
    let mut out = io::stdout().lock();
    writeln!(out, "# Seed {} of {} and profile `{}`.", spec.from, spec.name, spec.profile.word())?;
    writeln!(out, "# Run it with `sim run FILE {}`.", case.seeds.flags())?;
    write!(out, "{}", case.schedule.written_into(&case.scenario).to_yaml())?;
    Ok(Exit::Clean)
}

/// Set by the first Ctrl-C; the second ends the process at once.
fn interruptible() -> Result<Arc<AtomicBool>, Failure> {
    let stop = Arc::new(AtomicBool::new(false));
    let flag = stop.clone();
    ctrlc::set_handler(move || {
        if flag.swap(true, Ordering::Relaxed) {
            std::process::exit(Exit::Interrupted as i32);
        }
    })
    .map_err(|error| Failure::Internal(error.into()))?;
    Ok(stop)
}

/// A campaign that is being run by this process.
struct Session {
    store: Option<Store>,
    results: BTreeMap<u64, CaseResult>,
    /// Without an output directory: of each kind of failure the record of the smallest seed.
    records: BTreeMap<(String, String), (u64, Box<Record>)>,
    progress: Progress,
    stopwatch: Stopwatch,
    time: Option<Duration>,
    timed_out: bool,
    ran: (u64, u64),
    stopped: bool,
}

impl Session {
    fn new(args: &FuzzArgs, spec: &Spec, time: Option<Duration>) -> Result<Self, Failure> {
        let (store, results) = match &args.out {
            Some(folder) => {
                let (store, results) = Store::open(folder, spec)?;
                (Some(store), results)
            }
            None => (None, BTreeMap::new()),
        };
        let total = spec.to.map(|to| (spec.from..to).filter(|seed| spec.includes(*seed)).count() as u64);
        let failures = results.values().filter(|result| result.failure.is_some()).count() as u64;
        let stopwatch = Stopwatch::start();
        let progress = Progress::new(total, results.len() as u64, failures);
        Ok(Self {
            store,
            results,
            records: BTreeMap::new(),
            progress,
            stopwatch,
            time,
            timed_out: false,
            ran: (0, 0),
            stopped: false,
        })
    }

    fn corpus(&self) -> Result<Corpus, Failure> {
        Ok(self.store.as_ref().map(Store::corpus).transpose()?.unwrap_or_default())
    }

    fn keep_corpus(&self, corpus: &Corpus, admitted: &[Admitted]) -> Result<(), Failure> {
        Ok(self.store.as_ref().map_or(Ok(()), |store| store.keep_corpus(corpus, admitted))?)
    }

    fn on_news(&mut self, news: News, stop: &AtomicBool) -> Result<(), Failure> {
        if let News::Finished(mut result, record) = news {
            match &mut self.store {
                Some(store) => store.keep(&mut result, record.as_deref())?,
                None => self.hold(&result, record),
            }
            self.ran = (self.ran.0 + 1, self.ran.1 + result.inputs);
            self.progress.finished(result.failure.is_some());
            self.results.insert(result.seed, result);
        }
        let elapsed = self.stopwatch.elapsed();
        if let Some(line) = self.progress.tick(elapsed) {
            writeln!(io::stderr(), "{line}")?;
        }
        if self.time.is_some_and(|time| elapsed >= time) {
            self.timed_out = true;
            stop.store(true, Ordering::Relaxed);
        }
        self.stopped = stop.load(Ordering::Relaxed) && !self.timed_out;
        Ok(())
    }

    /// Keeps the record of the smallest seed of each kind of failure.
    fn hold(&mut self, result: &CaseResult, record: Option<Box<Record>>) {
        let (Some(failure), Some(record)) = (&result.failure, record) else { return };
        let key = (failure.law.clone(), failure.signature.clone());
        if self.records.get(&key).is_none_or(|(seed, _)| result.seed < *seed) {
            self.records.insert(key, (result.seed, record));
        }
    }

    /// Writes what was held, into the current directory.
    fn write_held(&mut self, spec: &Spec) -> Result<(), Failure> {
        for (seed, record) in std::mem::take(&mut self.records).into_values() {
            let name = format!("{}-{seed}.flt", spec.name);
            replay::file::write(Path::new(&name), &record).map_err(StoreError::from)?;
            let result = self.results.get_mut(&seed).and_then(|result| result.failure.as_mut());
            if let Some(failure) = result {
                failure.replay = Some(name);
            }
        }
        Ok(())
    }

    /// Reports.
    fn finish(mut self, args: &FuzzArgs, spec: &Spec) -> Result<Exit, Failure> {
        self.progress.clear();
        self.write_held(spec)?;
        let summary = Summary::of(&self.results);
        let repeat = Repeat::new(args, spec);
        let speed = Speed { cases: self.ran.0, inputs: self.ran.1, elapsed: self.stopwatch.elapsed() };
        let folder = self.store.as_ref().map(Store::folder);
        let mut out = io::stdout().lock();
        write!(out, "{}", report::text(spec, &summary, &speed, &repeat, folder))?;
        if wants_annotations(args.annotate) {
            write!(out, "{}", annotate::github(&summary.groups, |seed| repeat.command(seed)))?;
        }
        if let Some(path) = &args.json {
            let text = report::json(spec, &summary, &speed, &repeat, self.stopped);
            write_atomically(path, text.as_bytes())?;
        }
        if let Some(path) = &args.junit {
            let text = junit::report(spec, &self.results, |seed| repeat.command(seed));
            write_atomically(path, text.map_err(|error| Failure::Internal(error.into()))?.as_bytes())?;
        }
        if self.stopped {
            let how = if folder.is_some() { "; the same command goes on from here" } else { "" };
            writeln!(out, "interrupted{how}")?;
            return Ok(Exit::Interrupted);
        }
        Ok(match (summary.panics, summary.failures) {
            (0, 0) => Exit::Clean,
            (0, _) => Exit::Broken,
            _ => Exit::Internal,
        })
    }
}

fn wants_annotations(annotate: Option<Annotate>) -> bool {
    match annotate {
        Some(annotate) => annotate == Annotate::Github,
        None => std::env::var_os("GITHUB_ACTIONS").is_some_and(|value| value == "true"),
    }
}

impl From<StoreError> for Failure {
    fn from(error: StoreError) -> Self {
        // A directory that cannot be used is for the user to mend.
        Self::Input(error.to_string())
    }
}
