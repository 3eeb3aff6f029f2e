//! Campaigns as a user runs them: what is finished stays finished, and depends on nothing but the seed.

use std::collections::BTreeMap;
use std::fs;
use std::ops::ControlFlow;
use std::path::Path;
use std::process::{Command, Output};
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use replay::player::{self, Verdict};
use replay::record::{Checkpoint, Outcome, Record};
use replay::shrink::{Budget, Target, shrink};
use replay::subject::Subject;
use scenarios::schedule::Schedule;
use scenarios::swarm::{Case, Configuration, Profile};
use scenarios::{Scenario, Seeds, library};
use sim::fuzz::campaign::{self, News};
use sim::fuzz::case::{CaseResult, Forks, Guarded, Runner};
use sim::fuzz::spec::{Spec, Strategy};
use sim::guard::PANIC;
use sim::kernel::Observer;
use sim::run::{Finished, Run, Simulator};

/// A campaign of a second or two: short fault phases, little traffic.
const SMALL: &[&str] = &["--duration", "10s", "--partitions", "2", "--rate", "20"];

fn fuzz(folder: &Path, args: &[&str]) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    command.current_dir(folder).env_remove("GITHUB_ACTIONS").arg("fuzz").args(args).args(SMALL);
    command.output().expect("the binary runs")
}

fn text(output: &Output) -> String {
    let both = [&output.stdout[..], &output.stderr[..]].concat();
    String::from_utf8(both).expect("output is UTF-8")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

/// The results of a campaign, in the order of their seeds.
fn results(out: &Path) -> BTreeMap<u64, String> {
    let text = fs::read_to_string(out.join("results.jsonl")).expect("a campaign keeps its results");
    let seed = |line: &str| serde_json::from_str::<CaseResult>(line).expect("each line is a result").seed;
    let lines: Vec<String> = text.lines().map(str::to_owned).collect();
    let results: BTreeMap<u64, String> = lines.iter().map(|line| (seed(line), line.clone())).collect();
    assert_eq!(results.len(), lines.len(), "a case was kept twice");
    results
}

#[test]
fn results_depend_on_the_seed_alone() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let whole = fuzz(folder.path(), &["--seeds", "0..20", "--jobs", "1", "--out", "whole"]);
    assert_eq!(whole.status.code(), Some(0), "{}", text(&whole));
    let whole = results(&at("whole"));
    assert_eq!(whole.keys().copied().collect::<Vec<_>>(), (0..20).collect::<Vec<_>>());
    let fingerprints: std::collections::BTreeSet<&String> = whole.values().collect();
    assert_eq!(fingerprints.len(), 20, "seeds differ");

    fuzz(folder.path(), &["--seeds", "0..20", "--jobs", "2", "--out", "jobs"]);
    assert_eq!(results(&at("jobs")), whole);
    fuzz(folder.path(), &["--seeds", "17..18", "--out", "alone"]);
    assert_eq!(results(&at("alone")), BTreeMap::from([(17, whole[&17].clone())]));
    let mut union = BTreeMap::new();
    for part in ["1/2", "2/2"] {
        let name = part.replace('/', "of");
        fuzz(folder.path(), &["--seeds", "0..20", "--shard", part, "--out", &name]);
        let part = results(&at(&name));
        assert!((1..20).contains(&part.len()));
        union.extend(part);
    }
    assert_eq!(union, whole);
}

#[test]
fn a_campaign_that_was_killed_goes_on_and_comes_to_the_same() {
    let folder = folder();
    let args = ["--seeds", "0..20", "--defect", "no-min-isr", "--profile", "disk", "--out", "out"];
    let first = text(&fuzz(folder.path(), &args));
    let out = folder.path().join("out");
    let whole = results(&out);
    // As a kill in the middle of a write leaves it.
    let text_then = fs::read_to_string(out.join("results.jsonl")).unwrap();
    let lines: Vec<&str> = text_then.lines().collect();
    let torn = format!("{}\n{}", lines[..7].join("\n"), &lines[7][..lines[7].len() / 2]);
    fs::write(out.join("results.jsonl"), torn).unwrap();
    let again = text(&fuzz(folder.path(), &args));
    assert_eq!(results(&out), whole);
    let last = |text: &str| text.lines().find(|line| line.starts_with("fingerprint of all")).map(str::to_owned);
    assert_eq!(last(&again), last(&first));
    assert!(again.contains("13 run now"), "{again}");
    for name in whole.values().filter_map(|line| serde_json::from_str::<CaseResult>(line).unwrap().failure) {
        assert!(out.join(name.replay.expect("a failure has a replay file")).exists());
    }
    // Nothing is left to do.
    assert!(!text(&fuzz(folder.path(), &args)).contains("run now"));

    let other =
        fuzz(folder.path(), &["--seeds", "0..21", "--defect", "no-min-isr", "--profile", "wan", "--out", "out"]);
    assert_eq!(other.status.code(), Some(2));
    assert!(text(&other).contains("profile: disk there, wan now; seeds: 0..20 there, 0..21 now"), "{}", text(&other));
    fs::write(out.join("results.jsonl"), "{\"seed\":1}\n").unwrap();
    let damaged = fuzz(folder.path(), &args);
    assert_eq!(damaged.status.code(), Some(2));
    assert!(text(&damaged).contains("results.jsonl:1: no result of a case"), "{}", text(&damaged));
}

