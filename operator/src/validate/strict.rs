//! Kubernetes' own types read without passing over what they don't know.

use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

/// Reads `object`, which stands at `path` of a manifest.
///
/// # Errors
/// What does not fit the type, and every field that the type does not have.
pub fn read<T: DeserializeOwned + Serialize>(
    object: &Map<String, Value>,
    path: &str,
) -> Result<T, String> {
    let given = Value::Object(object.clone());
    let read: T =
        serde_json::from_value(given.clone()).map_err(|error| format!("{path}: {error}"))?;
    let kept = serde_json::to_value(&read).map_err(|error| format!("{path}: {error}"))?;
    let mut lost = Vec::new();
    compare(&given, &kept, path, &mut lost);
    match lost.is_empty() {
        true => Ok(read),
        false => Err(lost.join("\n")),
    }
}

/// What the type does not know is not there any more when it is written again.
fn compare(given: &Value, kept: &Value, path: &str, lost: &mut Vec<String>) {
    match (given, kept) {
        (Value::Object(given), Value::Object(kept)) => {
            for (name, value) in given.iter().filter(|(_, value)| !value.is_null()) {
                match kept.get(name) {
                    Some(kept) => compare(value, kept, &format!("{path}.{name}"), lost),
                    None => lost.push(format!("{path}.{name}: there is no such field")),
                }
            }
        }
        (Value::Array(given), Value::Array(kept)) => {
            for (i, (given, kept)) in given.iter().zip(kept).enumerate() {
                compare(given, kept, &format!("{path}[{i}]"), lost);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::{PodTemplateSpec, ResourceRequirements};
    use serde_json::json;

    use super::*;

    fn template(value: Value) -> Result<PodTemplateSpec, String> {
        read(value.as_object().unwrap(), "spec.gateway.podTemplate")
    }

    #[test]
    fn what_the_type_knows_is_read() {
        let given = json!({
            "metadata": {"labels": {"a": "b"}, "annotations": {"x/y": ""}},
            "spec": {
                "nodeSelector": {},
                "priorityClassName": null,
                "tolerations": [{"key": "a", "operator": "Exists"}],
                "containers": [{"name": "gateway", "env": [{"name": "A", "value": "1"}]}],
            },
        });
        let spec = template(given).unwrap().spec.unwrap();
        assert_eq!(spec.containers[0].name, "gateway");
    }

    #[test]
    fn a_field_that_it_does_not_know_is_named_wherever_it_is() {
        for (given, path) in [
            (json!({"specs": {}}), "specs"),
            (
                json!({"spec": {"tolerations": [{"kee": "a"}]}}),
                "spec.tolerations[0].kee",
            ),
            (
                json!({"spec": {"containers": [{"name": "a", "securityContext": {"user": 1}}]}}),
                "spec.containers[0].securityContext.user",
            ),
        ] {
            let error = template(given).unwrap_err();
            assert!(
                error.contains(&format!("spec.gateway.podTemplate.{path}: ")),
                "{error}"
            );
        }
    }

    #[test]
    fn a_value_of_another_type_is_refused() {
        let error = template(json!({"spec": {"nodeSelector": 3}})).unwrap_err();
        assert!(error.starts_with("spec.gateway.podTemplate: "), "{error}");
    }

    #[test]
    fn whole_numbers_are_quantities() {
        let given = json!({"limits": {"cpu": 1, "memory": "1Gi"}});
        let read: ResourceRequirements = read(given.as_object().unwrap(), "r").unwrap();
        assert_eq!(read.limits.unwrap()["cpu"].0, "1");
    }
}
