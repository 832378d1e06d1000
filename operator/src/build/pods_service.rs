//! The headless Service: the gateways one by one, for clients of the server APIs that spread over them.

use k8s_openapi::api::core::v1::{Service, ServicePort, ServiceSpec};
use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

use super::{meta, pod};
use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Builds the Service. Both ports lead to the internal one, which speaks HTTP/1 and HTTP/2 alike; two, as a port has
/// one protocol to proxies.
#[must_use]
pub fn build(channel: &Validated) -> Service {
    let port = |name: &str, port: u16, protocol: Option<&str>| ServicePort {
        name: Some(name.into()),
        port: port.into(),
        protocol: Some("TCP".into()),
        target_port: Some(IntOrString::String(pod::INTERNAL.into())),
        app_protocol: protocol.map(Into::into),
        ..ServicePort::default()
    };
    Service {
        metadata: meta::of(Child::PodsService, channel),
        spec: Some(ServiceSpec {
            type_: Some("ClusterIP".into()),
            cluster_ip: Some("None".into()),
            selector: Some(names::selector(&channel.name)),
            ports: Some(vec![
                port("http", pod::INTERNAL_PORT, Some("http")),
                port("grpc", pod::INTERNAL_PORT + 1, Some("kubernetes.io/h2c")),
            ]),
            ..ServiceSpec::default()
        }),
        ..Service::default()
    }
}
