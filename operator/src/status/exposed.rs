//! `Exposed`: whether the way from outside leads to the channel.

use linnet_crds::service::ServiceType;
use serde_json::Value;

use super::conditions::{Draft, types};
use crate::children::Child;
use crate::dereference::{Live, Seen};
use crate::validate::Validated;
use crate::validate::hosts::Exposure;

const TYPE: &str = types::EXPOSED;

/// Whether it does; `None` where none is asked for.
#[must_use]
pub fn condition(channel: &Validated, live: &Live) -> Option<Draft> {
    match &channel.exposure {
        Some(exposure) if !exposure.taken.is_empty() => Some(conflict(exposure)),
        Some(_) if channel.spec.expose.http_route.is_some() => Some(http_route(live)),
        Some(_) => Some(ingress(live)),
        None if channel.spec.service.type_ == ServiceType::LoadBalancer => {
            Some(load_balancer(live))
        }
        None => None,
    }
}

fn conflict(exposure: &Exposure) -> Draft {
    let path = "at this path";
    let taken = exposure
        .taken
        .iter()
        .map(|taken| match taken.host.as_str() {
            "*" => format!(
                "requests without a host of another route belong to {}",
                taken.by
            ),
            host => format!("{host} belongs to {}", taken.by),
        });
    let taken: Vec<_> = taken.collect();
    let message = format!(
        "{} {path}, which is older: take another host or path",
        taken.join(", ")
    );
    Draft::fails(TYPE, "HostConflict", message)
}

/// An Ingress that is there routes: not every controller tells its address, so its absence means nothing.
fn ingress(live: &Live) -> Draft {
    match live.get(&Child::Ingress) {
        Some(Seen::Object(_)) => Draft::holds(TYPE, "IngressApplied", "the Ingress is there"),
        Some(Seen::Unreadable(why)) => Draft::fails(TYPE, "NotReadable", why),
        _ => Draft::fails(TYPE, "NotApplied", "the Ingress is not there"),
    }
}

fn http_route(live: &Live) -> Draft {
    let route = match live.get(&Child::HttpRoute) {
        Some(Seen::Object(route)) => route,
        Some(Seen::NoApi) => {
            let message = "this cluster has no HTTPRoute (gateway.networking.k8s.io/v1): install the Gateway API, or \
                           use spec.expose.ingress";
            return Draft::fails(TYPE, "NoGatewayAPI", message);
        }
        Some(Seen::Unreadable(why)) => return Draft::fails(TYPE, "NotReadable", why),
        _ => return Draft::fails(TYPE, "NotApplied", "the HTTPRoute is not there"),
    };
    let parents = route["status"]["parents"].as_array();
    let parents: Vec<_> = parents.into_iter().flatten().collect();
    if parents.is_empty() {
        let message =
            "no Gateway has taken the HTTPRoute yet: look at spec.expose.httpRoute.parentRefs";
        return Draft::fails(TYPE, "RoutePending", message);
    }
    let faults: Vec<_> = parents.iter().flat_map(|parent| faults(parent)).collect();
    match faults.is_empty() {
        true => Draft::holds(
            TYPE,
            "RouteAccepted",
            "every Gateway has taken the HTTPRoute",
        ),
        false => Draft::fails(TYPE, "RouteRefused", faults.join("; ")),
    }
}

/// What one Gateway has against the route.
fn faults(parent: &Value) -> Vec<String> {
    let name = parent["parentRef"]["name"].as_str().unwrap_or_default();
    let conditions = parent["conditions"].as_array();
    let failing = conditions.into_iter().flatten().filter(|condition| {
        ["Accepted", "ResolvedRefs"].contains(&condition["type"].as_str().unwrap_or_default())
            && condition["status"] != "True"
    });
    failing
        .map(|condition| {
            let text = |field: &str| condition[field].as_str().unwrap_or_default().to_owned();
            format!("Gateway {name}: {}: {}", text("reason"), text("message"))
        })
        .collect()
}

