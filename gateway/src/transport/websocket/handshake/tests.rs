use std::sync::LazyLock;

use http::header::HeaderName;

use super::*;

const PROTOCOLS: &[Subprotocol] = &[
    Subprotocol {
        name: "linnet.v1.json",
        short: "json",
        needs_room: false,
    },
    Subprotocol {
        name: "linnet.v1.plain",
        short: "plain",
        needs_room: true,
    },
];

static OWN_HOST: LazyLock<Origins> = LazyLock::new(Origins::default);

static CONFIG: LazyLock<Config<'static>> = LazyLock::new(|| Config {
    protocols: PROTOCOLS,
    allowed_origins: &OWN_HOST,
    query_token: false,
    compression: true,
});

/// The request of RFC 6455 §1.2, as far as every client sends it.
fn headers(more: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let usual = [
        ("host", "server.example.com"),
        ("upgrade", "websocket"),
        ("connection", "Upgrade"),
        ("sec-websocket-key", "dGhlIHNhbXBsZSBub25jZQ=="),
        ("sec-websocket-version", "13"),
    ];
    for (name, value) in usual.iter().chain(more) {
        headers.append(
            HeaderName::from_static(name),
            HeaderValue::from_str(value).unwrap(),
        );
    }
    headers
}

/// The usual request with a header replaced, or left out.
fn with(name: &'static str, value: Option<&str>) -> HeaderMap {
    let mut headers = headers(&[]);
    headers.remove(name);
    if let Some(value) = value {
        headers.insert(name, HeaderValue::from_str(value).unwrap());
    }
    headers
}

fn accepted(query: &str, headers: &HeaderMap, config: &Config<'_>) -> Accepted {
    match accept(&Method::GET, Some(query), headers, config) {
        Ok(accepted) => accepted,
        Err(refused) => panic!("{}", refused.body),
    }
}

fn refused(query: &str, headers: &HeaderMap, config: &Config<'_>) -> Refused {
    accept(&Method::GET, Some(query), headers, config)
        .err()
        .expect("this request must be refused")
}

/// Status and reason of a request that differs from the usual in its headers only.
fn outcome(headers: &HeaderMap) -> (u16, &'static str) {
    let refused = refused("", headers, &CONFIG);
    (refused.status.as_u16(), refused.reason)
}

#[test]
fn the_key_of_the_rfc_gets_its_answer() {
    let accepted = accepted("", &headers(&[]), &CONFIG);
    assert_eq!(
        accepted.accept_key, "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=",
        "RFC 6455 section 1.3"
    );
    assert_eq!((accepted.subprotocol, accepted.protocol), (None, 0));
    assert!(accepted.echo && accepted.token.is_none() && accepted.deflate.is_none());
}

#[test]
fn upgrade_and_connection_may_be_lists_in_any_case() {
    accepted(
        "",
        &with("connection", Some("keep-alive, UPGRADE")),
        &CONFIG,
    );
    accepted("", &with("upgrade", Some("h2c, WebSocket")), &CONFIG);
}

#[test]
fn another_method_is_405_with_the_one_allowed() {
    let refused = accept(&Method::POST, None, &headers(&[]), &CONFIG)
        .err()
        .unwrap();
    assert_eq!((refused.status.as_u16(), refused.reason), (405, "method"));
    assert_eq!(refused.headers, [("allow", "GET".to_owned())]);
}

#[test]
fn a_request_without_upgrade_is_told_to_upgrade() {
    let refused = refused("", &with("upgrade", None), &CONFIG);
    assert_eq!((refused.status.as_u16(), refused.reason), (426, "upgrade"));
    assert!(
        refused
            .headers
            .contains(&("upgrade", "websocket".to_owned()))
    );
}

#[test]
fn an_upgrade_to_something_else_is_400() {
    assert_eq!(outcome(&with("upgrade", Some("h2c"))), (400, "upgrade"));
    assert_eq!(
        outcome(&with("connection", Some("keep-alive"))),
        (400, "upgrade")
    );
    assert_eq!(outcome(&with("connection", None)), (400, "upgrade"));
}

#[test]
fn another_version_is_told_the_right_one() {
    for version in [Some("8"), Some("013"), None] {
        let refused = refused("", &with("sec-websocket-version", version), &CONFIG);
        assert_eq!((refused.status.as_u16(), refused.reason), (426, "version"));
        assert!(
            refused
                .headers
                .contains(&("sec-websocket-version", "13".to_owned()))
        );
    }
}

