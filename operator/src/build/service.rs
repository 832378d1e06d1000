//! The Service that clients reach the gateways through.

use k8s_openapi::api::core::v1::{
    ClientIPConfig, Service, ServicePort, ServiceSpec, SessionAffinityConfig,
};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use linnet_crds::service::{ExternalTrafficPolicy, ServiceType, SessionAffinity};

use super::{meta, pod};
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Its port: HTTP, from which WebSockets come.
pub const PORT: i32 = 80;

/// The port's name.
pub const PORT_NAME: &str = "websocket";

/// Builds the Service.
#[must_use]
pub fn build(channel: &Validated) -> Service {
    let wanted = &channel.spec.service;
    let affinity = match wanted.session_affinity {
        SessionAffinity::ClientIp => "ClientIP",
        SessionAffinity::None => "None",
    };
    let timeout = i32::try_from(wanted.session_affinity_timeout_seconds).unwrap_or(i32::MAX);
    let config = matches!(wanted.session_affinity, SessionAffinity::ClientIp).then(|| {
        SessionAffinityConfig {
            client_ip: Some(ClientIPConfig {
                timeout_seconds: Some(timeout),
            }),
        }
    });
    let mut metadata = meta::of(Child::Service, channel);
    if !wanted.annotations.is_empty() {
        metadata.annotations = Some(wanted.annotations.clone());
    }
    Service {
        metadata,
        spec: Some(ServiceSpec {
            type_: Some(type_name(wanted.type_).into()),
            selector: Some(names::selector(&channel.name)),
            ports: Some(vec![ServicePort {
                name: Some(PORT_NAME.into()),
                port: PORT,
                protocol: Some("TCP".into()),
                target_port: Some(IntOrString::String(pod::PUBLIC.into())),
                // KEP-3726's name for WebSockets over cleartext: proxies in front keep the upgrade.
                app_protocol: Some("kubernetes.io/ws".into()),
                ..ServicePort::default()
            }]),
            session_affinity: Some(affinity.into()),
            session_affinity_config: config,
            external_traffic_policy: wanted.external_traffic_policy.map(|policy| match policy {
                ExternalTrafficPolicy::Cluster => "Cluster".into(),
                ExternalTrafficPolicy::Local => "Local".into(),
            }),
            load_balancer_class: wanted.load_balancer_class.clone(),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}

fn type_name(type_: ServiceType) -> &'static str {
    match type_ {
        ServiceType::ClusterIp => "ClusterIP",
        ServiceType::NodePort => "NodePort",
        ServiceType::LoadBalancer => "LoadBalancer",
    }
}
