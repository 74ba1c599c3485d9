//! YAML text to positioned nodes.
//!
//! Taken: block and flow style, comments, anchors and aliases, several documents. Refused with a position: keys that
//! occur twice, keys that are not text, merge keys, tags, control characters, and more than the bounds below, which
//! hold with aliases spelled out.

use std::collections::HashMap;

use saphyr_parser::{Event, Marker, Parser, ScalarStyle, ScanError};

use super::collector::Collector;
use super::node::{Content, Entry, Key, Node, Position, quoted};

/// The longest file.
const FILE_BYTES_MAX: usize = 4 << 20;
/// Nodes of a file, those that aliases repeat included.
const NODES_MAX: usize = 200_000;
/// Text of a file's nodes, that which aliases repeat included.
const TEXT_BYTES_MAX: usize = 4 * FILE_BYTES_MAX;
/// Lists and mappings inside each other.
const DEPTH_MAX: usize = 32;

/// The documents of a file, by their root nodes. None, and a problem, where the text is not YAML.
pub(super) fn read(text: &str, out: &mut Collector) -> Vec<Node> {
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    match build(text, out) {
        Ok(documents) => documents,
        Err(fatal) => {
            out.file_unreadable();
            out.problem(fatal.at, fatal.message, fatal.hint);
            Vec::new()
        }
    }
}

/// Why the rest of a file is not read.
struct Fatal {
    at: Position,
    message: String,
    hint: Option<String>,
}

impl Fatal {
    fn new(at: Position, message: impl Into<String>) -> Self {
        Self { at, message: message.into(), hint: None }
    }
}

fn build(text: &str, out: &mut Collector) -> Result<Vec<Node>, Fatal> {
    let start = Position { line: 1, column: 1 };
    if text.len() > FILE_BYTES_MAX {
        let message = format!("the file has {} bytes, at most {FILE_BYTES_MAX} are read", text.len());
        return Err(Fatal::new(start, message));
    }
    // The scanner takes U+0000 for the end of the file and would drop what follows without a word.
    if let Some((at, letter)) = control_character(text) {
        let message = format!("the file holds the control character U+{:04X}", u32::from(letter));
        return Err(Fatal { at, message, hint: Some("remove it; YAML is plain text".to_owned()) });
    }
    let mut tree = Tree::default();
    let mut parser = Parser::new_from_str(text);
    while let Some(event) = parser.next_event() {
        let (event, span) = event.map_err(|error| explained(&error, text))?;
        tree.take(event, position(&span.start), out)?;
    }
    Ok(tree.documents)
}

fn position(marker: &Marker) -> Position {
    Position { line: marker.line().max(1), column: marker.col() + 1 }
}

/// How much of the bounds is used.
#[derive(Debug, Clone, Copy, Default)]
struct Weight {
    nodes: usize,
    bytes: usize,
}

/// A list or mapping whose end has not been seen.
struct Open {
    at: Position,
    anchor: usize,
    /// What was used before it began.
    before: Weight,
    content: OpenContent,
}

enum OpenContent {
    List(Vec<Node>),
    Map {
        entries: Vec<Entry>,
        /// Key to its line.
        lines: HashMap<String, usize>,
        /// The key whose value comes next: `None` inside for one that was refused.
        key: Option<Option<Key>>,
    },
}

#[derive(Default)]
struct Tree {
    documents: Vec<Node>,
    open: Vec<Open>,
    anchors: HashMap<usize, (Node, Weight)>,
    used: Weight,
}

