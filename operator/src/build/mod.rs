//! A channel's objects, from what it asks for. Nothing here does IO or looks at the cluster: the same channel gives the
//! same objects.

pub mod config_map;
pub mod deployment;
pub mod http_route;
pub mod ingress;
pub mod meta;
pub mod network_policy;
pub mod pod;
pub mod pod_disruption_budget;
pub mod pods_service;
pub mod service;
pub mod service_account;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use serde::Serialize;
use serde_json::Value;

use crate::children::Child;
use crate::validate::Validated;

/// All objects of one channel. `None`: the channel asks for none of the kind, and one that is there goes.
#[derive(Clone, Debug, PartialEq)]
pub struct Children {
    /// The gateways' identity.
    pub service_account: ServiceAccount,
    /// The gateways' configuration.
    pub config_map: ConfigMap,
    /// Where clients connect.
    pub service: Service,
    /// The gateways one by one.
    pub pods_service: Service,
    /// Who may reach the gateways' ports.
    pub network_policy: Option<NetworkPolicy>,
    /// How many gateways an eviction may take.
    pub pod_disruption_budget: PodDisruptionBudget,
    /// The gateways.
    pub deployment: Deployment,
    /// The way from outside, by an ingress controller.
    pub ingress: Option<Ingress>,
    /// The way from outside, by the Gateway API.
    pub http_route: Option<http_route::HttpRoute>,
}

/// Builds all objects of a channel, with so many gateways.
#[must_use]
pub fn build(channel: &Validated, replicas: i32) -> Children {
    Children {
        service_account: service_account::build(channel),
        config_map: config_map::build(channel),
        service: service::build(channel),
        pods_service: pods_service::build(channel),
        network_policy: network_policy::build(channel),
        pod_disruption_budget: pod_disruption_budget::build(channel),
        deployment: deployment::build(channel, replicas),
        ingress: ingress::build(channel),
        http_route: http_route::build(channel),
    }
}

impl Children {
    /// Each child as it is sent to the API server, in the order in which they are applied.
    ///
    /// # Errors
    /// When an object has no JSON form, which no value of these types lacks.
    pub fn manifests(self) -> serde_json::Result<Vec<(Child, Option<Value>)>> {
        // Without `..`: who adds a kind is told of this place by the compiler.
        let Self {
            service_account,
            config_map,
            service,
            pods_service,
            network_policy,
            pod_disruption_budget,
            deployment,
            ingress,
            http_route,
        } = self;
        let manifests = vec![
            (Child::ServiceAccount, manifest(Some(service_account))?),
            (Child::ConfigMap, manifest(Some(config_map))?),
            (Child::Service, manifest(Some(service))?),
            (Child::PodsService, manifest(Some(pods_service))?),
            (Child::NetworkPolicy, manifest(network_policy)?),
            (
                Child::PodDisruptionBudget,
                manifest(Some(pod_disruption_budget))?,
            ),
            (Child::Deployment, manifest(Some(deployment))?),
            (Child::Ingress, manifest(ingress)?),
            (Child::HttpRoute, manifest(http_route)?),
        ];
        Ok(manifests)
    }
}

fn manifest(object: Option<impl Serialize>) -> serde_json::Result<Option<Value>> {
    let Some(object) = object else {
        return Ok(None);
    };
    let mut manifest = serde_json::to_value(object)?;
    meta::stamp(&mut manifest);
    Ok(Some(manifest))
}

#[cfg(test)]
mod tests;
