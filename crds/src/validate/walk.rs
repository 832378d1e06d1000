//! The walk of a document along the schema: every problem with its place, and the value as the API
//! server would store it, defaults filled in.

use std::collections::{BTreeMap, HashSet};

use kube_cel::Validator;
use serde_json::{Map, Value};

use super::problem::{Position, Problem};
use super::scalar::Meaning;
use super::schema::{Kind, List, Rule, Schema, Text, Unique};
use super::text::nearest;
use super::tree::{Content, Key, Node, Scalar, child_path, item_path};

/// What the walk found.
pub(crate) struct Walk {
    pub value: Value,
    pub problems: Vec<Problem>,
    /// Fields that the schema does not know. They are not in `value`.
    pub unknown: Vec<Problem>,
}

/// Follows `schema` through the document.
pub(crate) fn walk(schema: &Schema, root: &Node) -> Walk {
    let mut walker = Walker {
        validator: Validator::new(),
        root,
        problems: Vec::new(),
        unknown: Vec::new(),
        suspects: Vec::new(),
    };
    let value = walker.node(schema, root, "").unwrap_or(Value::Null);
    Walk {
        value,
        problems: walker.problems,
        unknown: walker.unknown,
    }
}

struct Walker<'a> {
    validator: Validator,
    root: &'a Node,
    problems: Vec<Problem>,
    unknown: Vec<Problem>,
    /// Paths of fields whose value is not what was meant: wrong, or under a misspelt name.
    suspects: Vec<String>,
}

