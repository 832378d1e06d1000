//! A YAML document as a tree whose nodes know their place in the file.

use super::problem::Position;

/// One value of the document.
#[derive(Clone, Debug)]
pub(crate) struct Node {
    pub position: Position,
    pub content: Content,
}

#[derive(Clone, Debug)]
pub(crate) enum Content {
    Scalar(Scalar),
    List(Vec<Node>),
    /// In the order of the file; keys are unique.
    Map(Vec<(Key, Node)>),
}

#[derive(Clone, Debug)]
pub(crate) struct Key {
    pub name: String,
    pub position: Position,
}

/// Text and how it is to be read.
#[derive(Clone, Debug)]
pub(crate) struct Scalar {
    pub text: String,
    /// Quoted, a block, or tagged `!!str`: text, whatever it looks like.
    pub quoted: bool,
}

impl Node {
    /// Is this an absent value? The API server treats a null like no field at all.
    pub fn is_null(&self) -> bool {
        match &self.content {
            Content::Scalar(s) => {
                !s.quoted && matches!(s.text.as_str(), "" | "~" | "null" | "Null" | "NULL")
            }
            _ => false,
        }
    }

    /// The text of the field `name`, if it has one.
    pub fn text(&self, name: &str) -> Option<&str> {
        let Content::Map(entries) = &self.content else {
            return None;
        };
        entries
            .iter()
            .find_map(|(key, value)| match &value.content {
                Content::Scalar(scalar) if key.name == name && !value.is_null() => {
                    Some(scalar.text.as_str())
                }
                _ => None,
            })
    }

    /// The place of the field at `path`, or of the nearest section above it that exists.
    pub fn locate(&self, path: &str) -> Position {
        let mut node = self;
        let mut position = self.position;
        for segment in segments(path) {
            match &node.content {
                Content::Map(entries) => {
                    let Some((key, child)) = entries.iter().find(|(k, _)| k.name == segment) else {
                        break;
                    };
                    position = key.position;
                    node = child;
                }
                Content::List(items) => {
                    let Some(item) = segment.parse().ok().and_then(|i: usize| items.get(i)) else {
                        break;
                    };
                    position = item.position;
                    node = item;
                }
                Content::Scalar(_) => break,
            }
        }
        position
    }
}

/// `a.b[2].c` and `a[x/y.z]`, cut into names and indices.
fn segments(path: &str) -> impl Iterator<Item = &str> {
    let mut rest = path;
    std::iter::from_fn(move || {
        rest = rest.strip_prefix('.').unwrap_or(rest);
        if rest.is_empty() {
            return None;
        }
        let (segment, after) = match rest.strip_prefix('[') {
            Some(inner) => inner.split_once(']').unwrap_or((inner, "")),
            None => rest.split_at(rest.find(['.', '[']).unwrap_or(rest.len())),
        };
        rest = after;
        Some(segment)
    })
}

/// The path of `field` inside `parent`. Names that are not plain words stand in brackets.
pub(crate) fn child_path(parent: &str, field: &str) -> String {
    let plain = field
        .bytes()
        .all(|b| b.is_ascii_alphanumeric() || b == b'_' || b == b'-');
    match (parent.is_empty(), plain) {
        (true, true) => field.to_owned(),
        (false, true) => format!("{parent}.{field}"),
        (_, false) => format!("{parent}[{field}]"),
    }
}

/// The path of the list item `index` inside `parent`.
pub(crate) fn item_path(parent: &str, index: usize) -> String {
    format!("{parent}[{index}]")
}