#[test]
fn a_defect_is_found_grouped_and_its_replay_verifies() {
    let folder = folder();
    let args = ["--seeds", "0..60", "--defect", "R17a", "--out", "out"];
    let reports = ["--json", "summary.json", "--junit", "junit.xml", "--annotate", "github", "--duration", "60s"];
    let found = {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        command.current_dir(folder.path()).arg("fuzz").args(args).args(reports);
        command.args(["--partitions", "2", "--rate", "20"]).output().expect("the binary runs")
    };
    let story = text(&found);
    assert_eq!(found.status.code(), Some(1), "{story}");
    let summary: serde_json::Value =
        serde_json::from_str(&fs::read_to_string(folder.path().join("summary.json")).unwrap()).expect("JSON");
    let groups = summary["groups"].as_array().expect("groups");
    assert!(!groups.is_empty());
    assert_eq!(groups.iter().map(|group| group["schedules"].as_u64().unwrap()).sum::<u64>(), summary["failures"]);
    for group in groups {
        let (law, seed) = (group["law"].as_str().unwrap(), group["smallest_seed"].as_u64().unwrap());
        assert!(story.contains(&format!("::error title={law} (seed {seed})::")), "{story}");
        assert!(story.contains(&format!(" --seeds {seed}..{}", seed + 1)), "{story}");
        let file = format!("out/{}", group["replay"].as_str().unwrap());
        let mut replay = Command::new(env!("CARGO_BIN_EXE_sim"));
        let replay = replay.current_dir(folder.path()).args(["replay", &file]).output().unwrap();
        assert!(text(&replay).contains("the same run") && text(&replay).contains(&format!("BROKEN {law}")));
        assert_eq!(replay.status.code(), Some(1));
    }
    let junit = fs::read_to_string(folder.path().join("junit.xml")).unwrap();
    let failures = summary["failures"].as_u64().unwrap();
    let suite = junit.lines().find(|line| line.contains("<testsuite ")).expect("a suite");
    for count in ["tests=\"60\"".to_owned(), format!("failures=\"{failures}\""), "errors=\"0\"".to_owned()] {
        assert!(suite.contains(&count), "`{count}` is missing in {suite}");
    }
}

#[test]
fn a_case_can_be_printed_and_run_alone() {
    let folder = folder();
    fuzz(folder.path(), &["--seeds", "11..12", "--out", "out"]);
    let result: CaseResult = serde_json::from_str(&results(&folder.path().join("out"))[&11]).unwrap();
    let shown = fuzz(folder.path(), &["--seeds", "11..12", "--show"]);
    fs::write(folder.path().join("case.yaml"), &shown.stdout).unwrap();
    let mut run = Command::new(env!("CARGO_BIN_EXE_sim"));
    let args = ["run", "case.yaml", "--seed", "11", "--start-up-seed", "1"];
    let run = run.current_dir(folder.path()).args(args).output().unwrap();
    // The start-up that a campaign shares among seeds is the one that a run has.
    assert!(text(&run).contains(&format!("fingerprint {:016x}", result.fingerprint)), "{}", text(&run));
}

