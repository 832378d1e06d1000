//! Whether a live object has all that we set.
//!
//! Fields that we do not set are others': defaults of the API server, `kubectl rollout restart`, injected annotations.
//! What we set once and set no more shows in the annotation with the hash of what was applied, which we set as well.

use serde_json::Value;

use super::quantity;
use crate::children::Child;

/// The first field of `wanted` that `live` lacks or has otherwise; `None`: there is nothing to apply.
#[must_use]
pub fn first(child: Child, wanted: &Value, live: &Value) -> Option<String> {
    let mut path = Vec::new();
    differs(child, wanted, Some(live), &mut path).then(|| path.join("."))
}

fn differs(child: Child, wanted: &Value, live: Option<&Value>, path: &mut Vec<String>) -> bool {
    let Some(live) = live else {
        return !is_left_out(wanted);
    };
    match (wanted, live) {
        (Value::Object(wanted), Value::Object(live)) => wanted.iter().any(|(name, value)| {
            path.push(name.clone());
            let differs = differs(child, value, live.get(name), path);
            if !differs {
                path.pop();
            }
            differs
        }),
        (Value::Array(wanted), Value::Array(live)) => {
            let keys = path.last().map_or(&[][..], |field| keys(child, field));
            match keys {
                [] => {
                    wanted.len() != live.len()
                        || wanted
                            .iter()
                            .zip(live)
                            .enumerate()
                            .any(|(i, (wanted, live))| item(child, i, wanted, Some(live), path))
                }
                keys => wanted.iter().enumerate().any(|(i, wanted)| {
                    let same = live.iter().find(|live| same_item(keys, wanted, live));
                    item(child, i, wanted, same, path)
                }),
            }
        }
        (Value::String(wanted), Value::String(live)) => {
            wanted != live && !(holds_quantity(path) && quantity::equal(wanted, live))
        }
        (wanted, live) => wanted != live,
    }
}

fn item(
    child: Child,
    index: usize,
    wanted: &Value,
    live: Option<&Value>,
    path: &mut Vec<String>,
) -> bool {
    path.push(index.to_string());
    let differs = match live {
        None => true,
        live => differs(child, wanted, live, path),
    };
    if !differs {
        path.pop();
    }
    differs
}

/// The API server leaves out what is empty: its types say `omitempty`.
fn is_left_out(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Bool(value) => !value,
        Value::Number(number) => number.as_f64() == Some(0.0),
        Value::String(text) => text.is_empty(),
        Value::Array(items) => items.is_empty(),
        Value::Object(fields) => fields.values().all(is_left_out),
    }
}

/// The keys of the items of a list that server-side apply merges (`x-kubernetes-list-map-keys` in the API's
/// description); none for a list that is one value.
fn keys(child: Child, field: &str) -> &'static [&'static str] {
    match (child, field) {
        (_, "ownerReferences") => &["uid"],
        (Child::Service | Child::PodsService, "ports") => &["port", "protocol"],
        (
            Child::Deployment,
            "containers"
            | "initContainers"
            | "ephemeralContainers"
            | "volumes"
            | "env"
            | "imagePullSecrets"
            | "resourceClaims"
            | "schedulingGates",
        ) => &["name"],
        (Child::Deployment, "ports") => &["containerPort", "protocol"],
        (Child::Deployment, "volumeMounts") => &["mountPath"],
        (Child::Deployment, "volumeDevices") => &["devicePath"],
        (Child::Deployment, "topologySpreadConstraints") => &["topologyKey", "whenUnsatisfiable"],
        (Child::Deployment, "hostAliases") => &["ip"],
        _ => &[],
    }
}

fn same_item(keys: &[&str], a: &Value, b: &Value) -> bool {
    let protocol = Value::from("TCP");
    keys.iter().all(|&key| {
        let of = |item: &Value| match item.get(key) {
            // The API server's default.
            None if key == "protocol" => Some(protocol.clone()),
            value => value.cloned(),
        };
        of(a) == of(b)
    })
}

