//! Reading trees: typed fields, and errors that say where, what would be valid, and which valid word is nearest.
//!
//! A reader that finds an error reports it and goes on with a stand-in, so that one pass finds all errors. Stand-ins never
//! leave the crate: any error makes the parse fail.

use std::cell::RefCell;
use std::ops::RangeInclusive;

use models::time::Span;

use super::ScenarioError;
use super::node::{Key, Node, Position, Value};
use crate::nearest::hint;
use crate::units::{self, Share};

/// Collects errors.
pub(super) struct Report {
    file: String,
    errors: RefCell<Vec<ScenarioError>>,
}

impl Report {
    pub(super) fn new(file: &str) -> Self {
        Self { file: file.to_owned(), errors: RefCell::default() }
    }

    pub(super) fn error(&self, at: Position, field: &str, message: impl Into<String>) {
        self.errors.borrow_mut().push(ScenarioError {
            file: self.file.clone(),
            line: at.line,
            column: at.column,
            field: field.to_owned(),
            message: message.into(),
        });
    }

    pub(super) fn is_clean(&self) -> bool {
        self.errors.borrow().is_empty()
    }

    pub(super) fn into_errors(self) -> Vec<ScenarioError> {
        let mut errors = self.errors.into_inner();
        errors.sort();
        errors
    }
}

/// A value with its place in the file and its field path.
#[derive(Clone)]
pub(super) struct Item<'a> {
    pub(super) node: &'a Node,
    pub(super) path: String,
    pub(super) report: &'a Report,
}

impl<'a> Item<'a> {
    pub(super) fn error(&self, message: impl Into<String>) {
        self.report.error(self.node.at, &self.path, message);
    }

    fn wrong(&self, expected: &str) {
        match &self.node.value {
            Value::Scalar(text) if !text.is_empty() => {
                self.error(format!("`{text}` is not valid; expected {expected}"));
            }
            _ => self.error(format!("expected {expected}, found {}", self.node.kind())),
        }
    }

    /// The text of a single value; `None`, reported, for anything else.
    pub(super) fn text(&self, expected: &str) -> Option<&'a str> {
        match &self.node.value {
            Value::Scalar(text) if !text.is_empty() => Some(text),
            _ => {
                self.wrong(expected);
                None
            }
        }
    }

    /// A value that `parse` accepts; `expected` says which.
    pub(super) fn parsed<T>(&self, expected: &str, parse: impl FnOnce(&str) -> Option<T>) -> Option<T> {
        let value = parse(self.text(expected)?);
        if value.is_none() {
            self.wrong(expected);
        }
        value
    }

    pub(super) fn span(&self) -> Option<Span> {
        self.parsed(units::SPAN, units::parse_span)
    }

    /// A span that is not zero.
    pub(super) fn positive_span(&self) -> Option<Span> {
        let span = self.span()?;
        if span == Span::ZERO {
            self.error("must be longer than 0s");
            return None;
        }
        Some(span)
    }

    pub(super) fn share(&self) -> Option<Share> {
        self.parsed(units::SHARE, units::parse_share)
    }

    pub(super) fn integer<T>(&self, range: RangeInclusive<T>) -> Option<T>
    where
        T: std::str::FromStr + PartialOrd + std::fmt::Display,
    {
        let expected = format!("a whole number from {} to {}", range.start(), range.end());
        self.parsed(&expected, |text| text.replace('_', "").parse().ok().filter(|value| range.contains(value)))
    }

    /// `low..high`, or one value for both.
    pub(super) fn range<T: PartialOrd>(&self, expected: &str, parse: impl Fn(&str) -> Option<T>) -> Option<(T, T)> {
        let expected = format!("a range `low..high` (or one value) of {expected}");
        self.parsed(&expected, |text| {
            let (low, high) = text.split_once("..").unwrap_or((text, text));
            Some((parse(low.trim())?, parse(high.trim())?)).filter(|(low, high)| low <= high)
        })
    }

    /// One of some words.
    pub(super) fn choice<T: Copy>(&self, words: &[(&str, T)]) -> Option<T> {
        let names: Vec<&str> = words.iter().map(|(word, _)| *word).collect();
        let text = self.text(&format!("one of {}", names.join(", ")))?;
        let found = words.iter().find(|(word, _)| *word == text).map(|(_, value)| *value);
        if found.is_none() {
            self.error(unknown("value", text, &names));
        }
        found
    }

    /// The elements of a list; a single value counts as a list of one.
    pub(super) fn list(&self) -> Vec<Item<'a>> {
        match &self.node.value {
            Value::List(nodes) => nodes
                .iter()
                .enumerate()
                .map(|(index, node)| Item { node, path: format!("{}[{index}]", self.path), report: self.report })
                .collect(),
            Value::Scalar(text) if text.is_empty() => Vec::new(),
            _ => vec![self.clone()],
        }
    }

    /// The entries of a map whose keys are names given by the file.
    pub(super) fn entries(&self, of: &str) -> Vec<(&'a Key, Item<'a>)> {
        let Value::Map(entries) = &self.node.value else {
            self.wrong(&format!("a map of {of}"));
            return Vec::new();
        };
        self.report_twice(entries);
        let item =
            |(key, node): &'a (Key, Node)| (key, Item { node, path: join(&self.path, &key.name), report: self.report });
        entries.iter().map(item).collect()
    }

    /// The map's fields by name.
    pub(super) fn fields(&self) -> Fields<'a> {
        let entries: &[(Key, Node)] = match &self.node.value {
            Value::Map(entries) => entries,
            _ => {
                self.wrong("a map of fields");
                &[]
            }
        };
        self.report_twice(entries);
        Fields { item: self.clone(), entries, known: Vec::new() }
    }

    fn report_twice(&self, entries: &[(Key, Node)]) {
        for (index, (key, _)) in entries.iter().enumerate() {
            if let Some((first, _)) = entries[..index].iter().find(|(earlier, _)| earlier.name == key.name) {
                let message = format!("given twice; the first time on line {}", first.at.line);
                self.report.error(key.at, &join(&self.path, &key.name), message);
            }
        }
    }
}

