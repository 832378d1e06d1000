//! The CustomResourceDefinition: what the derive gives, made fit for the API server and for people.

use std::collections::BTreeMap;

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::{Map, Value, json};

use crate::RealtimeChannel;

/// The command that writes [`yaml`] to `crds/realtimechannels.yaml`.
pub const GENERATE: &str = "cargo run -p linnet-crds --bin generate";

/// The CustomResourceDefinition that an installation applies.
///
/// Differs from `RealtimeChannel::crd()`: integer formats that the API server does not know are
/// gone; nothing is nullable, so that a null takes the default; a section's default is `{}`, which
/// the API server fills in from the section's own fields.
#[must_use]
pub fn crd() -> CustomResourceDefinition {
    let mut definition = RealtimeChannel::crd();
    for version in &mut definition.spec.versions {
        let Some(schema) = version
            .schema
            .as_mut()
            .and_then(|s| s.open_api_v3_schema.as_mut())
        else {
            continue;
        };
        let mut value = to_value(&*schema);
        tidy(&mut value);
        *schema = serde_json::from_value(value).expect("tidying leaves a schema a schema");
    }
    definition
}

/// [`crd`] as a YAML file, keys in alphabetical order.
#[must_use]
pub fn yaml() -> String {
    let document = sorted(whole(to_value(&crd())));
    let body = serde_saphyr::to_string(&document).expect("a JSON value has a YAML form");
    format!("# Generated from the types in crds/src: {GENERATE}\n{body}")
}

/// The structural schema of a manifest, with `apiVersion`, `kind` and `metadata` as the API server
/// checks them beside the CRD's own schema.
pub(crate) fn manifest() -> Value {
    let mut definition = to_value(&crd());
    let mut schema = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"].take();
    schema["properties"]["apiVersion"] = json!({
        "type": "string",
        "enum": [<RealtimeChannel as kube::Resource>::api_version(&())],
    });
    schema["properties"]["kind"] = json!({
        "type": "string",
        "enum": [<RealtimeChannel as kube::Resource>::kind(&())],
    });
    schema["properties"]["metadata"] = metadata();
    schema["required"] = json!(["apiVersion", "kind", "metadata", "spec"]);
    // The root's rules are about the name: it is all of the metadata that CEL sees. The API server
    // takes no fieldPath into metadata, but here the line is known.
    for rule in schema["x-kubernetes-validations"]
        .as_array_mut()
        .into_iter()
        .flatten()
    {
        rule["fieldPath"] = json!(".metadata.name");
        if let Some(message) = rule["message"].as_str() {
            rule["message"] = json!(message.trim_start_matches("metadata.name "));
        }
    }
    schema
}

fn metadata() -> Value {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
    let generator = schemars::generate::SchemaSettings::openapi3()
        .with(|s| {
            s.inline_subschemas = true;
            s.meta_schema = None;
        })
        .into_generator();
    let mut schema = generator.into_root_schema_for::<ObjectMeta>().to_value();
    tidy(&mut schema);
    schema["required"] = json!(["name"]);
    schema
}

fn to_value(serializable: &impl serde::Serialize) -> Value {
    serde_json::to_value(serializable).expect("Kubernetes types have string keys only")
}

/// Applied to every schema node, children first.
fn tidy(schema: &mut Value) {
    let Some(node) = schema.as_object_mut() else {
        return;
    };
    for child in children(node) {
        tidy(child);
    }
    node.remove("nullable");
    if let Some(Value::Array(types)) = node.get_mut("type") {
        types.retain(|t| t != "null");
        if let [only] = types.as_slice() {
            node["type"] = only.clone();
        }
    }
    if let Some(Value::String(format)) = node.get("format")
        && format.starts_with("uint")
    {
        node.remove("format");
    }
    for property in node
        .get_mut("properties")
        .and_then(Value::as_object_mut)
        .into_iter()
        .flat_map(Map::values_mut)
    {
        shorten_default(property);
    }
}