impl Tree {
    fn take(&mut self, event: Event<'_>, at: Position, out: &mut Collector) -> Result<(), Fatal> {
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                refuse_tag(tag.is_some(), at, out);
                let before = self.used;
                self.spend(Weight { nodes: 1, bytes: text.len() }, at)?;
                let plain = style == ScalarStyle::Plain;
                let node = Node::new(at, Content::Scalar { text: text.into_owned(), plain });
                self.finish(node, anchor, before, out)?;
            }
            Event::SequenceStart(anchor, tag) => {
                refuse_tag(tag.is_some(), at, out);
                self.begin(at, anchor, OpenContent::List(Vec::new()))?;
            }
            Event::MappingStart(anchor, tag) => {
                refuse_tag(tag.is_some(), at, out);
                let content = OpenContent::Map { entries: Vec::new(), lines: HashMap::new(), key: None };
                self.begin(at, anchor, content)?;
            }
            Event::SequenceEnd | Event::MappingEnd => {
                if let Some(Open { at, anchor, before, content }) = self.open.pop() {
                    let content = match content {
                        OpenContent::List(items) => Content::List(items),
                        OpenContent::Map { entries, .. } => Content::Map(entries),
                    };
                    self.finish(Node::new(at, content), anchor, before, out)?;
                }
            }
            Event::Alias(anchor) => {
                let Some((node, weight)) = self.anchors.get(&anchor).cloned() else {
                    return Err(Fatal::new(at, "this alias stands inside what it repeats"));
                };
                let before = self.used;
                self.spend(weight, at)?;
                self.finish(node.seen_from(at), 0, before, out)?;
            }
            Event::DocumentStart(_)
            | Event::DocumentEnd
            | Event::StreamStart
            | Event::StreamEnd
            | Event::Nothing => {}
        }
        Ok(())
    }

    fn begin(&mut self, at: Position, anchor: usize, content: OpenContent) -> Result<(), Fatal> {
        if self.open.len() == DEPTH_MAX {
            let message = format!("more than {DEPTH_MAX} lists and mappings stand inside each other");
            return Err(Fatal::new(at, message));
        }
        let before = self.used;
        self.spend(Weight { nodes: 1, bytes: 0 }, at)?;
        self.open.push(Open { at, anchor, before, content });
        Ok(())
    }

    /// Puts a complete node where it belongs: into what is open, or among the documents.
    fn finish(
        &mut self,
        node: Node,
        anchor: usize,
        before: Weight,
        out: &mut Collector,
    ) -> Result<(), Fatal> {
        if anchor > 0 {
            let nodes = self.used.nodes - before.nodes;
            let bytes = self.used.bytes - before.bytes;
            self.anchors.insert(anchor, (node.clone(), Weight { nodes, bytes }));
        }
        match self.open.last_mut().map(|open| &mut open.content) {
            None => self.documents.push(node),
            Some(OpenContent::List(items)) => items.push(node),
            Some(OpenContent::Map { entries, lines, key }) => match key.take() {
                None => *key = Some(checked_key(&node, lines, out)?),
                Some(Some(key)) => entries.push(Entry { key, value: node }),
                Some(None) => {}
            },
        }
        Ok(())
    }

    fn spend(&mut self, weight: Weight, at: Position) -> Result<(), Fatal> {
        self.used.nodes += weight.nodes;
        self.used.bytes += weight.bytes;
        if self.used.nodes > NODES_MAX || self.used.bytes > TEXT_BYTES_MAX {
            return Err(Fatal::new(
                at,
                "the file holds too much, aliases spelled out; split it into several",
            ));
        }
        Ok(())
    }
}

/// The key that a node is. `None`, and a problem, where it cannot be one. A merge key ends the reading: without what
/// it merges, the rest of the file would be blamed for what is not missing.
fn checked_key(
    node: &Node,
    lines: &mut HashMap<String, usize>,
    out: &mut Collector,
) -> Result<Option<Key>, Fatal> {
    let at = node.at;
    let key = match node.content() {
        Content::Scalar { plain: true, .. } if node.is_null() => {
            out.problem(at, "the key is null", Some("quote the key if it is a name".to_owned()));
            None
        }
        Content::Scalar { text, plain: true } if text == "<<" => {
            let hint = "write the keys out; an alias can stand for a whole value".to_owned();
            let message = "merge keys (`<<`) are not supported".to_owned();
            return Err(Fatal { at, message, hint: Some(hint) });
        }
        Content::Scalar { text, .. } => {
            if let Some(line) = lines.get(text) {
                let message = format!("{} is written twice here; the first is on line {line}", quoted(text));
                out.problem(at, message, None);
                return Ok(None);
            }
            lines.insert(text.clone(), at.line);
            Some(Key { text: text.clone(), at })
        }
        Content::List(_) | Content::Map(_) => {
            out.problem(at, format!("a key is text, and this is {}", node.described()), None);
            None
        }
    };
    Ok(key)
}

fn refuse_tag(tagged: bool, at: Position, out: &mut Collector) {
    if tagged {
        let hint = "leave the tag out; quoted text is text".to_owned();
        out.problem(at, "tags (`!name`) are not supported", Some(hint));
    }
}

/// The first character that YAML does not allow in a file.
fn control_character(text: &str) -> Option<(Position, char)> {
    for (line, content) in text.split('\n').enumerate() {
        for (column, letter) in content.chars().enumerate() {
            if letter.is_control() && !matches!(letter, '\t' | '\r' | '\u{85}') {
                return Some((Position { line: line + 1, column: column + 1 }, letter));
            }
        }
    }
    None
}

/// The scanner's message at its place, with what usually helps.
fn explained(error: &ScanError, text: &str) -> Fatal {
    let at = position(error.marker());
    let line = text.split('\n').nth(at.line - 1).unwrap_or_default();
    let indent: String = line.chars().take_while(|letter| matches!(letter, ' ' | '\t')).collect();
    if let Some(tab) = indent.chars().position(|letter| letter == '\t') {
        let at = Position { column: tab + 1, ..at };
        let hint = Some("indent with spaces".to_owned());
        return Fatal { at, message: "not YAML: a tab in the indentation".to_owned(), hint };
    }
    let info = error.info();
    let hint = match text.chars().nth(error.marker().index()) {
        Some('*') => Some("put text that begins with * in quotes: `\"*\"`".to_owned()),
        Some(letter @ ('@' | '`' | '%')) => Some(format!("put text that begins with {letter} in quotes")),
        _ if info.contains("mapping values are not allowed") => {
            Some("check the indentation, and put text that holds `: ` in quotes".to_owned())
        }
        _ if info.contains("expected key") || info.contains("block") => {
            Some("check the indentation of this line and of the one before".to_owned())
        }
        _ => None,
    };
    Fatal { at, message: format!("not YAML: {info}"), hint }
}