#[test]
fn guided_search_depends_neither_on_jobs_nor_on_kills() {
    let folder = folder();
    let at = |name: &str| folder.path().join(name);
    let args = ["--seeds", "0..40", "--strategy", "guided", "--out"];
    let run = |jobs: &str, out: &str| fuzz(folder.path(), &[&args[..], &[out, "--jobs", jobs]].concat());
    let one = run("1", "one");
    assert_eq!(one.status.code(), Some(0), "{}", text(&one));
    let whole = results(&at("one"));
    assert_eq!(whole.len(), 40);
    run("2", "two");
    assert_eq!(results(&at("two")), whole);
    let corpus = |name: &str| fs::read_to_string(at(name).join("corpus.json")).unwrap();
    assert_eq!(corpus("one"), corpus("two"));
    // Killed in the second generation: what the first one taught is known, and the second one is planned as it was.
    let lines: Vec<String> =
        fs::read_to_string(at("one").join("results.jsonl")).unwrap().lines().map(str::to_owned).collect();
    run("1", "killed");
    fs::write(at("killed").join("results.jsonl"), format!("{}\n", lines[..20].join("\n"))).unwrap();
    fs::remove_file(at("killed").join("corpus.json")).unwrap();
    run("2", "killed");
    assert_eq!(results(&at("killed")), whole);
    assert_eq!(corpus("one"), corpus("killed"));
    // Cases that were drawn are those of a random search.
    fuzz(folder.path(), &["--seeds", "0..1", "--out", "random"]);
    assert_eq!(results(&at("random"))[&0], whole[&0]);
    let kept = fs::read_dir(at("one").join("corpus")).unwrap().count();
    assert!(kept > 10, "{kept} schedules");
    let mut check = Command::new(env!("CARGO_BIN_EXE_sim"));
    let some = fs::read_dir(at("one").join("corpus")).unwrap().next().unwrap().unwrap().path();
    let check = check.args(["scenarios", "check"]).arg(some).output().unwrap();
    assert_eq!(check.status.code(), Some(0), "{}", text(&check));
}

