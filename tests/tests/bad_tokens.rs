//! Tokens that are nobody's: each gets the answer that is documented, on every way in, and harms nobody else.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use linnet_tests::client::afar;
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;

/// A token, and what it is answered by.
struct Case {
    what: &'static str,
    token: String,
    code: &'static str,
}

fn manifest() -> Manifest {
    let jwt = json!({
        "keySecretName": SECRET, "issuer": "https://id.example", "audiences": ["chat"],
        "algorithms": ["ES256", "RS256"],
    });
    // Each try is from an address of its own: one that sends many bad tokens has to wait.
    let trusted = json!(["127.0.0.0/8"]);
    Manifest::unhurried().spec(json!({"authentication": {"jwt": jwt, "trustedProxies": trusted}}))
}

/// Claims that are right, with these in the place of others; `null` takes one away.
fn claims(more: &Value) -> Value {
    let mut claims = json!({
        "iss": "https://id.example", "aud": "chat", "sub": "ann", "exp": now() + 600, "iat": now(),
    });
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => drop(claims.as_object_mut().unwrap().remove(name)),
            value => claims[name] = value.clone(),
        }
    }
    claims
}

fn unsigned(header: &str, claims: &Value, signature: &str) -> String {
    let (header, claims) = (B64.encode(header), B64.encode(claims.to_string()));
    format!("{header}.{claims}.{signature}")
}