#[test]
fn a_key_is_16_bytes_in_base64() {
    for key in [
        None,
        Some(""),
        Some("dGhlIHNhbXBsZSBub25jZQ"),
        Some("c2hvcnQ="),
        Some("not base64 at all!!!!!!=="),
    ] {
        assert_eq!(
            outcome(&with("sec-websocket-key", key)),
            (400, "key"),
            "{key:?}"
        );
    }
    assert_eq!(
        outcome(&headers(&[(
            "sec-websocket-key",
            "dGhlIHNhbXBsZSBub25jZQ=="
        )])),
        (400, "key"),
        "twice"
    );
}

#[test]
fn without_an_origin_anyone_may_connect() {
    accepted(
        "",
        &headers(&[]),
        &Config {
            allowed_origins: &Origins::compile(["null"]),
            ..*CONFIG
        },
    );
}

#[test]
fn without_a_list_the_origin_must_be_the_host() {
    accepted(
        "",
        &headers(&[("origin", "https://server.example.com")]),
        &CONFIG,
    );
    for origin in [
        "https://evil.example",
        "null",
        "server.example.com",
        "https://server.example.com:444",
    ] {
        assert_eq!(
            outcome(&headers(&[("origin", origin)])),
            (403, "origin"),
            "{origin}"
        );
    }
    let own = ("origin", "https://server.example.com");
    assert_eq!(outcome(&headers(&[own, own])), (403, "origin"), "twice");
    let mut headers = headers(&[own]);
    headers.remove("host");
    assert_eq!(outcome(&headers), (403, "origin"));
}

#[test]
fn with_a_list_the_origin_must_be_on_it() {
    let list = Origins::compile(["https://app.example.com", "null"]);
    let config = Config {
        allowed_origins: &list,
        ..*CONFIG
    };
    accepted(
        "",
        &headers(&[("origin", "https://app.example.com:443")]),
        &config,
    );
    accepted("", &headers(&[("origin", "null")]), &config);
    for origin in [
        "http://app.example.com",
        "https://server.example.com",
        "https://app.example.com:8443",
    ] {
        assert_eq!(
            refused("", &headers(&[("origin", origin)]), &config).status,
            403,
            "{origin}"
        );
    }
}

#[test]
fn any_origin_may_connect_where_the_list_says_so_even_a_malformed_one() {
    let any = Origins::compile(["*"]);
    let config = Config {
        allowed_origins: &any,
        ..*CONFIG
    };
    for origin in ["https://evil.example", "null", "what is this"] {
        accepted("", &headers(&[("origin", origin)]), &config);
    }
}

#[test]
fn a_token_of_the_query_needs_an_origin_that_may_connect() {
    let own = ("origin", "https://server.example.com");
    for list in [vec![], vec!["https://server.example.com"], vec!["*"]] {
        let list = Origins::compile(list);
        let config = Config {
            query_token: true,
            allowed_origins: &list,
            ..*CONFIG
        };
        let refusal = refused("token=t", &headers(&[]), &config);
        assert_eq!((refusal.status.as_u16(), refusal.reason), (403, "origin"));
        assert!(
            accepted("token=t", &headers(&[own]), &config)
                .token
                .is_some()
        );
        let header = ("authorization", "Bearer t");
        assert!(accepted("", &headers(&[header]), &config).token.is_some());
    }
}

#[test]
fn the_first_known_subprotocol_is_chosen() {
    let offer = (
        "sec-websocket-protocol",
        "mqtt, linnet.v1.plain, linnet.v1.json",
    );
    let accepted = accepted("room=a", &headers(&[offer]), &CONFIG);
    assert_eq!(
        (accepted.subprotocol, accepted.protocol),
        (Some("linnet.v1.plain"), 1)
    );
}

#[test]
fn subprotocols_may_come_in_several_headers() {
    let offers = [
        ("sec-websocket-protocol", "mqtt"),
        ("sec-websocket-protocol", "linnet.v1.json"),
    ];
    assert_eq!(
        accepted("", &headers(&offers), &CONFIG).subprotocol,
        Some("linnet.v1.json")
    );
}

#[test]
fn only_unknown_subprotocols_are_told_what_is_accepted() {
    let refused = refused(
        "",
        &headers(&[("sec-websocket-protocol", "mqtt, LINNET.V1.JSON")]),
        &CONFIG,
    );
    assert_eq!(
        (refused.status.as_u16(), refused.reason),
        (400, "subprotocol")
    );
    assert!(
        refused.body.contains("linnet.v1.json, linnet.v1.plain"),
        "{}",
        refused.body
    );
}

