//! The kinds of objects that a channel has in the cluster.

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Service, ServiceAccount};
use k8s_openapi::api::networking::v1::{Ingress, NetworkPolicy};
use k8s_openapi::api::policy::v1::PodDisruptionBudget;
use kube::core::{ApiResource, GroupVersionKind};

use crate::names;

/// One of a channel's objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Child {
    /// The gateways' identity, without rights.
    ServiceAccount,
    /// The gateways' configuration.
    ConfigMap,
    /// Where clients connect.
    Service,
    /// The gateways one by one, for server APIs.
    PodsService,
    /// Who may reach the gateways' ports.
    NetworkPolicy,
    /// How many gateways an eviction may take at once.
    PodDisruptionBudget,
    /// The gateways.
    Deployment,
    /// The way from outside, by an ingress controller.
    Ingress,
    /// The way from outside, by the Gateway API.
    HttpRoute,
}

impl Child {
    /// All of them, in the order in which they are applied: what pods use is there before the pods.
    pub const ALL: [Self; 9] = [
        Self::ServiceAccount,
        Self::ConfigMap,
        Self::Service,
        Self::PodsService,
        Self::NetworkPolicy,
        Self::PodDisruptionBudget,
        Self::Deployment,
        Self::Ingress,
        Self::HttpRoute,
    ];

    /// Its API.
    #[must_use]
    pub fn resource(self) -> ApiResource {
        match self {
            Self::ServiceAccount => ApiResource::erase::<ServiceAccount>(&()),
            Self::ConfigMap => ApiResource::erase::<ConfigMap>(&()),
            Self::Service | Self::PodsService => ApiResource::erase::<Service>(&()),
            Self::NetworkPolicy => ApiResource::erase::<NetworkPolicy>(&()),
            Self::PodDisruptionBudget => ApiResource::erase::<PodDisruptionBudget>(&()),
            Self::Deployment => ApiResource::erase::<Deployment>(&()),
            Self::Ingress => ApiResource::erase::<Ingress>(&()),
            Self::HttpRoute => {
                let kind = GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", "HTTPRoute");
                ApiResource::from_gvk_with_plural(&kind, "httproutes")
            }
        }
    }

    /// Its name, for the channel of this name.
    #[must_use]
    pub fn name(self, channel: &str) -> String {
        match self {
            Self::PodsService => names::pods_service(channel),
            _ => names::gateway(channel),
        }
    }

    /// Its kind, as people and manifests write it.
    #[must_use]
    pub fn kind(self) -> &'static str {
        match self {
            Self::ServiceAccount => "ServiceAccount",
            Self::ConfigMap => "ConfigMap",
            Self::Service | Self::PodsService => "Service",
            Self::NetworkPolicy => "NetworkPolicy",
            Self::PodDisruptionBudget => "PodDisruptionBudget",
            Self::Deployment => "Deployment",
            Self::Ingress => "Ingress",
            Self::HttpRoute => "HTTPRoute",
        }
    }

    /// Whether it is how clients reach the channel from outside.
    #[must_use]
    pub fn exposes(self) -> bool {
        matches!(self, Self::Ingress | Self::HttpRoute)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn no_two_children_are_the_same_object() {
        let keys: BTreeSet<_> = Child::ALL
            .map(|child| (child.kind(), child.name("a")))
            .into();
        assert_eq!(keys.len(), Child::ALL.len());
    }

    #[test]
    fn kinds_are_those_of_their_apis() {
        for child in Child::ALL {
            assert_eq!(child.resource().kind, child.kind());
        }
    }
}
