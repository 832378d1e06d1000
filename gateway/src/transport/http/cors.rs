//! Which pages may read answers (Fetch, "CORS protocol"), by the same list that says which may open a WebSocket.
//!
//! For resources that pages ask for with `fetch` or `EventSource`. The console is for its own page alone and has no use
//! for it, and browsers do not ask for a WebSocket this way: there the handshake itself is refused.

use http::header::{self, HeaderMap, HeaderValue};
use http::{Method, StatusCode};

use crate::transport::websocket::origin::{Origin, Origins};

/// Request headers that pages may set.
const HEADERS: HeaderValue = HeaderValue::from_static("authorization, content-type, last-event-id");

/// How long a browser may remember the answer to a preflight, in seconds. Short: the list may change.
const REMEMBER: HeaderValue = HeaderValue::from_static("600");

/// Adds to an answer who may read it. An origin that may not gets no leave, and no hint.
///
/// Credentials are never allowed: cookies do not authenticate here, and a token stands in a header that the page sets.
pub fn allow(origins: &Origins, request: &HeaderMap, answer: &mut HeaderMap) {
    // Always: a cache must not give one page's answer to another.
    answer.append(header::VARY, HeaderValue::from_static("origin"));
    if let Some(origin) = allowed(origins, request) {
        answer.insert(header::ACCESS_CONTROL_ALLOW_ORIGIN, origin.clone());
    }
}

/// Whether a request asks if a page may send another one.
#[must_use]
pub fn is_preflight(method: &Method, request: &HeaderMap) -> bool {
    method == Method::OPTIONS
        && request.contains_key(header::ORIGIN)
        && request.contains_key(header::ACCESS_CONTROL_REQUEST_METHOD)
}

/// The answer to a preflight for a resource with these methods, such as `GET, POST`.
pub fn preflight(
    origins: &Origins,
    request: &HeaderMap,
    methods: &'static str,
) -> (StatusCode, HeaderMap) {
    let mut answer = HeaderMap::new();
    allow(origins, request, &mut answer);
    if !answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN) {
        return (StatusCode::FORBIDDEN, answer);
    }
    answer.insert(
        header::ACCESS_CONTROL_ALLOW_METHODS,
        HeaderValue::from_static(methods),
    );
    answer.insert(header::ACCESS_CONTROL_ALLOW_HEADERS, HEADERS);
    answer.insert(header::ACCESS_CONTROL_MAX_AGE, REMEMBER);
    (StatusCode::NO_CONTENT, answer)
}

/// The request's origin as it was sent, where it may read.
fn allowed<'a>(origins: &Origins, request: &'a HeaderMap) -> Option<&'a HeaderValue> {
    let mut given = request.get_all(header::ORIGIN).iter();
    let (value, None) = (given.next()?, given.next()) else {
        return None;
    };
    let origin = Origin::parse(value.to_str().ok()?)?;
    let host = request
        .get(header::HOST)
        .and_then(|host| host.to_str().ok());
    origins.allow(&origin, host).then_some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(origin: &str) -> HeaderMap {
        let mut headers = HeaderMap::new();
        headers.insert(header::HOST, HeaderValue::from_static("chat.example"));
        headers.insert(header::ORIGIN, HeaderValue::from_str(origin).unwrap());
        headers.insert(
            header::ACCESS_CONTROL_REQUEST_METHOD,
            HeaderValue::from_static("POST"),
        );
        headers
    }

    fn leave(list: &[&str], origin: &str) -> Option<String> {
        let origins = Origins::compile(list.iter().copied());
        let mut answer = HeaderMap::new();
        allow(&origins, &request(origin), &mut answer);
        assert_eq!(answer[header::VARY], "origin");
        assert!(!answer.contains_key(header::ACCESS_CONTROL_ALLOW_CREDENTIALS));
        let leave = answer.get(header::ACCESS_CONTROL_ALLOW_ORIGIN);
        leave.map(|value| value.to_str().unwrap().to_owned())
    }

    #[test]
    fn the_pages_that_may_connect_may_read_and_no_others() {
        for (list, origin, expected) in [
            (&[][..], "https://chat.example", true),
            (&[], "https://evil.example", false),
            (&["https://app.example"], "https://app.example", true),
            (&["https://app.example"], "https://chat.example", false),
            (
                &["https://*.app.example.com"],
                "https://a.app.example.com",
                true,
            ),
            (&["null"], "null", true),
            (&[], "null", false),
            (&["*"], "https://evil.example", true),
        ] {
            let expected = expected.then(|| origin.to_owned());
            assert_eq!(leave(list, origin), expected, "{list:?} {origin}");
        }
    }

    #[test]
    fn two_origins_are_none() {
        let mut headers = request("https://chat.example");
        headers.append(
            header::ORIGIN,
            HeaderValue::from_static("https://chat.example"),
        );
        let mut answer = HeaderMap::new();
        allow(&Origins::default(), &headers, &mut answer);
        assert!(!answer.contains_key(header::ACCESS_CONTROL_ALLOW_ORIGIN));
    }

    #[test]
    fn a_preflight_is_told_what_it_may_send_or_nothing() {
        let good = request("https://chat.example");
        assert!(is_preflight(&Method::OPTIONS, &good));
        assert!(!is_preflight(&Method::GET, &good));
        assert!(!is_preflight(&Method::OPTIONS, &HeaderMap::new()));
        let (status, answer) = preflight(&Origins::default(), &good, "GET, POST");
        assert_eq!(status, 204);
        assert_eq!(answer[header::ACCESS_CONTROL_ALLOW_METHODS], "GET, POST");
        let bad = request("https://evil.example");
        let (status, answer) = preflight(&Origins::default(), &bad, "GET, POST");
        assert_eq!((status.as_u16(), answer.len()), (403, 1), "but for Vary");
    }
}
