//! Who may reach the gateways' ports. What gateways reach is not restricted: brokers, key servers and collectors are
//! where the installation has them.

use k8s_openapi::api::networking::v1::{
    NetworkPolicy, NetworkPolicyIngressRule, NetworkPolicyPeer, NetworkPolicyPort,
    NetworkPolicySpec,
};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::LabelSelector;
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use linnet_crds::network_policy::NetworkPolicyMode;

use super::{meta, pod};
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// The label that the API server gives every namespace (KEP-2161).
const NAMESPACE_NAME: &str = "kubernetes.io/metadata.name";

/// Builds the NetworkPolicy, where the channel wants one.
#[must_use]
pub fn build(channel: &Validated) -> Option<NetworkPolicy> {
    let wanted = &channel.spec.network_policy;
    if wanted.mode == NetworkPolicyMode::None {
        return None;
    }
    let mut inside = vec![
        own_namespace(),
        operator(channel.operator_namespace.as_deref()),
    ];
    inside.extend(wanted.internal_from.iter().cloned());
    Some(NetworkPolicy {
        metadata: meta::of(Child::NetworkPolicy, channel),
        spec: Some(NetworkPolicySpec {
            pod_selector: Some(LabelSelector {
                match_labels: Some(names::selector(&channel.name)),
                ..LabelSelector::default()
            }),
            policy_types: Some(vec!["Ingress".into()]),
            ingress: Some(vec![
                rule(pod::PUBLIC, None),
                rule(pod::INTERNAL, Some(inside)),
            ]),
            ..NetworkPolicySpec::default()
        }),
    })
}

fn rule(port: &str, from: Option<Vec<NetworkPolicyPeer>>) -> NetworkPolicyIngressRule {
    NetworkPolicyIngressRule {
        from,
        ports: Some(vec![NetworkPolicyPort {
            port: Some(IntOrString::String(port.into())),
            protocol: Some("TCP".into()),
            ..NetworkPolicyPort::default()
        }]),
    }
}

fn own_namespace() -> NetworkPolicyPeer {
    NetworkPolicyPeer {
        pod_selector: Some(LabelSelector::default()),
        ..NetworkPolicyPeer::default()
    }
}

/// The operator's pods; in any namespace where it is not known in which they are.
fn operator(namespace: Option<&str>) -> NetworkPolicyPeer {
    let name = namespace.map(|name| [(NAMESPACE_NAME.to_owned(), name.to_owned())].into());
    NetworkPolicyPeer {
        namespace_selector: Some(LabelSelector {
            match_labels: name,
            ..LabelSelector::default()
        }),
        pod_selector: Some(LabelSelector {
            match_labels: Some(names::operator_selector()),
            ..LabelSelector::default()
        }),
        ..NetworkPolicyPeer::default()
    }
}
