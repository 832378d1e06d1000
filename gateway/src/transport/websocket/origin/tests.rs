use super::*;

fn origin(text: &str) -> Origin {
    Origin::parse(text).expect("this is an origin")
}

#[test]
fn the_default_port_is_the_same_as_none() {
    assert_eq!(
        origin("https://app.example.com"),
        origin("https://app.example.com:443")
    );
    assert_eq!(
        origin("http://app.example.com"),
        origin("http://app.example.com:80")
    );
    assert_ne!(
        origin("https://app.example.com"),
        origin("https://app.example.com:80")
    );
}

#[test]
fn scheme_host_and_port_all_count_and_case_does_not() {
    assert_eq!(
        origin("HTTPS://App.Example.com"),
        origin("https://app.example.com")
    );
    assert_ne!(
        origin("http://app.example.com"),
        origin("https://app.example.com")
    );
    assert_ne!(
        origin("https://app.example.com"),
        origin("https://example.com")
    );
    assert_ne!(
        origin("https://app.example.com:8443"),
        origin("https://app.example.com")
    );
}

#[test]
fn other_things_than_origins_are_refused() {
    for text in [
        "",
        "app.example.com",
        "https://",
        "://host",
        "https://host/",
        "https://host/path",
        "https://host?x",
        "https://user@host",
        "https://host:port",
        "https://host:65536",
        "https://host:+80",
        "https://host:",
        "https://:443",
        "https://a b",
        "https://a, https://b",
        "https://[::1",
        "https://[::1]x",
        "ht tp://host",
        "Null",
    ] {
        assert_eq!(Origin::parse(text), None, "{text}");
    }
}

#[test]
fn a_page_of_the_same_host_is_known_by_the_host_header() {
    assert!(origin("https://app.example.com").is_host("app.example.com"));
    assert!(origin("https://app.example.com").is_host("APP.example.com:443"));
    assert!(origin("http://localhost:8080").is_host("localhost:8080"));
    assert!(origin("http://[::1]:8080").is_host("[::1]:8080"));
    assert!(origin("http://[::1]").is_host("[::1]"));
}

#[test]
fn a_page_of_another_host_or_port_is_not() {
    assert!(!origin("https://evil.example").is_host("app.example.com"));
    assert!(!origin("https://app.example.com.evil.example").is_host("app.example.com"));
    assert!(!origin("http://localhost:3000").is_host("localhost:8080"));
    assert!(!origin("http://localhost").is_host("localhost:8080"));
    assert!(!origin("https://app.example.com").is_host("app.example.com:80"));
    assert!(!origin("https://app.example.com").is_host(""));
}

#[test]
fn pages_without_a_host_of_the_web_match_only_by_being_listed() {
    assert!(!origin("null").is_host("null"));
    assert!(!origin("capacitor://localhost").is_host("localhost"));
    assert_eq!(
        origin("capacitor://localhost"),
        origin("capacitor://LOCALHOST")
    );
}

fn allow(list: &[&str], from: &str, host: &str) -> bool {
    Origins::compile(list.iter().copied()).allow(&origin(from), Some(host))
}

#[test]
fn without_a_list_pages_of_the_own_host_may_connect_and_null_may_not() {
    assert!(allow(&[], "https://a.example", "a.example"));
    assert!(!allow(&[], "https://b.example", "a.example"));
    assert!(!allow(&[], "null", "null"));
    assert!(!Origins::default().allow(&origin("https://a.example"), None));
}

#[test]
fn with_a_list_the_own_host_does_not_count_and_null_only_where_it_is_listed() {
    let list = ["https://app.example.com:8443"];
    assert!(allow(&list, "https://app.example.com:8443", "x"));
    for from in [
        "https://app.example.com",
        "http://app.example.com:8443",
        "https://x",
        "null",
    ] {
        assert!(!allow(&list, from, "x"), "{from}");
    }
    assert!(allow(&["null"], "null", "x"));
    assert!(!allow(&["null"], "https://x", "x"));
}

#[test]
fn a_pattern_is_every_subdomain_of_its_scheme_and_port_and_not_the_host_itself() {
    let list = ["https://*.example.com"];
    for (from, expected) in [
        ("https://a.example.com", true),
        ("https://a.b.example.com", true),
        ("https://A.EXAMPLE.com:443", true),
        ("https://example.com", false),
        ("https://evilexample.com", false),
        ("https://.example.com", false),
        ("https://a.example.com.evil.test", false),
        ("http://a.example.com", false),
        ("https://a.example.com:8443", false),
        ("null", false),
    ] {
        assert_eq!(allow(&list, from, "x"), expected, "{from}");
    }
}

#[test]
fn a_list_of_which_nothing_is_understood_allows_nothing() {
    assert!(!allow(&["https://*"], "https://x", "x"));
    assert!(!allow(&[""], "https://x", "x"));
}
