//! `status.url`: where clients connect.

use linnet_crds::service::ServiceType;
use serde_json::Value;

use crate::children::Child;
use crate::dereference::{Live, Seen};
use crate::validate::Validated;
use crate::validate::hosts::Hosts;

/// The URL of the WebSocket endpoint, as far from inside as it is known; without a host or an address outside, that of
/// the Service.
#[must_use]
pub fn of(channel: &Validated, live: &Live) -> String {
    let (scheme, host) = outside(channel, live).unwrap_or_else(|| {
        let service = Child::Service.name(&channel.name);
        ("ws", format!("{service}.{}.svc", channel.namespace))
    });
    let path = channel.spec.expose.path.trim_end_matches('/');
    format!("{scheme}://{host}{path}/ws")
}

fn outside(channel: &Validated, live: &Live) -> Option<(&'static str, String)> {
    let Some(exposure) = &channel.exposure else {
        let service = live.get(&Child::Service).and_then(Seen::object)?;
        let balanced = channel.spec.service.type_ == ServiceType::LoadBalancer;
        return balanced
            .then(|| address(service))
            .flatten()
            .map(|host| ("ws", host));
    };
    let expose = &channel.spec.expose;
    let ingress = expose.ingress.as_ref();
    let scheme = match ingress {
        Some(ingress) if ingress.tls_secret_name.is_some() => "wss",
        Some(_) => "ws",
        // Whether a Gateway's listener has TLS is the Gateway's; a name that says so is all there is to see here.
        None => {
            let mut parents = expose
                .http_route
                .iter()
                .flat_map(|route| &route.parent_refs);
            let tls = parents.any(|parent| {
                let section = parent.section_name.as_deref().unwrap_or_default();
                section.contains("https") || section.contains("tls")
            });
            if tls { "wss" } else { "ws" }
        }
    };
    let host = match &exposure.hosts {
        // A wildcard is no host to connect to.
        Hosts::These(hosts) => hosts.iter().find(|host| !host.starts_with('*')).cloned(),
        Hosts::Any => live
            .get(&Child::Ingress)
            .and_then(Seen::object)
            .and_then(address),
        Hosts::None => None,
    };
    host.map(|host| (scheme, host))
}

/// The address of a load balancer, in the status of a Service or an Ingress.
fn address(object: &Value) -> Option<String> {
    let first = object["status"]["loadBalancer"]["ingress"].get(0)?;
    if let Some(name) = first["hostname"].as_str() {
        return Some(name.to_owned());
    }
    let ip = first["ip"].as_str()?;
    Some(if ip.contains(':') {
        format!("[{ip}]")
    } else {
        ip.to_owned()
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::settings::Settings;
    use crate::validate::tests::validated;

    fn url(spec: Value, live: Live) -> String {
        of(&validated(spec, &Settings::plain()), &live)
    }

    #[test]
    fn clients_are_told_the_way_that_is_known_best() {
        let balanced: Live = [(
            Child::Service,
            Seen::Object(json!({"status": {"loadBalancer": {"ingress": [{"ip": "2001:db8::1"}]}}})),
        )]
        .into();
        let cases = [
            (json!({}), "ws://chat-gateway.talk.svc/ws"),
            (
                json!({"expose": {"path": "/a"}}),
                "ws://chat-gateway.talk.svc/a/ws",
            ),
            (
                json!({"expose": {"hosts": ["a.example"], "ingress": {"tlsSecretName": "t"}}}),
                "wss://a.example/ws",
            ),
            (
                json!({"expose": {"hosts": ["*.example", "b.example"], "path": "/c", "ingress": {}}}),
                "ws://b.example/c/ws",
            ),
            (
                json!({"expose": {"ingress": {}}}),
                "ws://chat-gateway.talk.svc/ws",
            ),
            (
                json!({"expose": {"hosts": ["a.example"],
                    "httpRoute": {"parentRefs": [{"name": "g", "sectionName": "https"}]}}}),
                "wss://a.example/ws",
            ),
            (
                json!({"service": {"type": "LoadBalancer"}}),
                "ws://[2001:db8::1]/ws",
            ),
        ];
        for (spec, expected) in cases {
            assert_eq!(url(spec.clone(), balanced.clone()), expected, "{spec}");
        }
    }
}