fn children(node: &mut Map<String, Value>) -> Vec<&mut Value> {
    let mut found = Vec::new();
    for (key, value) in node {
        match (key.as_str(), value) {
            ("properties", Value::Object(properties)) => found.extend(properties.values_mut()),
            ("items" | "additionalProperties", child) => found.push(child),
            _ => {}
        }
    }
    found
}

/// `{}` says the same as a full object when the fields have those defaults themselves, and can't
/// drift from them. (The API server judges a default by its CEL rules before it fills it in: rules
/// of such an object guard each field with `has`.)
fn shorten_default(schema: &mut Value) {
    let Some(default @ Value::Object(_)) = schema.get("default") else {
        return;
    };
    let mut filled = json!({});
    fill(schema, &mut filled);
    if filled == *default {
        schema["default"] = json!({});
    }
}

/// Structural defaulting, as the API server does it: missing fields that have a default appear, and
/// so on inside them.
pub(crate) fn fill(schema: &Value, value: &mut Value) {
    match value {
        Value::Object(object) => {
            let properties = schema.get("properties").and_then(Value::as_object);
            for (name, property) in properties.into_iter().flatten() {
                if let Some(default) = property.get("default") {
                    object.entry(name).or_insert_with(|| default.clone());
                }
                if let Some(child) = object.get_mut(name) {
                    fill(property, child);
                }
            }
        }
        Value::Array(items) => {
            if let Some(schema) = schema.get("items") {
                items.iter_mut().for_each(|item| fill(schema, item));
            }
        }
        _ => {}
    }
}

/// Bounds are floating point in the API's types; whole ones read better as integers.
fn whole(value: Value) -> Value {
    match value {
        Value::Number(number) => match number.as_f64() {
            #[expect(clippy::cast_possible_truncation, reason = "checked: whole and small")]
            Some(f) if number.is_f64() && f.fract() == 0.0 && f.abs() < 1e15 => json!(f as i64),
            _ => Value::Number(number),
        },
        Value::Array(items) => items.into_iter().map(whole).collect(),
        Value::Object(object) => object.into_iter().map(|(k, v)| (k, whole(v))).collect(),
        other => other,
    }
}

/// A JSON value whose objects are sorted, however `serde_json` was built.
#[derive(serde::Serialize)]
#[serde(untagged)]
enum Sorted {
    Object(BTreeMap<String, Sorted>),
    Array(Vec<Sorted>),
    Scalar(Value),
}