impl Walker<'_> {
    /// The value of `node`, or `None` where it is so wrong that rules about it would mislead.
    fn node(&mut self, schema: &Schema, node: &Node, path: &str) -> Option<Value> {
        let before = self.suspects.len();
        let value = match (&schema.kind, &node.content) {
            (
                Kind::Object {
                    properties,
                    required,
                },
                Content::Map(entries),
            ) => Some(self.object(properties, required, (entries, node.position), path)),
            (Kind::Map { values, max }, Content::Map(entries)) => {
                if max.is_some_and(|max| entries.len() > max) {
                    let max = max.unwrap_or_default();
                    self.report(
                        path,
                        node.position,
                        format!("{} entries: at most {max} are allowed", entries.len()),
                    );
                }
                Some(self.map(values, entries, path))
            }
            (Kind::List(list), Content::List(items)) => {
                Some(self.list(list, items, node.position, path))
            }
            (Kind::Text(text), Content::Scalar(scalar)) => {
                self.text(text, scalar, node.position, path)
            }
            (Kind::Integer { min, max }, Content::Scalar(scalar)) => {
                self.integer((*min, *max), scalar, node.position, path)
            }
            (Kind::IntegerOrText(text), Content::Scalar(scalar)) => {
                self.integer_or_text(text, scalar, node.position, path)
            }
            (Kind::Boolean, Content::Scalar(scalar)) => match scalar.meaning() {
                Meaning::Boolean(b) => Some(Value::Bool(b)),
                _ => self.expected("true or false", node, path),
            },
            (Kind::Free { object: true }, Content::Scalar(_) | Content::List(_)) => {
                self.expected("an object", node, path)
            }
            (Kind::Free { .. }, _) => Some(free(node)),
            (Kind::Object { .. } | Kind::Map { .. }, _) => self.expected("an object", node, path),
            (Kind::List(_), _) => self.expected("a list", node, path),
            (Kind::Text(text), _) => self.expected(&text.described(), node, path),
            (Kind::Integer { .. }, _) => self.expected("a whole number", node, path),
            (Kind::IntegerOrText(text), _) => self.expected(&text.described(), node, path),
            (Kind::Boolean, _) => self.expected("true or false", node, path),
        };
        let value = value?;
        self.rules(schema, node, &value, path, before);
        Some(value)
    }

    fn object(
        &mut self,
        properties: &BTreeMap<String, Schema>,
        required: &[String],
        (entries, position): (&[(Key, Node)], Position),
        path: &str,
    ) -> Value {
        let mut object = Map::new();
        let mut given = HashSet::new();
        for (key, child) in entries {
            let child_path = child_path(path, &key.name);
            match properties.get(&key.name) {
                // Null is an absent field to the API server, where nothing is nullable.
                Some(_) if child.is_null() => {}
                Some(schema) => {
                    given.insert(key.name.as_str());
                    if let Some(value) = self.node(schema, child, &child_path) {
                        object.insert(key.name.clone(), value);
                    }
                }
                None => {
                    let names = || properties.keys().map(String::as_str);
                    let known = nearest(&key.name, names());
                    given.extend(known);
                    self.suspects
                        .extend(known.map(|known| self::child_path(path, known)));
                    let message = match known {
                        Some(known) => format!("unknown field, did you mean {known}?"),
                        None => format!(
                            "unknown field, expected one of {}",
                            names().collect::<Vec<_>>().join(", ")
                        ),
                    };
                    self.unknown
                        .push(Problem::new(child_path, message).at(key.position));
                }
            }
        }
        for name in required {
            if !given.contains(name.as_str()) {
                self.report(&child_path(path, name), position, "required".into());
            }
        }
        for (name, schema) in properties {
            if let Some(default) = &schema.default
                && !object.contains_key(name)
            {
                object.insert(name.clone(), schema.filled(default.clone()));
            }
        }
        Value::Object(object)
    }

    fn map(&mut self, values: &Schema, entries: &[(Key, Node)], path: &str) -> Value {
        let mut map = Map::new();
        for (key, child) in entries {
            if let Some(value) = self.node(values, child, &child_path(path, &key.name)) {
                map.insert(key.name.clone(), value);
            }
        }
        Value::Object(map)
    }

    fn list(&mut self, list: &List, items: &[Node], position: Position, path: &str) -> Value {
        if let Some(max) = list.max.filter(|max| items.len() > *max) {
            let message = format!("{} items: at most {max} are allowed", items.len());
            self.report(path, position, message);
        }
        if let Some(min) = list.min.filter(|min| items.len() < *min) {
            let message = format!("{} items: at least {min} must be given", items.len());
            self.report(path, position, message);
        }
        let mut seen = HashSet::new();
        let mut values = Vec::with_capacity(items.len());
        for (index, item) in items.iter().enumerate() {
            let path = item_path(path, index);
            let Some(value) = self.node(&list.items, item, &path) else {
                // Keeps the indices of the items behind it.
                values.push(Value::Null);
                continue;
            };
            let identity = match &list.unique {
                Unique::No => None,
                Unique::Whole => Some(value.to_string()),
                Unique::Fields(names) => {
                    let fields: Vec<_> = names.iter().map(|name| value.get(name)).collect();
                    Some(format!("{fields:?}"))
                }
            };
            if identity.is_some_and(|identity| !seen.insert(identity)) {
                let message = match &list.unique {
                    Unique::Fields(names) => {
                        format!("an earlier item has the same {}", names.join(" and "))
                    }
                    _ => "given twice".into(),
                };
                self.report(&path, item.position, message);
            }
            values.push(value);
        }
        Value::Array(values)
    }

    fn text(
        &mut self,
        text: &Text,
        scalar: &Scalar,
        position: Position,
        path: &str,
    ) -> Option<Value> {
        if scalar.meaning() != Meaning::Text {
            let found = match scalar.meaning() {
                Meaning::Boolean(_) => "a boolean",
                _ => "a number",
            };
            // Naming the alternatives helps more than quotes would.
            let message = if text.allowed.is_some() {
                format!("{}: expected {}", scalar.shown(), text.described())
            } else {
                format!(
                    "{} is {found}: put it in quotes to make it text",
                    scalar.text
                )
            };
            self.report(path, position, message);
            return None;
        }
        if let Some(message) = text.fault(scalar) {
            self.report(path, position, message);
            if text.allowed.is_some() {
                return None;
            }
        }
        Some(Value::String(scalar.text.clone()))
    }

    fn integer(
        &mut self,
        (min, max): (Option<i64>, Option<i64>),
        scalar: &Scalar,
        position: Position,
        path: &str,
    ) -> Option<Value> {
        let Meaning::Integer(number) = scalar.meaning() else {
            let octal = scalar.meaning() == Meaning::Number && scalar.text.starts_with('0');
            let message = format!(
                "{}: expected a whole number{}",
                scalar.shown(),
                if octal { " without leading zeros" } else { "" },
            );
            self.report(path, position, message);
            return None;
        };
        if min.is_some_and(|min| number < min) || max.is_some_and(|max| number > max) {
            let bounds = match (min, max) {
                (Some(min), Some(max)) => format!("from {min} to {max}"),
                (Some(min), None) => format!("at least {min}"),
                (None, max) => format!("at most {}", max.unwrap_or(i64::MAX)),
            };
            self.report(path, position, format!("{number}: must be {bounds}"));
            return None;
        }
        Some(Value::from(number))
    }

    fn integer_or_text(
        &mut self,
        text: &Text,
        scalar: &Scalar,
        position: Position,
        path: &str,
    ) -> Option<Value> {
        match scalar.meaning() {
            Meaning::Integer(number) => return Some(Value::from(number)),
            Meaning::Text => match text.fault(scalar) {
                None => return Some(Value::String(scalar.text.clone())),
                Some(message) => self.report(path, position, message),
            },
            Meaning::Number => {
                let message = format!(
                    "{}: a number that is not whole must stand in quotes",
                    scalar.text
                );
                self.report(path, position, message);
            }
            Meaning::Boolean(_) => {
                let message = format!("{}: expected {}", scalar.shown(), text.described());
                self.report(path, position, message);
            }
        }
        None
    }

    /// The node's own CEL rules. A rule that reads something suspect below the node is skipped: it
    /// would judge a value that nobody meant.
    fn rules(&mut self, schema: &Schema, node: &Node, value: &Value, path: &str, before: usize) {
        let read: Vec<String> = self.suspects[before..]
            .iter()
            .map(|suspect| {
                let inside = suspect.strip_prefix(path).unwrap_or(suspect);
                let field = inside.split('[').next().unwrap_or(inside);
                format!("self.{}", field.trim_start_matches('.'))
            })
            .collect();
        for rule in &schema.rules {
            if read.iter().any(|read| rule.reads(read)) || holds(&self.validator, rule, value) {
                continue;
            }
            let path = match &rule.field_path {
                Some(field) => format!("{path}{field}").trim_start_matches('.').to_owned(),
                None => path.to_owned(),
            };
            let message = match &node.content {
                Content::Scalar(scalar) => format!("{}: {}", scalar.shown(), rule.message),
                _ => rule.message.clone(),
            };
            let position = self.root.locate(&path);
            self.report(&path, position, message);
        }
    }

    fn expected(&mut self, what: &str, node: &Node, path: &str) -> Option<Value> {
        let found = match &node.content {
            Content::Map(_) => "an object".into(),
            Content::List(_) => "a list".into(),
            Content::Scalar(_) if node.is_null() => "nothing".into(),
            Content::Scalar(scalar) => scalar.shown(),
        };
        self.report(
            path,
            node.position,
            format!("expected {what}, found {found}"),
        );
        None
    }

    fn report(&mut self, path: &str, position: Position, message: String) {
        self.suspects.push(path.to_owned());
        self.problems.push(Problem::new(path, message).at(position));
    }
}

/// Transition rules hold: there is no older value.
fn holds(validator: &Validator, rule: &Rule, value: &Value) -> bool {
    validator
        .validate_compiled(&rule.program, value, None)
        .is_ok()
}

/// A value without a schema.
fn free(node: &Node) -> Value {
    match &node.content {
        Content::Scalar(_) if node.is_null() => Value::Null,
        Content::Scalar(scalar) => scalar.to_json(),
        Content::List(items) => items.iter().map(free).collect(),
        Content::Map(entries) => entries
            .iter()
            .map(|(key, value)| (key.name.clone(), free(value)))
            .collect(),
    }
}
