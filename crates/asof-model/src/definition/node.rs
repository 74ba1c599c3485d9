//! Positioned nodes: what YAML text says, before anything is made of it.

use std::rc::Rc;

/// A place in the present file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Position {
    /// From 1.
    pub line: usize,
    /// In characters, from 1.
    pub column: usize,
}

/// A value and where it stands. An alias stands where it is written, what is inside stands at the anchor.
#[derive(Debug, Clone)]
pub(super) struct Node {
    pub at: Position,
    content: Rc<Content>,
}

/// What a node holds.
#[derive(Debug)]
pub(super) enum Content {
    /// Text as written, and whether it was written without quotes.
    Scalar { text: String, plain: bool },
    /// Items in order.
    List(Vec<Node>),
    /// Entries in order; no key occurs twice.
    Map(Vec<Entry>),
}

/// A key and its value.
#[derive(Debug)]
pub(super) struct Entry {
    pub key: Key,
    pub value: Node,
}

impl Entry {
    /// Where a message about the entry points: its value if that is a scalar, otherwise its key.
    pub fn at(&self) -> Position {
        match self.value.content() {
            Content::Scalar { .. } if !self.value.is_null() => self.value.at,
            _ => self.key.at,
        }
    }
}

/// A key of a mapping.
#[derive(Debug)]
pub(super) struct Key {
    pub text: String,
    pub at: Position,
}

impl Node {
    pub fn new(at: Position, content: Content) -> Self {
        Self { at, content: Rc::new(content) }
    }

    /// The same content at another place.
    pub fn seen_from(&self, at: Position) -> Self {
        Self { at, content: Rc::clone(&self.content) }
    }

    pub fn content(&self) -> &Content {
        &self.content
    }

    /// Whether it is null: nothing, `~` or `null` without quotes.
    pub fn is_null(&self) -> bool {
        match self.content() {
            Content::Scalar { text, plain } => {
                *plain && matches!(&**text, "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The text of a scalar that is not null.
    pub fn text(&self) -> Option<&str> {
        match self.content() {
            Content::Scalar { text, .. } if !self.is_null() => Some(text),
            _ => None,
        }
    }

    /// What it is, in words.
    pub fn described(&self) -> &'static str {
        match self.content() {
            _ if self.is_null() => "nothing",
            Content::Scalar { .. } => "text",
            Content::List(_) => "a list",
            Content::Map(_) => "a mapping",
        }
    }
}

/// Text from a file as a message shows it: in backticks, on one line, cut after a few words.
pub(super) fn quoted(text: &str) -> String {
    /// Characters that a message repeats.
    const SHOWN_CHARS_MAX: usize = 60;
    let mut shown = String::from("`");
    for (count, letter) in text.chars().enumerate() {
        if count == SHOWN_CHARS_MAX {
            shown.push_str("...");
            break;
        }
        if letter.is_control() {
            shown.extend(letter.escape_default());
        } else {
            shown.push(letter);
        }
    }
    shown.push('`');
    shown
}
