//! The command as a user runs it: exit status, output, files.

use std::path::Path;
use std::process::{Command, Output};

fn sim(folder: &Path, args: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_sim")).current_dir(folder).args(args).output().expect("the binary runs")
}

fn text(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).expect("output is UTF-8")
}

fn errors(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).expect("errors are UTF-8")
}

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().expect("a temporary folder can be made")
}

#[test]
fn a_clean_run_tells_its_story_and_its_record_verifies() {
    let folder = folder();
    let run = sim(folder.path(), &["--seed", "7", "--duration", "60s", "--record", "seven.flt"]);
    let story = text(&run);
    assert_eq!(run.status.code(), Some(0), "{story}{}", errors(&run));
    for part in ["scenario   stretch-cluster (seed 7)", "What happened", "Laws", "Figures", "fingerprint "] {
        assert!(story.contains(part), "`{part}` is missing in:\n{story}");
    }
    let replay = sim(folder.path(), &["replay", "seven.flt"]);
    assert_eq!(replay.status.code(), Some(0), "{}", errors(&replay));
    let fingerprint = |text: &str| {
        let at = text.find("fingerprint ").expect("a fingerprint is printed") + "fingerprint ".len();
        text[at..at + 16].to_owned()
    };
    assert_eq!(fingerprint(&story), fingerprint(&text(&replay)));
}

#[test]
fn a_run_that_loses_data_exits_with_1_and_leaves_a_file_that_repeats_it() {
    let folder = folder();
    let lossy = (0..10).map(|seed| (seed, sim(folder.path(), &["run", "acks-1-loss", "--seed", &seed.to_string()])));
    let (seed, run) =
        lossy.into_iter().find(|(_, run)| run.status.code() == Some(1)).expect("one seed of ten loses data");
    let story = text(&run);
    assert!(story.contains("NOT MET expect: permitted_losses"), "{story}");
    let line = format!("to repeat it: cargo run -p sim -- run acks-1-loss --seed {seed}");
    assert!(story.contains(&line), "{story}");
    let file = format!("acks-1-loss-{seed}.flt");
    assert!(story.contains(&format!("replay {file}")), "{story}");
    let replay = sim(folder.path(), &["replay", &file]);
    assert!(text(&replay).contains("the same run"), "{}{}", text(&replay), errors(&replay));
    assert!(text(&replay).contains("BROKEN expect.permitted_losses"), "{}", text(&replay));
    assert_eq!(replay.status.code(), Some(1));
}

#[test]
fn bad_input_exits_with_2_and_says_what_would_be_valid() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.yaml"), "name: x\ntopolgy: {}\n").expect("a file can be written");
    std::fs::write(folder.path().join("foreign.flt"), "PK").expect("a file can be written");
    let table: &[(&[&str], &str)] = &[
        (&["run", "strech-cluster"], "stretch-cluster"),
        (&["run", "missing.yaml"], "missing.yaml: "),
        (&["run", "bad.yaml"], "bad.yaml:2"),
        (&["replay", "foreign.flt"], "foreign.flt: not a Faultline replay file"),
        (&["replay", "missing.flt"], "missing.flt: "),
        (&["--seed", "x"], "invalid value 'x'"),
        (&["--seed", "1", "--duration", "soon"], "--duration soon: expected a number with a unit"),
        (&["--seed", "1", "--topics", "0"], "--topics 0: expected at least 1"),
        (&["run", "hw-truncation", "--known-breach", "R-TRUNC-BELOWHW"], "did you mean `R-TRUNC-BELOW-HW`?"),
        (&["survey", "--seeds", "9..3"], "expected A..B with A < B"),
        (&["survey", "--queue", "heap"], "expected one of: wheel, binary-heap, 4-ary-heap, radix-heap"),
        (&["run", "--server-properties", "no/*.properties", "--zoo-cfg", "zoo.cfg"], "no such file"),
    ];
    for (args, expected) in table {
        let output = sim(folder.path(), args);
        assert_eq!(output.status.code(), Some(2), "{args:?}: {}", errors(&output));
        assert!(errors(&output).contains(expected), "{args:?}: `{expected}` is missing in:\n{}", errors(&output));
    }
}

