//! What comes in: messages of a body, and how long the caller waits.

use std::pin::Pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Context, Poll, ready};
use std::time::Duration;

use axum::body::Body;
use bytes::{Buf, Bytes};
use http::HeaderMap;
use http_body::Frame;
use prost::Message;
use tokio::time::{Instant, sleep_until, timeout_at};
use tonic::codec::{Codec, DecodeBuf, Decoder, Streaming};
use tonic::{Code, Status};
use tonic_prost::ProstCodec;

use super::super::Api;
use super::super::problem::Problem;
use crate::config::Limits;
use crate::protocol::ErrorCode;

/// What a caller asks of a call as a whole.
#[derive(Debug, Clone, Copy)]
pub(super) struct Deadline(Option<Instant>);

impl Deadline {
    /// What `grpc-timeout` says: up to eight digits and a unit. Without it the caller waits for as long as it takes.
    pub(super) fn of(headers: &HeaderMap) -> Result<Self, Problem> {
        let Some(value) = headers.get("grpc-timeout") else {
            return Ok(Self(None));
        };
        let timeout = value.to_str().ok().and_then(timeout).ok_or_else(|| {
            Problem::bad_request("grpc-timeout has up to eight digits and one of H, M, S, m, u, n")
        })?;
        Ok(Self(Instant::now().checked_add(timeout)))
    }

    /// When it is over.
    pub(super) fn at(self) -> Option<Instant> {
        self.0
    }

    /// Gives up what is not done in time.
    pub(super) async fn hold<T>(
        self,
        act: impl Future<Output = Result<T, Problem>>,
    ) -> Result<T, Problem> {
        match self.0 {
            None => act.await,
            Some(at) => timeout_at(at, act)
                .await
                .unwrap_or_else(|_| Err(Problem::deadline_exceeded())),
        }
    }
}

/// Returns at that time, if there is one.
pub(super) async fn until(at: Option<Instant>) {
    match at {
        Some(at) => sleep_until(at).await,
        None => std::future::pending().await,
    }
}

fn timeout(text: &str) -> Option<Duration> {
    let (digits, unit) = text.split_at_checked(text.len().checked_sub(1)?)?;
    let digital = digits.bytes().all(|byte| byte.is_ascii_digit());
    if !digital || !(1..=8).contains(&digits.len()) {
        return None;
    }
    let number: u64 = digits.parse().ok()?;
    Some(match unit {
        "H" => Duration::from_secs(number * 3600),
        "M" => Duration::from_secs(number * 60),
        "S" => Duration::from_secs(number),
        "m" => Duration::from_millis(number),
        "u" => Duration::from_micros(number),
        "n" => Duration::from_nanos(number),
        _ => return None,
    })
}

/// The messages of a body.
pub(super) struct Messages<M> {
    stream: Streaming<M>,
    meter: Arc<Meter>,
    /// Largest of them, in bytes.
    most: usize,
}

impl<M: Message + Default + 'static> Messages<M> {
    /// Those of a call. Compressed ones are not taken.
    pub(super) fn of(
        api: &Api,
        limits: &Limits,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Self, Problem> {
        let decoder = ProstCodec::<M, M>::default().decoder();
        Self::read(api, limits, headers, body, decoder)
    }
}

impl Messages<Bytes> {
    /// Those of a call, as they are.
    pub(super) fn raw(
        api: &Api,
        limits: &Limits,
        headers: &HeaderMap,
        body: Body,
    ) -> Result<Self, Problem> {
        Self::read(api, limits, headers, body, Raw)
    }
}

impl<M: Send + 'static> Messages<M> {
    fn read(
        api: &Api,
        limits: &Limits,
        headers: &HeaderMap,
        body: Body,
        decoder: impl Decoder<Item = M, Error = Status> + Send + 'static,
    ) -> Result<Self, Problem> {
        let encoding = headers.get("grpc-encoding");
        if encoding.is_some_and(|encoding| encoding != "identity") {
            return Err(Problem::bad_request("send messages without compression"));
        }
        let meter = Arc::new(Meter {
            api: api.clone(),
            taken: AtomicUsize::new(0),
        });
        let body = Metered {
            body,
            meter: Arc::clone(&meter),
        };
        let most = limits.frame_size();
        Ok(Self {
            stream: Streaming::new_request(decoder, body, None, Some(most)),
            meter,
            most,
        })
    }

    /// The next one; `None` where the caller has said all. Nothing is lost where this is given up while it waits.
    pub(super) async fn next(&mut self) -> Result<Option<M>, Problem> {
        let next = self.stream.message().await;
        self.meter.give_back();
        next.map_err(|status| self.problem(&status))
    }

    /// The only one.
    pub(super) async fn only(mut self) -> Result<M, Problem> {
        let Some(message) = self.next().await? else {
            return Err(Problem::bad_request("the call has no message"));
        };
        match self.next().await? {
            None => Ok(message),
            Some(_) => Err(Problem::bad_request("the call has more than one message")),
        }
    }

    /// What the reader of messages says, in our words.
    fn problem(&self, status: &Status) -> Problem {
        match status.code() {
            Code::OutOfRange => Problem::body_too_large(self.most),
            Code::ResourceExhausted => ErrorCode::Overloaded.into(),
            _ => Problem::bad_request(format!("the message can't be read: {}", status.message())),
        }
    }
}

/// Takes messages as they are.
struct Raw;

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}

/// Counts the bytes of a body that wait to become a message.
struct Meter {
    api: Api,
    taken: AtomicUsize,
}

impl Meter {
    /// Whether there is room for so many more.
    fn take(&self, bytes: usize) -> bool {
        let permits = u32::try_from(bytes).unwrap_or(u32::MAX);
        let Ok(room) = self.api.0.bodies.try_acquire_many(permits) else {
            return false;
        };
        room.forget();
        self.taken.fetch_add(bytes, Ordering::Relaxed);
        true
    }

    fn give_back(&self) {
        let taken = self.taken.swap(0, Ordering::Relaxed);
        self.api.0.bodies.add_permits(taken);
    }
}

impl Drop for Meter {
    fn drop(&mut self) {
        self.give_back();
    }
}

/// A body whose bytes are counted.
struct Metered {
    body: Body,
    meter: Arc<Meter>,
}

impl http_body::Body for Metered {
    type Data = Bytes;
    type Error = Status;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Status>>> {
        let next = ready!(Pin::new(&mut self.body).poll_frame(context));
        Poll::Ready(next.map(|frame| {
            let frame = frame.map_err(|error| Status::unknown(error.to_string()))?;
            match frame.data_ref() {
                Some(data) if !self.meter.take(data.len()) => {
                    Err(Status::resource_exhausted("too many bodies are being read"))
                }
                _ => Ok(frame),
            }
        }))
    }

    fn is_end_stream(&self) -> bool {
        self.body.is_end_stream()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_timeout_has_a_unit() {
        for (text, expected) in [
            ("1S", Some(Duration::from_secs(1))),
            ("2M", Some(Duration::from_secs(120))),
            ("99999999H", Some(Duration::from_secs(99_999_999 * 3600))),
            ("100m", Some(Duration::from_millis(100))),
            ("7u", Some(Duration::from_micros(7))),
            ("0n", Some(Duration::ZERO)),
            ("", None),
            ("S", None),
            ("1", None),
            ("-1S", None),
            ("+1S", None),
            ("1s", None),
            ("1é", None),
            ("123456789S", None),
        ] {
            assert_eq!(timeout(text), expected, "{text:?}");
        }
    }
}
