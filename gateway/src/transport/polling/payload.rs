//! What a client says in one request: packets, in order.

use std::time::Duration;

use bytes::Bytes;
use http::header::{CONTENT_TYPE, HeaderMap};
use http_body_util::{BodyExt, LengthLimitError, Limited};
use hyper::body::Incoming;
use tokio::sync::MutexGuard;
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

/// Why a body was not read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Unread {
    /// Over its bound.
    TooLarge,
    /// Said to be no text.
    Binary,
    /// It broke off.
    Cut,
    /// It did not come in time.
    Slow,
}

impl Unread {
    /// What is answered.
    pub(super) fn refusal(self, most: usize) -> Refusal {
        match self {
            Self::TooLarge => Refusal::too_large(most),
            Self::Slow => Refusal::too_slow(),
            Self::Binary | Self::Cut => Refused::BadRequest.into(),
        }
    }

    /// Ends the session for it.
    fn end(self, session: &Session) {
        match self {
            Self::TooLarge => session.too_large(),
            Self::Binary => session.broken("a payload is text"),
            Self::Cut => session.broken("a payload did not come in full"),
            Self::Slow => session.broken("a payload did not come in time"),
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
    let _hearing = begin(session)?;
    match read(headers, body, most).await {
        Ok(bytes) => Ok(hand_over(session, &bytes).await?),
        Err(unread) => {
            unread.end(session);
            Err(unread.refusal(most))
        }
    }
}

/// The same, of what has come whole already.
pub(super) async fn say(session: &Session, bytes: &[u8]) -> Result<(), Refused> {
    let _hearing = begin(session)?;
    hand_over(session, bytes).await
}

/// Reads what a client says.
pub(super) async fn read(
    headers: &HeaderMap,
    body: Incoming,
    most: usize,
) -> Result<Bytes, Unread> {
    let kind = headers.get(CONTENT_TYPE).map(|kind| kind.as_bytes());
    if kind.is_some_and(|kind| kind.starts_with(b"application/octet-stream")) {
        return Err(Unread::Binary);
    }
    match timeout(READ_WITHIN, Limited::new(body, most).collect()).await {
        Ok(Ok(whole)) => Ok(whole.to_bytes()),
        Ok(Err(error)) if error.is::<LengthLimitError>() => Err(Unread::TooLarge),
        Ok(Err(_)) => Err(Unread::Cut),
        Err(_) => Err(Unread::Slow),
    }
}

fn begin(session: &Session) -> Result<MutexGuard<'_, ()>, Refused> {
    let Some(hearing) = session.try_hear() else {
        session.broken("a session has one payload at a time");
        return Err(Refused::BadRequest);
    };
    match session.phase() {
        Phase::Gone => Err(Refused::Sid),
        _ => Ok(hearing),
    }
}

async fn hand_over(session: &Session, bytes: &[u8]) -> Result<(), Refused> {
    let mut said = Vec::new();
    let parsed = match std::str::from_utf8(bytes) {
        Ok(text) => engineio::parse(text, |packet| said.push(Said::of(packet))).is_ok(),
        Err(_) => false,
    };
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
            Err(Refused::BadRequest)
        }
    }
}
