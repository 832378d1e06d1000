//! `spec.authentication`: who may connect, and as whom.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::patterns::{CIDR, HTTP_URL, OBJECT_NAME, ORIGIN};
use crate::rules::{forbidden_at, invalid};
use crate::toggle::Permission;

/// Who may connect, and as whom.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [forbidden_at(
    ".queryToken",
    "has(self.jwt) || !has(self.queryToken) || self.queryToken == 'Deny'",
    "queryToken: Allow needs jwt",
)]))]
pub struct Authentication {
    /// Allow lets clients connect without a token. They have no user id.
    pub anonymous: Permission,

    /// Allow takes a token from the URL's query as well. URLs end up in logs: prefer Deny.
    pub query_token: Permission,

    /// Take JSON Web Tokens.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub jwt: Option<Jwt>,

    /// Secret whose `api.<name>` entries are keys of the server APIs.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub api_key_secret_name: Option<String>,

    /// Origins whose pages may connect, such as `https://app.example.com`; `https://*.example.com` is
    /// every subdomain, `null` pages without an origin, `*` any. Empty: the page's host and port must
    /// equal the channel's.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 300), regex(pattern = ORIGIN)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub allowed_origins: Vec<String>,

    /// Networks of proxies whose forwarded client address is believed.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 64),
        inner(length(min = 1, max = 64), regex(pattern = CIDR)),
        extend(
            "x-kubernetes-list-type" = "set",
            "x-kubernetes-validations" = [invalid(
                "self.all(c, isCIDR(c))",
                "must be networks in CIDR notation, such as 10.0.0.0/8",
            )],
        )
    )]
    pub trusted_proxies: Vec<String>,
}

/// Which tokens are taken.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "camelCase", default)]
#[schemars(extend("x-kubernetes-validations" = [
    invalid(
        "has(self.jwksUri) != has(self.keySecretName)",
        "set exactly one of jwksUri and keySecretName",
    ),
    forbidden_at(
        ".algorithms",
        "!has(self.jwksUri) || !has(self.algorithms) || self.algorithms.all(a, !a.startsWith('HS'))",
        "HS algorithms need keySecretName: a published key is no secret",
    ),
]))]
pub struct Jwt {
    /// Required `iss` of a token. Absent: any.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 512))]
    pub issuer: Option<String>,

    /// A token's `aud` must hold one of these. Empty: any.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 16),
        inner(length(min = 1, max = 512)),
        extend("x-kubernetes-list-type" = "set")
    )]
    pub audiences: Vec<String>,

    /// Signature algorithms that are taken. Empty: those that fit the type of the key.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 16), extend("x-kubernetes-list-type" = "set"))]
    pub algorithms: Vec<Algorithm>,

    /// Where the issuer publishes its keys (RFC 7517).
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 2048),
        regex(pattern = HTTP_URL)
    )]
    pub jwks_uri: Option<String>,

    /// Secret with `jwt.<kid>.pem` entries or `jwt.secret`.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = OBJECT_NAME))]
    pub key_secret_name: Option<String>,

    /// The claim that is the user id.
    #[schemars(length(min = 1, max = 128))]
    pub user_claim: String,

    /// The claim that lists rooms for rules that say Claim.
    #[schemars(length(min = 1, max = 128))]
    pub rooms_claim: String,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            issuer: None,
            audiences: Vec::new(),
            algorithms: Vec::new(),
            jwks_uri: None,
            key_secret_name: None,
            user_claim: "sub".into(),
            rooms_claim: "rooms".into(),
        }
    }
}

/// A signature algorithm (RFC 7518 section 3.1, RFC 8037). There is no `none`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[allow(missing_docs, reason = "the names are the registered ones")]
pub enum Algorithm {
    RS256,
    RS384,
    RS512,
    PS256,
    PS384,
    PS512,
    ES256,
    ES384,
    EdDSA,
    HS256,
    HS384,
    HS512,
}
