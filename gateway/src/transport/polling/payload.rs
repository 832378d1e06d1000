//! What a client says in one request: packets, in order.

use std::time::Duration;

use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::time::timeout;

use super::session::{Phase, Session};
use crate::protocol::engineio::{self, Data, Packet, Refused};
use crate::transport::http::Refusal;

/// For all of it to arrive, as for a message over a WebSocket.
const READ_WITHIN: Duration = Duration::from_secs(60);

/// A packet, as the session's protocol has it in a frame.
enum Said {
    Text(String),
    Binary(Vec<u8>),
}

impl Said {
    fn of(packet: Packet<'_>) -> Self {
        match packet.data {
            Data::Text(text) => {
                let mut whole = String::with_capacity(1 + text.len());
                whole.push(char::from(packet.kind.digit()));
                whole.push_str(text);
                Self::Text(whole)
            }
            Data::Binary(bytes) => Self::Binary(bytes.to_vec()),
        }
    }
}

/// Hands what a client says to its session, at most `most` bytes. What it must not say ends the session.
pub(super) async fn hear(
    session: &Session,
    headers: &HeaderMap,
    body: Incoming,
    most: usize,
) -> Result<(), Refusal> {
    let Some(_hearing) = session.try_hear() else {
        session.broken("a session has one payload at a time");
        return Err(Refused::BadRequest.into());
    };
    if session.phase() == Phase::Gone {
        return Err(Refused::Sid.into());
    }
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    if kind.is_some_and(|kind| kind.starts_with(b"application/octet-stream")) {
        session.broken("a payload is text");
        return Err(Refused::BadRequest.into());
    }
    let whole = timeout(READ_WITHIN, Limited::new(body, most).collect()).await;
    let bytes = match whole {
        Ok(Ok(whole)) => whole.to_bytes(),
        Ok(Err(error)) if error.is::<LengthLimitError>() => {
            session.too_large();
            return Err(Refusal::too_large(most));
        }
        Ok(Err(_)) => {
            session.broken("a payload did not come in full");
            return Err(Refused::BadRequest.into());
        }
        Err(_) => {
            session.broken("a payload did not come in time");
            return Err(Refusal::too_slow());
        }
    };
    let mut said = Vec::new();
    let parsed = match std::str::from_utf8(&bytes) {
        Ok(text) => engineio::parse(text, |packet| said.push(Said::of(packet))).is_ok(),
        Err(_) => false,
    };
    drop(bytes);
    for packet in said {
        let sent = match packet {
            Said::Text(text) => session.line().send_text(text).await,
            Said::Binary(bytes) => session.line().send_binary(bytes).await,
        };
        sent.map_err(|_| Refused::Sid)?;
    }
    match parsed {
        true => Ok(()),
        false => {
            session.broken("a payload is Engine.IO packets in UTF-8");
            Err(Refused::BadRequest.into())
        }
    }
}