/// The fields of a map. Every name that is asked for is a valid one; [`Fields::finish`] reports the others.
pub(super) struct Fields<'a> {
    item: Item<'a>,
    entries: &'a [(Key, Node)],
    known: Vec<&'static str>,
}

impl<'a> Fields<'a> {
    /// A field that may be missing.
    pub(super) fn optional(&mut self, name: &'static str) -> Option<Item<'a>> {
        self.known.push(name);
        let (_, node) = self.entries.iter().find(|(key, _)| key.name == name)?;
        Some(Item { node, path: join(&self.item.path, name), report: self.item.report })
    }

    /// A field that must be there.
    pub(super) fn required(&mut self, name: &'static str) -> Option<Item<'a>> {
        let found = self.optional(name);
        // A map that is no map has been reported already.
        if found.is_none() && matches!(self.item.node.value, Value::Map(_)) {
            self.item.error(format!("field `{name}` is missing"));
        }
        found
    }

    pub(super) fn span(&mut self, name: &'static str, default: Span) -> Span {
        self.optional(name).and_then(|item| item.span()).unwrap_or(default)
    }

    pub(super) fn share(&mut self, name: &'static str) -> Share {
        self.optional(name).and_then(|item| item.share()).unwrap_or(Share::NONE)
    }

    pub(super) fn required_span(&mut self, name: &'static str) -> Span {
        self.required(name).and_then(|item| item.span()).unwrap_or_default()
    }

    /// The map itself, for errors about several fields at once.
    pub(super) fn item(&self) -> &Item<'a> {
        &self.item
    }

    /// Reports every field that nobody asked for.
    pub(super) fn finish(self) {
        for (key, _) in self.entries {
            if !self.known.contains(&key.name.as_str()) {
                let message = unknown("field", &key.name, &self.known);
                self.item.report.error(key.at, &join(&self.item.path, &key.name), message);
            }
        }
    }
}

/// A field path.
pub(super) fn join(path: &str, name: &str) -> String {
    if path.is_empty() { name.to_owned() } else { format!("{path}.{name}") }
}

/// How an unknown word is reported, with the nearest of the valid ones and, if they are few, all of them.
pub(super) fn unknown(what: &str, word: &str, valid: &[&str]) -> String {
    let all = match valid.len() {
        0 => "; there is none".to_owned(),
        1..=24 => format!("; valid: {}", valid.join(", ")),
        _ => String::new(),
    };
    format!("unknown {what} `{word}`{}{all}", hint(word, valid.iter().copied()))
}
