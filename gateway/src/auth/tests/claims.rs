//! What is in a token that is signed well.

use super::*;

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
fn the_scope_of_a_token_is_a_text_of_words() {
    for (scope, publishes) in [
        (json!("openid linnet:publish"), true),
        (json!("publish"), false),
        (json!(["linnet:publish"]), false),
        (json!(null), false),
    ] {
        let claims = json!({"sub": "ann", "exp": NOW + 10, "scope": scope});
        let identity = hs(&policy(), &sign(Algorithm::HS256, None, &claims)).unwrap();
        assert_eq!(identity.scopes.has(Scope::Publish), publishes, "{scope}");
        assert!(!identity.scopes.has(Scope::Revoke));
    }
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
