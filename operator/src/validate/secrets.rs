//! The Secrets that a channel names.

use std::collections::{BTreeMap, BTreeSet};

use linnet_crds::RealtimeChannelSpec;

/// Names of the keys that a Secret has; `None` for one that is not there.
pub type Found = BTreeMap<String, Option<BTreeSet<String>>>;

/// Names of the Secrets that gateways read: each is mounted as a folder. `spec` has its broker resolved.
#[must_use]
pub fn mounted(spec: &RealtimeChannelSpec) -> BTreeSet<String> {
    let nats = spec.broker.as_ref().map(|broker| &broker.nats);
    let tls = nats.and_then(|nats| nats.tls.as_ref());
    let authentication = &spec.authentication;
    let handler = spec.handler.as_ref();
    let names = [
        nats.and_then(|nats| nats.credentials_secret_name.as_ref()),
        tls.and_then(|tls| tls.ca_secret_name.as_ref()),
        tls.and_then(|tls| tls.cert_secret_name.as_ref()),
        authentication.api_key_secret_name.as_ref(),
        authentication
            .jwt
            .as_ref()
            .and_then(|jwt| jwt.key_secret_name.as_ref()),
        handler.and_then(|handler| handler.signing_secret_name.as_ref()),
    ];
    names.into_iter().flatten().cloned().collect()
}

/// What is missing of the Secrets that the way to the broker needs, for people; empty where nothing is.
#[must_use]
pub fn missing_for_broker(spec: &RealtimeChannelSpec, found: &Found) -> Vec<String> {
    let Some(nats) = spec.broker.as_ref().map(|broker| &broker.nats) else {
        return Vec::new();
    };
    let tls = nats.tls.as_ref();
    let credentials: &[&[&str]] = &[&["nats.creds"], &["token"], &["username", "password"]];
    let needs = [
        (nats.credentials_secret_name.as_ref(), credentials),
        (
            tls.and_then(|tls| tls.ca_secret_name.as_ref()),
            &[&["ca.crt"]],
        ),
        (
            tls.and_then(|tls| tls.cert_secret_name.as_ref()),
            &[&["tls.crt", "tls.key"]],
        ),
    ];
    let missing = needs.into_iter().filter_map(|(name, one_of)| {
        let name = name?;
        let keys = || {
            let sets: Vec<_> = one_of.iter().map(|keys| keys.join(" and ")).collect();
            sets.join(", or ")
        };
        match found.get(name) {
            // Not looked for, or not to be known.
            None => None,
            Some(None) => Some(format!(
                "Secret {name} is missing: create it with {}",
                keys()
            )),
            Some(Some(has)) => {
                let complete = one_of
                    .iter()
                    .any(|keys| keys.iter().all(|key| has.contains(*key)));
                (!complete).then(|| format!("Secret {name} lacks {}", keys()))
            }
        }
    });
    missing.collect()
}

