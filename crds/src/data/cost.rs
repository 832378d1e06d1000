//! How much a schema does for each value, and whether that is bounded at all.

use std::collections::HashMap;

use serde_json::Value;

use super::schema::{BUDGET, DRAFT, SCHEMA_BYTES, SCHEMA_DEPTH, SchemaFault};

/// Keywords whose value is a schema.
const ONE: &[&str] = &[
    "items",
    "additionalProperties",
    "propertyNames",
    "contains",
    "not",
    "if",
    "then",
    "else",
    "unevaluatedItems",
    "unevaluatedProperties",
    "contentSchema",
];

/// Keywords whose value is a list of schemas.
const LIST: &[&str] = &["allOf", "anyOf", "oneOf", "prefixItems"];

/// Keywords whose value has schemas under names.
const NAMED: &[&str] = &["properties", "patternProperties", "dependentSchemas"];

/// Keywords that have schemas only for others to refer to.
const APART: &[&str] = &["$defs", "definitions"];

/// Keywords that make the meaning of a schema depend on more than its text, or on the way by which it was reached.
const REFUSED: &[&str] = &[
    "$dynamicRef",
    "$recursiveRef",
    "$vocabulary",
    "dependencies",
];

/// What a regular expression costs beside a comparison.
const PATTERN: usize = 16;

/// Most that a schema may cost: data of some hundred values must be left to be checked.
const MOST: usize = BUDGET / 256;

/// The cost of `schema`: one for each subschema that may be asked about one value, those that are referred to included.
///
/// # Errors
/// What is wrong with it, where checking against it can't be bounded.
pub(super) fn of(schema: &Value) -> Result<usize, SchemaFault> {
    let bytes = schema.to_string().len();
    if bytes > SCHEMA_BYTES {
        return Err(fault(
            "",
            format!("{bytes} bytes: at most {SCHEMA_BYTES} are allowed"),
        ));
    }
    if depth(schema) > SCHEMA_DEPTH {
        return Err(fault(
            "",
            format!("nested deeper than {SCHEMA_DEPTH} levels"),
        ));
    }
    let mut walk = Walk {
        root: schema,
        anchors: HashMap::new(),
        known: HashMap::new(),
        within: Vec::new(),
    };
    walk.find_anchors(schema, "")?;
    let cost = walk.cost(schema, "")?;
    match cost <= MOST {
        true => Ok(cost),
        false => Err(fault(
            "",
            format!(
                "with everything that it refers to it has {cost} parts: more than {MOST} take too long for each message"
            ),
        )),
    }
}

struct Walk<'a> {
    root: &'a Value,
    anchors: HashMap<&'a str, &'a Value>,
    /// Costs that are known, by the place of the schema in memory.
    known: HashMap<*const Value, usize>,
    /// The schemas on the way to here.
    within: Vec<*const Value>,
}

impl<'a> Walk<'a> {
    fn find_anchors(&mut self, schema: &'a Value, pointer: &str) -> Result<(), SchemaFault> {
        for keyword in ["$anchor", "$dynamicAnchor"] {
            if let Some(name) = schema.get(keyword).and_then(Value::as_str) {
                self.anchors.insert(name, schema);
            }
        }
        for (place, below) in subschemas(schema, true) {
            self.find_anchors(below, &format!("{pointer}{place}"))?;
        }
        check_keywords(schema, pointer)
    }

    fn cost(&mut self, schema: &'a Value, pointer: &str) -> Result<usize, SchemaFault> {
        let place = std::ptr::from_ref(schema);
        if let Some(cost) = self.known.get(&place) {
            return Ok(*cost);
        }
        if self.within.contains(&place) {
            let message = "it refers to itself: nothing then bounds what checking one message takes. Spell out as many \
                           levels as there may be";
            return Err(fault(pointer, message));
        }
        check_keywords(schema, pointer)?;
        self.within.push(place);
        let mut cost = own_cost(schema);
        for (keyword, below) in subschemas(schema, false) {
            let below = self.cost(below, &format!("{pointer}{keyword}"))?;
            cost = cost.saturating_add(below);
        }
        if let Some(reference) = schema.get("$ref") {
            let pointer = format!("{pointer}/$ref");
            let target = self.resolve(reference, &pointer)?;
            cost = cost.saturating_add(self.cost(target, &pointer)?);
        }
        self.within.pop();
        self.known.insert(place, cost);
        Ok(cost)
    }

