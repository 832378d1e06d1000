//! Text to tree: YAML syntax, duplicate keys, and bounds on what a hostile file can cost.

use std::borrow::Cow;
use std::collections::HashMap;

use saphyr_parser::{Event, Parser, ScalarStyle, Span, Tag};

use super::problem::{Position, Problem, Problems};
use super::tree::{Content, Key, Node, Scalar, child_path, item_path};

/// What etcd stores of one object, by default.
const MAX_BYTES: usize = 1_572_864;

/// The schema is less than half as deep, apart from free-form objects.
const MAX_DEPTH: usize = 64;

/// Values in the document once aliases are expanded. Bounds the billion-laughs kind of file.
const MAX_NODES: usize = 100_000;

/// A document that was read, and the problems that do not hide its structure.
#[derive(Debug)]
pub(crate) struct Document {
    pub root: Node,
    pub problems: Vec<Problem>,
}

/// Reads the one document of `text`.
///
/// Fails where the structure is unclear: broken syntax, none or several documents, too large.
pub(crate) fn read(text: &str) -> Result<Document, Problems> {
    if text.len() > MAX_BYTES {
        let message = format!("the file is larger than an object may be ({MAX_BYTES} bytes)");
        return Err(Problem::new("", message).into());
    }
    let text = text.strip_prefix('\u{feff}').unwrap_or(text);
    let mut builder = Builder::default();
    for event in Parser::new_from_str(text) {
        let (event, span) = event.map_err(|e| {
            Problem::new("", format!("not valid YAML: {}", e.info())).at(position(*e.marker()))
        })?;
        builder.take(event, span)?;
    }
    match builder.root.filter(|root| !root.is_null()) {
        Some(root) => Ok(Document {
            root,
            problems: builder.problems,
        }),
        None => Err(Problem::new("", "the file holds no manifest").into()),
    }
}

fn position(marker: saphyr_parser::Marker) -> Position {
    Position {
        line: marker.line().max(1),
        column: marker.col() + 1,
    }
}

#[derive(Default)]
struct Builder {
    /// Collections that are being read, outermost first.
    open: Vec<Open>,
    root: Option<Node>,
    anchors: HashMap<usize, (Node, usize)>,
    nodes: usize,
    /// Values that anchors hold beside the tree.
    kept: usize,
    problems: Vec<Problem>,
}

struct Open {
    node: Node,
    anchor: usize,
    /// The node count before this collection, to know what an alias to it costs.
    nodes_before: usize,
    path: String,
    /// In a map: the keys so far, with their lines.
    keys: HashMap<String, usize>,
    /// In a map: the key whose value comes next.
    key: Option<Key>,
    /// In a map: that key was there before, so its value is dropped.
    drop_value: bool,
}

impl Builder {
    fn take(&mut self, event: Event<'_>, span: Span) -> Result<(), Problem> {
        let at = position(span.start);
        match event {
            Event::Scalar(text, style, anchor, tag) => {
                let scalar = self.scalar(&text, style, tag, at);
                self.count(1, at)?;
                self.complete(Node::new(at, Content::Scalar(scalar)), anchor, 1)
            }
            Event::SequenceStart(anchor, tag) => {
                self.open(Content::List(Vec::new()), anchor, tag, at)
            }
            Event::MappingStart(anchor, tag) => {
                self.open(Content::Map(Vec::new()), anchor, tag, at)
            }
            Event::SequenceEnd | Event::MappingEnd => match self.open.pop() {
                Some(open) => {
                    let size = self.nodes - open.nodes_before;
                    self.complete(open.node, open.anchor, size)
                }
                None => Ok(()),
            },
            Event::Alias(anchor) => {
                let Some((node, size)) = self.anchors.get(&anchor).cloned() else {
                    let message = "an alias inside the value that it stands for";
                    return Err(Problem::new(self.next_path(), message).at(at));
                };
                self.count(size, at)?;
                if self.open.len() + depth(&node) > MAX_DEPTH {
                    return Err(too_deep(at));
                }
                self.complete(node, 0, size)
            }
            Event::Nothing
            | Event::StreamStart
            | Event::StreamEnd
            | Event::DocumentStart(_)
            | Event::DocumentEnd => Ok(()),
        }
    }