fn cases(signer: &Signer) -> Vec<Case> {
    let mut cases = Vec::new();
    let mut add = |what, token: String, code| cases.push(Case { what, token, code });
    let good = signer.sign(&claims(&json!({})));
    let parts: Vec<&str> = good.split('.').collect();
    let (head, body, signature) = (parts[0], parts[1], parts[2]);
    let invalid = "invalid_token";

    for (what, more, code) in [
        ("expired", json!({"exp": now() - 31}), "token_expired"),
        ("expired long ago", json!({"exp": 1}), "token_expired"),
        ("without an end", json!({"exp": null}), invalid),
        ("with an end in words", json!({"exp": "tomorrow"}), invalid),
        ("with an end before 1970", json!({"exp": -5}), invalid),
        (
            "that never ends",
            json!({"exp": 99_999_999_999_u64}),
            invalid,
        ),
        ("not valid yet", json!({"nbf": now() + 3600}), invalid),
        ("with a broken nbf", json!({"nbf": []}), invalid),
        ("from the future", json!({"iat": now() + 3600}), invalid),
        (
            "of another issuer",
            json!({"iss": "https://evil.example"}),
            invalid,
        ),
        ("of no issuer", json!({"iss": null}), invalid),
        (
            "of a list of issuers",
            json!({"iss": ["https://id.example"]}),
            invalid,
        ),
        ("for another audience", json!({"aud": "shop"}), invalid),
        ("for no audience", json!({"aud": null}), invalid),
        ("for an empty audience", json!({"aud": []}), invalid),
        ("of no user", json!({"sub": null}), invalid),
        ("of an empty user", json!({"sub": ""}), invalid),
        ("of a user that is a number", json!({"sub": 7}), invalid),
        ("of a user that is a list", json!({"sub": ["ann"]}), invalid),
        (
            "of an anonymous user",
            json!({"sub": "~u7Xn2pQeR5aV9sKf0HgTbw"}),
            invalid,
        ),
        ("of a user with a line end", json!({"sub": "a\nb"}), invalid),
        (
            "of a user with a zero byte",
            json!({"sub": "a\u{0}"}),
            invalid,
        ),
        (
            "of a user of 300 bytes",
            json!({"sub": "ü".repeat(150)}),
            invalid,
        ),
        ("with rooms in one text", json!({"rooms": "a b"}), invalid),
        (
            "with rooms that are numbers",
            json!({"rooms": [1]}),
            invalid,
        ),
        ("with an empty pattern", json!({"rooms": [""]}), invalid),
    ] {
        add(what, signer.sign(&claims(&more)), code);
    }
    let stranger = Signer::new("a");
    add(
        "signed by somebody else",
        stranger.sign(&claims(&json!({}))),
        invalid,
    );
    let unknown = Signer::new("unknown");
    add(
        "with an unknown kid",
        unknown.sign(&claims(&json!({}))),
        invalid,
    );
    for kid in ["", "../a", "a.pem", "A"] {
        let signer = Signer::new(kid);
        add(
            "with a strange kid",
            signer.sign(&claims(&json!({}))),
            invalid,
        );
    }
    for (what, header) in [
        ("without a signature", r#"{"alg":"none"}"#),
        ("without a signature, in capitals", r#"{"alg":"NONE"}"#),
        ("without an algorithm", "{}"),
        ("of an unknown algorithm", r#"{"alg":"ES512"}"#),
        ("of an algorithm that is a number", r#"{"alg":1}"#),
        ("of two algorithms", r#"{"alg":"ES256","alg":"none"}"#),
        (
            "of an algorithm that is not listed",
            r#"{"alg":"EdDSA","kid":"a"}"#,
        ),
        ("whose header is no object", "7"),
        ("whose header is no JSON", "{alg"),
    ] {
        add(what, unsigned(header, &claims(&json!({})), ""), invalid);
        add(
            what,
            unsigned(header, &claims(&json!({})), signature),
            invalid,
        );
    }
    let critical = r#"{"alg":"ES256","kid":"a","crit":["b64"],"b64":false}"#;
    add(
        "with crit",
        unsigned(critical, &claims(&json!({})), signature),
        invalid,
    );
    // CVE-2015-9235: the public key's text taken for a secret.
    for algorithm in [Algorithm::HS256, Algorithm::HS384, Algorithm::HS512] {
        for kid in [Some("a".to_owned()), None] {
            let header = Header {
                kid,
                ..Header::new(algorithm)
            };
            let key = EncodingKey::from_secret(signer.pem().as_bytes());
            let token = encode(&header, &claims(&json!({})), &key).unwrap();
            add("signed with the public key", token, invalid);
        }
    }
    for (what, token) in [
        ("cut", good[..good.len() - 10].to_owned()),
        (
            "cut in its claims",
            format!("{head}.{}.{signature}", &body[..body.len() / 2]),
        ),
        ("without signature part", format!("{head}.{body}")),
        ("with an empty signature", format!("{head}.{body}.")),
        ("in four parts", format!("{good}.{signature}")),
        ("in five parts", format!("{good}.a.b")),
        ("in another order", format!("{body}.{head}.{signature}")),
        ("with another's claims", {
            let other = claims(&json!({"sub": "admin"})).to_string();
            format!("{head}.{}.{signature}", B64.encode(other))
        }),
        (
            "with an all-zero signature",
            format!("{head}.{body}.{}", B64.encode([0; 64])),
        ),
        (
            "with a short signature",
            format!("{head}.{body}.{}", B64.encode([1; 10])),
        ),
        (
            "with a DER signature",
            format!("{head}.{body}.{}", B64.encode([0x30; 70])),
        ),
        ("that is no token", "letmein".to_owned()),
        ("that is dots", "...".to_owned()),
        (
            "of 12 KiB",
            format!("{head}.{}.{signature}", "A".repeat(12_000)),
        ),
    ] {
        add(what, token, invalid);
    }
    cases
}

#[test]
fn every_bad_token_gets_its_answer_on_every_way_in_and_harms_nobody() {
    scenario(180, async {
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = Gateway::start_with(&manifest(), &["--secrets", secrets.path()]).await;
        let good = signer.sign(&claims(&json!({})));
        let mut neighbour = Client::with_token(gateway.public, &good).await.unwrap();
        neighbour.subscribe("lobby").await;
        let cases = cases(&signer);
        let mut tried = 0;
        for Case { what, token, code } in &cases {
            for header in [
                format!("Authorization: Bearer {token}\r\n"),
                format!("Sec-WebSocket-Protocol: linnet.v1.json, bearer.{token}\r\n"),
            ] {
                let mut raw = Raw::tcp(gateway.public).await;
                let header = format!("{header}X-Forwarded-For: {}\r\n", afar());
                let answer = raw.upgrade("/ws", &header).await;
                assert_eq!(answer.status, 401, "a token {what}: {answer:?}");
                assert!(
                    answer.body.starts_with(code),
                    "a token {what}: {}",
                    answer.body
                );
                assert!(
                    answer
                        .header("www-authenticate")
                        .unwrap()
                        .starts_with("Bearer")
                );
                let shown = token
                    .split('.')
                    .any(|part| part.len() > 8 && answer.body.contains(part));
                assert!(!shown, "a token {what} is in its answer");
                tried += 1;
            }
            let mut client = Client::from_afar(gateway.public).await;
            client
                .refused(json!({"type": "connect", "token": token}), code)
                .await;
            client.settle().await;
            tried += 1;
        }
        assert!(tried >= 120, "{tried} tries");
        for (headers, status) in [
            (
                format!("Authorization: Bearer {good}\r\nAuthorization: Bearer {good}\r\n"),
                400,
            ),
            (
                format!(
                    "Authorization: Bearer {good}\r\nSec-WebSocket-Protocol: linnet.v1.json, bearer.{good}\r\n"
                ),
                400,
            ),
            (
                format!("Sec-WebSocket-Protocol: linnet.v1.json, bearer.{good}, bearer.{good}\r\n"),
                400,
            ),
            (format!("Sec-WebSocket-Protocol: bearer.{good}\r\n"), 400),
            ("Authorization: Bearer \r\n".to_owned(), 400),
            (
                "Sec-WebSocket-Protocol: linnet.v1.json, bearer.\r\n".to_owned(),
                400,
            ),
            (
                format!("Authorization: Bearer {good}\r\nOrigin: https://evil.example\r\n"),
                403,
            ),
            (
                format!("Authorization: Bearer {}\r\n", "A".repeat(20_000)),
                431,
            ),
        ] {
            let mut raw = Raw::tcp(gateway.public).await;
            let headers = format!("{headers}X-Forwarded-For: {}\r\n", afar());
            let answer = raw.upgrade("/ws", &headers).await;
            assert_eq!(answer.status, status, "{answer:?}");
        }
        neighbour.publish("lobby", json!("still here")).await;
        neighbour.skip_to("message").await;
        let log = gateway.log().join("\n");
        for Case { what, token, .. } in &cases {
            let parts = token.split('.').filter(|part| part.len() > 16);
            for part in parts {
                assert!(!log.contains(&part[..16]), "a token {what} is in the log");
            }
        }
        assert!(!log.contains("panicked"), "{log}");
    });
}
