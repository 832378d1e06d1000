//! Engine.IO over long-polling: a session whose client asks again and again what there is for it, and says things beside.
//!
//! A session is one like any other on a [wire](super::shard::wire): [`session`] is what is kept of it here, and who is at
//! it. [`poll`] answers a request that waits, [`packets`] is the body of that answer, [`payload`] is what a client says.
//! Nothing is taken of a session's wire but by a poll, so a client that does not poll, or does not read, is found as any
//! slow client is. [`change`] has a session go on over a WebSocket. A client may ask any gateway: [`elsewhere`] passes it on.

mod change;
mod elsewhere;
mod packets;
mod payload;
mod poll;
mod session;

use std::ops::Range;
use std::sync::Arc;

use axum::body::Body;
use http::header::{CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderValue, X_CONTENT_TYPE_OPTIONS};
use http::request::Parts;
use http::{Request, Response};
use hyper::body::Incoming;

use super::address::client::Client;
use super::http::{Lease, Passed, Policy, Public, Refusal, cors, fetch, verb};
use super::shard::Opening;
use super::shard::wire::WireFrame;
use super::subprotocols::subprotocols;
use super::websocket::handshake::Refused;
use super::websocket::query::Query;
use super::{Role, Transport};
use crate::names::RoomName;
use crate::protocol::engineio::{self, Step};
use crate::protocol::{Handshake, ProtocolIndex};
use crate::traces;
pub(super) use change::Change;
use elsewhere::Elsewhere;
pub(super) use session::Sessions;

/// Answers a request at an address of Engine.IO that is none for a WebSocket.
pub(super) async fn answer(
    public: Arc<Public>,
    protocols: Range<usize>,
    client: Client,
    request: Request<Incoming>,
    lease: Arc<Lease>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let policy = public.policy_of_now();
    if cors::is_preflight(&parts.method, &parts.headers) {
        let (status, headers) = cors::preflight(policy.origins(), &parts.headers, "GET, POST");
        let mut response = Response::new(Body::empty());
        *response.status_mut() = status;
        *response.headers_mut() = headers;
        return response;
    }
    let request = Asking {
        public: &public,
        policy: &policy,
        protocol: protocols.start,
        client,
        parts: &parts,
        lease: &lease,
    };
    let answered = request.answer(body).await;
    let mut response = answered.unwrap_or_else(|refusal| {
        public.tell_of(client.address, Transport::Polling, &refusal);
        refusal.into_response()
    });
    cors::allow(policy.origins(), &parts.headers, response.headers_mut());
    if public.is_draining() {
        let close = HeaderValue::from_static("close");
        response.headers_mut().insert(CONNECTION, close);
    }
    response
}

