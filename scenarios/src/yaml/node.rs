//! YAML as a tree in which everything has a position. Scalars stay text: what they mean is for the field to say.

use saphyr_parser::{Event, Parser, Span};

/// Deepest nesting; scenario files need six.
const MAX_DEPTH: usize = 32;
/// Most nodes of a file.
const MAX_NODES: usize = 200_000;

/// A node of the tree.
#[derive(Clone, Debug)]
pub(super) struct Node {
    pub(super) at: Position,
    pub(super) value: Value,
}

/// What a node holds.
#[derive(Clone, Debug)]
pub(super) enum Value {
    Scalar(String),
    List(Vec<Node>),
    Map(Vec<(Key, Node)>),
}

/// A key of a map.
#[derive(Clone, Debug)]
pub(super) struct Key {
    pub(super) at: Position,
    pub(super) name: String,
}

/// Line and column, from 1.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Position {
    pub(super) line: usize,
    pub(super) column: usize,
}

impl From<Span> for Position {
    fn from(span: Span) -> Self {
        Self { line: span.start.line().max(1), column: span.start.col() + 1 }
    }
}

impl Node {
    /// What kind of node it is, for messages.
    pub(super) fn kind(&self) -> &'static str {
        match &self.value {
            Value::Scalar(text) if text.is_empty() => "nothing",
            Value::Scalar(_) => "a single value",
            Value::List(_) => "a list",
            Value::Map(_) => "a map",
        }
    }
}

/// What stops the reading of a file.
pub(super) type SyntaxError = (Position, String);

/// Reads the one document of `text`.
pub(super) fn read(text: &str) -> Result<Node, SyntaxError> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| {
            let at = Position { line: error.marker().line().max(1), column: error.marker().col() + 1 };
            (at, format!("not valid YAML: {}", error.info()))
        })?;
        builder.take(event, span.into())?;
    }
    builder.root.ok_or_else(|| (Position { line: 1, column: 1 }, "the file is empty; expected a scenario".to_owned()))
}

/// Puts events together. Containers that are still open stand on a stack.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    root: Option<Node>,
    nodes: usize,
}

struct Open {
    at: Position,
    items: Items,
}

enum Items {
    List(Vec<Node>),
    Map { entries: Vec<(Key, Node)>, key: Option<Key> },
}

impl Builder {
    fn take(&mut self, event: Event<'_>, at: Position) -> Result<(), SyntaxError> {
        match event {
            Event::Scalar(text, style, _, _) => {
                // An unquoted null is nothing, as an absent value is.
                let plain = style == saphyr_parser::ScalarStyle::Plain;
                let text = if plain && matches!(&*text, "~" | "null") { String::new() } else { text.into_owned() };
                self.place(Node { at, value: Value::Scalar(text) })
            }
            Event::SequenceStart(..) => self.open(at, Items::List(Vec::new())),
            Event::MappingStart(..) => self.open(at, Items::Map { entries: Vec::new(), key: None }),
            Event::SequenceEnd | Event::MappingEnd => self.close(),
            Event::Alias(_) => Err((at, "aliases (`*name`) are not supported; write the value out".to_owned())),
            Event::DocumentStart(_) if self.root.is_some() => {
                Err((at, "a second document begins here; a scenario file holds one".to_owned()))
            }
            Event::DocumentStart(_) | Event::DocumentEnd | Event::StreamStart | Event::StreamEnd | Event::Nothing => {
                Ok(())
            }
        }
    }

    fn open(&mut self, at: Position, items: Items) -> Result<(), SyntaxError> {
        if self.open.len() >= MAX_DEPTH {
            return Err((at, format!("nested deeper than {MAX_DEPTH} levels")));
        }
        self.open.push(Open { at, items });
        Ok(())
    }

    fn close(&mut self) -> Result<(), SyntaxError> {
        match self.open.pop() {
            Some(Open { at, items: Items::List(nodes) }) => self.place(Node { at, value: Value::List(nodes) }),
            Some(Open { at, items: Items::Map { entries, .. } }) => self.place(Node { at, value: Value::Map(entries) }),
            None => Ok(()),
        }
    }

    fn place(&mut self, node: Node) -> Result<(), SyntaxError> {
        self.nodes += 1;
        if self.nodes > MAX_NODES {
            return Err((node.at, format!("more than {MAX_NODES} values")));
        }
        let Some(open) = self.open.last_mut() else {
            self.root = Some(node);
            return Ok(());
        };
        match &mut open.items {
            Items::List(nodes) => nodes.push(node),
            Items::Map { entries, key } => match (key.take(), node.value) {
                (Some(key), value) => entries.push((key, Node { at: node.at, value })),
                (None, Value::Scalar(name)) => *key = Some(Key { at: node.at, name }),
                (None, _) => return Err((node.at, "a key must be a single word".to_owned())),
            },
        }
        Ok(())
    }
}
