//! The manifest as the operator hands it to its gateways.
//!
//! It holds only what gateways read, in one form, so that a change of anything else is no change of the file. Its hash
//! is of its text: a gateway of another version, which knows other fields, comes to the same one.

use linnet_crds::RealtimeChannel;
use linnet_crds::channel::{API_VERSION, KIND};
use serde_json::{Map, Value, json};

use super::projection;

/// Name of the file.
pub const FILE: &str = "channel.yaml";

/// The text of the file for `channel`: JSON, which is YAML as well, a field a line, so that problems have places.
#[must_use]
pub fn write(channel: &RealtimeChannel) -> String {
    let metadata = &channel.metadata;
    let document = json!({
        "apiVersion": API_VERSION,
        "kind": KIND,
        "metadata": {"name": metadata.name, "namespace": metadata.namespace},
        "spec": projection::projection(&channel.spec),
    });
    format!("{:#}\n", in_order(document))
}

/// The hash that a gateway reports while it serves the configuration in `text`.
#[must_use]
pub fn hash(text: &str) -> String {
    projection::digest(text)
}

/// The same value with sorted keys, whatever order `serde_json` was built to keep, and without nulls.
fn in_order(value: Value) -> Value {
    match value {
        Value::Object(object) => {
            let mut fields: Vec<_> = object.into_iter().collect();
            fields.retain(|(_, value)| !value.is_null());
            fields.sort_by(|(a, _), (b, _)| a.cmp(b));
            let fields = fields
                .into_iter()
                .map(|(name, value)| (name, in_order(value)));
            Value::Object(fields.collect::<Map<_, _>>())
        }
        Value::Array(items) => Value::Array(items.into_iter().map(in_order).collect()),
        scalar => scalar,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channel(spec: Value) -> RealtimeChannel {
        let mut channel = RealtimeChannel::new("chat", serde_json::from_value(spec).unwrap());
        channel.metadata.namespace = Some("talk".into());
        channel
    }

    fn smallest(more: Value) -> Value {
        let mut spec = json!({"authentication": {"anonymous": "Allow"}});
        let more = more.as_object().unwrap().clone();
        spec.as_object_mut().unwrap().extend(more);
        spec
    }

    #[test]
    fn a_gateway_reads_from_it_what_the_channel_says() {
        let spec = smallest(json!({
            "broker": {"nats": {"urls": ["nats://n:4222"]}},
            "history": {"partitions": 3, "storage": "Memory"},
            "rooms": [{"match": "1e3"}, {"match": "a\u{8}\u{1}\"\n: #"}],
        }));
        let mut channel = channel(spec);
        channel.spec.rooms.pop();
        let (read, warnings) = linnet_crds::check_managed(&write(&channel)).unwrap();
        assert_eq!(warnings, []);
        assert_eq!(read.spec, channel.spec);
        assert_eq!(read.metadata.name, channel.metadata.name);
        assert_eq!(read.metadata.namespace, channel.metadata.namespace);
    }

    #[test]
    fn what_gateways_do_not_read_changes_nothing() {
        let plain = write(&channel(smallest(json!({"history": {}}))));
        for same in [
            json!({"history": {}, "replicas": 7, "service": {"type": "NodePort"}}),
            json!({"history": {"replicas": 3, "deletionPolicy": "Delete"}}),
            json!({"history": {}, "gateway": {"image": "a"}, "networkPolicy": {"mode": "None"}}),
            json!({"history": {}, "expose": {"hosts": ["a.example"], "ingress": {}}}),
            json!({"history": {}, "limits": {"messagesPerSecond": 20}}),
        ] {
            assert_eq!(write(&channel(smallest(same.clone()))), plain, "{same}");
        }
        let other = write(&channel(smallest(json!({"console": "Enabled"}))));
        assert_ne!(hash(&other), hash(&plain));
        assert_eq!(hash(&plain).len(), 16);
    }
}
