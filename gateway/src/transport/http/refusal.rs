//! Handshakes that are refused, as HTTP answers.

use std::borrow::Cow;
use std::time::{Duration, SystemTime};

use axum::body::Body;
use http::header::{
    CONNECTION, CONTENT_TYPE, HeaderName, HeaderValue, RETRY_AFTER, WWW_AUTHENTICATE,
};
use http::{Response, StatusCode};

use super::metrics::Reason;
use crate::auth::TokenError;
use crate::protocol::{ErrorCode, engineio};
use crate::transport::address::addresses::TooMany;
use crate::transport::websocket::handshake::Refused;

/// What bodies are.
const TEXT: &str = "text/plain; charset=utf-8";

/// An answer other than 101, and why it is given.
#[derive(Debug)]
pub(in crate::transport) struct Refusal {
    pub(super) reason: Reason,
    /// The reason, or a narrower word for it.
    word: &'static str,
    status: StatusCode,
    headers: Vec<(HeaderName, HeaderValue)>,
    /// What the body is.
    form: &'static str,
    /// For the client's developer; never a secret.
    body: Cow<'static, str>,
}

impl Refusal {
    fn new(reason: Reason, status: StatusCode, body: impl Into<Cow<'static, str>>) -> Self {
        Self {
            reason,
            word: reason.as_str(),
            status,
            headers: Vec::new(),
            form: TEXT,
            body: body.into(),
        }
    }

    fn with(mut self, name: HeaderName, value: HeaderValue) -> Self {
        self.headers.push((name, value));
        self
    }

    /// 503 that ends the connection: the next try may reach another gateway.
    fn unavailable(reason: Reason, body: &'static str, retry_after: u64) -> Self {
        Self::new(reason, StatusCode::SERVICE_UNAVAILABLE, body)
            .with(RETRY_AFTER, retry_after.into())
            .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// The gateway is going away; another one takes the client at once.
    pub(super) fn draining() -> Self {
        let body = "this gateway is going away: connect again";
        Self::unavailable(Reason::Draining, body, 1)
    }

    /// The gateway has not found its broker yet.
    pub(in crate::transport) fn starting() -> Self {
        let body = "this gateway is starting: connect again";
        Self::unavailable(Reason::Starting, body, rand::random_range(1..=3))
    }

    /// Over the rate; `wait` is how long until a handshake is let in.
    pub(super) fn rate(wait: Duration) -> Self {
        // Spread, or all who were refused in one second would come back in the same one.
        let seconds = wait.as_secs() + rand::random_range(1..=3);
        let body = "too many clients connect at once: try again later";
        Self::unavailable(Reason::Rate, body, seconds)
    }

    /// No place is left. Connections live long, so this lasts.
    pub(super) fn full() -> Self {
        let body = "this gateway has as many connections as it may: try again later";
        Self::unavailable(Reason::Full, body, rand::random_range(5..=15))
    }

    /// One address is over a limit of its own (RFC 6585 §4). Spread, as many may share an address.
    fn too_many(reason: Reason, body: &'static str, retry_after: u64) -> Self {
        Self::new(reason, StatusCode::TOO_MANY_REQUESTS, body)
            .with(RETRY_AFTER, retry_after.into())
            .with(CONNECTION, HeaderValue::from_static("close"))
    }

    /// An address is over its limits.
    pub(super) fn address(why: TooMany) -> Self {
        match why {
            TooMany::Handshakes(wait) => {
                let body = "too many handshakes from this address: try again later";
                let seconds = wait.as_secs() + rand::random_range(1..=3);
                Self::too_many(Reason::AddressRate, body, seconds)
            }
            TooMany::Connections => {
                let body = "this address has as many connections as it may: try again later";
                Self::too_many(Reason::AddressFull, body, rand::random_range(5..=15))
            }
        }
    }

    /// Tokens of this address were refused so often that the next one has to wait.
    pub(super) fn backoff(wait: Duration) -> Self {
        let body = "too many refused tokens from this address: try again later";
        Self::too_many(Reason::Backoff, body, wait.as_secs() + 1)
    }

    /// A token came that is not accepted, or can't be checked now (RFC 6750 §3.1).
    pub(super) fn token(error: TokenError) -> Self {
        if matches!(error, TokenError::NoKeys | TokenError::Fetching) {
            let body = "keys_unavailable: the keys to check the token with can't be had now: try again later";
            return Self::unavailable(Reason::NoKeys, body, rand::random_range(1..=3));
        }
        let word = error.code().as_str();
        let body = format!("{word}: the token is not accepted: {error}");
        let challenge = HeaderValue::from_static("Bearer error=\"invalid_token\"");
        let refusal = Self::new(Reason::InvalidToken, StatusCode::UNAUTHORIZED, body);
        Self { word, ..refusal }.with(WWW_AUTHENTICATE, challenge)
    }

    /// No token came, and the protocol has no other way to send one (RFC 6750 §3).
    pub(super) fn unauthenticated() -> Self {
        let body = "unauthenticated: this channel wants a token: send it as the header Authorization: Bearer TOKEN or \
                    as the subprotocol bearer.TOKEN";
        let word = ErrorCode::Unauthenticated.as_str();
        let refusal = Self::new(Reason::InvalidToken, StatusCode::UNAUTHORIZED, body);
        Self { word, ..refusal }.with(WWW_AUTHENTICATE, HeaderValue::from_static("Bearer"))
    }

    /// A request that is right but for what HTTP makes of it.
    pub(super) fn not_upgradable(body: &'static str) -> Self {
        Self::new(Reason::Upgrade, StatusCode::BAD_REQUEST, body)
    }

    /// What a client says at once is over bound.
    pub(in crate::transport) fn too_large(most: usize) -> Self {
        let body = format!("a payload has at most {most} bytes: send less");
        Self::new(Reason::Query, StatusCode::PAYLOAD_TOO_LARGE, body)
    }

    /// What a client says did not come in time.
    pub(in crate::transport) fn too_slow() -> Self {
        let body = "the body did not come in time";
        Self::new(Reason::Timeout, StatusCode::REQUEST_TIMEOUT, body)
    }

    /// Why, in a word that a client knows where there is one.
    pub(in crate::transport) fn word(&self) -> &'static str {
        self.word
    }