#[test]
fn bad_options_are_named_with_what_would_be_valid() {
    let folder = folder();
    let table: &[(&[&str], &str)] = &[
        (&["--profile", "disc"], "did you mean `disk`?"),
        (&["--shard", "3/2"], "expected I/N with 1 <= I <= N"),
        (&["--for", "soon"], "--for soon: expected a number with a unit"),
        (&["--defect", "no-min-isrr"], "did you mean `no-min-isr`?"),
        (&["--seeds", "3..3"], "expected A..B with A < B"),
        (&["--scenario", "strech-cluster"], "stretch-cluster"),
        (&["--scenario", "zookeeper-2-2-cut"], "this scenario has no Kafka cluster"),
        (&["--strategy", "guided", "--shard", "1/2"], "guided search learns from all of its cases"),
        (&["--out", "file"], "file"),
        (&["--strategy", "clever"], "random, guided"),
    ];
    fs::write(folder.path().join("file"), "").unwrap();
    for (args, expected) in table {
        let output = fuzz(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", text(&output));
        assert!(text(&output).contains(expected), "{args:?}: `{expected}` is missing in:\n{}", text(&output));
    }
}

/// Runs as [`Forks`] does, but seed 3 panics in its 40th second.
struct Planted;

impl Planted {
    fn run(
        run: Run,
        seed: u64,
        watcher: &mut impl Observer,
        told: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Finished {
        run.finish(watcher, &mut |checkpoint| {
            let enough = told(checkpoint);
            assert!(seed != 3 || checkpoint.at.as_ns() < 40_000_000_000, "planted");
            enough
        })
    }
}

impl Runner for Planted {
    type World = ();

    fn start_up(&self, _: &Arc<Scenario>, _: u64, _: &mut impl Observer) {}

    fn run(
        &self,
        (): &(),
        case: &Case,
        watcher: &mut impl Observer,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Finished {
        let run = Run::new(case.scenario.clone(), case.seeds, &case.schedule);
        Self::run(run, case.seeds.faults, watcher, on_checkpoint)
    }
}

impl Subject for Planted {
    type Error = std::convert::Infallible;

    fn run(
        &self,
        scenario: &Scenario,
        seeds: Seeds,
        schedule: &Schedule,
        on_checkpoint: &mut dyn FnMut(Checkpoint) -> ControlFlow<()>,
    ) -> Result<Outcome, Self::Error> {
        let mut nobody = |_: &models::observation::Observed| {};
        let run = Run::new(scenario.clone(), seeds, schedule);
        Ok(Self::run(run, seeds.faults, &mut nobody, on_checkpoint).outcome)
    }
}

fn small_spec() -> Spec {
    let mut scenario = library::find("stretch-cluster").unwrap().scenario().unwrap();
    scenario.phases.faults = models::time::Span::from_secs(10);
    (scenario.workload.topics, scenario.workload.partitions, scenario.workload.records_per_second) = (1, 2, 20);
    Spec {
        build: sim::build_identity(),
        name: scenario.name.clone(),
        scenario: scenario.to_yaml(),
        profile: Profile::Everything,
        configuration: Configuration::Drawn,
        strategy: Strategy::Random,
        from: 0,
        to: Some(8),
        shard: (1, 1),
    }
}

fn collect(runner: &impl Runner) -> BTreeMap<u64, (CaseResult, Option<Box<Record>>)> {
    let spec = small_spec();
    let mut found = BTreeMap::new();
    let stop = AtomicBool::new(false);
    let collected = campaign::run(&spec, &spec.swarm().unwrap(), runner, 2, &|_| false, &stop, &mut |news| {
        if let News::Finished(result, record) = news {
            found.insert(result.seed, (result, record));
        }
        Ok::<(), std::convert::Infallible>(())
    });
    let Ok(()) = collected;
    found
}

#[test]
fn a_panic_is_a_finding_whose_record_verifies_and_the_rest_goes_on() {
    let planted = collect(&Planted);
    let sound = collect(&Forks);
    assert_eq!(planted.len(), 8);
    for (seed, (result, record)) in &planted {
        if *seed != 3 {
            // A case that is run from the start is the one that is forked from its world.
            assert_eq!(result, &sound[seed].0);
            continue;
        }
        let failure = result.failure.as_ref().expect("a panic is a failure");
        assert_eq!(failure.law, PANIC);
        assert!(failure.what.contains("sim/tests/fuzz.rs") && failure.what.contains("planted"), "{}", failure.what);
        let record = record.as_ref().expect("a failure has a record");
        assert_eq!(record.checkpoints.len(), 40);
        let Ok(verdict) = player::replay(record, &Guarded(Planted));
        assert!(matches!(verdict, Verdict::Same { checkpoints: 40, .. }), "{verdict:?}");
        // A build without the panic parts from the record there.
        let Ok(verdict) = player::replay(record, &Guarded(Simulator));
        assert!(matches!(verdict, Verdict::Diverged(_)), "{verdict:?}");
        // It is shrunk as any other failure is. The planted one needs no fault.
        let broken = record.outcome.violation.as_ref().expect("a panic is a violation");
        let target = Target { law: PANIC.to_owned(), signature: Some(broken.signature()), seeds: record.seeds };
        let budget = Budget { runs: Some(200), over: &|| false, jobs: 2 };
        let shrunk = shrink(&replay::shrink::Case::from(&**record), &target, &Guarded(Planted), &budget, &());
        let shrunk = shrunk.expect("it still panics");
        assert!(!record.schedule.faults.is_empty() && shrunk.case.scenario.faults.is_empty(), "{shrunk:?}");
        assert_eq!((&*shrunk.broken.law, shrunk.broken.signature()), (PANIC, broken.signature()));
    }
}

#[test]
fn a_hunt_counts_what_its_switch_broke_and_nothing_else() {
    let folder = folder();
    let hunt = |args: &[&str]| {
        let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
        let fixed = ["--within", "16", "--at-least", "16", "--shrink", "0s"];
        let output = command.current_dir(folder.path()).args(["defects", "hunt"]).args(args).args(fixed).output();
        output.expect("the binary runs")
    };
    let found = hunt(&["no-min-isr"]);
    assert_eq!(found.status.code(), Some(0), "{}", text(&found));
    // The same failures, beside another switch that has nothing to do with them.
    let scenario = library::find("stretch-cluster").expect("it is the default").scenario();
    let mut scenario = scenario.unwrap_or_else(|errors| panic!("{errors:?}"));
    scenario.cluster.kafka.defects = scenario.cluster.kafka.defects.with(models::defect::Defect::NoMinIsr);
    fs::write(folder.path().join("both.yaml"), scenario.to_yaml()).expect("it can be written");
    let other = hunt(&["late-update-metadata", "--scenario", "both.yaml", "--partitions", "10", "--topics", "1"]);
    assert_eq!(other.status.code(), Some(1), "{}", text(&other));
    assert!(text(&other).contains("more failed without it too"), "{}", text(&other));
    // It implies `hw-truncation`, which breaks laws of its own in half of the same schedules: they are passed over, but not laws that
    // it breaks only by the way.
    let implied = hunt(&["reset-to-start-on-out-of-range"]);
    assert_eq!(implied.status.code(), Some(1), "{}", text(&implied));
    assert!(text(&implied).contains("0 of 16"), "{}", text(&implied));
    let by_the_way = text(&implied).split_once(" more failed without it too").map_or(0, |(before, _)| {
        before.rsplit('(').next().and_then(|number| number.parse::<u32>().ok()).expect("a number")
    });
    assert!(by_the_way <= 2, "{}", text(&implied));
}
