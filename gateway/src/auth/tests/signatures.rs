//! What is signed, by which algorithm, in which form.

use super::*;

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
    crate::auth::crypto::install();
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
    crate::auth::crypto::install();
    let mut header = Header::new(Algorithm::HS256);
    header.jku = Some("http://127.0.0.1:1/jwks".into());
    header.x5u = Some("http://127.0.0.1:1/x5u".into());
    header.jwk = serde_json::from_value(json!({"kty": "oct", "k": "AAAA"})).unwrap();
    let forged = encode(&header, &claims(), &EncodingKey::from_secret(&[0; 3])).unwrap();
    assert_eq!(hs(&policy(), &forged), Err(TokenError::Signature));
}