fn sorted(value: Value) -> Sorted {
    match value {
        Value::Object(object) => {
            Sorted::Object(object.into_iter().map(|(k, v)| (k, sorted(v))).collect())
        }
        Value::Array(items) => Sorted::Array(items.into_iter().map(sorted).collect()),
        scalar => Sorted::Scalar(scalar),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::RealtimeChannelSpec;
    use crate::rooms::RoomRule;

    const GENERATED: &str = include_str!("../realtimechannels.yaml");

    fn spec_schema() -> Value {
        manifest()["properties"]["spec"].take()
    }

    #[test]
    fn the_generated_file_is_that_of_the_types() {
        assert!(
            GENERATED == yaml(),
            "crds/realtimechannels.yaml is out of date; regenerate it with: {GENERATE}"
        );
    }

    #[test]
    fn client_side_apply_can_carry_the_definition_with_room_to_grow() {
        assert!(GENERATED.len() < 128 * 1024, "{} bytes", GENERATED.len());
    }

    #[test]
    fn a_spec_without_sections_has_the_same_defaults_from_serde_and_from_the_schema() {
        let mut filled = json!({});
        fill(&spec_schema(), &mut filled);
        assert_eq!(to_value(&RealtimeChannelSpec::default()), filled);
    }

    #[test]
    fn every_section_has_the_same_defaults_from_serde_and_from_the_schema() {
        let smallest = json!({
            "autoscaling": {"maxReplicas": 3, "scaleDown": {}},
            "gateway": {}, "rollout": {}, "service": {}, "networkPolicy": {}, "limits": {},
            "expose": {"ingress": {}, "httpRoute": {"parentRefs": [{"name": "gateway"}]}},
            "transports": {"webSocket": {}, "socketIO": {}, "serverSentEvents": {}},
            "broker": {"nats": {"urls": ["nats://nats:4222"], "tls": {}}},
            "history": {}, "workers": {}, "heartbeat": {}, "telemetry": {},
            "authentication": {"jwt": {"keySecretName": "keys"}},
            "rooms": [{"match": "a"}, {"match": "b", "presence": {}}],
            "handler": {"url": "http://back-end", "events": ["connect"]},
        });
        let mut filled = smallest.clone();
        fill(&spec_schema(), &mut filled);
        let decoded: RealtimeChannelSpec = serde_json::from_value(smallest).unwrap();
        assert_eq!(to_value(&decoded), filled);
        assert_eq!(decoded.rooms[0], RoomRule::new("a"));
    }

    fn visit(schema: &Value, path: &str, look: &mut impl FnMut(&str, &Value)) {
        look(path, schema);
        for (key, child) in schema.as_object().into_iter().flatten() {
            match (key.as_str(), child) {
                ("properties", Value::Object(properties)) => {
                    for (name, property) in properties {
                        visit(property, &format!("{path}.{name}"), look);
                    }
                }
                ("items" | "additionalProperties", _) => visit(child, path, look),
                _ => {}
            }
        }
    }

    #[test]
    fn the_schema_has_nothing_that_the_api_server_does_not_know() {
        visit(&spec_schema(), "spec", &mut |path, node| {
            assert!(node.get("nullable").is_none(), "{path} is nullable");
            let format = node.get("format").and_then(Value::as_str).unwrap_or("");
            assert!(!format.starts_with("uint"), "{path} has format {format}");
            for keyword in ["oneOf", "anyOf", "allOf", "$ref", "const"] {
                assert!(node.get(keyword).is_none(), "{path} has {keyword}");
            }
        });
    }

    #[test]
    fn every_field_of_the_spec_says_what_it_is() {
        visit(&spec_schema(), "spec", &mut |path, node| {
            for (name, property) in node["properties"].as_object().into_iter().flatten() {
                assert!(property["description"].is_string(), "{path}.{name}");
            }
        });
    }

    #[test]
    fn every_number_list_and_text_that_is_ours_is_bounded() {
        visit(&spec_schema(), "spec", &mut |path, node| {
            // Kubernetes' own types.
            if path.starts_with("spec.gateway.env.")
                || path.starts_with("spec.networkPolicy.internalFrom.")
            {
                return;
            }
            let bounds: &[&str] = match node["type"].as_str() {
                Some("integer") => &["minimum", "maximum"],
                Some("array") => &["maxItems"],
                Some("string") if node.get("enum").is_none() => &["maxLength"],
                _ if node.get("additionalProperties").is_some() => &["maxProperties"],
                _ => &[],
            };
            for bound in bounds {
                assert!(node.get(*bound).is_some(), "{path} has no {bound}");
            }
        });
    }

    #[test]
    fn history_storage_and_partitions_can_not_change_and_the_rest_can() {
        let schema = manifest();
        let channel = |history: Value| {
            json!({
                "metadata": {"name": "chat"},
                "spec": {"authentication": {"anonymous": "Allow"}, "history": history},
            })
        };
        let old = channel(json!({}));
        for (history, refusal) in [
            (json!({"storage": "Memory"}), Some("storage is immutable")),
            (json!({"partitions": 2}), Some("partitions is immutable")),
            (json!({"replicas": 3, "maxMessagesPerRoom": 7}), None),
        ] {
            let result =
                kube_cel::Validator::new().validate(&schema, &channel(history), Some(&old));
            let found = result.err().map(|errors| errors.to_string());
            match refusal {
                Some(words) => assert!(found.unwrap().contains(words)),
                None => assert_eq!(found, None),
            }
        }
    }

    #[test]
    fn the_scale_subresource_names_replicas_and_selector() {
        let definition = to_value(&crd());
        let version = &definition["spec"]["versions"][0];
        assert_eq!(
            version["subresources"]["scale"],
            json!({
                "specReplicasPath": ".spec.replicas",
                "statusReplicasPath": ".status.replicas",
                "labelSelectorPath": ".status.selector",
            })
        );
        assert_eq!(version["subresources"]["status"], json!({}));
    }
}
