//! Tokens: which are somebody's, and what is said of each that is nobody's.

mod matrix;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::claims::{ClaimsError, LEEWAY, LONGEST_LIFE};
use super::grants::GrantsError;
use super::key::{Key, KeyError};
use super::keyring::{Keyring, SetError};
use super::policy::Policy;
use super::testing::{ALGORITHMS, NOW, RSA_PUBLIC, SECRET, claims, key, policy, sign, sign_raw};
use super::tokens::{TokenError, check};

fn ring(algorithm: Algorithm) -> Keyring {
    super::crypto::install();
    Keyring::new(vec![key("k", algorithm)])
}

fn hs(policy: &Policy, token: &str) -> Result<super::Identity, TokenError> {
    check(token, policy, &ring(Algorithm::HS256), NOW)
}

/// What is said of these claims, signed as they should be.
fn said(more: Value) -> Option<TokenError> {
    let mut claims = claims();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    hs(&policy(), &sign(Algorithm::HS256, Some("k"), &claims)).err()
}

/// Holds an answer against what is expected. The library that checks signatures reads registered claims as well: where one
/// is a list or an object it may find the whole malformed first.
#[track_caller]
fn same(said: Option<TokenError>, expected: Option<TokenError>, of: &Value) {
    let deep = of.is_array() || of.is_object();
    let malformed = said == Some(TokenError::Claims(ClaimsError::Malformed));
    assert!(
        said == expected || (deep && malformed && expected.is_some()),
        "{of}: {said:?}, not {expected:?}"
    );
}

#[test]
fn a_token_of_every_algorithm_is_somebodys() {
    for algorithm in ALGORITHMS {
        for kid in [Some("k"), None] {
            let token = sign(algorithm, kid, &claims());
            let identity = check(&token, &policy(), &ring(algorithm), NOW);
            assert_eq!(
                identity.unwrap().user.as_str(),
                "ann",
                "{algorithm:?} {kid:?}"
            );
        }
    }
}

#[test]
fn no_key_checks_a_token_of_another_algorithm_than_its_own() {
    for signed in ALGORITHMS {
        for keyed in ALGORITHMS {
            if signed.family() == keyed.family() && signed != Algorithm::ES256 {
                continue; // a secret and an RSA key serve several
            }
            if signed == keyed {
                continue;
            }
            let outcome = check(&sign(signed, None, &claims()), &policy(), &ring(keyed), NOW);
            assert_eq!(
                outcome,
                Err(TokenError::Algorithm),
                "{signed:?} by {keyed:?}"
            );
        }
    }
}

#[test]
fn only_listed_algorithms_are_taken() {
    for listed in ALGORITHMS {
        let mut policy = policy();
        policy.algorithms = vec![listed];
        for signed in ALGORITHMS {
            let token = sign(signed, None, &claims());
            let outcome = check(&token, &policy, &ring(signed), NOW).map(|_| ());
            let expected = match signed == listed {
                true => Ok(()),
                false => Err(TokenError::Algorithm),
            };
            assert_eq!(outcome, expected, "{signed:?} where {listed:?} is listed");
        }
    }
}

/// CVE-2015-9235: the text of a public key, which everybody has, is no secret to sign with.
#[test]
fn a_public_key_is_no_secret() {
    super::crypto::install();
    for text in [RSA_PUBLIC, RSA_PUBLIC.trim_ascii_end()] {
        let header = Header::new(Algorithm::HS256);
        let forged = encode(&header, &claims(), &EncodingKey::from_secret(text)).unwrap();
        for mut policy in [policy(), policy()] {
            for algorithms in [vec![], vec![Algorithm::RS256], ALGORITHMS.to_vec()] {
                policy.algorithms = algorithms;
                let outcome = check(&forged, &policy, &ring(Algorithm::RS256), NOW);
                assert_eq!(outcome, Err(TokenError::Algorithm));
            }
        }
    }
}

