//! Files that are part of the binary, ready to be answered with.

use std::fmt::Write;

use axum::body::{Body, Bytes};
use http::header::{self, HeaderMap, HeaderName, HeaderValue};
use http::{Response, StatusCode};
use sha2::{Digest, Sha256};

/// What the page may do: run its own script and style, and connect by WebSocket. A message that
/// turns out to be HTML can't run anything here, nor can another page frame this one.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; \
    connect-src 'self' ws: wss:; img-src data:; base-uri 'none'; form-action 'none'; \
    frame-ancestors 'none'";

/// With every file, whatever the answer. The policy too: a script may be opened as a page.
const HEADERS: [(HeaderName, &str); 4] = [
    (header::CONTENT_SECURITY_POLICY, POLICY),
    (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
    (header::REFERRER_POLICY, "no-referrer"),
    // Ask each time, which the entity tag makes cheap: a new gateway has new files.
    (header::CACHE_CONTROL, "no-cache"),
];

/// One file.
#[derive(Debug, Clone)]
pub(super) struct Page {
    content_type: &'static str,
    body: Bytes,
    /// A strong entity tag (RFC 9110 §8.8.3).
    tag: String,
}

impl Page {
    /// A file of that type.
    pub(super) fn new(content_type: &'static str, body: impl Into<Bytes>) -> Self {
        let body = body.into();
        let mut tag = String::from("\"");
        for byte in &Sha256::digest(&body)[..12] {
            // Writing to a string can't fail.
            let _ = write!(tag, "{byte:02x}");
        }
        tag.push('"');
        Self {
            content_type,
            body,
            tag,
        }
    }

    /// The answer to a request with these headers: the file, or that it is the one they name.
    pub(super) fn answer(&self, request: &HeaderMap) -> Response<Body> {
        let known = request.get_all(header::IF_NONE_MATCH).iter();
        let known = known.filter_map(|value| value.to_str().ok());
        let mut known = known.flat_map(|list| list.split(',').map(str::trim));
        let mut response = match known.any(|tag| self.is_tag(tag)) {
            true => {
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NOT_MODIFIED;
                response
            }
            false => Response::new(Body::from(self.body.clone())),
        };
        let headers = response.headers_mut();
        for (name, value) in HEADERS {
            headers.insert(name, HeaderValue::from_static(value));
        }
        let content_type = HeaderValue::from_static(self.content_type);
        headers.insert(header::CONTENT_TYPE, content_type);
        if let Ok(tag) = HeaderValue::from_str(&self.tag) {
            headers.insert(header::ETAG, tag);
        }
        response
    }

    /// Whether `tag` names this file; weakly compared, as If-None-Match is (RFC 9110 §13.1.2).
    fn is_tag(&self, tag: &str) -> bool {
        tag == "*" || tag.strip_prefix("W/").unwrap_or(tag) == self.tag
    }
}

/// Puts texts in the place of `{{name}}`s, escaped for HTML's text and quoted attributes.
pub(super) fn fill(template: &str, values: &[(&str, &str)]) -> String {
    let mut page = template.to_owned();
    for (name, value) in values {
        page = page.replace(&format!("{{{{{name}}}}}"), &escape(value));
    }
    page
}

fn escape(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '&' => escaped.push_str("&amp;"),
            '<' => escaped.push_str("&lt;"),
            '>' => escaped.push_str("&gt;"),
            '"' => escaped.push_str("&quot;"),
            '\'' => escaped.push_str("&#39;"),
            c => escaped.push(c),
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn values_are_escaped_where_they_are_put() {
        let page = fill(
            "<a href=\"{{base}}x\">{{channel}}{{channel}}</a>",
            &[("base", "/a\"b/"), ("channel", "<i>&'")],
        );
        let name = "&lt;i&gt;&amp;&#39;";
        assert_eq!(page, format!("<a href=\"/a&quot;b/x\">{name}{name}</a>"));
    }

    #[test]
    fn a_file_that_is_known_is_not_sent_again() {
        let page = Page::new("text/css", "a {}");
        let tag = page.tag.clone();
        let status = |known: &str| {
            let mut headers = HeaderMap::new();
            headers.insert(header::IF_NONE_MATCH, known.parse().unwrap());
            page.answer(&headers).status()
        };
        for known in [&tag, "*", &format!("W/{tag}"), &format!("\"old\", {tag}")] {
            assert_eq!(status(known), StatusCode::NOT_MODIFIED, "{known}");
        }
        assert_eq!(status("\"old\""), StatusCode::OK);
        assert_eq!(page.answer(&HeaderMap::new()).status(), StatusCode::OK);
        assert_ne!(tag, Page::new("text/css", "b {}").tag);
    }
}
