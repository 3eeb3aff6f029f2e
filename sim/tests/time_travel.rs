//! `sim replay --at/--until/--step`, `sim odds` and `sim run --check-determinism`, as a user runs them.

use std::io::Write;
use std::path::Path;
use std::process::{Command, Output, Stdio};

fn sim(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).current_dir(folder).args(args).output().expect("the binary runs")
}

fn told(folder: &Path, args: &[&str], input: &str) -> Output {
    let mut command = Command::new(env!("CARGO_BIN_EXE_sim"));
    let command = command.current_dir(folder).args(args).stdin(Stdio::piped()).stdout(Stdio::piped());
    let mut child = command.spawn().expect("the binary runs");
    child.stdin.take().expect("it is piped").write_all(input.as_bytes()).expect("it reads its commands");
    child.wait_with_output().expect("it ends")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is UTF-8")
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("errors are UTF-8")
}

/// A folder with a recorded run of a small stretch cluster, in which the WAN is cut from +5 s on for 12 s.
fn recorded() -> tempfile::TempDir {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let library = text(&sim(folder.path(), &["scenarios", "show", "acks-1-loss"]));
    let (head, _) = library.split_once("schedule:").expect("the scenario has a schedule");
    let cut = "schedule:\n  faults:\n    - {at: 5s, for: 12s, fault: cut, between: [london, frankfurt]}\n";
    std::fs::write(folder.path().join("cut.yaml"), format!("{head}{cut}")).expect("a file can be written");
    let args = ["run", "cut.yaml", "--seed", "3", "--duration", "20s", "--topics", "1", "--partitions", "3"];
    let run = sim(folder.path(), &[&args[..], &["--rate", "20", "--record", "cut.flt", "-q"]].concat());
    assert_eq!(run.status.code(), Some(0), "{}{}", text(&run), errors(&run));
    folder
}

#[test]
fn a_jump_shows_the_state_and_what_comes_next() {
    let folder = recorded();
    let output = sim(folder.path(), &["replay", "cut.flt", "--at", "8s", "--at", "-1s"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", errors(&output));
    let (cut, before) = shown.split_once("At -1.000s (start-up)").expect("both moments are shown");
    for part in [
        "At +8.000s (fault phase), step ",
        "fault        f0 since +5.000s: cut london <-> frankfurt",
        "controller   broker",
        "leading, epoch 1",
        "session      broker1",
        "partition    topic-0-2: broker",
        "timeout doubled",
        "\nnext\n",
    ] {
        assert!(cut.contains(part), "`{part}` is missing in:\n{cut}");
    }
    assert!(before.contains("fault        none"), "{before}");
    assert!(before.contains(", 0 of them for over 200 ms"), "{before}");
}

#[test]
fn the_story_is_told_up_to_a_moment() {
    let folder = recorded();
    let output = sim(folder.path(), &["replay", "cut.flt", "--until", "6s"]);
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", errors(&output));
    assert!(shown.contains("f0 begins: cut london <-> frankfurt"), "{shown}");
    assert!(!shown.contains("f0 ends"), "{shown}");
    assert!(shown.contains("At +6.000s (fault phase)"), "{shown}");
}

#[test]
fn a_run_can_be_stepped_both_ways() {
    let folder = recorded();
    let output = told(
        folder.path(),
        &["replay", "cut.flt", "--step"],
        "n\nn 2\nb\nb 2\n@1s\n+1500ms\n-0.5s\n/fault_begin\no\np\n?zk_role\nxyzzy\n+soon\n@9s\ns\nq\n",
    );
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", errors(&output));
    let places: Vec<_> = shown.lines().filter(|line| line.starts_with("At ")).collect();
    let step = |place: &str| {
        let (_, step) = place.split_once("step ").expect("a place tells its step");
        step.split(' ').next().and_then(|word| word.parse::<u64>().ok()).expect("a step is a number")
    };
    // Start; n; n, n; b; b, b: the last but one input of the way forward comes again first, the last of all is before it.
    assert!(places[0].starts_with("At +0.000s"), "{shown}");
    assert_eq!(places[4], places[2], "back over the third input\n{shown}");
    assert_eq!(places[5], places[1], "back over the second\n{shown}");
    assert!(step(places[6]) < step(places[1]), "{shown}");
    let rest: Vec<_> = places[7..].iter().map(|place| place.split(" (").next().unwrap_or(place)).collect();
    assert_eq!(rest[..4], ["At +1.000s", "At +2.500s", "At +2.000s", "At +5.000s"], "{shown}");
    assert_eq!(places[10], places[12], "on to an observation and back\n{shown}");
    assert!(rest[6].starts_with("At -2"), "servers took their roles in the start-up\n{shown}");
    assert!(shown.contains("xyzzy: no such command"), "{shown}");
    assert!(shown.contains("+soon: expected a length of time, such as +100ms or +5s"), "{shown}");
    assert!(shown.contains("fault        f0 since +5.000s"), "{shown}");
}

#[test]
fn bad_moments_are_refused() {
    let folder = recorded();
    let table: &[(&[&str], &str)] = &[
        (&["--at", "soon"], "--at soon: expected a time after the end of the start-up, such as 95.5s, 2m or -3s"),
        (&["--at", "2h"], "the run is over at +"),
        (&["--until", "x"], "--until x: expected a time"),
        (&["--at", "1s", "--step"], "cannot be used with"),
        (&["--step", "--format", "json"], "--at, --until and --step print text only"),
    ];
    for (args, expected) in table {
        let output = sim(folder.path(), &[&["replay", "cut.flt"], *args].concat());
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", errors(&output));
        assert!(errors(&output).contains(expected), "{args:?}: `{expected}` is missing in:\n{}", errors(&output));
    }
}

#[test]
fn another_run_than_the_recorded_one_is_told_apart_from_one_that_does_not_repeat_itself() {
    let folder = recorded();
    let path = folder.path().join("cut.flt");
    let mut record = replay::file::read(&path).expect("it was just written");
    record.checkpoints[20].fingerprint ^= 1;
    replay::file::write(&path, &record).expect("a file can be written");
    let output = sim(folder.path(), &["replay", "cut.flt"]);
    assert_eq!(output.status.code(), Some(1));
    let shown = text(&output);
    assert!(shown.contains("DIVERGED after 20.000 s"), "{shown}");
    assert!(shown.contains("two runs of it agree with each other up to there, event by event"), "{shown}");
    let output = sim(folder.path(), &["replay", "cut.flt", "--at", "1s"]);
    assert_eq!(output.status.code(), Some(1));
    assert!(text(&output).contains("This is not the recorded run: it differs before -9.000s"), "{}", text(&output));
}

#[test]
fn the_doctor_finds_nothing_wrong_with_a_sound_build() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let args = ["run", "--seed", "5", "--duration", "20s", "--topics", "1", "--partitions", "4", "--rate", "20"];
    let run = text(&sim(folder.path(), &args));
    let output = sim(folder.path(), &[&args[..], &["--check-determinism"]].concat());
    let shown = text(&output);
    assert_eq!(output.status.code(), Some(0), "{shown}{}", errors(&output));
    let (_, fingerprint) = run.split_once("fingerprint ").expect("a run prints its fingerprint");
    let expected = format!("inputs, effects and observations, fingerprint {}", &fingerprint[..16]);
    assert!(shown.contains("deterministic: two runs agree in "), "{shown}");
    assert!(shown.contains(&expected), "{shown}\n{run}");
}

/// The start-up may have a seed of its own; what is to be pasted says so and gives the same run.
#[test]
fn both_seeds_can_be_given_and_are_told() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let args = ["run", "--duration", "20s", "--topics", "1", "--partitions", "2", "--rate", "10", "--seed", "5"];
    let fingerprint = |more: &[&str]| {
        let shown = text(&sim(folder.path(), &[&args[..], more].concat()));
        shown.split_once("fingerprint ").map(|(_, rest)| rest[..16].to_owned()).expect("a run prints its fingerprint")
    };
    assert_eq!(fingerprint(&[]), fingerprint(&["--start-up-seed", "5"]));
    assert_ne!(fingerprint(&[]), fingerprint(&["--start-up-seed", "6"]));
    sim(folder.path(), &[&args[..], &["--start-up-seed", "6", "--record", "two.flt"]].concat());
    let replay = text(&sim(folder.path(), &["replay", "two.flt"]));
    assert!(replay.contains("(seed 5, start-up 6)"), "{replay}");
    assert!(replay.contains("the same run"), "{replay}");
}

