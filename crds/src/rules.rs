//! Building blocks of the schema that several sections share: CEL rules and annotations.

use std::fmt::Display;

use schemars::{Schema, SchemaGenerator, json_schema};
use serde_json::{Value, json};

/// A CEL rule over the value that it is attached to, with the message a person reads.
///
/// The message says what is asked for, not what was found: the path and the value stand beside it.
pub(crate) fn invalid(rule: &str, message: impl Display) -> Value {
    json!({"rule": rule, "message": message.to_string(), "reason": "FieldValueInvalid"})
}

/// As [`invalid`], reported at `field`, a path relative to the value such as `.jwt`.
pub(crate) fn invalid_at(field: &str, rule: &str, message: impl Display) -> Value {
    json!({
        "rule": rule, "message": message.to_string(),
        "reason": "FieldValueInvalid", "fieldPath": field,
    })
}

/// A rule broken by a value that would be fine in another combination.
pub(crate) fn forbidden_at(field: &str, rule: &str, message: impl Display) -> Value {
    json!({
        "rule": rule, "message": message.to_string(),
        "reason": "FieldValueForbidden", "fieldPath": field,
    })
}

/// A rule broken by a value that is absent.
pub(crate) fn required_at(field: &str, rule: &str, message: impl Display) -> Value {
    json!({
        "rule": rule, "message": message.to_string(),
        "reason": "FieldValueRequired", "fieldPath": field,
    })
}

/// A transition rule: the value stays what it was at creation.
pub(crate) fn immutable(name: &str) -> Value {
    json!({
        "rule": "self == oldSelf",
        "message": format!("{name} is immutable: make a new channel to change it"),
        "reason": "FieldValueForbidden",
    })
}

/// Schema of an annotations map that is passed on to a child object.
pub(crate) fn annotations(_: &mut SchemaGenerator) -> Schema {
    json_schema!({
        "type": "object",
        "maxProperties": 64,
        "additionalProperties": {"type": "string", "maxLength": 8192},
    })
}
