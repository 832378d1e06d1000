//! Publishing by `POST`: one message, one session that nobody is told of, one answer.

use std::collections::HashMap;
use std::net::IpAddr;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use axum::body::Body;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::header::{CACHE_CONTROL, CONTENT_TYPE, HeaderMap, HeaderValue};
use http::{Response, StatusCode};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use serde_json::value::RawValue;
use serde_json::{Map, Value, json};
use tokio::time::timeout;

use super::problem::Problem;
use super::request::Asked;
use crate::names::UserId;
use crate::transport::shard::wire::{Wire, WireFrame};
use crate::transport::throttle::Throttle;

/// For the message itself.
const READ_WITHIN: Duration = Duration::from_secs(10);
/// For the broker's answer, beyond what it takes for it.
const ANSWERED_WITHIN: Duration = Duration::from_secs(20);

/// Publishers whose throttle is remembered.
const REMEMBERED: usize = 16 * 1024;

/// How often each publisher has published by request: a session for each would begin with a full burst each time.
#[derive(Debug, Default)]
pub(in crate::transport) struct Publishers(Mutex<HashMap<Publisher, Throttle>>);

/// Whoever has sent a message.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Publisher {
    User(UserId),
    Address(IpAddr),
}

impl Publishers {
    /// Counts a message.
    ///
    /// # Errors
    /// How long until there may be one.
    pub(super) fn count(
        &self,
        publisher: Publisher,
        rate: u32,
        now: Instant,
    ) -> Result<(), Duration> {
        let mut throttles = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if throttles.len() >= REMEMBERED && !throttles.contains_key(&publisher) {
            throttles.clear(); // who has so many names gains a burst by it
        }
        throttles.entry(publisher).or_default().take(rate, now)
    }
}

/// A message that has come in full.
pub(super) struct Posted {
    /// JSON text.
    data: String,
    /// Whether that is the base64 of bytes.
    binary: bool,
}