#[test]
fn what_is_no_signed_token_is_malformed() {
    let good = sign(Algorithm::HS256, Some("k"), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let none = |alg: &str| {
        let forged = sign_raw(
            &format!(r#"{{"alg":"{alg}"}}"#),
            claims().to_string().as_bytes(),
        );
        let cut = forged.rfind('.').unwrap();
        [forged.clone(), format!("{}.", &forged[..cut])]
    };
    let mut bad: Vec<String> = [
        "none", "None", "NONE", "nOnE", "", "HS", "hs256", "ES512", "RS1", "dir",
    ]
    .iter()
    .flat_map(|alg| none(alg))
    .collect();
    bad.extend(
        [
            "",
            ".",
            "..",
            "...",
            "a",
            "a.b",
            "a.b.c",
            "a.b.c.d.e",
            "{}",
            "null",
            "Bearer",
            "🦆.🦆.🦆",
            "\0.\0.\0",
            "eyJhbGciOiJIUzI1NiJ9",
        ]
        .map(Into::into),
    );
    bad.extend([
        format!("{head}.{body}"),
        format!("{body}.{head}.{signature}"),
        format!(".{body}.{signature}"),
        format!("{head}..{signature}.{signature}"),
        format!("{head} .{body}.{signature}"),
        format!("{head}=.{body}.{signature}"),
        format!("{head}.{body}.{signature}.{signature}"),
        sign_raw("{", claims().to_string().as_bytes()),
        sign_raw("[]", claims().to_string().as_bytes()),
        sign_raw("{}", claims().to_string().as_bytes()),
        sign_raw(r#"{"alg":1}"#, claims().to_string().as_bytes()),
        sign_raw(r#"{"alg":["HS256"]}"#, claims().to_string().as_bytes()),
        sign_raw(
            r#"{"alg":"HS256","alg":"none"}"#,
            claims().to_string().as_bytes(),
        ),
        sign_raw(
            r#"{"alg":"HS256","kid":7}"#,
            claims().to_string().as_bytes(),
        ),
    ]);
    for token in &bad {
        assert_eq!(
            hs(&policy(), token),
            Err(TokenError::Malformed),
            "{token:?}"
        );
    }
    assert!(bad.len() > 40);
}

#[test]
fn a_signature_that_is_not_of_exactly_this_text_is_wrong() {
    let good = sign(Algorithm::HS256, Some("k"), &claims());
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let other = sign(
        Algorithm::HS256,
        Some("k"),
        &json!({"sub": "bob", "exp": NOW + 1}),
    );
    let other: Vec<&str> = other.split('.').collect();
    for token in [
        format!("{head}.{body}."),
        format!("{head}.{body}.{}", &signature[..signature.len() - 4]),
        format!("{head}.{body}.{}A", &signature[1..]),
        format!("{head}.{body}.{}", other[2]),
        format!("{head}.{}.{signature}", other[1]),
        format!("{head}.{body}x.{signature}"),
        format!("{head}.{body}.{signature} "),
        format!("{head}.{body}.{signature}=="),
        format!("{head}.{body}.{signature}\n"),
    ] {
        assert_eq!(
            hs(&policy(), &token),
            Err(TokenError::Signature),
            "{token:?}"
        );
    }
}

#[test]
fn every_changed_character_of_a_signature_is_noticed() {
    for algorithm in [Algorithm::HS256, Algorithm::ES256, Algorithm::EdDSA] {
        let good = sign(algorithm, None, &claims());
        let start = good.rfind('.').unwrap() + 1;
        // The last one has bits that mean nothing.
        for at in start..good.len() - 1 {
            let mut bytes = good.clone().into_bytes();
            bytes[at] = if bytes[at] == b'A' { b'B' } else { b'A' };
            let changed = String::from_utf8(bytes).unwrap();
            let outcome = check(&changed, &policy(), &ring(algorithm), NOW);
            assert_eq!(outcome, Err(TokenError::Signature), "{algorithm:?} at {at}");
        }
    }
}

#[test]
fn a_token_over_sixteen_kibibytes_is_not_looked_at() {
    let claims = json!({"sub": "ann", "exp": NOW + 1, "more": "x".repeat(1 << 20)});
    let huge = sign(Algorithm::HS256, None, &claims);
    assert_eq!(hs(&policy(), &huge), Err(TokenError::TooLong));
}

#[test]
fn a_header_that_must_be_understood_is_refused() {
    for crit in [r#"["b64"]"#, r#"["exp"]"#, "[]"] {
        let header = format!(r#"{{"alg":"HS256","b64":false,"crit":{crit}}}"#);
        let token = sign_raw(&header, claims().to_string().as_bytes());
        assert_eq!(hs(&policy(), &token), Err(TokenError::Critical));
    }
}

/// Keys come from where the channel says, never from the token (RFC 8725 §3.10).
#[test]
fn keys_that_a_token_brings_along_are_not_used() {
    super::crypto::install();
    let mut header = Header::new(Algorithm::HS256);
    header.jku = Some("http://127.0.0.1:1/jwks".into());
    header.x5u = Some("http://127.0.0.1:1/x5u".into());
    header.jwk = serde_json::from_value(json!({"kty": "oct", "k": "AAAA"})).unwrap();
    let forged = encode(&header, &claims(), &EncodingKey::from_secret(&[0; 3])).unwrap();
    assert_eq!(hs(&policy(), &forged), Err(TokenError::Signature));
}

#[test]
fn times_are_checked_to_the_second_with_a_leeway() {
    use ClaimsError as E;
    for (more, expected) in [
        (json!({"exp": NOW - LEEWAY}), Some(E::Expired)),
        (json!({"exp": NOW - LEEWAY + 1}), None),
        (json!({"exp": 0}), Some(E::Expired)),
        (json!({"exp": 1.5e9}), Some(E::Expired)),
        (json!({"exp": (NOW + 10) as f64 + 0.5}), None),
        (json!({"exp": NOW + LONGEST_LIFE}), None),
        (
            json!({"exp": NOW + LONGEST_LIFE + LEEWAY + 1}),
            Some(E::TooLong),
        ),
        (json!({"exp": u64::MAX}), Some(E::TooLong)),
        (json!({"exp": null}), Some(E::NoExpiry)),
        (json!({"exp": "9999999999"}), Some(E::NoExpiry)),
        (json!({"exp": -1}), Some(E::NoExpiry)),
        (json!({"exp": [NOW + 1]}), Some(E::NoExpiry)),
        (json!({"exp": true}), Some(E::NoExpiry)),
        (json!({"exp": 1e300}), Some(E::NoExpiry)),
        (json!({"nbf": NOW + LEEWAY}), None),
        (json!({"nbf": NOW + LEEWAY + 1}), Some(E::NotYet)),
        (json!({"nbf": "now"}), Some(E::BadNotBefore)),
        (json!({"nbf": {}}), Some(E::BadNotBefore)),
        (json!({"iat": NOW + LEEWAY}), None),
        (json!({"iat": NOW + LEEWAY + 1}), Some(E::IssuedAhead)),
        (json!({"iat": "x"}), Some(E::BadIssuedAt)),
    ] {
        let claim = more.as_object().unwrap().values().next().unwrap();
        same(said(more.clone()), expected.map(TokenError::Claims), claim);
    }
}

#[test]
fn an_identity_ends_with_its_token_and_knows_when_it_was_issued() {
    let claims = json!({"sub": "ann", "exp": NOW + 10, "iat": NOW - 5});
    let identity = hs(&policy(), &sign(Algorithm::HS256, None, &claims)).unwrap();
    assert_eq!(identity.ends, NOW + 10 + LEEWAY);
    assert_eq!(identity.issued, Some(NOW - 5));
}

#[test]
fn the_issuer_and_one_of_the_audiences_must_be_in_the_token() {
    let mut policy = policy();
    policy.issuer = Some("https://id.example".into());
    policy.audiences = vec!["chat".into(), "console".into()];
    let right = json!({"iss": "https://id.example", "aud": "chat"});
    for (more, expected) in [
        (right, None),
        (
            json!({"iss": "https://id.example", "aud": ["x", "console"]}),
            None,
        ),
        (
            json!({"iss": "https://id.example"}),
            Some(ClaimsError::Audience),
        ),
        (
            json!({"iss": "https://id.example", "aud": "Chat"}),
            Some(ClaimsError::Audience),
        ),
        (
            json!({"iss": "https://id.example", "aud": []}),
            Some(ClaimsError::Audience),
        ),
        (
            json!({"iss": "https://id.example", "aud": ["x"]}),
            Some(ClaimsError::Audience),
        ),
        (
            json!({"iss": "https://id.example", "aud": [1, "chat"]}),
            Some(ClaimsError::Audience),
        ),
        (
            json!({"iss": "https://id.example", "aud": {"chat": 1}}),
            Some(ClaimsError::Audience),
        ),
        (
            json!({"iss": "https://id.example", "aud": "chat console"}),
            Some(ClaimsError::Audience),
        ),
        (json!({"aud": "chat"}), Some(ClaimsError::Issuer)),
        (
            json!({"iss": "https://id.example/", "aud": "chat"}),
            Some(ClaimsError::Issuer),
        ),
        (
            json!({"iss": "HTTPS://ID.EXAMPLE", "aud": "chat"}),
            Some(ClaimsError::Issuer),
        ),
        (
            json!({"iss": ["https://id.example"], "aud": "chat"}),
            Some(ClaimsError::Issuer),
        ),
        (json!({"iss": 1, "aud": "chat"}), Some(ClaimsError::Issuer)),
    ] {
        let mut claims = claims();
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        let outcome = hs(&policy, &sign(Algorithm::HS256, None, &claims));
        assert_eq!(outcome.err(), expected.map(TokenError::Claims), "{more}");
    }
}

#[test]
fn the_user_is_the_text_of_the_claim_that_the_channel_names() {
    for user in [
        "ann",
        "änn 🦆",
        "a b",
        "*",
        "{user_id}",
        "auth0|123",
        &"x".repeat(256),
    ] {
        assert_eq!(said(json!({"sub": user})), None, "{user}");
    }
    for bad in [
        json!(null),
        json!(""),
        json!(7),
        json!(["ann"]),
        json!({"id": "ann"}),
        json!(true),
        json!("~anonymous"),
        json!("a\u{0}b"),
        json!("a\nb"),
        json!("\u{85}"),
        json!("x".repeat(257)),
    ] {
        let expected = Some(TokenError::Claims(ClaimsError::User));
        same(said(json!({"sub": bad})), expected, &bad);
    }
    let mut policy = policy();
    policy.user_claim = "https://example.com/user".into();
    let claims = json!({"sub": "x", "https://example.com/user": "ann", "exp": NOW + 1});
    let identity = hs(&policy, &sign(Algorithm::HS256, None, &claims)).unwrap();
    assert_eq!(identity.user.as_str(), "ann");
}

#[test]
fn claims_that_are_no_object_or_stand_twice_are_refused() {
    let expected = Err(TokenError::Claims(ClaimsError::Malformed));
    let exp = NOW + 100;
    let bad: Vec<Vec<u8>> = vec![
        b"".to_vec(),
        b"null".to_vec(),
        b"[]".to_vec(),
        b"7".to_vec(),
        b"{".to_vec(),
        br#"{"sub":"ann"}{}"#.to_vec(),
        b"{\"sub\":\"\xff\"}".to_vec(),
        format!(r#"{{"sub":"ann","exp":{exp},"sub":"bob"}}"#).into(),
        format!(r#"{{"sub":"ann","exp":{exp},"exp":9999999999}}"#).into(),
        format!(r#"{{"sub":"ann","exp":{exp},"rooms":[],"rooms":["*"]}}"#).into(),
        format!(r#"{{"sub":"ann","exp":{exp},"x":1,"x":1}}"#).into(),
        format!(r#"{{"sub":"ann","exp":{exp},"s\u0075b":"bob"}}"#).into(),
    ];
    for claims in bad {
        let token = sign_raw(r#"{"alg":"HS256"}"#, &claims);
        let text = String::from_utf8_lossy(&claims);
        assert_eq!(hs(&policy(), &token), expected, "{text}");
    }
}

#[test]
fn a_claim_of_rooms_that_cannot_be_used_is_refused() {
    use GrantsError as E;
    let many: Vec<String> = (0..1001).map(|n| n.to_string()).collect();
    for (rooms, expected) in [
        (json!(7), E::Form),
        (json!("orders.*"), E::Form),
        (json!(true), E::Form),
        (json!([7]), E::Form),
        (json!([["a"]]), E::Form),
        (json!([{"match": "a"}]), E::Form),
        (json!([{"match": "a", "allow": "publish"}]), E::Form),
        (json!({"a": "publish"}), E::Form),
        (json!({"a": true}), E::Form),
        (json!([""]), E::Pattern),
        (json!({"": []}), E::Pattern),
        (json!(["x".repeat(257)]), E::Pattern),
        (json!(many), E::TooMany),
    ] {
        let expected = Some(TokenError::Claims(ClaimsError::Rooms(expected)));
        assert_eq!(said(json!({"rooms": rooms})), expected, "{rooms}");
    }
    for good in [
        json!([]),
        json!({}),
        json!(["a", {"match": "b", "allow": []}]),
    ] {
        assert_eq!(said(json!({"rooms": good})), None);
    }
}

#[test]
fn a_kid_chooses_among_several_keys_and_one_that_is_not_known_is_said() {
    super::crypto::install();
    let second = [7; 64];
    let keys = vec![
        Key::secret(Some("a"), SECRET).unwrap(),
        Key::secret(Some("b"), &second).unwrap(),
        key("c", Algorithm::ES256),
    ];
    let ring = Keyring::new(keys);
    let by_second = |kid: Option<&str>| {
        let mut header = Header::new(Algorithm::HS256);
        header.kid = kid.map(Into::into);
        encode(&header, &claims(), &EncodingKey::from_secret(&second)).unwrap()
    };
    let judge = |token: &str| check(token, &policy(), &ring, NOW).map(|_| ());
    assert_eq!(judge(&by_second(Some("b"))), Ok(()));
    assert_eq!(judge(&by_second(None)), Ok(()));
    assert_eq!(judge(&by_second(Some("a"))), Err(TokenError::Signature));
    assert_eq!(judge(&by_second(Some("c"))), Err(TokenError::Algorithm));
    for kid in ["", "d", "A", "a/../b", "' or 1=1", "../../dev/null", "ü"] {
        assert_eq!(judge(&by_second(Some(kid))), Err(TokenError::UnknownKey));
    }
    // A key without a name serves those whose name is not known.
    let unnamed = Keyring::new(vec![Key::secret(None, &second).unwrap()]);
    let outcome = check(&by_second(Some("d")), &policy(), &unnamed, NOW);
    assert!(outcome.is_ok());
}

#[test]
fn without_keys_nothing_can_be_said() {
    let token = sign(Algorithm::HS256, None, &claims());
    let outcome = check(&token, &policy(), &Keyring::default(), NOW);
    assert_eq!(outcome, Err(TokenError::NoKeys));
}

#[test]
fn keys_that_are_too_weak_private_or_of_another_kind_are_refused() {
    let error = |pem: &[u8]| Key::pem("k", pem).unwrap_err();
    assert_eq!(
        Key::secret(None, &[1; 31]).unwrap_err(),
        KeyError::ShortSecret
    );
    assert_eq!(error(super::testing::RSA), KeyError::Private);
    assert_eq!(
        error(include_bytes!("testdata/rsa-1024.pub.pem")),
        KeyError::ShortRsa
    );
    for bad in [
        &include_bytes!("testdata/p521.pub.pem")[..],
        b"",
        b"-----BEGIN PUBLIC KEY-----\nAAAA\n-----END PUBLIC KEY-----\n",
        b"-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(error(bad), KeyError::Unknown);
    }
}

#[test]
fn a_secret_serves_the_algorithms_that_it_is_long_enough_for() {
    for (length, expected) in [(32, 1), (47, 1), (48, 2), (64, 3), (1000, 3)] {
        let key = Key::secret(None, &vec![1; length]).unwrap();
        assert_eq!(key.algorithms.len(), expected, "{length}");
    }
}

#[test]
fn a_published_set_gives_its_good_keys_and_no_secret() {
    let rsa = json!({"kty": "RSA", "kid": "r", "n": format!("{}w", "x".repeat(341)), "e": "AQAB", "use": "sig"});
    let encryption = json!({"kty": "RSA", "n": "AQ", "e": "AQAB", "use": "enc"});
    let secret = json!({"kty": "oct", "k": "AAAA", "kid": "s"});
    let broken = json!({"kty": "EC", "crv": "P-256", "x": "AA", "y": "AA"});
    let unknown = json!({"kty": "PQC", "kid": "q"});
    let bare = json!(7);
    let wrong = json!({"kty": "RSA", "n": "AQ", "e": "AQAB", "alg": "ES256"});
    let set = |keys: Value| Keyring::from_set(&json!({ "keys": keys }).to_string());
    let mixed = json!([rsa, encryption, secret, broken, unknown, bare, wrong]);
    assert_eq!(set(mixed).unwrap().len(), 1);
    assert_eq!(set(json!([secret])).unwrap_err(), SetError::NoKey);
    assert_eq!(set(json!([])).unwrap_err(), SetError::NoKey);
    for text in ["", "<html>", "[]", "{}", r#"{"keys":{}}"#, "null"] {
        assert_eq!(
            Keyring::from_set(text).unwrap_err(),
            SetError::NoSet,
            "{text}"
        );
    }
}

#[test]
fn nothing_that_is_said_or_shown_holds_a_secret() {
    let key = Key::secret(Some("name"), SECRET).unwrap();
    let secret = std::str::from_utf8(SECRET).unwrap();
    assert!(!format!("{key:?}").contains(&secret[..16]));
    let debug = format!("{:?}", Keyring::new(vec![key]));
    assert!(debug.contains("name") && !debug.contains(&secret[..16]));
}
