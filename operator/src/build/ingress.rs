//! The way from outside by an ingress controller.

use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule,
    IngressServiceBackend, IngressSpec, IngressTLS, ServiceBackendPort,
};

use super::{meta, service};
use crate::children::Child;
use crate::validate::Validated;
use crate::validate::hosts::Hosts;

/// Builds the Ingress, where the channel wants one and has a host for it.
#[must_use]
pub fn build(channel: &Validated) -> Option<Ingress> {
    let wanted = channel.spec.expose.ingress.as_ref()?;
    let hosts = match &channel.exposure.as_ref()?.hosts {
        Hosts::Any => None,
        Hosts::These(hosts) => Some(hosts.clone()),
        Hosts::None => return None,
    };
    let rule = |host: Option<String>| IngressRule {
        host,
        http: Some(HTTPIngressRuleValue {
            paths: vec![HTTPIngressPath {
                path: Some(channel.spec.expose.path.clone()),
                path_type: "Prefix".into(),
                backend: IngressBackend {
                    service: Some(IngressServiceBackend {
                        name: Child::Service.name(&channel.name),
                        port: Some(ServiceBackendPort {
                            name: Some(service::PORT_NAME.into()),
                            ..ServiceBackendPort::default()
                        }),
                    }),
                    ..IngressBackend::default()
                },
            }],
        }),
    };
    let rules = match &hosts {
        None => vec![rule(None)],
        Some(hosts) => hosts.iter().cloned().map(|host| rule(Some(host))).collect(),
    };
    let mut metadata = meta::of(Child::Ingress, channel);
    if !wanted.annotations.is_empty() {
        metadata.annotations = Some(wanted.annotations.clone());
    }
    Some(Ingress {
        metadata,
        spec: Some(IngressSpec {
            ingress_class_name: wanted.class_name.clone(),
            rules: Some(rules),
            tls: wanted.tls_secret_name.clone().map(|secret| {
                vec![IngressTLS {
                    hosts,
                    secret_name: Some(secret),
                }]
            }),
            ..IngressSpec::default()
        }),
        ..Ingress::default()
    })
}