#[test]
fn a_known_breach_is_counted_and_what_else_is_broken_still_fails() {
    let folder = folder();
    let run = |law: &[&str]| {
        let output =
            sim(folder.path(), &[&["run", "reset-to-start-on-out-of-range", "--record", "it.flt"], law].concat());
        (output.status.code(), text(&output))
    };
    let (code, story) = run(&[]);
    assert_eq!(code, Some(1));
    assert!(story.contains("BROKEN R-NO-FULL-TRUNCATION"), "{story}");
    let (code, story) = run(&["--known-breach", "R-NO-FULL-TRUNCATION"]);
    assert_eq!(code, Some(0), "{story}");
    assert!(story.contains("permitted: known to be broken"), "{story}");
    // What is known goes with the record.
    assert_eq!(sim(folder.path(), &["replay", "it.flt"]).status.code(), Some(0));
    let output = sim(folder.path(), &["run", "hw-truncation", "--known-breach", "R-CANDIDATE-COMPLETE"]);
    assert!(text(&output).contains("BROKEN R-TRUNC-BELOW-HW"), "{}", text(&output));
}

/// Thousands of runs are compared by one word; what keeps their events in order must not show in it.
#[test]
fn a_survey_comes_to_the_same_with_every_queue_and_any_number_of_jobs() {
    let base = ["survey", "--seeds", "0..3", "--duration", "20s", "--topics", "1", "--partitions", "4", "--rate", "50"];
    let survey = |more: &[&str]| {
        let output = sim(folder().path(), &[&base, more].concat());
        assert_eq!(output.status.code(), Some(0), "{}", errors(&output));
        text(&output)
    };
    let expected = survey(&["--jobs", "1"]);
    assert!(expected.contains("fingerprint of all"), "{expected}");
    assert_eq!(survey(&["--jobs", "2"]), expected);
    for queue in ["wheel", "binary-heap", "4-ary-heap", "radix-heap"] {
        assert_eq!(survey(&["--queue", queue]), expected, "{queue}");
    }
}

#[test]
fn an_operators_own_files_make_a_cluster() {
    let library = Path::new(env!("CARGO_MANIFEST_DIR")).join("../scenarios/library/stretch-cluster");
    let pattern = library.join("broker-*.properties").display().to_string();
    let zoo = library.join("zoo.cfg").display().to_string();
    let args = ["run", "--server-properties", &pattern, "--zoo-cfg", &zoo, "--seed", "1", "--duration", "10s"];
    let run = sim(folder().path(), &args);
    let story = text(&run);
    assert_eq!(run.status.code(), Some(0), "{story}{}", errors(&run));
    assert!(story.contains("is not modelled"), "{story}");
    assert!(story.contains("4 brokers"), "{story}");
}

#[test]
fn json_lines_are_json_and_end_with_the_verdict() {
    let output = sim(folder().path(), &["run", "three-zookeepers-2-1", "--format", "json"]);
    let lines: Vec<serde_json::Value> =
        text(&output).lines().map(|line| serde_json::from_str(line).expect("each line is JSON")).collect();
    assert_eq!(lines[0]["type"], "run");
    assert_eq!(lines[lines.len() - 1]["type"], "end");
    assert_eq!(lines[lines.len() - 1]["exit"], 0);
    let kinds = |kind: &str| lines.iter().filter(|l| l["type"] == "observation" && l["what"]["kind"] == kind).count();
    for kind in ["up", "controller_begin", "append", "send_ok", "poll", "fault_begin", "zk_role"] {
        assert!(kinds(kind) > 0, "no observation of kind {kind}");
    }
}

#[test]
fn a_scenario_of_the_library_can_be_printed_checked_and_run() {
    let folder = folder();
    let shown = sim(folder.path(), &["scenarios", "show", "one-way-wan-cut"]);
    std::fs::write(folder.path().join("mine.yaml"), &shown.stdout).expect("a file can be written");
    let checked = sim(folder.path(), &["scenarios", "check", "mine.yaml"]);
    assert_eq!(checked.status.code(), Some(0), "{}", errors(&checked));
    let list = text(&sim(folder.path(), &["scenarios", "list"]));
    assert!(list.lines().count() >= 6, "{list}");
    let from_file = text(&sim(folder.path(), &["run", "mine.yaml", "--seed", "3", "--quiet"]));
    let from_library = text(&sim(folder.path(), &["run", "one-way-wan-cut", "--seed", "3", "--quiet"]));
    assert_eq!(from_file, from_library);
}

