//! A gateway's pod.

use std::collections::BTreeMap;

use k8s_openapi::DeepMerge;
use k8s_openapi::api::core::v1::{
    Capabilities, ConfigMapVolumeSource, Container, ContainerPort, EnvVar, EnvVarSource,
    HTTPGetAction, Lifecycle, LifecycleHandler, LocalObjectReference, ObjectFieldSelector,
    PodSecurityContext, PodSpec, PodTemplateSpec, Probe, SeccompProfile, SecretVolumeSource,
    SecurityContext, SleepAction, TopologySpreadConstraint, Volume, VolumeMount,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{LabelSelector, ObjectMeta};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use linnet_crds::RealtimeChannelSpec;
use linnet_gateway::config::document;
use serde_json::{Value, json};

use super::meta;
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Name of the gateway's container.
pub const CONTAINER: &str = "gateway";

/// Name of the port for clients.
pub const PUBLIC: &str = "public";

/// Name of the port for metrics, status and server APIs.
pub const INTERNAL: &str = "internal";

/// The port for clients.
pub const PUBLIC_PORT: u16 = 8080;

/// The port for metrics, status and server APIs.
pub const INTERNAL_PORT: u16 = 9090;

/// Folder of all that is mounted.
pub const ROOT: &str = "/etc/linnet";

/// Name of the volume with the configuration.
const CONFIGURATION: &str = "configuration";

/// First part of the names of volumes with Secrets.
const SECRET: &str = "secret-";

/// A user and group without a name in any image. The pod standard `restricted` asks for one that is not root.
const USER: i64 = 65_532;

/// Seconds in which proxies learn that a pod ends before it refuses clients.
const PRE_STOP_SECONDS: i64 = 5;

/// Seconds that a gateway may need beyond its drain: close frames, goodbyes, the end of the process.
const MARGIN_SECONDS: i64 = 10;

/// How often readiness is asked for, in seconds: what a rollout waits for at least.
const READINESS_SECONDS: i32 = 2;

/// How often and how long a gateway's life is asked for before it is started anew: 60 s, as a machine under load is no
/// reason to drop ten thousand clients.
const LIVENESS: (i32, i32) = (10, 6);

/// Seconds from the first sign of a pod's end until it is killed.
#[must_use]
pub fn grace_seconds(spec: &RealtimeChannelSpec) -> i64 {
    PRE_STOP_SECONDS + i64::from(spec.rollout.drain_seconds) + MARGIN_SECONDS
}

/// Whether a volume of this name is the operator's.
#[must_use]
pub fn is_own_volume(name: &str) -> bool {
    name == CONFIGURATION || name.starts_with(SECRET)
}

/// The template of a channel's pods. The hash of the configuration is no part of it: a live change rolls nothing.
#[must_use]
pub fn template(channel: &Validated) -> PodTemplateSpec {
    let mut template = PodTemplateSpec {
        metadata: Some(ObjectMeta {
            labels: Some(names::labels(&channel.name)),
            ..ObjectMeta::default()
        }),
        spec: Some(pod(channel)),
    };
    if let Some(more) = channel.pod_template.clone() {
        template.merge_from(more);
    }
    let hash = meta::hash(&(&template, taken_up_at_start(channel)));
    let metadata = template.metadata.get_or_insert_default();
    let annotations = metadata.annotations.get_or_insert_default();
    annotations.insert(names::TEMPLATE.to_owned(), hash);
    template
}

/// What a gateway takes up only at its start and what no other field of the template shows.
fn taken_up_at_start(channel: &Validated) -> Value {
    let spec = &channel.spec;
    // Who reads and writes streams is there from the start, or not at all. An embedded store can come and go.
    let history = spec.broker.as_ref().and(spec.history.as_ref());
    json!({
        "path": spec.expose.path,
        "drainSeconds": spec.rollout.drain_seconds,
        "broker": spec.broker,
        "otlpEndpoint": spec.telemetry.otlp_endpoint,
        "history": history.map(|history| (history.partitions, history.storage)),
    })
}

fn pod(channel: &Validated) -> PodSpec {
    let gateway = &channel.spec.gateway;
    let secrets = gateway.image_pull_secrets.iter();
    let pull_secrets: Vec<_> = secrets
        .map(|secret| LocalObjectReference {
            name: secret.name.clone(),
        })
        .collect();
    PodSpec {
        service_account_name: Some(Child::ServiceAccount.name(&channel.name)),
        automount_service_account_token: Some(false),
        // Variables for every Service of the namespace, which nothing here reads.
        enable_service_links: Some(false),
        termination_grace_period_seconds: Some(grace_seconds(&channel.spec)),
        security_context: Some(PodSecurityContext {
            run_as_non_root: Some(true),
            run_as_user: Some(USER),
            run_as_group: Some(USER),
            seccomp_profile: Some(SeccompProfile {
                type_: "RuntimeDefault".into(),
                ..SeccompProfile::default()
            }),
            ..PodSecurityContext::default()
        }),
        image_pull_secrets: (!pull_secrets.is_empty()).then_some(pull_secrets),
        topology_spread_constraints: Some(
            ["topology.kubernetes.io/zone", "kubernetes.io/hostname"]
                .map(|key| spread(key, &channel.name))
                .into(),
        ),
        containers: vec![container(channel)],
        volumes: Some(volumes(channel)),
        ..PodSpec::default()
    }
}

/// Over zones and nodes as evenly as they allow; each rollout's pods by themselves, or the new ones would avoid the
/// nodes of the old ones.
fn spread(key: &str, channel: &str) -> TopologySpreadConstraint {
    TopologySpreadConstraint {
        max_skew: 1,
        topology_key: key.into(),
        when_unsatisfiable: "ScheduleAnyway".into(),
        label_selector: Some(LabelSelector {
            match_labels: Some(names::selector(channel)),
            ..LabelSelector::default()
        }),
        match_label_keys: Some(vec!["pod-template-hash".into()]),
        ..TopologySpreadConstraint::default()
    }
}

fn container(channel: &Validated) -> Container {
    Container {
        name: CONTAINER.into(),
        image: Some(channel.image.clone()),
        image_pull_policy: channel.image_pull_policy.map(Into::into),
        args: Some(arguments(channel)),
        env: Some(environment(channel)),
        resources: channel.resources.clone(),
        ports: Some(vec![
            port(PUBLIC, PUBLIC_PORT),
            port(INTERNAL, INTERNAL_PORT),
        ]),
        readiness_probe: Some(probe("/readyz", READINESS_SECONDS, 3)),
        liveness_probe: Some(probe("/livez", LIVENESS.0, LIVENESS.1)),
        lifecycle: Some(Lifecycle {
            pre_stop: Some(LifecycleHandler {
                sleep: Some(SleepAction {
                    seconds: PRE_STOP_SECONDS,
                }),
                ..LifecycleHandler::default()
            }),
            ..Lifecycle::default()
        }),
        security_context: Some(SecurityContext {
            allow_privilege_escalation: Some(false),
            read_only_root_filesystem: Some(true),
            capabilities: Some(Capabilities {
                drop: Some(vec!["ALL".into()]),
                ..Capabilities::default()
            }),
            ..SecurityContext::default()
        }),
        volume_mounts: Some(mounts(channel)),
        ..Container::default()
    }
}

fn arguments(channel: &Validated) -> Vec<String> {
    [
        &format!("{ROOT}/channel/{}", document::FILE),
        "--managed",
        "--listen",
        &format!("0.0.0.0:{PUBLIC_PORT}"),
        "--internal",
        &format!("0.0.0.0:{INTERNAL_PORT}"),
        "--secrets",
        &format!("{ROOT}/secrets"),
        "--subject-prefix",
        &channel.subject_prefix,
        "--name",
        // The kubelet puts the variable's value in.
        "$(POD_NAME)",
    ]
    .map(String::from)
    .into()
}

fn environment(channel: &Validated) -> Vec<EnvVar> {
    let own = [
        ("POD_NAME", "metadata.name"),
        ("POD_NAMESPACE", "metadata.namespace"),
        ("NODE_NAME", "spec.nodeName"),
    ];
    let own = own.map(|(name, field)| EnvVar {
        name: name.into(),
        value_from: Some(EnvVarSource {
            field_ref: Some(ObjectFieldSelector {
                api_version: Some("v1".into()),
                field_path: field.into(),
            }),
            ..EnvVarSource::default()
        }),
        ..EnvVar::default()
    });
    let given = channel.spec.gateway.env.iter().cloned();
    own.into_iter().chain(given).collect()
}

fn port(name: &str, port: u16) -> ContainerPort {
    ContainerPort {
        name: Some(name.into()),
        container_port: port.into(),
        protocol: Some("TCP".into()),
        ..ContainerPort::default()
    }
}

fn probe(path: &str, period: i32, failures: i32) -> Probe {
    Probe {
        http_get: Some(HTTPGetAction {
            path: Some(path.into()),
            port: IntOrString::String(INTERNAL.into()),
            ..HTTPGetAction::default()
        }),
        period_seconds: Some(period),
        timeout_seconds: Some(2),
        failure_threshold: Some(failures),
        ..Probe::default()
    }
}

/// Names of the Secrets' volumes: a Secret's own name may be longer than a volume's.
fn secret_volumes(channel: &Validated) -> BTreeMap<&str, String> {
    let secrets = channel.secrets.iter().enumerate();
    secrets
        .map(|(i, secret)| (secret.as_str(), format!("{SECRET}{i}")))
        .collect()
}

/// Whole folders: a file that is mounted by itself would never change.
fn mounts(channel: &Validated) -> Vec<VolumeMount> {
    let mount = |name: &str, path: String| VolumeMount {
        name: name.into(),
        mount_path: path,
        read_only: Some(true),
        ..VolumeMount::default()
    };
    let mut mounts = vec![mount(CONFIGURATION, format!("{ROOT}/channel"))];
    for (secret, volume) in secret_volumes(channel) {
        mounts.push(mount(&volume, format!("{ROOT}/secrets/{secret}")));
    }
    mounts
}

fn volumes(channel: &Validated) -> Vec<Volume> {
    let mut volumes = vec![Volume {
        name: CONFIGURATION.into(),
        config_map: Some(ConfigMapVolumeSource {
            name: Child::ConfigMap.name(&channel.name),
            ..ConfigMapVolumeSource::default()
        }),
        ..Volume::default()
    }];
    for (secret, volume) in secret_volumes(channel) {
        volumes.push(Volume {
            name: volume,
            secret: Some(SecretVolumeSource {
                secret_name: Some(secret.into()),
                ..SecretVolumeSource::default()
            }),
            ..Volume::default()
        });
    }
    volumes
}
