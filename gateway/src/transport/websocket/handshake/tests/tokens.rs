//! Where a token may be, and where not.

use super::*;

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
