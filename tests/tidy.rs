//! What a reader relies on: crate arrows, file lengths, and what must be absent where.

use std::fs;
use std::path::{Path, PathBuf};

/// A longer file has a concept in it that has no name yet.
const LONGEST_FILE: usize = 600;
/// Tables, whose rows nobody can move out of their one enum, and how long they may be.
const TABLES: &[(&str, usize)] = &[("models/src/observation/mod.rs", 800)];

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the suite lies in the workspace").to_owned()
}

fn rust_files(folder: &Path, into: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).expect("the workspace can be read") {
        let path = entry.expect("the workspace can be read").path();
        if path.is_dir() && !path.ends_with("target") {
            rust_files(&path, into);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            into.push(path);
        }
    }
}

fn crate_files(name: &str) -> Vec<(PathBuf, String)> {
    let mut files = Vec::new();
    rust_files(&root().join(name), &mut files);
    assert!(!files.is_empty(), "{name} has no source");
    files.into_iter().map(|path| (path.clone(), fs::read_to_string(path).expect("source is text"))).collect()
}

#[test]
fn arrows_between_crates_point_one_way() {
    let forbidden: [(&str, &[&str]); 4] = [
        ("models", &["scenarios", "replay", "sim"]),
        ("scenarios", &["replay", "sim"]),
        ("replay", &["sim"]),
        ("sim", &["benches", "tests"]),
    ];
    for (name, others) in forbidden {
        let manifest = fs::read_to_string(root().join(name).join("Cargo.toml")).expect("every crate has a manifest");
        for other in others {
            let depends = manifest.lines().any(|line| line.starts_with(&format!("{other}.workspace")));
            assert!(!depends, "{name} must not depend on {other}");
        }
    }
}

#[test]
fn no_file_outgrows_its_concept() {
    let mut long = Vec::new();
    for name in ["models", "scenarios", "replay", "sim", "benches", "tests"] {
        for (path, text) in crate_files(name) {
            let lines = text.lines().count();
            let table = TABLES.iter().find(|(table, _)| path.ends_with(table));
            if lines > table.map_or(LONGEST_FILE, |(_, most)| *most) {
                long.push(format!("{}: {lines} lines", path.display()));
            }
        }
    }
    assert_eq!(long, Vec::<String>::new());
}

#[test]
fn models_and_scenarios_read_no_clock_and_hold_nothing_unordered() {
    let banned = ["HashMap", "HashSet", "SystemTime", "std::thread", "std::time", "std::fs", "std::net", "f64", "f32"];
    let mut found = Vec::new();
    for name in ["models/src", "scenarios/src", "sim/src/kernel", "sim/src/net"] {
        for (path, text) in crate_files(name) {
            for (number, line) in text.lines().enumerate() {
                let code = line.split("//").next().unwrap_or_default();
                if let Some(word) = banned.iter().find(|word| code.contains(*word)) {
                    found.push(format!("{}:{}: {word}", path.display(), number + 1));
                }
            }
        }
    }
    assert_eq!(found, Vec::<String>::new());
}