    pub(in crate::transport) fn status(&self) -> StatusCode {
        self.status
    }

    pub(in crate::transport) fn body(&self) -> &str {
        &self.body
    }

    /// The whole answer, as it is written before the connection ends.
    pub(super) fn to_bytes(&self) -> Vec<u8> {
        use std::io::Write;
        let mut answer = Vec::with_capacity(512);
        let date = httpdate::HttpDate::from(SystemTime::now());
        // To memory, so it does not fail.
        let _ = write!(
            answer,
            "HTTP/1.1 {}\r\ncontent-type: {}\r\ncontent-length: {}\r\ndate: {date}\r\nconnection: close\r\n",
            self.status,
            self.form,
            self.body.len(),
        );
        for (name, value) in self.headers.iter().filter(|(name, _)| *name != CONNECTION) {
            for part in [name.as_str().as_bytes(), b": ", value.as_bytes(), b"\r\n"] {
                answer.extend_from_slice(part);
            }
        }
        answer.extend_from_slice(b"\r\n");
        answer.extend_from_slice(self.body.as_bytes());
        answer
    }

    /// Headers that belong to it.
    pub(in crate::transport) fn headers(&self) -> impl Iterator<Item = &(HeaderName, HeaderValue)> {
        self.headers.iter()
    }

    pub(in crate::transport) fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::from(self.body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(CONTENT_TYPE, HeaderValue::from_static(self.form));
        headers.extend(self.headers);
        response
    }
}

impl From<engineio::Refused> for Refusal {
    fn from(refused: engineio::Refused) -> Self {
        Self {
            form: "application/json",
            ..Self::new(Reason::Query, StatusCode::BAD_REQUEST, refused.body())
        }
    }
}

impl From<Refused> for Refusal {
    fn from(refused: Refused) -> Self {
        let mut refusal = Self::new(Reason::of(refused.reason), refused.status, refused.body);
        for (name, value) in refused.headers {
            // The handshake's own constants, so none is left out.
            if let Ok(value) = HeaderValue::from_str(&value) {
                refusal = refusal.with(HeaderName::from_static(name), value);
            }
        }
        refusal
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_reasons_of_the_handshake_have_labels() {
        for reason in [
            "method",
            "upgrade",
            "version",
            "key",
            "origin",
            "subprotocol",
            "token",
            "query",
        ] {
            assert_ne!(Reason::of(reason), Reason::Other, "{reason}");
        }
    }

    #[test]
    fn what_passes_says_when_to_come_back_and_closes() {
        for (refusal, seconds) in [
            (Refusal::starting(), 1..=3),
            (Refusal::draining(), 1..=1),
            (Refusal::rate(Duration::from_millis(900)), 1..=3),
            (Refusal::full(), 5..=15),
        ] {
            let response = refusal.into_response();
            assert_eq!(response.status(), 503);
            assert_eq!(response.headers()[CONNECTION], "close");
            let retry_after = response.headers()[RETRY_AFTER].to_str().unwrap();
            assert!(seconds.contains(&retry_after.parse().unwrap()));
        }
    }

    #[test]
    fn an_address_over_its_limits_is_told_so_and_when_to_come_back() {
        let second = Duration::from_secs(1);
        for (refusal, seconds) in [
            (Refusal::address(TooMany::Handshakes(second)), 2..=4),
            (Refusal::address(TooMany::Connections), 5..=15),
            (Refusal::backoff(8 * second), 9..=9),
        ] {
            let response = refusal.into_response();
            assert_eq!(response.status(), 429);
            assert_eq!(response.headers()[CONNECTION], "close");
            let retry_after = response.headers()[RETRY_AFTER].to_str().unwrap();
            assert!(seconds.contains(&retry_after.parse().unwrap()));
        }
    }

    #[test]
    fn a_refused_token_is_challenged() {
        for refusal in [
            Refusal::token(TokenError::Signature),
            Refusal::unauthenticated(),
        ] {
            let response = refusal.into_response();
            assert_eq!(response.status(), 401);
            let challenge = response.headers()[WWW_AUTHENTICATE].to_str().unwrap();
            assert!(challenge.starts_with("Bearer"));
        }
        let later = Refusal::token(TokenError::NoKeys).into_response();
        assert_eq!(later.status(), 503);
    }
}
