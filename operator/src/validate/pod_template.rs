//! `spec.gateway.podTemplate`: anything of a PodTemplateSpec but what the operator relies on.

use k8s_openapi::api::core::v1::{Container, PodSpec, PodTemplateSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use linnet_crds::RealtimeChannelSpec;
use serde_json::{Map, Value};

use super::{OWN_ENVIRONMENT, strict};
use crate::build::pod;
use crate::names;

const PATH: &str = "spec.gateway.podTemplate";

/// Reads the template.
///
/// # Errors
/// Everything that a PodTemplateSpec does not have, and everything that would change what the operator relies on.
pub fn read(
    template: &Map<String, Value>,
    spec: &RealtimeChannelSpec,
) -> Result<PodTemplateSpec, String> {
    let template: PodTemplateSpec = strict::read(template, PATH)?;
    let mut faults = Faults::default();
    if let Some(metadata) = &template.metadata {
        faults.metadata(metadata);
    }
    if let Some(pod) = &template.spec {
        faults.pod(pod, spec);
    }
    match faults.0.is_empty() {
        true => Ok(template),
        false => Err(faults.0.join("\n")),
    }
}

#[derive(Default)]
struct Faults(Vec<String>);

impl Faults {
    fn add(&mut self, field: &str, why: &str) {
        self.0.push(format!("{PATH}.{field}: {why}"));
    }

    fn metadata(&mut self, metadata: &ObjectMeta) {
        let own = names::labels("");
        for key in metadata.labels.iter().flatten().map(|(key, _)| key) {
            if own.contains_key(key) {
                let why = "the operator finds the gateways' pods by this label: leave it out";
                self.add(&format!("metadata.labels.{key}"), why);
            }
        }
        for key in metadata.annotations.iter().flatten().map(|(key, _)| key) {
            if key.starts_with("realtime.linnet.dev/") {
                self.add(
                    &format!("metadata.annotations.{key}"),
                    "it is the operator's: leave it out",
                );
            }
        }
        let rest = ObjectMeta {
            labels: None,
            annotations: None,
            ..metadata.clone()
        };
        if rest != ObjectMeta::default() {
            self.add("metadata", "only labels and annotations can be given");
        }
    }

    fn pod(&mut self, pod: &PodSpec, spec: &RealtimeChannelSpec) {
        for (i, container) in pod.containers.iter().enumerate() {
            let path = format!("spec.containers[{i}]");
            match container.name == pod::CONTAINER {
                true => self.gateway(container, &path),
                false if container.image.is_none() => {
                    let why = format!(
                        "set it: only the container {} has one already",
                        pod::CONTAINER
                    );
                    self.add(&format!("{path}.image"), &why);
                }
                false => {}
            }
        }
        for (i, volume) in pod.volumes.iter().flatten().enumerate() {
            if pod::is_own_volume(&volume.name) {
                let why = "this volume is the operator's: take another name";
                self.add(&format!("spec.volumes[{i}].name"), why);
            }
        }
        let grace = pod::grace_seconds(spec);
        if pod
            .termination_grace_period_seconds
            .is_some_and(|given| given < grace)
        {
            let why = format!(
                "less than {grace}, which spec.rollout.drainSeconds needs, would cut connections off"
            );
            self.add("spec.terminationGracePeriodSeconds", &why);
        }
        if pod
            .restart_policy
            .as_deref()
            .is_some_and(|policy| policy != "Always")
        {
            self.add("spec.restartPolicy", "a Deployment's pods have Always");
        }
    }

    /// The gateway's own container: what the operator talks to.
    fn gateway(&mut self, container: &Container, path: &str) {
        let probes = "the operator relies on the gateway's own probes: leave it out";
        let lifecycle = container.lifecycle.as_ref();
        let refused = [
            ("livenessProbe", container.liveness_probe.is_some(), probes),
            (
                "readinessProbe",
                container.readiness_probe.is_some(),
                probes,
            ),
            ("startupProbe", container.startup_probe.is_some(), probes),
            (
                "lifecycle.preStop",
                lifecycle.is_some_and(|lifecycle| lifecycle.pre_stop.is_some()),
                "the drain begins with the operator's: leave it out",
            ),
            (
                "ports",
                container.ports.is_some(),
                "the gateway's ports are the operator's: leave it out",
            ),
            (
                "command",
                container.command.is_some(),
                "it would not start as the operator expects: leave it out",
            ),
            (
                "args",
                container.args.is_some(),
                "the operator gives them. Every flag has an environment variable: use spec.gateway.env",
            ),
        ];
        for (field, given, why) in refused {
            if given {
                self.add(&format!("{path}.{field}"), why);
            }
        }
        for (i, mount) in container.volume_mounts.iter().flatten().enumerate() {
            let inside = format!("{}/", mount.mount_path.trim_end_matches('/'));
            let root = format!("{}/", pod::ROOT);
            if inside.starts_with(&root) || root.starts_with(&inside) {
                let why = format!("the gateway's configuration lies below {}", pod::ROOT);
                self.add(&format!("{path}.volumeMounts[{i}].mountPath"), &why);
            }
        }
        for (i, variable) in container.env.iter().flatten().enumerate() {
            if OWN_ENVIRONMENT.contains(&variable.name.as_str()) {
                self.add(
                    &format!("{path}.env[{i}]"),
                    "it is set by the operator: leave it out",
                );
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn read(template: Value) -> Result<PodTemplateSpec, String> {
        super::read(
            template.as_object().unwrap(),
            &RealtimeChannelSpec::default(),
        )
    }

    fn gateway(more: Value) -> Value {
        let mut container = json!({"name": "gateway"});
        let more = more.as_object().unwrap().clone();
        container.as_object_mut().unwrap().extend(more);
        json!({"spec": {"containers": [container]}})
    }

    #[test]
    fn what_the_operator_relies_on_can_not_be_changed() {
        let probe = json!({"httpGet": {"path": "/", "port": 1}});
        let cases = [
            (
                json!({"metadata": {"labels": {"app.kubernetes.io/instance": "x"}}}),
                "metadata.labels.app.kubernetes.io/instance",
            ),
            (
                json!({"metadata": {"annotations": {"realtime.linnet.dev/template": "x"}}}),
                "metadata.annotations.realtime.linnet.dev/template",
            ),
            (json!({"metadata": {"name": "x"}}), "metadata"),
            (
                gateway(json!({"livenessProbe": probe})),
                "spec.containers[0].livenessProbe",
            ),
            (
                gateway(json!({"readinessProbe": probe})),
                "spec.containers[0].readinessProbe",
            ),
            (
                gateway(json!({"startupProbe": probe})),
                "spec.containers[0].startupProbe",
            ),
            (
                gateway(json!({"lifecycle": {"preStop": {"sleep": {"seconds": 0}}}})),
                "spec.containers[0].lifecycle.preStop",
            ),
            (
                gateway(json!({"ports": [{"containerPort": 1}]})),
                "spec.containers[0].ports",
            ),
            (gateway(json!({"args": ["-x"]})), "spec.containers[0].args"),
            (
                gateway(json!({"command": ["x"]})),
                "spec.containers[0].command",
            ),
            (
                gateway(
                    json!({"volumeMounts": [{"name": "a", "mountPath": "/etc/linnet/channel"}]}),
                ),
                "spec.containers[0].volumeMounts[0].mountPath",
            ),
            (
                gateway(json!({"volumeMounts": [{"name": "a", "mountPath": "/etc/"}]})),
                "spec.containers[0].volumeMounts[0].mountPath",
            ),
            (
                gateway(json!({"env": [{"name": "POD_NAME", "value": "x"}]})),
                "spec.containers[0].env[0]",
            ),
            (
                json!({"spec": {"volumes": [{"name": "configuration", "emptyDir": {}}]}}),
                "spec.volumes[0].name",
            ),
            (
                json!({"spec": {"terminationGracePeriodSeconds": 30}}),
                "spec.terminationGracePeriodSeconds",
            ),
            (
                json!({"spec": {"restartPolicy": "Never"}}),
                "spec.restartPolicy",
            ),
            (
                json!({"spec": {"containers": [{"name": "helper"}]}}),
                "spec.containers[0].image",
            ),
        ];
        for (template, field) in cases {
            let error = read(template).unwrap_err();
            assert!(
                error.starts_with(&format!("{PATH}.{field}: ")),
                "{field}: {error}"
            );
            assert_eq!(error.lines().count(), 1, "{error}");
        }
    }

    #[test]
    fn everything_else_can() {
        let template = json!({
            "metadata": {"labels": {"team": "a"}, "annotations": {"sidecar.example/inject": "true"}},
            "spec": {
                "nodeSelector": {"disk": "ssd"},
                "terminationGracePeriodSeconds": 500,
                "containers": [
                    {"name": "gateway", "env": [{"name": "LINNET_SHARDS", "value": "2"}],
                     "volumeMounts": [{"name": "scratch", "mountPath": "/etc/linnets"}]},
                    {"name": "helper", "image": "x", "ports": [{"containerPort": 1}]},
                ],
                "volumes": [{"name": "scratch", "emptyDir": {}}],
            },
        });
        assert!(read(template).is_ok());
    }
}
