//! What happened, in a line.

use std::fmt::Debug;

use models::observation::Observation;
use serde_json::Value;

use crate::kernel::trace::{Noted, What};

/// Longer texts are cut: some messages carry a whole cluster's metadata.
const LONGEST: usize = 240;

/// What happened to a process of that name.
pub fn noted<M: Debug, T: Debug>(noted: &Noted<M, T>, name: &str) -> String {
    match &noted.what {
        What::Input(input) => shortened(format!("{name} <- {input:?}")),
        What::Effect(effect) => shortened(format!("{name} -> {effect:?}")),
        // Faults and monitors are observed at no process in particular.
        What::Observed(what) => shortened(format!("{name} !  {}", observation(what))),
    }
}

/// An observation as `kind field=value ...`.
pub fn observation(what: &Observation) -> String {
    let Ok(Value::Object(fields)) = serde_json::to_value(what) else { return format!("{what:?}") };
    let mut words = Vec::new();
    for (field, value) in &fields {
        words.push(match (field.as_str(), value) {
            ("kind", Value::String(kind)) => kind.clone(),
            ("partition", Value::Object(of)) => format!("partition={}-{}", of["topic"], of["partition"]),
            (_, Value::String(text)) => format!("{field}={text}"),
            _ => format!("{field}={value}"),
        });
    }
    words.join(" ")
}

fn shortened(mut text: String) -> String {
    if text.len() > LONGEST {
        let end = (0..=LONGEST).rev().find(|end| text.is_char_boundary(*end)).unwrap_or(0);
        text.truncate(end);
        text.push_str(" ...");
    }
    text
}
