//! `Subscribe`: what is published to rooms, from a cursor on.

use std::net::SocketAddr;

use axum::extract::{ConnectInfo, Request, State};
use axum::response::Response;
use bytes::Bytes;
use futures_util::FutureExt;
use linnet_proto::v1::{ConverseResponse, SubscribeRequest};
use prost::Message;
use tokio::sync::mpsc;
use tokio::time::{Duration, Instant, sleep_until};
use tonic::Status;

use super::super::call::Call;
use super::super::problem::Problem;
use super::Grpc;
use super::exchange::only;
use super::request::{Deadline, Messages, until};
use super::response::{frame, refused, stream};
use super::status::{closed, with_cursor};
use super::watch::Watch;
use crate::auth::api_keys::Scope;
use crate::names::RoomName;
use crate::protocol::ErrorCode;
use crate::protocol::protobuf::decode;
use crate::transport::grpc::{self, Heeded, MOST, Rooms};
use crate::transport::shard::wire::{Wire, WireFrame};

/// Bytes that are written at once, about.
const WRITTEN_AT_ONCE: usize = 16 * 1024;

pub(super) async fn subscribe(
    State(grpc): State<Grpc>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    request: Request,
) -> Response {
    let (parts, body) = request.into_parts();
    let api = &grpc.api;
    let begun = async {
        let deadline = Deadline::of(&parts.headers)?;
        let call = Call::admit(api, Scope::Subscribe, &parts.headers)?;
        let messages = Messages::of(api, &call.channel.limits, &parts.headers, body)?;
        let asked: SubscribeRequest = deadline.hold(only(messages)).await?;
        let rooms = rooms(&call, &asked)?;
        let watch = Watch::of(api, &call, &parts.headers, &[Scope::Subscribe]);
        let wire = grpc::open(&grpc.public, peer.ip(), call.caller, call.trace)?;
        Ok(Stream {
            wire,
            rooms,
            watch,
            deadline: deadline.at(),
            out: Vec::new(),
            not_before: Instant::now(),
        })
    };
    let begun = begun.await;
    api.metrics().count(&begun.as_ref().map(|_| false));
    match begun {
        Ok(subscription) => stream(|pieces| subscription.run(pieces)),
        Err(problem) => refused(problem),
    }
}

fn rooms(call: &Call, asked: &SubscribeRequest) -> Result<Rooms, Problem> {
    let mut names: Vec<RoomName> = Vec::new();
    for name in &asked.rooms {
        let name = decode::room(name).map_err(|wrong| Problem::from(wrong.of("rooms")))?;
        if !names.contains(&name) {
            names.push(name);
        }
        if names.len() > MOST {
            break;
        }
    }
    let most = call.channel.limits.rooms_per_connection.min(MOST);
    if names.len() > most {
        let detail = format!("a stream has at most {most} rooms");
        return Err(Problem::new(ErrorCode::TooManyRooms, detail).at("/rooms"));
    }
    if names.is_empty() {
        return Err(Problem::bad_request("name the rooms").at("/rooms"));
    }
    let rooms = Rooms::new(names, &asked.cursor, asked.presence);
    rooms.map_err(|error| Problem::bad_cursor(error.to_string()).at("/cursor"))
}

struct Stream {
    wire: Wire,
    rooms: Rooms,
    watch: Watch,
    deadline: Option<Instant>,
    /// Not written yet.
    out: Vec<u8>,
    /// No room is asked for before that.
    not_before: Instant,
}

impl Stream {
    /// Tells everything, piece by piece, and gives how it ended.
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
                return with_cursor(status, &self.rooms.cursor());
            }
        }
    }

    /// Asks for what is to be asked for, and takes what comes.
    async fn turn(&mut self) -> Option<Status> {
        let now = Instant::now();
        while self.not_before <= now
            && let Some(request) = self.rooms.request()
        {
            // The close is on its way where it can't be sent.
            let _ = self.wire.send_binary(request.encode_to_vec()).await;
        }
        let deadline = self.deadline;
        let frame = tokio::select! {
            biased;
            () = until(deadline) => return Some(Problem::deadline_exceeded().into()),
            problem = self.watch.ended() => return Some(problem.into()),
            frame = self.wire.next() => frame,
            () = sleep_until(self.not_before), if self.not_before > now => return None,
        };
        let mut ended = self.heed(frame);
        while ended.is_none()
            && self.out.len() < WRITTEN_AT_ONCE
            && let Some(frame) = self.wire.next().now_or_never()
        {
            ended = self.heed(frame);
        }
        if ended.is_none() && self.rooms.all_gone() {
            let detail = "none of the rooms may be had any longer";
            ended = Some(Problem::new(ErrorCode::Forbidden, detail).into());
        }
        ended
    }

    fn heed(&mut self, told: Option<WireFrame>) -> Option<Status> {
        let payload = match told {
            Some(WireFrame::Text(payload) | WireFrame::Binary(payload)) => payload,
            Some(WireFrame::Close { code, reason }) => return Some(closed(code, &reason)),
            None => return Some(Problem::internal().into()),
        };
        let Ok(told) = ConverseResponse::decode(&*payload) else {
            return None; // the gateway writes none that can't be read
        };
        drop(payload);
        let mut out = Vec::new();
        let heeded = self.rooms.heed(told, &mut out);
        for message in out {
            frame(&message, &mut self.out);
        }
        match heeded {
            Heeded::Nothing => None,
            Heeded::Wait(wait) => {
                let again = Instant::now() + Duration::from_millis(wait);
                self.not_before = self.not_before.max(again);
                None
            }
            // It can go on elsewhere at once and loses nothing: there is no reason to stay until the close.
            Heeded::GoAway => Some(Problem::from(ErrorCode::Draining).into()),
        }
    }
}
