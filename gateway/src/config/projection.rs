//! What a gateway reads of a spec, and a hash of it.

use std::fmt::Write;

use linnet_crds::RealtimeChannelSpec;
use serde_json::Value;
use sha2::{Digest, Sha256};

/// Fields that only the operator acts on: a change of them is no change for a gateway.
const OPERATORS: &[&[&str]] = &[
    &["replicas"],
    &["autoscaling"],
    &["gateway"],
    &["rollout", "maxSurge"],
    &["rollout", "rebalance"],
    &["service"],
    &["expose", "hosts"],
    &["expose", "ingress"],
    &["expose", "httpRoute"],
    &["networkPolicy"],
    &["history", "replicas"],
    &["history", "deletionPolicy"],
    &["workers", "partitions"],
];

/// Fields that gateways read once and that never change after.
const IMMUTABLE: &[&[&str]] = &[&["history", "storage"], &["history", "partitions"]];

/// 64 bits of SHA-256, in hex: enough to tell the configurations of one channel apart, and short
/// enough to compare by eye.
pub(super) fn hash(spec: &RealtimeChannelSpec) -> String {
    let mut text = String::new();
    let mut value = projection(spec);
    remove(IMMUTABLE, &mut value);
    canonical(&value, &mut text);
    digest(&text)
}

/// The first 64 bits of the text's SHA-256, in hex.
pub(super) fn digest(text: &str) -> String {
    let mut hash = String::with_capacity(16);
    for byte in &Sha256::digest(text)[..8] {
        // Writing to a string can't fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

/// The spec with all defaults written out, without what gateways don't read.
pub(super) fn projection(spec: &RealtimeChannelSpec) -> Value {
    // A spec has string keys and finite numbers only, so it has a JSON form.
    let mut value = serde_json::to_value(spec).unwrap_or_default();
    remove(OPERATORS, &mut value);
    value
}

fn remove(fields: &[&[&str]], value: &mut Value) {
    for path in fields {
        if let [parents @ .., field] = path {
            let section = parents
                .iter()
                .try_fold(&mut *value, |section, name| section.get_mut(name));
            if let Some(Value::Object(section)) = section {
                section.remove(*field);
            }
        }
    }
}

/// JSON with sorted keys and no spaces, whatever order `serde_json` was built to keep.
fn canonical(value: &Value, out: &mut String) {
    match value {
        Value::Object(object) => {
            let mut fields: Vec<_> = object.iter().collect();
            fields.sort_by_key(|(name, _)| *name);
            sequence('{', '}', fields, out, |(name, value), out| {
                let _ = write!(out, "{}:", Value::String(name.clone()));
                canonical(value, out);
            });
        }
        Value::Array(items) => sequence('[', ']', items, out, canonical),
        scalar => {
            let _ = write!(out, "{scalar}");
        }
    }
}

fn sequence<T>(
    open: char,
    close: char,
    items: impl IntoIterator<Item = T>,
    out: &mut String,
    mut write: impl FnMut(T, &mut String),
) {
    out.push(open);
    for (index, item) in items.into_iter().enumerate() {
        if index > 0 {
            out.push(',');
        }
        write(item, out);
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec(value: Value) -> RealtimeChannelSpec {
        serde_json::from_value(value).unwrap()
    }

    #[test]
    fn what_the_operator_acts_on_is_no_part_of_it() {
        let plain = hash(&spec(json!({"history": {}})));
        for same in [
            json!({"replicas": 5}),
            json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 9, "targetConnections": 10}}),
            json!({"rollout": {"maxSurge": 1, "rebalance": "Paced"}}),
            json!({"expose": {"hosts": ["a.example"]}}),
            json!({"history": {"replicas": 3, "storage": "Memory"}}),
        ] {
            let mut value = json!({"history": {}});
            let fields = same.as_object().unwrap().clone();
            value.as_object_mut().unwrap().extend(fields);
            assert_eq!(hash(&spec(value)), plain, "{same}");
        }
    }

    #[test]
    fn what_a_gateway_reads_is() {
        let plain = hash(&spec(json!({})));
        for other in [
            json!({"rooms": [{"match": "a"}]}),
            json!({"limits": {"messagesPerSecond": 21}}),
            json!({"rollout": {"drainSeconds": 1}}),
            json!({"expose": {"path": "/a"}}),
            json!({"telemetry": {"logLevel": "debug"}}),
            json!({"console": "Enabled"}),
            json!({"history": {}}),
            json!({"heartbeat": {"timeoutSeconds": 1}}),
            json!({"authentication": {"anonymous": "Allow"}}),
        ] {
            assert_ne!(hash(&spec(other.clone())), plain, "{other}");
        }
    }

    #[test]
    fn a_default_that_is_written_out_changes_nothing() {
        let written = spec(json!({"limits": {"messagesPerSecond": 20}, "console": "Disabled"}));
        assert_eq!(hash(&written), hash(&spec(json!({}))));
        assert_eq!(hash(&written).len(), 16);
    }

    #[test]
    fn canonical_text_is_sorted_and_escaped() {
        let mut text = String::new();
        let value = json!({"b": [1, true, null, "x\"y"], "a": {"d": 0.5, "c": {}}, "": []});
        canonical(&value, &mut text);
        assert_eq!(
            text,
            r#"{"":[],"a":{"c":{},"d":0.5},"b":[1,true,null,"x\"y"]}"#
        );
    }
}
