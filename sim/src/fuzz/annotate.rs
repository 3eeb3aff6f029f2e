//! Workflow commands of GitHub: a line of output that shows up at a change.

use super::findings::Group;

/// A line for each group of failures.
pub fn github(groups: &[Group], repeat: impl Fn(u64) -> String) -> String {
    let line = |group: &Group| {
        let title = format!("{} (seed {})", group.law, group.smallest);
        let repeat = repeat(group.smallest);
        let message = format!("{}\n{} seeds; repeat with: {repeat}", group.what, group.seeds);
        format!("::error title={}::{}\n", property(&title), data(&message))
    };
    groups.iter().map(line).collect()
}

/// As `@actions/core` escapes what follows the last `::`.
fn data(text: &str) -> String {
    text.replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

/// As `@actions/core` escapes values of properties.
fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}

#[test]
fn what_would_end_a_command_is_escaped() {
    let group = Group {
        law: "J-LOST-WRITE".to_owned(),
        signature: String::new(),
        seeds: 2,
        smallest: 17,
        what: "100% lost\nall".to_owned(),
        at_ns: 0,
        faults: 1,
        replay: None,
    };
    assert_eq!(
        github(&[group], |seed| format!("again {seed}")),
        "::error title=J-LOST-WRITE (seed 17)::100%25 lost%0Aall%0A2 seeds; repeat with: again 17\n"
    );
    assert_eq!(property("a:b,c"), "a%3Ab%2Cc");
}
