//! Server-Sent Events: rooms as a stream that `EventSource` and curl read, and publishing by `POST` beside it.
//!
//! [`request`] is what is asked for, [`problem`] what is answered where that is refused. A stream is a session like any
//! other on a [wire](super::shard::wire): [`stream`] drives it, [`rooms`] decides what is asked of it and in which order
//! what comes goes out, [`cursor`] says where the client is, [`event`] writes, and [`body`] lets the client's socket set
//! the pace. [`publish`] is one message.

mod body;
pub(super) mod cursor;
mod event;
mod problem;
mod publish;
mod request;
mod rooms;
mod stream;

use std::sync::Arc;
use std::time::{Duration, Instant};

use axum::body::Body;
use http::header::{
    ALLOW, CACHE_CONTROL, CONNECTION, CONTENT_TYPE, HeaderMap, HeaderName, HeaderValue,
    X_CONTENT_TYPE_OPTIONS,
};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode};
use hyper::body::Incoming;

use super::address::client::Client;
use super::http::{Lease, Policy, Public, Refusal, cors};
use super::shard::Opening;
use super::shard::wire::Wire;
use super::{Role, Transport};
use crate::protocol::{self, Handshake};
use crate::traces;
use cursor::Cursor;
use problem::Problem;
pub(super) use publish::Publishers;
use publish::{Posted, Publisher};
use request::{Asked, wants_events};
use rooms::Rooms;
use stream::Stream;

const METHODS: &str = "GET, HEAD, POST, OPTIONS";

/// Answers a request at `sse`.
pub(super) async fn answer(
    public: Arc<Public>,
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
        client,
        parts: &parts,
    };
    let answered = match parts.method {
        _ if !policy.channel().server_sent_events => Err(disabled()),
        Method::GET | Method::HEAD => request.stream(&lease).await,
        Method::POST => request.publish(body).await,
        _ => {
            let detail = "a stream is asked for with GET, and a message is published with POST";
            let problem = Problem::new(StatusCode::METHOD_NOT_ALLOWED, "bad_request", detail);
            Err(problem.with(ALLOW, HeaderValue::from_static(METHODS)))
        }
    };
    let mut response = answered.unwrap_or_else(|problem| match problem.wait() {
        Some(wait) if parts.method == Method::GET && wants_events(&parts.headers) => {
            postpone(&problem, wait)
        }
        _ => problem.into_response(),
    });
    cors::allow(policy.origins(), &parts.headers, response.headers_mut());
    response
}

fn disabled() -> Problem {
    let detail = "server-sent events are switched off here: spec.transports.serverSentEvents.mode is Disabled";
    Problem::of_code("transport_disabled", detail)
}

/// An answer after which an `EventSource` comes back: it never does after a 503 or 429.
fn postpone(problem: &Problem, wait: Duration) -> Response<Body> {
    let mut out = Vec::new();
    let spread = Duration::from_millis(rand::random_range(0..1000));
    event::retry(wait + spread, &mut out);
    event::comment(problem.detail(), &mut out);
    events(Body::from(out))
}