impl Posted {
    /// Reads a message of at most `most` bytes.
    pub(super) async fn read(
        headers: &HeaderMap,
        body: Incoming,
        most: usize,
    ) -> Result<Self, Problem> {
        let kind = Kind::of(headers)?;
        let whole = timeout(READ_WITHIN, Limited::new(body, most).collect()).await;
        let bytes = match whole {
            Ok(Ok(whole)) => whole.to_bytes(),
            Ok(Err(error)) if error.is::<LengthLimitError>() => {
                let detail = format!("the payload is over {most} bytes: send less");
                return Err(Problem::of_code("message_too_large", detail));
            }
            Ok(Err(_)) => return Err(Problem::bad_request("the body did not come in full")),
            Err(_) => {
                let detail = "the body did not come in time";
                return Err(Problem::new(
                    StatusCode::REQUEST_TIMEOUT,
                    "bad_request",
                    detail,
                ));
            }
        };
        kind.message(&bytes)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Kind {
    Json,
    Text,
    Binary,
}

impl Kind {
    fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let text = headers
            .get(CONTENT_TYPE)
            .and_then(|kind| kind.to_str().ok());
        let mut parts = text.unwrap_or_default().split(';').map(str::trim);
        let kind = parts.next().unwrap_or_default().to_ascii_lowercase();
        let is_utf8 = parts.all(|parameter| {
            let parameter = parameter.to_ascii_lowercase();
            let charset = parameter.strip_prefix("charset=");
            charset.is_none_or(|charset| charset.trim_matches('"') == "utf-8")
        });
        match kind.as_str() {
            "application/json" if is_utf8 => Ok(Self::Json),
            "text/plain" if is_utf8 => Ok(Self::Text),
            "application/octet-stream" => Ok(Self::Binary),
            _ => {
                let detail = "say what the body is: Content-Type: application/json, text/plain (UTF-8) or \
                              application/octet-stream";
                let status = StatusCode::UNSUPPORTED_MEDIA_TYPE;
                Err(Problem::new(status, "bad_request", detail))
            }
        }
    }

    fn message(self, bytes: &Bytes) -> Result<Posted, Problem> {
        let data = match self {
            Self::Json => {
                // One value and nothing beside it: it becomes a part of a request.
                let json: Result<&RawValue, _> = serde_json::from_slice(bytes);
                let json = json.map_err(|error| {
                    Problem::bad_request(format!("the body is not JSON: {error}"))
                })?;
                json.get().to_owned()
            }
            Self::Text => match std::str::from_utf8(bytes) {
                Ok(text) => json!(text).to_string(),
                Err(_) => return Err(Problem::bad_request("the body is not UTF-8")),
            },
            Self::Binary => format!("\"{}\"", STANDARD.encode(bytes)),
        };
        let binary = self == Self::Binary;
        Ok(Posted { data, binary })
    }
}

/// Publishes a message to the room that is asked for, on a session of its own, and gives the answer.
pub(super) async fn publish(
    mut wire: Wire,
    asked: &Asked,
    posted: Posted,
    traceparent: Option<&str>,
) -> Result<Response<Body>, Problem> {
    let request = request(asked, &posted, traceparent);
    drop(posted);
    if wire.send_text(request).await.is_err() {
        return Err(Problem::of_code(
            "unavailable",
            "not published: the session has ended",
        ));
    }
    let answer = timeout(ANSWERED_WITHIN, answer(&mut wire)).await;
    match answer {
        Ok(answer) => answer,
        Err(_) => Err(unconfirmed()),
    }
}

fn unconfirmed() -> Problem {
    let detail = "sent, but not confirmed: send it again with the same message_id";
    Problem::of_code("outcome_unknown", detail)
}

fn request(asked: &Asked, posted: &Posted, traceparent: Option<&str>) -> String {
    let mut fields = Map::new();
    fields.insert("type".into(), json!("publish"));
    fields.insert("id".into(), json!(1));
    fields.insert("room".into(), json!(asked.rooms[0].as_str()));
    let optional = [
        ("event", asked.event.as_deref()),
        ("message_id", asked.message_id.as_deref()),
        ("encoding", posted.binary.then_some("base64")),
        ("traceparent", traceparent),
    ];
    for (name, value) in optional {
        if let Some(value) = value {
            fields.insert(name.into(), json!(value));
        }
    }
    let mut request = Value::Object(fields).to_string();
    request.pop(); // the last brace
    request.push_str(",\"data\":");
    request.push_str(&posted.data);
    request.push('}');
    request
}

async fn answer(wire: &mut Wire) -> Result<Response<Body>, Problem> {
    loop {
        match wire.next().await {
            Some(WireFrame::Text(frame)) => {
                let mut told: Map<String, Value> =
                    serde_json::from_slice(&frame).unwrap_or_default();
                match told.remove("type").as_ref().and_then(Value::as_str) {
                    Some("ack") => {
                        told.remove("id");
                        let mut response =
                            Response::new(Body::from(Value::Object(told).to_string()));
                        let headers = response.headers_mut();
                        let json = HeaderValue::from_static("application/json");
                        headers.insert(CONTENT_TYPE, json);
                        headers.insert(CACHE_CONTROL, HeaderValue::from_static("no-store"));
                        return Ok(response);
                    }
                    Some("error") => return Err(refusal(&told)),
                    _ => {}
                }
            }
            Some(WireFrame::Binary(_)) => {}
            Some(WireFrame::Close { code, reason }) => {
                let detail = "the session has ended before its answer";
                return Err(Problem::of_close(code, &reason, detail));
            }
            None => return Err(unconfirmed()),
        }
    }
}

/// An error of the protocol as a problem.
fn refusal(told: &Map<String, Value>) -> Problem {
    let text = |name| told.get(name).and_then(Value::as_str);
    let detail = text("message").unwrap_or_default();
    let problem = Problem::of_code(text("code").unwrap_or("internal"), detail);
    // It points into a frame; here its data is all there is.
    let pointer = text("pointer").map(|pointer| {
        let within = pointer.strip_prefix("/data").unwrap_or(pointer);
        within.to_owned()
    });
    let problem = problem.pointing_at(pointer);
    match told.get("retry_after_ms").and_then(Value::as_u64) {
        Some(wait) => problem.retry_after(Duration::from_millis(wait)),
        None => problem,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn posted(kind: &str, body: &'static [u8]) -> Result<String, u16> {
        let mut headers = HeaderMap::new();
        headers.insert(CONTENT_TYPE, HeaderValue::from_str(kind).unwrap());
        let message = Kind::of(&headers).and_then(|kind| kind.message(&Bytes::from_static(body)));
        let asked = Asked::parse("room=a").ok().unwrap();
        match message {
            Ok(posted) => Ok(request(&asked, &posted, None)),
            Err(problem) => Err(problem.into_response().status().as_u16()),
        }
    }

    #[test]
    fn the_kind_of_a_body_says_what_it_becomes() {
        for (kind, body, data) in [
            (
                "application/json",
                &b"{\"n\": 1e400}"[..],
                r#"{"n": 1e400}"#,
            ),
            ("application/json; charset=UTF-8", b" 1 ", "1"),
            ("text/plain", b"say \"hi\"\n", r#""say \"hi\"\n""#),
            ("Text/Plain;charset=utf-8", b"", r#""""#),
        ] {
            let expected = format!(r#"{{"id":1,"room":"a","type":"publish","data":{data}}}"#);
            assert_eq!(posted(kind, body), Ok(expected), "{kind}");
        }
        let expected = r#"{"encoding":"base64","id":1,"room":"a","type":"publish","data":"AP8="}"#;
        assert_eq!(
            posted("application/octet-stream", &[0, 255]),
            Ok(expected.into())
        );
    }

    #[test]
    fn what_is_not_what_it_says_is_refused() {
        for (kind, body, status) in [
            ("application/json", &b"1,\"room\":\"b\""[..], 400),
            ("application/json", b"{", 400),
            ("application/json", b"", 400),
            ("application/json", b"\"\xff\"", 400),
            ("text/plain", b"\xff", 400),
            ("text/plain; charset=latin1", b"a", 415),
            ("application/x-www-form-urlencoded", b"a=1", 415),
            ("", b"a", 415),
        ] {
            assert_eq!(posted(kind, body), Err(status), "{kind} {body:?}");
        }
    }

    #[test]
    fn a_publisher_has_a_rate_and_does_not_use_up_another_s() {
        let (publishers, now) = (Publishers::default(), Instant::now());
        let address = |last| Publisher::Address(IpAddr::from([127, 0, 0, last]));
        let taken = |last| publishers.count(address(last), 3, now).is_ok();
        assert_eq!((0..9).filter(|_| taken(1)).count(), 3);
        assert!(taken(2));
    }

    #[test]
    fn a_pointer_is_into_the_body() {
        let told = json!({"code": "bad_request", "message": "", "pointer": "/data/a/0"});
        let problem = refusal(told.as_object().unwrap());
        assert!(format!("{problem:?}").contains("\"/a/0\""));
    }
}