#[test]
fn a_failing_run_is_shrunk_to_a_record_and_a_scenario_that_fail_alike() {
    let folder = folder();
    let run = sim(folder.path(), &["run", "hw-truncation", "--seed", "0", "--quiet"]);
    assert_eq!(run.status.code(), Some(1), "{}{}", text(&run), errors(&run));
    let shrunk = sim(folder.path(), &["shrink", "hw-truncation-0.flt", "--jobs", "2"]);
    let story = text(&shrunk);
    assert_eq!(shrunk.status.code(), Some(0), "{story}{}", errors(&shrunk));
    for part in ["before", "after", "1-minimal: ", "robust: ", "sim replay hw-truncation-0.min.flt"] {
        assert!(story.contains(part), "`{part}` is missing in:\n{story}");
    }
    assert!(errors(&shrunk).starts_with("shrinking  hw-truncation (seed 0): "), "{}", errors(&shrunk));
    let law = story.lines().find_map(|line| line.strip_prefix("BROKEN     ")).expect("the law is named");
    let law = law.split(' ').next().expect("the law has a name").to_owned();
    let replay = sim(folder.path(), &["replay", "hw-truncation-0.min.flt"]);
    assert_eq!(replay.status.code(), Some(1), "{}", errors(&replay));
    let replayed = text(&replay);
    assert!(replayed.contains("the same run") && replayed.contains(&format!("BROKEN {law}")), "{replayed}");
    let again = sim(folder.path(), &["run", "hw-truncation-0.min.yaml", "--seed", "0"]);
    assert_eq!(again.status.code(), Some(1), "{}", errors(&again));
    assert!(text(&again).contains(&law), "{}", text(&again));
    let fingerprint = |text: &str| text.split("fingerprint ").nth(1).map(|rest| rest[..16].to_owned());
    assert_eq!(fingerprint(&text(&again)), fingerprint(&replayed), "file and record are one run");
    let few = ["shrink", "--scenario", "hw-truncation", "--seed", "0", "--runs", "5", "--format", "json"];
    let cut = sim(folder.path(), &few);
    let line: serde_json::Value = serde_json::from_str(&text(&cut)).expect("a line of JSON");
    assert_eq!((&line["cut"], &line["runs"], &line["law"]), (&true.into(), &5.into(), &law.into()), "{line}");
}

#[test]
fn what_cannot_be_shrunk_is_told_apart() {
    let folder = folder();
    let clean = sim(folder.path(), &["--seed", "7", "--duration", "20s", "--record", "clean.flt"]);
    assert_eq!(clean.status.code(), Some(0), "{}", errors(&clean));
    let table: &[(&[&str], i32, &str)] = &[
        (&["shrink", "clean.flt"], 1, "stretch-cluster (seed 7): nothing to shrink: every law and expectation held"),
        (&["shrink", "missing.flt"], 2, "missing.flt: "),
        (&["shrink"], 2, "required"),
        (&["shrink", "--scenario", "hw-truncation"], 2, "--seed"),
        (&["shrink", "clean.flt", "--out", "clean.flt"], 2, "would overwrite the record itself"),
        (&["shrink", "clean.flt", "--out", "small.yaml"], 2, "expected the name of a replay file"),
        (&["shrink", "clean.flt", "--budget", "soon"], 2, "--budget soon: expected a number above zero"),
        (&["shrink", "clean.flt", "--topics", "1"], 2, "change a scenario, not a record"),
    ];
    for (args, status, expected) in table {
        let output = sim(folder.path(), args);
        assert_eq!(output.status.code(), Some(*status), "{args:?}: {}", errors(&output));
        assert!(errors(&output).contains(expected), "{args:?}: `{expected}` is missing in:\n{}", errors(&output));
    }
}

#[test]
fn stories_are_told_where_there_are_brokers_and_refused_where_there_are_none() {
    let folder = folder();
    let told = |name: &str, kinds: &str| {
        let scenario = scenarios::library::find(name).expect("it is in the library").scenario();
        let mut scenario = scenario.unwrap_or_else(|errors| panic!("{errors:?}"));
        (scenario.faults, scenario.chaos) = (Vec::new(), None);
        let text = scenario.to_yaml();
        let text = text.split("schedule:").next().expect("the part before");
        let text = format!("{text}\nschedule:\n  chaos: {{faults: 1, weights: {{{kinds}}}}}\n");
        std::fs::write(folder.path().join("story.yaml"), text).expect("it can be written");
        sim(folder.path(), &["run", "story.yaml", "--seed", "2", "--duration", "60s"])
    };
    let see_saw = told("stretch-cluster", "see-saw: 1");
    let begun = text(&see_saw).lines().filter(|line| line.starts_with("schedule   f")).count();
    assert!(begun >= 2, "one story is several faults: {}{}", text(&see_saw), errors(&see_saw));
    let refused = told("zookeeper-2-2-cut", "see-saw: 1");
    assert_eq!(refused.status.code(), Some(2), "{}", text(&refused));
    assert!(errors(&refused).contains("see-saw need brokers; set their weights to 0"), "{}", errors(&refused));
}
