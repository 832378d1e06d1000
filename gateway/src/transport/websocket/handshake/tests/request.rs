//! Upgrade, key, version: what makes a request a handshake.

use super::*;

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
