//! RealtimeChannels as the tests write them, and what the API server tells of them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::time::{Instant, sleep};

use crate::kubectl::Kubectl;

/// Seconds until a channel must be Ready. Images are there, so this is far more than it takes.
pub const READY: u64 = 90;

/// Between two looks at what can only be polled.
const LOOK: Duration = Duration::from_millis(100);

/// A channel that anybody may enter, with `spec` laid over that.
#[must_use]
pub fn channel(name: &str, spec: &Value) -> Value {
    let mut open = json!({"authentication": {"anonymous": "Allow"}});
    merge(&mut open, spec);
    json!({
        "apiVersion": "realtime.linnet.dev/v1alpha1",
        "kind": "RealtimeChannel",
        "metadata": {"name": name},
        "spec": open,
    })
}

/// Lays `over` over `value` (RFC 7396, JSON Merge Patch).
pub fn merge(value: &mut Value, over: &Value) {
    let Value::Object(fields) = over else {
        *value = over.clone();
        return;
    };
    if !value.is_object() {
        *value = json!({});
    }
    for (name, field) in fields {
        if field.is_null() {
            value.as_object_mut().unwrap().remove(name);
        } else {
            merge(&mut value[name], field);
        }
    }
}

/// The condition of this type in `object`'s status; null if there is none.
#[must_use]
pub fn condition<'a>(object: &'a Value, type_: &str) -> &'a Value {
    let conditions = object["status"]["conditions"].as_array();
    let mut conditions = conditions.into_iter().flatten();
    conditions
        .find(|condition| condition["type"] == type_)
        .unwrap_or(&Value::Null)
}

/// Waits until `holds` of the object `what`, for at most `seconds`; gives it as it is then.
///
/// # Panics
/// When it does not come to that; with the object as it is then.
pub async fn settled(
    kubectl: &Kubectl,
    what: &str,
    seconds: u64,
    holds: impl Fn(&Value) -> bool,
) -> Value {
    let end = Instant::now() + Duration::from_secs(seconds);
    loop {
        let object = kubectl.get(what).await;
        if holds(&object) {
            return object;
        }
        assert!(
            Instant::now() < end,
            "{what} did not come to it within {seconds} s:\n{object:#}\n{}",
            kubectl.happened().await
        );
        sleep(LOOK).await;
    }
}

/// [`settled`] with the condition `type_` for `reason`, which the operator says of the object's newest generation.
///
/// # Panics
/// When that does not come.
pub async fn because(
    kubectl: &Kubectl,
    what: &str,
    (type_, reason): (&str, &str),
    seconds: u64,
) -> Value {
    settled(kubectl, what, seconds, |object| {
        let condition = condition(object, type_);
        condition["reason"] == reason
            && condition["observedGeneration"] == object["metadata"]["generation"]
    })
    .await
}