/// Where amounts stand: below `limits`, `requests` and `overhead`, and at two fields of volumes and variables.
fn holds_quantity(path: &[String]) -> bool {
    let [.., parent, field] = path else {
        return false;
    };
    ["limits", "requests", "overhead"].contains(&parent.as_str())
        || ["sizeLimit", "divisor"].contains(&field.as_str())
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn deployment(wanted: Value, live: Value) -> Option<String> {
        first(Child::Deployment, &wanted, &live)
    }

    #[test]
    fn what_others_add_is_no_difference() {
        let wanted = json!({
            "metadata": {"annotations": {"a": "1"}, "ownerReferences": [{"uid": "x", "name": "n"}]},
            "spec": {"containers": [{"name": "gateway", "env": [{"name": "A", "value": "1"}]}]},
        });
        let live = json!({
            "metadata": {
                "annotations": {"a": "1", "injected": "yes"}, "uid": "u", "resourceVersion": "7",
                "ownerReferences": [{"uid": "other"}, {"uid": "x", "name": "n"}],
            },
            "spec": {
                "containers": [
                    {"name": "sidecar"},
                    {"name": "gateway", "imagePullPolicy": "Always",
                     "env": [{"name": "B", "value": "2"}, {"name": "A", "value": "1"}]},
                ],
                "dnsPolicy": "ClusterFirst",
            },
            "status": {"replicas": 3},
        });
        assert_eq!(deployment(wanted, live), None);
    }

    #[test]
    fn a_field_of_ours_that_is_gone_or_edited_is_named() {
        let wanted =
            json!({"spec": {"replicas": 2, "containers": [{"name": "gateway", "image": "a"}]}});
        for (live, path) in [
            (json!({}), "spec"),
            (json!({"spec": {"replicas": 3}}), "spec.replicas"),
            (json!({"spec": {"replicas": 2}}), "spec.containers"),
            (
                json!({"spec": {"replicas": 2, "containers": []}}),
                "spec.containers.0",
            ),
            (
                json!({"spec": {"replicas": 2, "containers": [{"name": "gateway", "image": "b"}]}}),
                "spec.containers.0.image",
            ),
        ] {
            let fields: Vec<_> = path.split('.').map(String::from).collect();
            let found = deployment(wanted.clone(), live).unwrap();
            // Maps have no order that matters.
            let found: Vec<_> = found.split('.').map(String::from).collect();
            assert_eq!(found[0], fields[0]);
            assert!(found == fields || fields.len() > 1 && found.starts_with(&fields[..1]));
        }
    }

    #[test]
    fn a_list_that_is_one_value_has_no_strangers() {
        let wanted = json!({"args": ["a", "b"]});
        for live in [json!(["a"]), json!(["a", "b", "c"]), json!(["b", "a"])] {
            assert!(deployment(wanted.clone(), json!({"args": live})).is_some());
        }
        let rules = json!({"ports": [{"port": "public", "protocol": "TCP"}]});
        let more = json!({"ports": [{"port": "public", "protocol": "TCP"}, {"port": 1, "protocol": "TCP"}]});
        assert!(first(Child::NetworkPolicy, &rules, &more).is_some());
        assert_eq!(first(Child::NetworkPolicy, &rules, &rules), None);
    }

    #[test]
    fn what_is_empty_may_be_left_out() {
        let wanted = json!({"a": {}, "b": [], "c": "", "d": false, "e": 0, "f": {"g": {}}});
        assert_eq!(deployment(wanted, json!({})), None);
        assert!(deployment(json!({"d": false}), json!({"d": true})).is_some());
    }

    #[test]
    fn amounts_are_compared_by_what_they_mean_and_only_where_there_are_any() {
        let limits = |memory: &str| json!({"resources": {"limits": {"memory": memory}}});
        assert_eq!(deployment(limits("1024Mi"), limits("1Gi")), None);
        assert!(deployment(limits("1Gi"), limits("2Gi")).is_some());
        assert!(deployment(json!({"value": "1000m"}), json!({"value": "1"})).is_some());
    }

    #[test]
    fn a_port_has_a_protocol_even_where_none_is_written() {
        let wanted = json!({"ports": [{"containerPort": 1, "name": "x"}]});
        let live = json!({"ports": [{"containerPort": 1, "protocol": "TCP", "name": "x"}]});
        assert_eq!(deployment(wanted, live), None);
    }
}
