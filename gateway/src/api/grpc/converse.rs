//! `Converse`: a session of the client protocol as a stream each way.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio::time::Instant;
use tonic::Status;

use super::super::call::Call;
use super::super::problem::Problem;
use super::Grpc;
use super::request::{Deadline, Messages, until};
use super::response::{frame_of, refused, stream};
use super::status::closed;
use super::watch::Watch;
use crate::auth::api_keys::Scope;
use crate::transport::grpc;
use crate::transport::shard::wire::{Wire, WireFrame};

/// What a key must be good for: a session can do all of it. Of a token's user the rules say what he may do.
const OF_KEYS: [Scope; 5] = [
    Scope::Subscribe,
    Scope::Publish,
    Scope::Send,
    Scope::History,
    Scope::Presence,
];
/// Bytes that are written at once, about.
const WRITTEN_AT_ONCE: usize = 16 * 1024;
/// The close code of a client that is done.
const DONE: u16 = 1000;

pub(super) async fn converse(
    State(grpc): State<Grpc>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let api = &grpc.api;
    let begun = || {
        let deadline = Deadline::of(&parts.headers)?;
        let call = Call::admit(api, Scope::Subscribe, &parts.headers)?;
        let scopes = match call.caller.user() {
            Some(_) => &OF_KEYS[..1],
            None => &OF_KEYS[..],
        };
        let watch = Watch::of(api, &call, &parts.headers, scopes);
        watch.look()?;
        let messages = Messages::raw(api, &call.channel.limits, &parts.headers, body)?;
        let wire = grpc::open(&grpc.public, peer.ip(), call.caller, call.trace)?;
        Ok(Stream {
            wire,
            messages: Some(messages),
            watch,
            deadline: deadline.at(),
            out: Vec::new(),
        })
    };
    let begun = begun();
    api.metrics().count(&begun.as_ref().map(|_| false));
    match begun {
        Ok(conversation) => stream(|pieces| conversation.run(pieces)),
        Err(problem) => refused(problem),
    }
}

struct Stream {
    wire: Wire,
    /// Until the caller has said all.
    messages: Option<Messages<Bytes>>,
    watch: Watch,
    deadline: Option<Instant>,
    /// Not written yet.
    out: Vec<u8>,
}

impl Stream {
    /// Passes messages both ways, and gives how it ended.
    async fn run(mut self, pieces: mpsc::Sender<Bytes>) -> Status {
        loop {
            let ended = self.turn().await;
            if !self.out.is_empty() {
                let piece = Bytes::from(std::mem::take(&mut self.out));
                if pieces.send(piece).await.is_err() {
                    return Status::cancelled(""); // nobody reads any more
                }
            }
            if let Some(status) = ended {
                return status;
            }
        }
    }

    async fn turn(&mut self) -> Option<Status> {
        let said = async {
            match &mut self.messages {
                Some(messages) => messages.next().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            biased;
            () = until(self.deadline) => Some(Problem::deadline_exceeded().into()),
            problem = self.watch.ended() => Some(problem.into()),
            told = self.wire.next() => {
                let mut ended = self.heed(told);
                while ended.is_none()
                    && self.out.len() < WRITTEN_AT_ONCE
                    && let Some(told) = self.wire.next().now_or_never()
                {
                    ended = self.heed(told);
                }
                ended
            }
            said = said => match said {
                Ok(Some(message)) => {
                    // The close is on its way where it can't be sent.
                    let _ = self.wire.send_binary(message.into()).await;
                    None
                }
                Ok(None) => {
                    self.messages = None;
                    self.wire.close(DONE);
                    None
                }
                Err(problem) => Some(problem.into()),
            },
        }
    }

    fn heed(&mut self, told: Option<WireFrame>) -> Option<Status> {
        match told {
            Some(WireFrame::Text(payload) | WireFrame::Binary(payload)) => {
                frame_of(&payload, &mut self.out);
                None
            }
            Some(WireFrame::Close { code: DONE, .. }) => Some(Status::ok("")),
            Some(WireFrame::Close { code, reason }) => Some(closed(code, &reason)),
            None => Some(Problem::internal().into()),
        }
    }
}
