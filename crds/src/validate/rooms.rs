//! What neither the schema nor CEL can say about `spec.rooms`.

use super::problem::Problem;
use crate::RealtimeChannelSpec;
use crate::data::DataSchema;

/// The template that stands for the user's id in a `match`.
pub const USER_ID: &str = "{user_id}";

/// The problems of every rule's `match` and `schema`.
#[must_use]
pub fn problems(spec: &RealtimeChannelSpec) -> Vec<Problem> {
    let faults = |(i, pattern): (usize, &str)| {
        let path = format!("spec.rooms[{i}].match");
        pattern_faults(pattern)
            .into_iter()
            .map(move |message| Problem::new(path.clone(), message))
            .collect::<Vec<_>>()
    };
    let patterns = spec.rooms.iter().map(|rule| rule.pattern.as_str());
    let mut problems: Vec<Problem> = patterns.enumerate().flat_map(faults).collect();
    for (i, rule) in spec.rooms.iter().enumerate() {
        if let Some(schema) = &rule.schema
            && let Err(fault) = DataSchema::compile(&schema.0)
        {
            let path = format!("spec.rooms[{i}].schema");
            problems.push(Problem::new(path, fault.to_string()));
        }
    }
    problems
}

/// What is wrong with a pattern: `*` is any run of characters, `{user_id}` the only template, and
/// everything else stands for itself.
#[must_use]
pub fn pattern_faults(pattern: &str) -> Vec<String> {
    let mut faults = Vec::new();
    let mut rest = pattern;
    while let Some(at) = rest.find(['{', '}']) {
        let inner = &rest[at..];
        if let Some(after) = inner.strip_prefix(USER_ID) {
            rest = after;
        } else if let Some(after) = inner.strip_prefix('}') {
            faults.push(format!("{pattern:?}: '}}' without '{{' before it"));
            rest = after;
        } else if let Some(end) = inner.find('}') {
            let template = &inner[..=end];
            faults.push(format!(
                "unknown template {template}: only {USER_ID} is known"
            ));
            rest = &inner[end + 1..];
        } else {
            faults.push(format!("{pattern:?}: '{{' without '}}' behind it"));
            break;
        }
    }
    if pattern.chars().any(char::is_control) {
        faults.push(format!(
            "{pattern:?}: names of rooms hold no control characters"
        ));
    }
    faults
}
