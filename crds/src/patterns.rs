//! The regular expressions of the schema, each with what a person is told when a value does not fit.
//!
//! They are RE2 syntax, which the API server and the `regex` crate share.

/// A pattern of the schema and the words for it.
#[derive(Clone, Copy, Debug)]
pub struct Pattern {
    /// The expression, as it stands in the schema.
    pub regex: &'static str,
    /// What to write instead; follows "expected".
    pub expects: &'static str,
}

/// Sizes. Signs and the milli suffix are left out: there is no negative and no thousandth of a byte.
pub const QUANTITY: &str = "^[0-9]+([.][0-9]+)?([KMGTPE]i|[kMGTPE]|[eE][0-9]{1,2})?$";

/// A name that the API server accepts for a Secret and most other objects (RFC 1123 subdomain).
pub const OBJECT_NAME: &str = "^[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// A host name as Ingress and HTTPRoute take it: lower case, at most one leading `*.`.
pub const HOST: &str =
    "^([*][.])?[a-z0-9]([-a-z0-9]*[a-z0-9])?([.][a-z0-9]([-a-z0-9]*[a-z0-9])?)*$";

/// `/`, or segments without a trailing slash; none starts with a dot, so `..` can't be spelt.
pub const PATH: &str = "^/$|^(/[A-Za-z0-9_~-][A-Za-z0-9._~-]*)+$";

/// An origin as browsers send it: scheme, host and port, no path; all below a host of at least two
/// labels, `*.example.com`; `null`; or `*`.
pub const ORIGIN: &str = r"^([*]|null|[a-z][a-z0-9+.-]*://([A-Za-z0-9.-]+|[*]([.][A-Za-z0-9-]+){2,}|\[[0-9A-Fa-f:.]+\])(:[0-9]{1,5})?)$";

/// A network in CIDR notation. The CEL rule beside it parses it; this keeps the rule's input small.
pub const CIDR: &str = "^[0-9A-Fa-f:.]+/[0-9]{1,3}$";

/// An absolute HTTP URL.
pub const HTTP_URL: &str = r"^https?://[^\s/]+(/\S*)?$";

/// The URL of a NATS server.
pub const NATS_URL: &str = r"^(nats|tls|ws|wss)://[^\s/]+(/\S*)?$";

/// A NATS subject to send to: tokens without wildcards.
pub const NATS_SUBJECT: &str = r"^[^\s.*>]+([.][^\s.*>]+)*$";

const ALL: &[Pattern] = &[
    Pattern {
        regex: QUANTITY,
        expects: "a quantity such as 64Ki",
    },
    Pattern {
        regex: OBJECT_NAME,
        expects: "a name of a-z, 0-9, '-' and '.' that starts and ends with a letter or digit",
    },
    Pattern {
        regex: HOST,
        expects: "a host name in lower case, such as chat.example.com, without scheme or port",
    },
    Pattern {
        regex: PATH,
        expects: "a path such as /chat, without a slash at its end",
    },
    Pattern {
        regex: ORIGIN,
        expects: "an origin such as https://app.example.com or https://*.example.com, without a path, \"null\" or \"*\"",
    },
    Pattern {
        regex: CIDR,
        expects: "a network in CIDR notation, such as 10.0.0.0/8",
    },
    Pattern {
        regex: HTTP_URL,
        expects: "a URL that starts with http:// or https://",
    },
    Pattern {
        regex: NATS_URL,
        expects: "a URL such as nats://nats.example:4222",
    },
    Pattern {
        regex: NATS_SUBJECT,
        expects: "a subject such as chat.events, without wildcards",
    },
];

/// The words for `regex`, if it is one of this crate.
#[must_use]
pub fn expectation(regex: &str) -> Option<&'static str> {
    ALL.iter().find(|p| p.regex == regex).map(|p| p.expects)
}