/// The answer that a stream is in.
fn events(body: Body) -> Response<Body> {
    const X_ACCEL_BUFFERING: HeaderName = HeaderName::from_static("x-accel-buffering");
    let mut response = Response::new(body);
    let headers = response.headers_mut();
    for (name, value) in [
        (CONTENT_TYPE, "text/event-stream"),
        (CACHE_CONTROL, "no-store"),
        (X_ACCEL_BUFFERING, "no"),
        (X_CONTENT_TYPE_OPTIONS, "nosniff"),
        // Nothing follows a stream, and who comes back may do so elsewhere.
        (CONNECTION, "close"),
    ] {
        headers.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// A request, and what it is judged by.
struct Asking<'a> {
    public: &'a Arc<Public>,
    policy: &'a Arc<Policy>,
    client: Client,
    parts: &'a Parts,
}

impl Asking<'_> {
    async fn stream(&self, lease: &Lease) -> Result<Response<Body>, Problem> {
        let asked = Asked::parse(self.parts.uri.query().unwrap_or_default())?;
        if asked.rooms.is_empty() {
            let detail = "name the rooms: ?room=NAME, and &room=NAME for each other";
            return Err(Problem::bad_request(detail));
        }
        let most = self.policy.channel().limits.rooms_per_connection;
        if asked.rooms.len() > most {
            let detail = format!("a connection is in {most} rooms at most");
            return Err(Problem::of_code("too_many_rooms", detail));
        }
        let from = match asked.cursor(self.headers())? {
            Some(Cursor::End(_)) => {
                // An EventSource comes back after everything but this.
                let mut response = Response::new(Body::empty());
                *response.status_mut() = StatusCode::NO_CONTENT;
                return Ok(response);
            }
            Some(Cursor::At(positions)) => Some(positions),
            None => None,
        };
        let token = self.token(&asked)?;
        if self.parts.method == Method::HEAD {
            return Ok(events(Body::empty()));
        }
        let wire = self.open(&asked, token, Role::Client).await?;
        let over = wire.over();
        let bound = self.policy.channel().limits.send_queue_size;
        let rooms = Rooms::new(asked.rooms, from.as_ref(), asked.presence, bound);
        let mut stream = Stream::new(wire, rooms, Arc::clone(self.public));
        stream.begin().await?;
        lease.stream(over);
        let pieces = body::Pieces::of(|pieces| stream.run(pieces));
        Ok(events(Body::new(pieces)))
    }

    async fn publish(&self, body: Incoming) -> Result<Response<Body>, Problem> {
        let asked = Asked::parse(self.parts.uri.query().unwrap_or_default())?;
        if asked.rooms.len() != 1 {
            return Err(Problem::bad_request("name the room: ?room=NAME, once"));
        }
        let token = self.token(&asked)?;
        let most = self.policy.channel().limits.message_size;
        let posted = Posted::read(self.headers(), body, most).await?;
        let wire = self.open(&asked, token, Role::Visitor).await?;
        let traceparent = self.headers().get("traceparent");
        let traceparent = traceparent.and_then(|value| value.to_str().ok());
        publish::publish(wire, &asked, posted, traceparent).await
    }

    fn headers(&self) -> &HeaderMap {
        &self.parts.headers
    }

    fn token(&self, asked: &Asked) -> Result<Option<String>, Problem> {
        let token = asked.token(self.headers(), self.policy);
        token.map_err(|refused| self.refuse(Refusal::from(refused)))
    }

    /// Counts a refusal as one of a handshake.
    fn refuse(&self, refusal: Refusal) -> Problem {
        let transport = Transport::ServerSentEvents;
        self.public
            .tell_of(self.client.address, transport, &refusal);
        Problem::from(refusal)
    }

    /// Lets a client in as a handshake is let in, and opens its connection.
    async fn open(
        &self,
        asked: &Asked,
        token: Option<String>,
        role: Role,
    ) -> Result<Wire, Problem> {
        let admitted = self.public.admit(self.client);
        let admitted = admitted.map_err(|refusal| self.refuse(refusal))?;
        let token = token.as_deref();
        let identity = self.public.identify(self.client, token, false).await;
        let identity = identity.map_err(|refusal| self.refuse(refusal))?;
        if role == Role::Visitor {
            let publisher = match &identity {
                Some(identity) => Publisher::User(identity.user.clone()),
                None => Publisher::Address(self.client.address),
            };
            let rate = self.policy.channel().limits.messages_per_second;
            let counted = self
                .public
                .publishers
                .count(publisher, rate, Instant::now());
            counted.map_err(|wait| {
                let detail = "over the rate: wait, then try again";
                Problem::of_code("rate_limited", detail).retry_after(wait)
            })?;
        }
        let (place, seat) = admitted.into_parts();
        let name = asked.name.as_deref();
        let opening = Opening {
            protocol: protocol::JSON,
            handshake: Handshake::default(),
            info: name.map(|name| serde_json::json!({ "name": name }).to_string().into()),
            deflate: None,
            client: self.client.address,
            seat,
            caller: traces::caller(self.headers()),
            identity,
            service: None,
        };
        let transport = Transport::ServerSentEvents;
        let wire = self.public.home.plug(opening, transport, role);
        drop(place); // only now: the shard counts the connection from here on
        wire.ok_or_else(|| self.refuse(Refusal::starting()))
    }
}