    fn open(
        &mut self,
        content: Content,
        anchor: usize,
        tag: Option<Cow<'_, Tag>>,
        at: Position,
    ) -> Result<(), Problem> {
        let path = self.next_path();
        if let Some(tag) = tag.filter(|t| !t.is_yaml_core_schema()) {
            self.unknown_tag(&tag, at);
        }
        if self.open.len() >= MAX_DEPTH {
            return Err(too_deep(at));
        }
        let nodes_before = self.nodes;
        self.count(1, at)?;
        self.open.push(Open {
            node: Node::new(at, content),
            anchor,
            nodes_before,
            path,
            keys: HashMap::new(),
            key: None,
            drop_value: false,
        });
        Ok(())
    }

    /// Puts a finished value where it belongs: root, list, key or value.
    fn complete(&mut self, node: Node, anchor: usize, size: usize) -> Result<(), Problem> {
        if anchor != 0 {
            self.kept += size;
            if self.kept > MAX_NODES {
                return Err(too_many(node.position));
            }
            self.anchors.insert(anchor, (node.clone(), size));
        }
        let Some(open) = self.open.last_mut() else {
            if self.root.as_ref().is_none_or(Node::is_null) {
                self.root = Some(node);
            } else if !node.is_null() {
                let message = "a second document begins here: one manifest a file";
                return Err(Problem::new("", message).at(node.position));
            }
            return Ok(());
        };
        match (&mut open.node.content, open.key.take()) {
            (Content::List(items), _) => items.push(node),
            (Content::Map(entries), Some(key)) => {
                if !std::mem::take(&mut open.drop_value) {
                    entries.push((key, node));
                }
            }
            (Content::Map(_), None) => {
                let Content::Scalar(Scalar { text: name, quoted }) = node.content else {
                    let message = "a key must be text";
                    return Err(Problem::new(open.path.clone(), message).at(node.position));
                };
                let path = child_path(&open.path, &name);
                if name == "<<" && !quoted {
                    let message = "merge keys are not supported: write the fields out";
                    self.problems
                        .push(Problem::new(path, message).at(node.position));
                    open.drop_value = true;
                } else if let Some(first) = open.keys.get(&name) {
                    let message = format!("given twice, first on line {first}");
                    self.problems
                        .push(Problem::new(path, message).at(node.position));
                    open.drop_value = true;
                } else {
                    open.keys.insert(name.clone(), node.position.line);
                }
                open.key = Some(Key {
                    name,
                    position: node.position,
                });
            }
            (Content::Scalar(_), _) => {}
        }
        Ok(())
    }

    fn scalar(
        &mut self,
        text: &str,
        style: ScalarStyle,
        tag: Option<Cow<'_, Tag>>,
        at: Position,
    ) -> Scalar {
        let mut quoted = style != ScalarStyle::Plain;
        if let Some(tag) = tag {
            match tag.is_yaml_core_schema().then_some(tag.suffix.as_str()) {
                Some("str") => quoted = true,
                Some("int" | "float" | "bool" | "null") => quoted = false,
                _ => self.unknown_tag(&tag, at),
            }
        }
        Scalar {
            text: text.to_owned(),
            quoted,
        }
    }

    fn unknown_tag(&mut self, tag: &Tag, at: Position) {
        let message = format!("unknown tag {}{}", tag.handle, tag.suffix);
        self.problems
            .push(Problem::new(self.next_path(), message).at(at));
    }

    fn count(&mut self, nodes: usize, at: Position) -> Result<(), Problem> {
        self.nodes += nodes;
        if self.nodes > MAX_NODES {
            return Err(too_many(at));
        }
        Ok(())
    }

    /// The path of the value that is read next.
    fn next_path(&self) -> String {
        match self.open.last() {
            None => String::new(),
            Some(Open {
                node, key, path, ..
            }) => match (&node.content, key) {
                (Content::List(items), _) => item_path(path, items.len()),
                (_, Some(key)) => child_path(path, &key.name),
                _ => path.clone(),
            },
        }
    }
}

fn too_deep(at: Position) -> Problem {
    Problem::new("", format!("nested more than {MAX_DEPTH} deep")).at(at)
}

fn too_many(at: Position) -> Problem {
    let message = format!("more than {MAX_NODES} values, aliases expanded");
    Problem::new("", message).at(at)
}

/// Levels below and including `node`; an anchored node is itself within the bound.
fn depth(node: &Node) -> usize {
    let children: Box<dyn Iterator<Item = &Node>> = match &node.content {
        Content::Scalar(_) => return 0,
        Content::List(items) => Box::new(items.iter()),
        Content::Map(entries) => Box::new(entries.iter().map(|(_, value)| value)),
    };
    1 + children.map(depth).max().unwrap_or(0)
}

impl Node {
    fn new(position: Position, content: Content) -> Self {
        Self { position, content }
    }
}