/// An answer in packets.
fn text(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/plain; charset=UTF-8"),
        (CACHE_CONTROL, "no-store"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A request, and what it is judged by.
struct Asking<'a> {
    public: &'a Arc<Public>,
    policy: &'a Arc<Policy>,
    /// What is spoken, as a place among [`subprotocols`].
    protocol: usize,
    client: Client,
    parts: &'a Parts,
    lease: &'a Lease,
}

impl Asking<'_> {
    async fn answer(&self, body: Incoming) -> Result<Response<Body>, Refusal> {
        let query = self.parts.uri.query().unwrap_or_default();
        let step = Step::read(query, verb(&self.parts.method, &self.parts.headers))?;
        if let Step::Polling = step {
            return self.begin(query).await;
        }
        fetch::check_page(&self.parts.headers, self.policy)?;
        let sessions = &self.public.sessions;
        match step {
            Step::Poll(sid) => match sessions.find(sid) {
                Some(session) => poll::poll(self.public, &session, self.lease).await,
                None => self.poll_elsewhere(sid).await,
            },
            Step::Payload(sid) => {
                let most = self.policy.channel().limits.frame_size();
                match sessions.find(sid) {
                    Some(session) => {
                        self.lease.renew();
                        payload::hear(&session, &self.parts.headers, body, most).await?;
                    }
                    None => self.say_elsewhere(sid, body, most).await?,
                }
                Ok(text(Body::from("ok")))
            }
            // These ask for a WebSocket, which is agreed on elsewhere.
            Step::WebSocket | Step::Polling | Step::Upgrade(_) => {
                Err(engineio::Refused::BadRequest.into())
            }
        }
    }

    /// Polls a session of another gateway.
    async fn poll_elsewhere(&self, sid: &str) -> Result<Response<Body>, Refusal> {
        let elsewhere = self.elsewhere()?;
        let owner = elsewhere.owner(sid).await?;
        let heartbeat = self.policy.channel().heartbeat;
        let within = heartbeat.interval + heartbeat.timeout; // there is a ping before that
        self.lease.wait_elsewhere();
        let polled = tokio::select! {
            polled = elsewhere.poll(owner, sid, within) => polled,
            () = self.lease.left() => {
                elsewhere.gone(owner, sid).await;
                return Ok(text(Body::empty())); // which nobody reads
            }
        };
        self.lease.renew();
        let packets = polled?;
        self.public.metrics().pass_on(Passed::Poll);
        Ok(text(Body::from(packets)))
    }

    /// Has a session of another gateway hear what its client says.
    async fn say_elsewhere(&self, sid: &str, body: Incoming, most: usize) -> Result<(), Refusal> {
        let elsewhere = self.elsewhere()?;
        let owner = elsewhere.owner(sid).await?;
        self.lease.renew();
        match payload::read(&self.parts.headers, body, most).await {
            Ok(said) => elsewhere.say(owner, sid, &said).await?,
            Err(unread) => {
                elsewhere.give_up(owner, sid, unread).await;
                return Err(unread.refusal(most));
            }
        }
        self.public.metrics().pass_on(Passed::Payload);
        Ok(())
    }

    fn elsewhere(&self) -> Result<&Elsewhere, engineio::Refused> {
        let elsewhere = self.public.sessions.elsewhere();
        elsewhere
            .map(|elsewhere| &**elsewhere)
            .ok_or(engineio::Refused::Sid)
    }

    /// Lets a client in as a handshake is let in, and opens its session.
    async fn begin(&self, query: &str) -> Result<Response<Body>, Refusal> {
        let query = Query::parse(query)
            .map_err(|error| Refused::bad_request("query", error.to_string()))?;
        let headers = &self.parts.headers;
        let token = fetch::token(headers, query.token, self.policy)?;
        let default = subprotocols()[self.protocol].default_room;
        let room = query.room.or_else(|| default.map(str::to_owned));
        let room = room.as_deref().map(RoomName::parse).transpose();
        let room = room.map_err(|error| Refused::bad_request("query", error.to_string()))?;
        let admitted = self.public.admit(self.client)?;
        let later = self.policy.can_connect(self.protocol);
        let identified = self.public.identify(self.client, token.as_deref(), later);
        let identity = identified.await?;
        let (place, seat) = admitted.into_parts();
        let name = query.name.as_deref();
        let opening = Opening {
            protocol: self.protocol as ProtocolIndex, // there are few
            handshake: Handshake {
                room,
                echo: query.echo,
            },
            info: name.map(|name| serde_json::json!({ "name": name }).to_string().into()),
            deflate: None,
            client: self.client.address,
            seat,
            caller: traces::caller(headers),
            identity,
            service: None,
        };
        let wire = (self.public.home).plug(opening, Transport::Polling, Role::Client);
        drop(place); // only now: the shard counts the connection from here on
        let mut wire = wire.ok_or_else(Refusal::starting)?;
        let Some(WireFrame::Text(open)) = wire.next().await else {
            return Err(Refusal::starting()); // the gateway ends
        };
        let session = self.public.sessions.begin(wire);
        let packet = engineio::polled(&open, session.sid()).ok_or_else(Refusal::starting)?;
        Ok(text(Body::from(packet)))
    }
}
