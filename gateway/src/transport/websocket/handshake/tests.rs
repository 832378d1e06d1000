//! Requests in, answers out.

mod origins;
mod protocols;
mod request;
mod tokens;

use std::sync::LazyLock;

use http::header::HeaderName;

use super::*;
use crate::transport::subprotocols::subprotocols;

static OWN_HOST: LazyLock<Origins> = LazyLock::new(Origins::default);

static CONFIG: LazyLock<Config<'static>> = LazyLock::new(|| Config {
    protocols: subprotocols(),
    allowed_origins: &OWN_HOST,
    query_token: false,
    compression: true,
});

/// The plainest request with these headers on top.
fn headers(more: &[(&'static str, &str)]) -> HeaderMap {
    let mut headers = HeaderMap::new();
    for (name, value) in PLAINEST.iter().chain(more) {
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
