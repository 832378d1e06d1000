//! Manifests, built from the smallest one that is valid.

use serde_json::{Map, Value, json};

const SMALLEST: &str = "\
apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata:
  name: tests
spec:
  authentication:
    anonymous: Allow
";

/// A RealtimeChannel manifest.
#[derive(Debug, Clone)]
pub struct Manifest(Value);

impl Manifest {
    /// The smallest valid manifest: anyone may connect, everything else is the schema's default.
    #[must_use]
    pub fn open() -> Self {
        Self(serde_norway::from_str(SMALLEST).unwrap())
    }

    /// [`Self::open`] with rates that no test reaches by accident.
    #[must_use]
    pub fn unhurried() -> Self {
        Self::open().limits(json!({
            "messagesPerSecond": 100_000,
            "messageBurst": 100_000,
            "connectsPerSecond": 100_000,
        }))
    }

    /// Merges `part` into `spec`: objects are merged key by key, everything else is replaced.
    #[must_use]
    pub fn spec(mut self, part: Value) -> Self {
        merge(&mut self.0["spec"], part);
        self
    }

    /// Merges `limits` into `spec.limits`.
    #[must_use]
    pub fn limits(self, limits: Value) -> Self {
        self.spec(json!({ "limits": limits }))
    }

    /// Keeps history, `messages` a room.
    #[must_use]
    pub fn history(self, messages: u32) -> Self {
        self.spec(json!({"history": {"maxMessagesPerRoom": messages}}))
    }

    /// Connects gateways through the NATS servers at `urls`.
    #[must_use]
    pub fn nats(self, urls: &[String]) -> Self {
        self.spec(json!({"broker": {"nats": {"urls": urls}}}))
    }

    /// Keeps `replicas` copies of the stream, or streams.
    #[must_use]
    pub fn replicas(self, replicas: u32) -> Self {
        self.spec(json!({"history": {"replicas": replicas}}))
    }

    /// Spreads rooms with history over `partitions` streams.
    #[must_use]
    pub fn partitions(self, partitions: u32) -> Self {
        self.spec(json!({"history": {"partitions": partitions}}))
    }

    /// Sends traces to `endpoint`, of so many of a million connections.
    #[must_use]
    pub fn traced(self, endpoint: &str, rate: u32) -> Self {
        let telemetry = json!({"otlpEndpoint": endpoint, "samplingRatePerMillion": rate});
        self.spec(json!({ "telemetry": telemetry }))
    }

    /// Never pings a client, so that tests may leave clients unread for as long as they like.
    #[must_use]
    pub fn without_pings(self) -> Self {
        self.spec(json!({"heartbeat": {"intervalSeconds": 3600}}))
    }

    /// Adds a room rule after those that are there.
    #[must_use]
    pub fn room(mut self, rule: Value) -> Self {
        let rooms = &mut self.0["spec"]["rooms"];
        if rooms.is_null() {
            *rooms = json!([]);
        }
        rooms.as_array_mut().unwrap().push(rule);
        self
    }

    /// Removes all room rules.
    #[must_use]
    pub fn without_rooms(mut self) -> Self {
        self.0["spec"].as_object_mut().unwrap().remove("rooms");
        self
    }

    /// The manifest as the gateway reads it.
    ///
    /// # Panics
    /// When it is not valid.
    #[must_use]
    pub fn parsed(&self) -> linnet_crds::RealtimeChannel {
        linnet_crds::parse(&self.yaml()).unwrap()
    }

    /// The manifest's text.
    #[must_use]
    pub fn yaml(&self) -> String {
        serde_norway::to_string(&self.0).unwrap()
    }
}

fn merge(into: &mut Value, part: Value) {
    match (into, part) {
        (Value::Object(into), Value::Object(part)) => {
            for (key, value) in part {
                merge(into.entry(key).or_insert(Value::Null), value);
            }
        }
        (into @ Value::Null, Value::Object(part)) => {
            *into = Value::Object(Map::new());
            merge(into, Value::Object(part));
        }
        (into, part) => *into = part,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parts_are_merged_and_rules_appended() {
        let manifest = Manifest::unhurried()
            .limits(json!({"messageSize": "1Ki"}))
            .room(json!({"match": "a"}))
            .room(json!({"match": "b"}));
        assert_eq!(manifest.0["spec"]["limits"]["messageBurst"], 100_000);
        assert_eq!(manifest.0["spec"]["limits"]["messageSize"], "1Ki");
        assert_eq!(manifest.0["spec"]["rooms"][1]["match"], "b");
    }
}
