//! What a channel asks for, checked and resolved: everything that can be wrong with it is found here, before anything
//! is built. Nothing here does IO.

pub mod broker;
pub mod hosts;
pub mod pod_template;
pub mod secrets;
pub mod strict;

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::{PodTemplateSpec, ResourceRequirements};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Resource;
use linnet_crds::{Problem, RealtimeChannel, RealtimeChannelSpec, support};
use linnet_gateway::config::document;

use crate::settings::Settings;
use hosts::{Exposure, Taken};

/// Most bytes of the gateways' configuration: an object of the API server may have about 1 MiB, and the ConfigMap is
/// kept twice while it is applied.
pub const DOCUMENT_BYTES: usize = 512 * 1024;

/// Environment of the gateway's container that the operator sets.
pub const OWN_ENVIRONMENT: [&str; 3] = ["POD_NAME", "POD_NAMESPACE", "NODE_NAME"];

/// A channel that can be built.
#[derive(Clone, Debug)]
pub struct Validated {
    /// Its name.
    pub name: String,
    /// Its namespace.
    pub namespace: String,
    /// What makes its children its own; `None` where it is not in a cluster.
    pub owner: Option<OwnerReference>,
    /// Its spec, with the broker that it has in this installation.
    pub spec: RealtimeChannelSpec,
    /// The gateways' configuration.
    pub document: String,
    /// The hash that gateways report when they serve it.
    pub hash: String,
    /// The gateways' image.
    pub image: String,
    /// When it is pulled.
    pub image_pull_policy: Option<&'static str>,
    /// Requests and limits of the gateway's container.
    pub resources: Option<ResourceRequirements>,
    /// What is merged into the pod template last.
    pub pod_template: Option<PodTemplateSpec>,
    /// Secrets that are mounted.
    pub secrets: BTreeSet<String>,
    /// The way from outside, where one is asked for.
    pub exposure: Option<Exposure>,
    /// First part of the names on NATS.
    pub subject_prefix: String,
    /// Where the operator's pods are.
    pub operator_namespace: Option<String>,
}

impl Validated {
    /// Whether the single gateway is its own broker.
    #[must_use]
    pub fn is_embedded(&self) -> bool {
        self.spec.broker.is_none()
    }
}

/// Why a channel can't be built: reason and message of `Accepted=False`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Rejection {
    /// One word for programs.
    pub reason: &'static str,
    /// What is wrong and what to do, for people.
    pub message: String,
}

impl Rejection {
    fn new(reason: &'static str, message: impl Into<String>) -> Self {
        Self {
            reason,
            message: message.into(),
        }
    }
}

/// Checks `channel`; `taken` are its hosts that older channels have.
///
/// # Errors
/// Why it can't be built.
pub fn validate(
    channel: &RealtimeChannel,
    taken: &[Taken],
    settings: &Settings,
) -> Result<Validated, Rejection> {
    let mut channel = channel.clone();
    channel.spec.broker = broker::resolve(&channel.spec, settings);
    broker::check(&channel.spec)?;
    none_of("NotSupported", support::unsupported(&channel))?;
    let document = gateways_document(&channel)?;
    check_environment(&channel.spec)?;
    let invalid = |message| Rejection::new("InvalidSpec", message);
    let resources = channel.spec.gateway.resources.as_ref();
    let resources = resources
        .map(|free| strict::read(&free.0, "spec.gateway.resources"))
        .transpose()
        .map_err(invalid)?;
    let pod_template = channel.spec.gateway.pod_template.as_ref();
    let pod_template = pod_template
        .map(|free| pod_template::read(&free.0, &channel.spec))
        .transpose()
        .map_err(|message| Rejection::new("InvalidPodTemplate", message))?;
    let gateway = &channel.spec.gateway;
    let pull_policy = gateway.image_pull_policy.or(match gateway.image {
        // The flag speaks of the operator's own image.
        None => settings.image_pull_policy,
        Some(_) => None,
    });
    Ok(Validated {
        name: channel.metadata.name.clone().unwrap_or_default(),
        namespace: namespace(&channel),
        owner: channel.controller_owner_ref(&()),
        hash: document::hash(&document),
        document,
        image: gateway
            .image
            .clone()
            .unwrap_or_else(|| settings.gateway_image.clone()),
        image_pull_policy: pull_policy.map(pull_policy_name),
        resources,
        pod_template,
        secrets: secrets::mounted(&channel.spec),
        exposure: hosts::exposure(&channel.spec.expose, taken),
        subject_prefix: settings.subject_prefix.clone(),
        operator_namespace: settings.operator_namespace.clone(),
        spec: channel.spec,
    })
}

/// The namespace of a channel; `default` where a manifest names none, as with kubectl.
#[must_use]
pub fn namespace(channel: &RealtimeChannel) -> String {
    let namespace = channel.metadata.namespace.clone();
    namespace.unwrap_or_else(|| "default".into())
}

fn pull_policy_name(policy: linnet_crds::gateway::ImagePullPolicy) -> &'static str {
    use linnet_crds::gateway::ImagePullPolicy;
    match policy {
        ImagePullPolicy::Always => "Always",
        ImagePullPolicy::IfNotPresent => "IfNotPresent",
        ImagePullPolicy::Never => "Never",
    }
}

/// The configuration for the gateways, read with their own code: one that they would refuse never reaches them.
fn gateways_document(channel: &RealtimeChannel) -> Result<String, Rejection> {
    let document = document::write(channel);
    if document.len() > DOCUMENT_BYTES {
        let message = format!(
            "the gateways' configuration has {} bytes, more than the {DOCUMENT_BYTES} that a ConfigMap is to hold: \
             shorten spec.rooms, above all their schemas",
            document.len()
        );
        return Err(Rejection::new("ConfigurationTooLarge", message));
    }
    match linnet_crds::check_managed(&document) {
        Ok((_, unknown)) => none_of("InvalidSpec", unknown)?,
        Err(problems) => none_of("InvalidSpec", problems.into_vec())?,
    }
    Ok(document)
}

/// Lines are those of a file that nobody has seen: the fields alone tell where a problem is.
fn none_of(reason: &'static str, problems: Vec<Problem>) -> Result<(), Rejection> {
    if problems.is_empty() {
        return Ok(());
    }
    let lines = problems
        .into_iter()
        .map(|problem| Problem::new(problem.path, problem.message).to_string());
    let message = lines.collect::<Vec<_>>().join("\n");
    Err(Rejection::new(reason, message))
}

fn check_environment(spec: &RealtimeChannelSpec) -> Result<(), Rejection> {
    let mut own = spec.gateway.env.iter().enumerate();
    match own.find(|(_, variable)| OWN_ENVIRONMENT.contains(&variable.name.as_str())) {
        None => Ok(()),
        Some((i, variable)) => Err(Rejection::new(
            "InvalidSpec",
            format!(
                "spec.gateway.env[{i}]: {} is set by the operator: leave it out",
                variable.name
            ),
        )),
    }
}

#[cfg(test)]
pub(crate) mod tests;
