//! The way from outside by the Gateway API (gateway.networking.k8s.io/v1), with fields of its standard channel only.
//!
//! The types are here, as far as a channel needs them: crates with all of them follow other versions of the client.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Serialize;

use super::{meta, service};
use crate::children::Child;
use crate::validate::Validated;
use crate::validate::hosts::Hosts;

/// An HTTPRoute.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct HttpRoute {
    pub api_version: &'static str,
    pub kind: &'static str,
    pub metadata: ObjectMeta,
    pub spec: HttpRouteSpec,
}

/// What a route is to be.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct HttpRouteSpec {
    pub parent_refs: Vec<linnet_crds::expose::ParentReference>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub hostnames: Vec<String>,
    pub rules: Vec<Rule>,
}

/// Where requests go.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[serde(rename_all = "camelCase")]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct Rule {
    pub matches: Vec<Match>,
    pub backend_refs: Vec<BackendRef>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub timeouts: Option<Timeouts>,
}

/// Which requests a rule is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct Match {
    pub path: PathMatch,
}

/// Which paths a rule is for.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct PathMatch {
    #[serde(rename = "type")]
    pub type_: &'static str,
    pub value: String,
}

/// A Service.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct BackendRef {
    pub name: String,
    pub port: i32,
}

/// How long a request may take.
#[derive(Clone, Debug, PartialEq, Serialize)]
#[allow(missing_docs, reason = "the fields are the Gateway API's")]
pub struct Timeouts {
    pub request: String,
}

/// Builds the HTTPRoute, where the channel wants one and has a host for it.
#[must_use]
pub fn build(channel: &Validated) -> Option<HttpRoute> {
    let wanted = channel.spec.expose.http_route.as_ref()?;
    let hostnames = match &channel.exposure.as_ref()?.hosts {
        Hosts::Any => Vec::new(),
        Hosts::These(hosts) => hosts.clone(),
        Hosts::None => return None,
    };
    Some(HttpRoute {
        api_version: "gateway.networking.k8s.io/v1",
        kind: "HTTPRoute",
        metadata: meta::of(Child::HttpRoute, channel),
        spec: HttpRouteSpec {
            parent_refs: wanted.parent_refs.clone(),
            hostnames,
            rules: vec![Rule {
                matches: vec![Match {
                    path: PathMatch {
                        type_: "PathPrefix",
                        value: channel.spec.expose.path.clone(),
                    },
                }],
                backend_refs: vec![BackendRef {
                    name: Child::Service.name(&channel.name),
                    port: service::PORT,
                }],
                // GEP-2257: a duration has a unit.
                timeouts: wanted.request_timeout_seconds.map(|seconds| Timeouts {
                    request: format!("{seconds}s"),
                }),
            }],
        },
    })
}