fn load_balancer(live: &Live) -> Draft {
    let service = live.get(&Child::Service).and_then(Seen::object);
    let addresses =
        service.and_then(|service| service["status"]["loadBalancer"]["ingress"].as_array());
    match addresses.is_some_and(|addresses| !addresses.is_empty()) {
        true => Draft::holds(
            TYPE,
            "LoadBalancerReady",
            "the load balancer has an address",
        ),
        false => Draft::fails(
            TYPE,
            "LoadBalancerPending",
            "the Service has no load balancer yet: does the cluster have an implementation of them?",
        ),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::super::Truth;
    use super::*;
    use crate::settings::Settings;
    use crate::validate::hosts::Taken;
    use crate::validate::tests::validated;

    fn exposed(spec: Value, live: Live) -> Option<(Truth, String)> {
        condition(&validated(spec, &Settings::plain()), &live)
            .map(|draft| (draft.truth, draft.reason))
    }

    fn route(parents: Value) -> Live {
        let route = json!({"status": {"parents": parents}});
        [(Child::HttpRoute, Seen::Object(route))].into()
    }

    fn one(child: Child, seen: Seen) -> Live {
        [(child, seen)].into()
    }

    #[test]
    fn a_channel_inside_the_cluster_has_no_such_condition() {
        assert_eq!(exposed(json!({}), Live::new()), None);
    }

    #[test]
    fn an_ingress_that_is_there_is_enough() {
        let spec = json!({"expose": {"ingress": {}}});
        let there = one(Child::Ingress, Seen::Object(json!({})));
        assert_eq!(exposed(spec.clone(), there).unwrap().0, Truth::True);
        let (truth, reason) = exposed(spec, Live::new()).unwrap();
        assert_eq!((truth, reason.as_str()), (Truth::False, "NotApplied"));
    }

    #[test]
    fn a_route_counts_once_every_gateway_has_taken_it() {
        let spec = json!({"expose": {"httpRoute": {"parentRefs": [{"name": "g"}]}}});
        let accepted = json!({"type": "Accepted", "status": "True"});
        let refused = json!({"type": "ResolvedRefs", "status": "False", "reason": "BackendNotFound", "message": ""});
        for (live, reason) in [
            (one(Child::HttpRoute, Seen::NoApi), "NoGatewayAPI"),
            (route(json!([])), "RoutePending"),
            (route(json!([{"conditions": [accepted]}])), "RouteAccepted"),
            (
                route(json!([{"conditions": [accepted]}, {"conditions": [refused]}])),
                "RouteRefused",
            ),
        ] {
            assert_eq!(exposed(spec.clone(), live).unwrap().1, reason);
        }
    }

    #[test]
    fn a_load_balancer_counts_once_it_has_an_address() {
        let spec = json!({"service": {"type": "LoadBalancer"}});
        let service = |ingress: Value| {
            let service = json!({"status": {"loadBalancer": {"ingress": ingress}}});
            one(Child::Service, Seen::Object(service))
        };
        let none = exposed(spec.clone(), service(json!(null))).unwrap();
        assert_eq!(none, (Truth::False, "LoadBalancerPending".into()));
        let one = exposed(spec, service(json!([{"ip": "192.0.2.1"}]))).unwrap();
        assert_eq!(one.0, Truth::True);
    }

    #[test]
    fn a_host_of_another_channel_is_named_with_it() {
        let taken = Taken {
            host: "a.example".into(),
            by: "talk/old".into(),
        };
        let mut channel = validated(
            json!({"expose": {"ingress": {}, "hosts": ["a.example"]}}),
            &Settings::plain(),
        );
        channel.exposure = crate::validate::hosts::exposure(&channel.spec.expose, &[taken]);
        let draft = condition(&channel, &Live::new()).unwrap();
        assert_eq!(draft.reason, "HostConflict");
        assert!(
            draft.message.contains("a.example belongs to talk/old"),
            "{}",
            draft.message
        );
    }
}
