//! What the operator calls things: children, labels, annotations.

use std::collections::BTreeMap;

/// The operator's name as a field manager, in labels and as the reporter of events.
pub const OPERATOR: &str = "linnet-operator";

/// Value of `app.kubernetes.io/name` of everything that belongs to gateways.
pub const GATEWAY: &str = "linnet-gateway";

/// Selects all children of all channels.
pub const OURS: &str = "app.kubernetes.io/managed-by=linnet-operator";

/// Annotation of a channel: `"true"` stops writes to its children.
pub const PAUSED: &str = "realtime.linnet.dev/paused";

/// Annotation of a channel: `"true"` lets its deletion finish without the broker.
pub const ABANDON_STREAMS: &str = "realtime.linnet.dev/abandon-streams";

/// Annotation of a channel's ConfigMap: where its streams are, and what it left on brokers that it had before.
pub const STREAMS: &str = "realtime.linnet.dev/streams";

/// Annotation of every child: hash of what was applied. It tells a field that is no longer wanted from one that
/// somebody else has set.
pub const APPLIED: &str = "realtime.linnet.dev/applied";

/// Annotation of a pod template and its pods: hash of the template, and of what gateways take up only at their start.
pub const TEMPLATE: &str = "realtime.linnet.dev/template";

/// Annotation of a pod: the configuration that its gateway is to serve. Changing it makes the kubelet refresh the
/// pod's volumes at once.
pub const CONFIGURATION: &str = "realtime.linnet.dev/configuration";

/// Annotation of a pod whose kubelet has been slow: how often it was asked again.
pub const NUDGE: &str = "realtime.linnet.dev/nudge";

const MANAGED_BY: &str = "app.kubernetes.io/managed-by";
const NAME: &str = "app.kubernetes.io/name";
const INSTANCE: &str = "app.kubernetes.io/instance";
const COMPONENT: &str = "app.kubernetes.io/component";
const PART_OF: &str = "app.kubernetes.io/part-of";

/// Name of all children of a channel but the Service of its pods. Not the channel's own: an application beside it
/// often has that.
#[must_use]
pub fn gateway(channel: &str) -> String {
    format!("{channel}-gateway")
}

/// Name of the headless Service. A channel's name has at most 50 characters, which leaves 63 for this: the most that a
/// Service may have.
#[must_use]
pub fn pods_service(channel: &str) -> String {
    format!("{channel}-gateway-pods")
}

/// What selects the pods of a channel. It can never change: a Deployment's selector is immutable.
#[must_use]
pub fn selector(channel: &str) -> BTreeMap<String, String> {
    map([(NAME, GATEWAY), (INSTANCE, channel)])
}

/// The same as text, for `/scale` and lists.
#[must_use]
pub fn selector_text(channel: &str) -> String {
    format!("{INSTANCE}={channel},{NAME}={GATEWAY}")
}

/// Labels of every child and pod of a channel.
#[must_use]
pub fn labels(channel: &str) -> BTreeMap<String, String> {
    map([
        (NAME, GATEWAY),
        (INSTANCE, channel),
        (COMPONENT, "gateway"),
        (PART_OF, "linnet"),
        (MANAGED_BY, OPERATOR),
    ])
}

/// What selects the operator's own pods, in their namespace.
#[must_use]
pub fn operator_selector() -> BTreeMap<String, String> {
    map([(NAME, OPERATOR)])
}

/// The channel that a child or pod belongs to, by its labels.
#[must_use]
pub fn channel_of(labels: &BTreeMap<String, String>) -> Option<&str> {
    let ours = labels.get(MANAGED_BY).is_some_and(|by| by == OPERATOR);
    ours.then(|| labels.get(INSTANCE).map(String::as_str))?
}

fn map<const N: usize>(pairs: [(&str, &str); N]) -> BTreeMap<String, String> {
    pairs
        .into_iter()
        .map(|(key, value)| (key.to_owned(), value.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_longest_channel_has_services_with_valid_names() {
        assert_eq!(pods_service(&"a".repeat(50)).len(), 63);
    }

    #[test]
    fn the_selector_is_part_of_the_labels_and_the_text_says_the_same() {
        let (labels, selector) = (labels("chat"), selector("chat"));
        assert!(
            selector
                .iter()
                .all(|(key, value)| labels.get(key) == Some(value))
        );
        let text: Vec<_> = selector
            .iter()
            .map(|(key, value)| format!("{key}={value}"))
            .collect();
        assert_eq!(text.join(","), selector_text("chat"));
    }

    #[test]
    fn a_child_knows_its_channel_and_a_stranger_has_none() {
        assert_eq!(channel_of(&labels("chat")), Some("chat"));
        assert_eq!(channel_of(&selector("chat")), None);
    }
}