/// A violation that hangs on milliseconds: unlikely before the power goes, certain long after.
#[test]
fn odds_name_the_moment_at_which_a_loss_became_likely() {
    let folder = tempfile::tempdir().expect("a temporary folder can be made");
    let scenario = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/data/last-moment.yaml").display().to_string();
    let lossy = (0..30).find(|seed: &u64| {
        let args = ["run", &scenario, "--duration", "36s", "-q", "--seed", &seed.to_string()];
        sim(folder.path(), &args).status.code() == Some(1)
    });
    let file = format!("last-moment-{}.flt", lossy.expect("one seed of thirty loses a record"));
    let ask = |jobs: &str, format: &str| {
        let args = ["odds", &file, "--futures", "40", "--moments", "4", "--refine", "3", "--jobs", jobs];
        let output = sim(folder.path(), &[&args[..], &["--format", format]].concat());
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        text(&output)
    };
    let lines = ask("1", "json");
    assert_eq!(lines, ask("3", "json"), "the answer does not depend on the threads");
    let lines: Vec<serde_json::Value> =
        lines.lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    let (odds, moments) = lines.split_last().expect("there is a last line");
    let broke = |line: &serde_json::Value| line["broke"].as_u64().expect("a count");
    assert!(broke(&moments[0]) <= 32, "at first it is not certain: {}", moments[0]);
    assert!(broke(&moments[moments.len() - 1]) >= 38, "just before, it is: {}", moments[moments.len() - 1]);
    assert!(moments.len() > 4, "the jump was looked at more closely");
    assert_eq!(odds["law"], "expect.permitted_losses");
    assert_eq!(odds["jump"]["significant"], true, "{odds}");
    let shown = ask("0", "text");
    assert!(shown.contains("It became likely between +"), "{shown}");
    assert!(shown.contains("<- here"), "{shown}");
}

#[test]
fn odds_are_asked_only_of_a_run_that_broke_something() {
    let folder = recorded();
    let output = sim(folder.path(), &["odds", "cut.flt"]);
    assert_eq!(output.status.code(), Some(2));
    assert!(
        errors(&output).contains("cut.flt: the recorded run broke no law and no expectation"),
        "{}",
        errors(&output)
    );
}