/// What is missing of the Secrets that gateways know tokens and API keys by, and that they sign with, for people; empty
/// where nothing is.
#[must_use]
pub fn missing_for_authentication(spec: &RealtimeChannelSpec, found: &Found) -> Vec<String> {
    let authentication = &spec.authentication;
    let jwt = authentication.jwt.as_ref();
    let is_token_key = |key: &str| {
        key == "jwt.secret"
            || key.strip_prefix("jwt.").is_some_and(|rest| {
                let kid = rest.strip_suffix(".pem").or(rest.strip_suffix(".secret"));
                kid.is_some_and(|kid| !kid.is_empty())
            })
    };
    let is_api_key = |key: &str| {
        key.strip_prefix("api.")
            .is_some_and(|name| !name.is_empty())
    };
    let is_signing_key = |key: &str| {
        key.strip_prefix("signing.")
            .is_some_and(|name| !name.is_empty())
    };
    let handler = spec.handler.as_ref();
    type Fits<'a> = &'a dyn Fn(&str) -> bool;
    let needs: [(Option<&String>, Fits<'_>, &str); 3] = [
        (
            jwt.and_then(|jwt| jwt.key_secret_name.as_ref()),
            &is_token_key,
            "jwt.secret, jwt.<kid>.secret or jwt.<kid>.pem",
        ),
        (
            authentication.api_key_secret_name.as_ref(),
            &is_api_key,
            "api.<name>",
        ),
        (
            handler.and_then(|handler| handler.signing_secret_name.as_ref()),
            &is_signing_key,
            "signing.<name>",
        ),
    ];
    let missing = needs.into_iter().filter_map(|(name, fits, keys)| {
        let name = name?;
        match found.get(name) {
            // Not looked for, or not to be known.
            None => None,
            Some(None) => Some(format!(
                "Secret {name} is missing: create it with {keys}; new gateways can't start without it"
            )),
            Some(Some(has)) if !has.iter().any(|key| fits(key)) => {
                Some(format!("Secret {name} lacks {keys}"))
            }
            Some(Some(_)) => None,
        }
    });
    missing.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn spec() -> RealtimeChannelSpec {
        let nats = json!({
            "urls": ["tls://n"],
            "credentialsSecretName": "creds",
            "tls": {"caSecretName": "ca", "certSecretName": "cert"},
        });
        serde_json::from_value(json!({"broker": {"nats": nats}})).unwrap()
    }

    fn found(keys: [(&str, Option<&[&str]>); 3]) -> Found {
        let keys = keys.into_iter().map(|(name, keys)| {
            let keys = keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect());
            (name.to_owned(), keys)
        });
        keys.collect()
    }

    #[test]
    fn every_named_secret_is_mounted_once() {
        let mut spec = spec();
        spec.authentication.api_key_secret_name = Some("creds".into());
        let names: Vec<_> = mounted(&spec).into_iter().collect();
        assert_eq!(names, ["ca", "cert", "creds"]);
    }

    #[test]
    fn any_complete_set_of_keys_will_do() {
        for keys in [
            &["nats.creds"][..],
            &["token"],
            &["username", "password", "more"],
        ] {
            let found = found([
                ("creds", Some(keys)),
                ("ca", Some(&["ca.crt"])),
                ("cert", Some(&["tls.crt", "tls.key"])),
            ]);
            assert!(missing_for_broker(&spec(), &found).is_empty(), "{keys:?}");
        }
    }

    #[test]
    fn what_is_missing_is_named() {
        let found = found([
            ("creds", Some(&["username"])),
            ("ca", None),
            ("cert", Some(&["tls.crt"])),
        ]);
        assert_eq!(
            missing_for_broker(&spec(), &found),
            [
                "Secret creds lacks nats.creds, or token, or username and password",
                "Secret ca is missing: create it with ca.crt",
                "Secret cert lacks tls.crt and tls.key",
            ]
        );
    }

    #[test]
    fn the_keys_of_tokens_and_of_callers_are_asked_for_by_name() {
        let authentication = json!({"jwt": {"keySecretName": "k"}, "apiKeySecretName": "a"});
        let spec: RealtimeChannelSpec =
            serde_json::from_value(json!({ "authentication": authentication })).unwrap();
        let missing = |tokens: Option<&[&str]>, api: Option<&[&str]>| {
            let keys = |keys: Option<&[&str]>| {
                keys.map(|keys| keys.iter().map(|&key| key.to_owned()).collect())
            };
            let found = Found::from([("k".into(), keys(tokens)), ("a".into(), keys(api))]);
            missing_for_authentication(&spec, &found)
        };
        for keys in ["jwt.secret", "jwt.1.pem", "jwt.a.b.secret"] {
            assert!(missing(Some(&["x", keys]), Some(&["api.shop"])).is_empty());
        }
        let lacks = missing(Some(&["jwt.pem", "jwt..pem", "secret"]), Some(&["api."]));
        assert_eq!(
            lacks,
            [
                "Secret k lacks jwt.secret, jwt.<kid>.secret or jwt.<kid>.pem",
                "Secret a lacks api.<name>"
            ]
        );
        let gone = missing(None, None);
        assert!(gone.iter().all(|text| text.contains("is missing")) && gone.len() == 2);
        assert!(missing_for_authentication(&spec, &Found::new()).is_empty());
    }

    #[test]
    fn a_channel_without_a_broker_misses_nothing() {
        let none = RealtimeChannelSpec::default();
        assert!(missing_for_broker(&none, &Found::new()).is_empty());
    }

    #[test]
    fn the_key_that_a_handler_knows_a_gateway_by_is_asked_for() {
        let handler = json!({"url": "http://b", "events": ["request"], "signingSecretName": "s"});
        let spec: RealtimeChannelSpec =
            serde_json::from_value(json!({ "handler": handler })).unwrap();
        let missing = |key: &str| {
            let keys = Some(BTreeSet::from([key.to_owned()]));
            missing_for_authentication(&spec, &Found::from([("s".into(), keys)]))
        };
        assert!(missing("signing.a").is_empty());
        assert_eq!(missing("signing."), ["Secret s lacks signing.<name>"]);
    }
}
