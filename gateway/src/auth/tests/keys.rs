//! Keys and sets of them.

use super::*;

#[test]
fn a_kid_chooses_among_several_keys_and_one_that_is_not_known_is_said() {
    crate::auth::crypto::install();
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
    assert_eq!(error(crate::auth::testing::RSA), KeyError::Private);
    assert_eq!(
        error(include_bytes!("../testdata/rsa-1024.pub.pem")),
        KeyError::ShortRsa
    );
    for bad in [
        &include_bytes!("../testdata/p521.pub.pem")[..],
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
