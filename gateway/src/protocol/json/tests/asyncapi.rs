//! Which fields `docs/asyncapi.yaml` gives a frame. The whole-system tests validate in full; this holds the names.

use serde_json::Value;

const DOCUMENT: &str = include_str!("../../../../../docs/asyncapi.yaml");

/// The lines of one schema, without its own name.
fn lines(schema: &str) -> Vec<&'static str> {
    let start = format!("    {schema}:");
    let schemas = DOCUMENT.split_once("\n  schemas:\n").unwrap().1;
    let block = schemas.lines().skip_while(|line| **line != *start).skip(1);
    let block: Vec<_> = block
        .take_while(|line| line.starts_with("      ") || line.is_empty())
        .collect();
    assert!(!block.is_empty(), "no schema {schema}");
    block
}

fn required(schema: &str) -> Vec<&'static str> {
    let found = lines(schema)
        .into_iter()
        .find_map(|line| line.strip_prefix("      required: [")?.strip_suffix(']'));
    found.map_or(Vec::new(), |names| names.split(", ").collect())
}

fn properties(schema: &str) -> Vec<&'static str> {
    let lines = lines(schema)
        .into_iter()
        .skip_while(|line| *line != "      properties:")
        .skip(1);
    let lines = lines.take_while(|line| line.starts_with("        "));
    let name = |line: &'static str| {
        line.strip_prefix("        ")?
            .split_once(':')
            .map(|(name, _)| name)
    };
    lines
        .filter_map(name)
        .filter(|name| !name.starts_with(' '))
        .collect()
}

/// Fails unless the frame has all fields that the schema requires, and only such as it knows.
#[track_caller]
pub fn conforms(frame: &Value, schema: &str) {
    let fields = frame.as_object().unwrap();
    let known = properties(schema);
    for name in fields.keys() {
        assert!(
            known.contains(&name.as_str()),
            "{schema} has no `{name}`: {frame}"
        );
    }
    for name in required(schema) {
        assert!(
            fields.contains_key(name),
            "{schema} requires `{name}`: {frame}"
        );
    }
}

#[test]
fn the_document_is_read_as_it_is_written() {
    assert_eq!(required("ServerGoaway"), ["type", "within_ms"]);
    assert_eq!(properties("Member"), ["connection_id", "user_id", "info"]);
}
