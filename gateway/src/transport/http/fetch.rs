//! Whose a request is that pages make with `fetch`, `XMLHttpRequest` or `EventSource`: which page has sent it, and with
//! which token.

use http::StatusCode;
use http::header::{HeaderMap, HeaderName};

use super::policy::Policy;
use crate::transport::websocket::handshake::{self, Page, Refused};

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Judges which page a request comes from.
///
/// # Errors
/// When that page may not come.
pub fn check_page(headers: &HeaderMap, policy: &Policy) -> Result<Page, Refused> {
    let page = handshake::check_origin(headers, policy.origins())?;
    let site = headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
    if page == Page::Unknown && matches!(site, Some(b"cross-site" | b"same-site")) {
        let detail = "pages of other sites ask for this with the header Origin";
        return Err(Refused::new(StatusCode::FORBIDDEN, "origin", detail));
    }
    Ok(page)
}

/// The same, and finds the token; `by_query` is the one that stands in the address.
///
/// As for a WebSocket, a token in the query counts only where it is clear which page has sent it. A browser names no
/// origin in a request to the page's own, nor in one for an image, but says which of them it is.
///
/// # Errors
/// When that page may not come, or the token may not stand there.
pub fn token(
    headers: &HeaderMap,
    by_query: Option<String>,
    policy: &Policy,
) -> Result<Option<String>, Refused> {
    let page = check_page(headers, policy)?;
    if by_query.is_some() && !policy.channel().query_token {
        let detail = "a token in the query is not accepted here: send it as the header Authorization: Bearer TOKEN";
        return Err(Refused::bad_request("token", detail));
    }
    let site = headers.get(SEC_FETCH_SITE).map(|site| site.as_bytes());
    let own = site == Some(b"same-origin");
    if by_query.is_some() && page == Page::Unknown && !own {
        let detail = "a token in the query needs the header Origin, or Sec-Fetch-Site: same-origin: without one, \
                      send the token as the header Authorization: Bearer TOKEN";
        return Err(Refused::new(StatusCode::FORBIDDEN, "origin", detail));
    }
    let bearer = handshake::authorization(headers)?;
    handshake::one_token([bearer, by_query, None])
}
