//! Which pages may connect.

use super::*;

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
