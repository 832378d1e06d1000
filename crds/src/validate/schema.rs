//! The structural schema, read once into a form that the walk can follow.

use std::collections::BTreeMap;

use kube_cel::{CompiledSchema, compile_schema};
use regex::Regex;
use serde_json::{Value, json};

/// One node of the schema.
#[derive(Debug)]
pub(crate) struct Schema {
    pub kind: Kind,
    pub default: Option<Value>,
    pub rules: Vec<Rule>,
}

#[derive(Debug)]
pub(crate) enum Kind {
    /// Fields by name; others are unknown.
    Object {
        properties: BTreeMap<String, Schema>,
        required: Vec<String>,
    },
    /// Any keys, values of one schema.
    Map {
        values: Box<Schema>,
        max: Option<usize>,
    },
    List(List),
    Text(Text),
    Integer {
        min: Option<i64>,
        max: Option<i64>,
    },
    /// A whole number or a text.
    IntegerOrText(Text),
    Boolean,
    /// No schema: kept as it is. True: must be an object.
    Free {
        object: bool,
    },
}

#[derive(Debug)]
pub(crate) struct List {
    pub items: Box<Schema>,
    pub min: Option<usize>,
    pub max: Option<usize>,
    pub unique: Unique,
}

/// What makes two items of a list the same.
#[derive(Debug)]
pub(crate) enum Unique {
    /// Nothing: they may repeat.
    No,
    /// Their value.
    Whole,
    /// The values of these fields.
    Fields(Vec<String>),
}

#[derive(Debug)]
pub(crate) struct Text {
    pub allowed: Option<Vec<String>>,
    pub pattern: Option<Regex>,
    pub min: Option<usize>,
    pub max: Option<usize>,
}

/// A CEL rule, compiled with the schema of the value that it is about.
#[derive(Debug)]
pub(crate) struct Rule {
    pub source: String,
    pub message: String,
    /// Relative path that a violation is reported at.
    pub field_path: Option<String>,
    pub program: CompiledSchema,
}

impl Rule {
    /// Does the rule read `what`, such as `self.limits.messageSize`, or something that holds it?
    /// `self.` alone is the whole value.
    pub fn reads(&self, what: &str) -> bool {
        what == "self." || self.source.contains(what)
    }
}

impl Schema {
    /// Reads a structural schema as the CRD generator writes it.
    ///
    /// # Panics
    /// Where a pattern is no regular expression; the schema is this crate's own and every test
    /// reads all of it.
    pub fn read(schema: &Value) -> Self {
        Self {
            kind: kind(schema),
            default: schema.get("default").cloned(),
            rules: rules(schema),
        }
    }

    /// A default of this node with the defaults of what is inside it, as the API server fills it.
    pub fn filled(&self, mut value: Value) -> Value {
        if let (Kind::Object { properties, .. }, Value::Object(object)) = (&self.kind, &mut value) {
            for (name, property) in properties {
                let inner = object.remove(name).or_else(|| property.default.clone());
                if let Some(inner) = inner {
                    object.insert(name.clone(), property.filled(inner));
                }
            }
        }
        value
    }
}

fn kind(schema: &Value) -> Kind {
    let flag = |name: &str| schema.get(name) == Some(&Value::Bool(true));
    if flag("x-kubernetes-int-or-string") {
        return Kind::IntegerOrText(text(schema));
    }
    match schema.get("type").and_then(Value::as_str) {
        Some("object") => {
            if flag("x-kubernetes-preserve-unknown-fields") {
                return Kind::Free { object: true };
            }
            if let Some(values @ Value::Object(_)) = schema.get("additionalProperties") {
                return Kind::Map {
                    values: Box::new(Schema::read(values)),
                    max: size(schema, "maxProperties"),
                };
            }
            match schema.get("properties").and_then(Value::as_object) {
                None => Kind::Free { object: true },
                Some(properties) => Kind::Object {
                    properties: properties
                        .iter()
                        .map(|(name, property)| (name.clone(), Schema::read(property)))
                        .collect(),
                    required: strings(schema.get("required")).unwrap_or_default(),
                },
            }
        }
        Some("array") => Kind::List(List {
            items: Box::new(Schema::read(schema.get("items").unwrap_or(&Value::Null))),
            min: size(schema, "minItems"),
            max: size(schema, "maxItems"),
            unique: match schema.get("x-kubernetes-list-type").and_then(Value::as_str) {
                Some("set") => Unique::Whole,
                Some("map") => Unique::Fields(
                    strings(schema.get("x-kubernetes-list-map-keys")).unwrap_or_default(),
                ),
                _ => Unique::No,
            },
        }),
        Some("string") => Kind::Text(text(schema)),
        Some("integer") => Kind::Integer {
            min: bound(schema, "minimum"),
            max: bound(schema, "maximum"),
        },
        Some("boolean") => Kind::Boolean,
        _ => Kind::Free { object: false },
    }
}

fn text(schema: &Value) -> Text {
    Text {
        allowed: strings(schema.get("enum")),
        pattern: schema
            .get("pattern")
            .and_then(Value::as_str)
            .map(|p| Regex::new(p).expect("patterns of the schema are regular expressions")),
        min: size(schema, "minLength"),
        max: size(schema, "maxLength"),
    }
}

fn strings(value: Option<&Value>) -> Option<Vec<String>> {
    let items = value?.as_array()?;
    Some(
        items
            .iter()
            .filter_map(Value::as_str)
            .map(str::to_owned)
            .collect(),
    )
}

fn size(schema: &Value, key: &str) -> Option<usize> {
    schema.get(key)?.as_u64()?.try_into().ok()
}

/// Bounds of integers are floating point in the API's types; ours are whole and far below 2^53.
#[expect(clippy::cast_possible_truncation, reason = "see above")]
fn bound(schema: &Value, key: &str) -> Option<i64> {
    schema.get(key)?.as_f64().map(|f| f as i64)
}

fn rules(schema: &Value) -> Vec<Rule> {
    let Some(rules) = schema
        .get("x-kubernetes-validations")
        .and_then(Value::as_array)
    else {
        return Vec::new();
    };
    let mut bare = schema.clone();
    strip_rules(&mut bare);
    rules
        .iter()
        .map(|rule| {
            let field = |name: &str| rule.get(name).and_then(Value::as_str).map(str::to_owned);
            bare["x-kubernetes-validations"] = json!([rule]);
            Rule {
                source: field("rule").unwrap_or_default(),
                message: field("message").unwrap_or_default(),
                field_path: field("fieldPath"),
                program: compile_schema(&bare),
            }
        })
        .collect()
}

/// Every node's rules run at that node only, so that their problems come with a place.
fn strip_rules(schema: &mut Value) {
    match schema {
        Value::Object(object) => {
            object.remove("x-kubernetes-validations");
            object.values_mut().for_each(strip_rules);
        }
        Value::Array(items) => items.iter_mut().for_each(strip_rules),
        _ => {}
    }
}