    fn resolve(&self, reference: &Value, pointer: &str) -> Result<&'a Value, SchemaFault> {
        let Some(name) = reference.as_str().and_then(|text| text.strip_prefix('#')) else {
            let message = format!(
                "{reference}: only references into this schema are allowed, such as \"#/$defs/name\""
            );
            return Err(fault(pointer, message));
        };
        let found = match name.is_empty() || name.starts_with('/') {
            true if name.contains('%') => None, // the library decodes it; nobody needs to write it
            true => self.root.pointer(name),
            false => self.anchors.get(name).copied(),
        };
        found.ok_or_else(|| {
            fault(
                pointer,
                format!("{reference}: there is no such schema here"),
            )
        })
    }
}

fn check_keywords(schema: &Value, pointer: &str) -> Result<(), SchemaFault> {
    for keyword in REFUSED {
        if schema.get(keyword).is_some() {
            return Err(fault(&format!("{pointer}/{keyword}"), "not supported here"));
        }
    }
    if schema.get("$id").is_some() {
        let message = "not supported here: references are within this schema, so it needs no name";
        return Err(fault(&format!("{pointer}/$id"), message));
    }
    match schema.get("$schema").map(|draft| draft.as_str()) {
        None => Ok(()),
        Some(Some(draft)) if draft.trim_end_matches('#') == DRAFT => Ok(()),
        Some(_) => Err(fault(
            &format!("{pointer}/$schema"),
            format!("only {DRAFT} is supported"),
        )),
    }
}

/// The cost of what a schema says itself.
fn own_cost(schema: &Value) -> usize {
    let list = |keyword| {
        let items = schema.get(keyword).and_then(Value::as_array);
        items.map_or(0, |items| items.len() / 4)
    };
    let patterns = schema
        .get("patternProperties")
        .and_then(Value::as_object)
        .map_or(0, serde_json::Map::len)
        + usize::from(schema.get("pattern").is_some());
    1 + list("enum") + list("required") + PATTERN * patterns
}

/// The schemas directly within one, each with its pointer; `apart`: also those that are only there to be referred to.
fn subschemas(schema: &Value, apart: bool) -> Vec<(String, &Value)> {
    let Some(keywords) = schema.as_object() else {
        return Vec::new();
    };
    let mut found = Vec::new();
    for (keyword, value) in keywords {
        let is = |of: &[&str]| of.contains(&keyword.as_str());
        if is(ONE) {
            found.push((format!("/{keyword}"), value));
        } else if is(LIST) {
            let items = value.as_array().into_iter().flatten().enumerate();
            found.extend(items.map(|(i, item)| (format!("/{keyword}/{i}"), item)));
        } else if is(NAMED) || apart && is(APART) {
            let named = value.as_object().into_iter().flatten();
            found.extend(named.map(|(name, item)| {
                let name = name.replace('~', "~0").replace('/', "~1");
                (format!("/{keyword}/{name}"), item)
            }));
        }
    }
    found
}

fn depth(value: &Value) -> usize {
    let below = match value {
        Value::Array(items) => items.iter().map(depth).max(),
        Value::Object(members) => members.values().map(depth).max(),
        _ => None,
    };
    1 + below.unwrap_or(0)
}

fn fault(pointer: &str, message: impl Into<String>) -> SchemaFault {
    SchemaFault {
        pointer: pointer.to_owned(),
        message: message.into(),
    }
}