#[test]
fn a_bearer_subprotocol_is_a_token_and_never_chosen() {
    let accepted = accepted(
        "",
        &headers(&[("sec-websocket-protocol", "bearer.a.b.c, linnet.v1.json")]),
        &CONFIG,
    );
    assert_eq!(
        (accepted.subprotocol, accepted.token.as_deref()),
        (Some("linnet.v1.json"), Some("a.b.c"))
    );
}

#[test]
fn a_bearer_subprotocol_alone_is_refused_without_repeating_it() {
    let refused = refused(
        "",
        &headers(&[("sec-websocket-protocol", "bearer.secret")]),
        &CONFIG,
    );
    assert_eq!(
        (refused.status.as_u16(), refused.reason),
        (400, "subprotocol")
    );
    assert!(!refused.body.contains("secret"));
}

#[test]
fn the_authorization_header_has_a_token_if_it_says_bearer() {
    let token = |value| accepted("", &headers(&[("authorization", value)]), &CONFIG).token;
    assert_eq!(token("Bearer a.b.c").as_deref(), Some("a.b.c"));
    assert_eq!(token("bearer  a.b.c ").as_deref(), Some("a.b.c"));
    assert_eq!(token("Basic dTpw"), None);
}

#[test]
fn two_tokens_or_an_empty_one_are_refused() {
    let config = Config {
        query_token: true,
        ..*CONFIG
    };
    let header = ("authorization", "Bearer secret");
    let offer = ("sec-websocket-protocol", "linnet.v1.json, bearer.secret");
    for (query, headers) in [
        ("", headers(&[header, offer])),
        ("token=secret", headers(&[header])),
        ("token=secret", headers(&[offer])),
        ("", headers(&[header, header])),
        (
            "",
            headers(&[(
                "sec-websocket-protocol",
                "linnet.v1.json, bearer.a, bearer.b",
            )]),
        ),
        (
            "",
            headers(&[("sec-websocket-protocol", "linnet.v1.json, bearer.")]),
        ),
        ("", headers(&[("authorization", "Bearer")])),
        ("token=", headers(&[])),
    ] {
        let refused = refused(query, &headers, &config);
        assert_eq!((refused.status.as_u16(), refused.reason), (400, "token"));
        assert!(!refused.body.contains("secret"));
    }
}

#[test]
fn a_token_in_the_query_is_refused_unless_allowed() {
    let refused = refused("token=secret", &headers(&[]), &CONFIG);
    assert_eq!((refused.status.as_u16(), refused.reason), (400, "token"));
    assert!(!refused.body.contains("secret"));
    let config = Config {
        query_token: true,
        ..*CONFIG
    };
    let own = headers(&[("origin", "https://server.example.com")]);
    let accepted = accepted("token=secret", &own, &config);
    assert_eq!(accepted.token.as_deref(), Some("secret"));
}

#[test]
fn the_query_chooses_the_protocol_where_no_header_does() {
    let accepted = accepted(
        "protocol=plain&room=lobby&echo=false&name=Ann",
        &headers(&[]),
        &CONFIG,
    );
    assert_eq!((accepted.subprotocol, accepted.protocol), (None, 1));
    assert_eq!(
        (accepted.room.as_deref(), accepted.name.as_deref()),
        (Some("lobby"), Some("Ann"))
    );
    assert!(!accepted.echo);
}

#[test]
fn a_faulty_query_is_400_in_words() {
    for (query, word) in [
        ("protocol=xml", "json, plain"),
        ("protocol=plain", "?room="),
        ("room=", "room"),
        ("room=%FF", "UTF-8"),
        ("echo=maybe", "true or false"),
    ] {
        let refused = refused(query, &headers(&[]), &CONFIG);
        assert_eq!(
            (refused.status.as_u16(), refused.reason),
            (400, "query"),
            "{query}"
        );
        assert!(refused.body.contains(word), "{}", refused.body);
    }
}

#[test]
fn header_and_query_may_agree_on_the_protocol_but_not_disagree() {
    let headers = headers(&[("sec-websocket-protocol", "linnet.v1.json")]);
    assert_eq!(accepted("protocol=json", &headers, &CONFIG).protocol, 0);
    assert_eq!(
        refused("protocol=plain&room=a", &headers, &CONFIG).reason,
        "query"
    );
}

#[test]
fn compression_is_negotiated_only_where_it_is_on() {
    let headers = headers(&[(
        "sec-websocket-extensions",
        "permessage-deflate; server_max_window_bits=10",
    )]);
    assert_eq!(
        accepted("", &headers, &CONFIG)
            .deflate
            .unwrap()
            .server_window_bits,
        10
    );
    assert!(
        accepted(
            "",
            &headers,
            &Config {
                compression: false,
                ..*CONFIG
            }
        )
        .deflate
        .is_none()
    );
}
