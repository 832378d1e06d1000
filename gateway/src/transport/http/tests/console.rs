//! The console: where it is, what surrounds it, and that it can be switched.

use super::support::{Port, channel};

const ENABLED: &str = "  console: Enabled\n";

#[tokio::test]
async fn the_page_and_its_files_are_served_with_a_strict_policy() {
    let port = Port::open(ENABLED).await;
    for (path, content_type) in [
        ("/", "text/html; charset=utf-8"),
        ("/console.css", "text/css; charset=utf-8"),
        ("/console.js", "text/javascript; charset=utf-8"),
        ("/linnet.js", "text/javascript; charset=utf-8"),
    ] {
        let answer = port.ask(&format!("GET {path}"), "").await;
        assert_eq!(answer.status, 200, "{path}");
        assert_eq!(answer.header("content-type"), Some(content_type));
        assert_eq!(
            answer.header("content-security-policy"),
            Some(
                "default-src 'none'; script-src 'self'; style-src 'self'; \
                 connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; \
                 form-action 'none'; frame-ancestors 'none'"
            )
        );
        assert_eq!(answer.header("x-content-type-options"), Some("nosniff"));
        assert_eq!(answer.header("referrer-policy"), Some("no-referrer"));
        assert_eq!(answer.header("cache-control"), Some("no-cache"));
        assert!(!answer.body.is_empty());

        let tag = answer.header("etag").unwrap();
        let known = format!("If-None-Match: {tag}\r\n");
        let again = port.ask(&format!("GET {path}"), &known).await;
        assert_eq!((again.status, again.header("etag")), (304, Some(tag)));
        assert!(again.header("content-security-policy").is_some());
    }
}

#[tokio::test]
async fn the_page_knows_its_place_and_keeps_to_its_policy() {
    let port = Port::open("  console: Enabled\n  expose: {path: /chat}\n").await;
    let page = port.ask("GET /chat/", "").await;
    assert_eq!(page.status, 200);
    assert!(page.body.contains("/chat/console.js") && page.body.contains("tests"));
    assert!(!page.body.contains("{{"), "every placeholder is filled");
    for forbidden in ["<style", " style=", "onclick=", "http://"] {
        let rest = page.body.replace("http://www.w3.org/", "");
        assert!(
            !rest.contains(forbidden),
            "{forbidden} is against the policy"
        );
    }
    assert_eq!(port.ask("GET /chat", "").await.body, page.body);
    assert_eq!(port.ask("GET /chat/linnet.js", "").await.status, 200);
    assert_eq!(port.ask("GET /", "").await.status, 404);
}

#[tokio::test]
async fn it_is_off_unless_asked_for_and_switched_live() {
    let port = Port::open("").await;
    let absent = port.ask("GET /", "").await;
    assert_eq!(absent.status, 404);
    assert!(absent.body.contains("/ws"), "says what there is");
    port.public.configure(channel(ENABLED));
    assert_eq!(port.ask("GET /", "").await.status, 200);
    port.public.configure(channel(""));
    assert_eq!(port.ask("GET /console.js", "").await.status, 404);
}

#[tokio::test]
async fn a_page_is_only_read() {
    let port = Port::open(ENABLED).await;
    let post = port.ask("POST /", "Content-Length: 0\r\n").await;
    assert_eq!(post.status, 405);
    assert!(post.header("allow").unwrap().contains("GET"));
    let query = port.ask("GET /?room=lobby", "").await;
    assert_eq!(query.status, 200);
}
