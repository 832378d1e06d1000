//! Deciding about an opening handshake: 101 and what the shard needs to know, or a refusal.

use std::time::Instant;

use axum::body::Body;
use http::header::{HeaderMap, HeaderName, HeaderValue, UPGRADE};
use http::request::Parts;
use http::{Method, Request, Response, StatusCode, Version};
use hyper::body::{Body as _, Incoming};
use linnet_telemetry::Context;

use super::admission::Place;
use super::entrance::Entrance;
use super::public::Public;
use super::refusal::Refusal;
use crate::auth::{Identity, TokenError};
use crate::drain::Phase;
use crate::names::RoomName;
use crate::protocol::engineio::{Step, Verb};
use crate::protocol::{ErrorCode, Handshake, ProtocolIndex, engineio};
use crate::traces;
use crate::transport::address::addresses::Seat;
use crate::transport::address::client::Client;
use crate::transport::polling::Change;
use crate::transport::shard::Opening;
use crate::transport::websocket::handshake::{self, Accepted};

/// What a handshake that was answered with 101 agreed on.
#[derive(Debug)]
pub(super) enum Agreed {
    /// A connection begins.
    Connection {
        /// With this.
        opening: Box<Opening>,
        /// Kept until a shard has the connection.
        place: Place,
    },
    /// One that there is goes on.
    Change(Change),
}

/// What a handshake holds that was let in to be judged: it counts already.
#[derive(Debug)]
pub(in crate::transport) struct Admitted {
    /// Until a shard has the connection.
    pub(super) place: Place,
    /// As long as there is the connection.
    pub(super) seat: Seat,
}

impl Admitted {
    /// What is kept until a shard has the connection, and what as long as there is one.
    pub(in crate::transport) fn into_parts(self) -> (Place, Seat) {
        (self.place, self.seat)
    }
}

/// A handshake that is right, but for its token: who has sent it is not known yet.
pub(super) struct Candidate {
    accepted: Accepted,
    admitted: Admitted,
    client: Client,
    /// The client's own trace.
    caller: Option<Context>,
}

/// Why it is not known who has sent a handshake.
pub(super) enum Unidentified {
    /// Nobody who may.
    Refused(Refusal),
    /// The key of its token is being fetched.
    Fetching,
}

/// Judges a request for the channel's WebSocket, its token aside. One that was `admitted` before is not counted again.
pub(super) fn upgrade(
    public: &Public,
    client: Client,
    entrance: Entrance,
    request: Request<Incoming>,
    admitted: Option<Admitted>,
) -> Result<Candidate, Refusal> {
    let (request, body) = request.into_parts();
    let admitted = match admitted {
        Some(admitted) => admitted,
        None => admit(public, client)?,
    };
    let query = request.uri.query();
    let accepted = accept(
        public,
        client,
        entrance,
        &request.method,
        query,
        &request.headers,
    )?;
    check_form(&request, &body)?;
    Ok(Candidate {
        accepted,
        admitted,
        client,
        caller: traces::caller(&request.headers),
    })
}

/// Judges what HTTP makes of a request for a WebSocket.
fn check_form(request: &Parts, body: &Incoming) -> Result<(), Refusal> {
    if request.version < Version::HTTP_11 {
        // RFC 6455 §4.2.1 item 1; an older proxy would not pass the rest on.
        return Err(Refusal::not_upgradable("a WebSocket needs HTTP/1.1"));
    }
    if !body.is_end_stream() {
        // Else its bytes would be taken for frames.
        let body = "a request for a WebSocket has no body";
        return Err(Refusal::not_upgradable(body));
    }
    Ok(())
}

/// Judges a request for a WebSocket over which the session `sid` is to go on. It was let in when it began, and counts; who
/// it is was said then.
pub(super) fn change(
    public: &Public,
    entrance: Entrance,
    request: Request<Incoming>,
    sid: &str,
) -> Result<(Agreed, Response<Body>), Refusal> {
    let (request, body) = request.into_parts();
    let session = public.sessions.find(sid).ok_or(engineio::Refused::Sid)?;
    let policy = public.policy();
    let config = policy.handshake(entrance.protocols());
    let query = request.uri.query();
    let accepted = handshake::accept(&request.method, query, &request.headers, &config)?;
    check_form(&request, &body)?;
    let deflate = accepted.deflate.as_ref();
    let deflate = deflate.map(|deflate| deflate.server_window_bits);
    let change = Change::begin(&public.sessions, session, deflate);
    let change = change.ok_or(engineio::Refused::BadRequest)?;
    Ok((Agreed::Change(change), switching_protocols(&accepted)))
}

impl Candidate {
    /// Judges its token with the keys of now.
    pub(super) fn identify(&self, public: &Public) -> Result<Option<Box<Identity>>, Unidentified> {
        let token = self.accepted.token.as_deref();
        let later = public.policy().can_connect(self.accepted.protocol);
        identify(public, self.client, token, later)
    }

    /// What is answered now that it is known who it is.
    pub(super) fn agree(
        self,
        identity: Option<Box<Identity>>,
    ) -> Result<(Agreed, Response<Body>), Refusal> {
        let response = switching_protocols(&self.accepted);
        let Admitted { place, seat } = self.admitted;
        let mut opening = opening(self.accepted, identity, self.client, seat)?;
        opening.caller = self.caller;
        let opening = Box::new(opening);
        Ok((Agreed::Connection { opening, place }, response))
    }
}

/// Gives a handshake a place, or says why there is none. Before anything else: what comes in a
/// flood must cost next to nothing.
pub(super) fn admit(public: &Public, client: Client) -> Result<Admitted, Refusal> {
    match public.lifecycle.phase() {
        Phase::Starting => return Err(Refusal::starting()),
        Phase::Serving => {}
        Phase::Draining => return Err(Refusal::draining()),
    }
    let limits = &public.policy().channel.limits;
    let connections = public.home.connections();
    let now = Instant::now();
    let addresses = &public.addresses;
    // The address is asked first: who floods must not use up the rate of all. It is counted last: who finds no place
    // must not use up its own.
    addresses
        .check(client.address, limits.address, now)
        .map_err(Refusal::address)?;
    let place = public.admission.admit(limits, connections, now)?;
    let seat = addresses.admit(client, limits.address, now);
    let seat = seat.map_err(Refusal::address)?;
    Ok(Admitted { place, seat })
}

impl Public {
    /// Lets a request in that is no handshake and becomes a connection all the same.
    pub(in crate::transport) fn admit(&self, client: Client) -> Result<Admitted, Refusal> {
        admit(self, client)
    }

    /// Says whose such a request is; `later`: whether it may say so later. Waits for the keys to check its token with,
    /// where they are being fetched.
    pub(in crate::transport) async fn identify(
        &self,
        client: Client,
        token: Option<&str>,
        later: bool,
    ) -> Result<Option<Box<Identity>>, Refusal> {
        if token.is_some()
            && let Some(wait) = self.addresses.wait(client, Instant::now())
        {
            return Err(Refusal::backoff(wait));
        }
        let identified = match identify(self, client, token, later) {
            Err(Unidentified::Fetching) => {
                self.tokens.fetched().await;
                identify(self, client, token, later)
            }
            identified => identified,
        };
        identified.map_err(|unidentified| match unidentified {
            Unidentified::Refused(refusal) => refusal,
            Unidentified::Fetching => Refusal::token(TokenError::Fetching),
        })
    }
}

/// Reads a handshake, or says what is wrong with it; `protocol` is its place among all protocols. A token of an address
/// that has sent many bad ones has to wait.
pub(super) fn accept(
    public: &Public,
    client: Client,
    entrance: Entrance,
    method: &Method,
    query: Option<&str>,
    headers: &HeaderMap,
) -> Result<Accepted, Refusal> {
    let policy = public.policy();
    if entrance != Entrance::Socket {
        match Step::read(query.unwrap_or_default(), verb(method, headers))? {
            Step::WebSocket => {}
            _ => return Err(engineio::Refused::BadRequest.into()),
        }
    }
    let protocols = entrance.protocols();
    let config = policy.handshake(protocols.clone());
    let mut accepted = handshake::accept(method, query, headers, &config)?;
    accepted.protocol += protocols.start;
    if accepted.token.is_some()
        && let Some(wait) = public.addresses.wait(client, Instant::now())
    {
        return Err(Refusal::backoff(wait));
    }
    Ok(accepted)
}

/// How something is asked for at an address of Engine.IO.
pub(in crate::transport) fn verb(method: &Method, headers: &HeaderMap) -> Verb {
    match *method {
        Method::GET if headers.contains_key(UPGRADE) => Verb::Upgrade,
        Method::GET => Verb::Get,
        Method::POST => Verb::Post,
        _ => Verb::Other,
    }
}

/// Says whose handshake it is; `None`: an anonymous one's, or that of one who can say so `later`. After everything else: to check
/// a signature costs more than all the rest.
pub(super) fn identify(
    public: &Public,
    client: Client,
    token: Option<&str>,
    later: bool,
) -> Result<Option<Box<Identity>>, Unidentified> {
    let policy = public.policy();
    let channel = &policy.channel;
    match token {
        Some(token) => match public.tokens.verify(token, channel.tokens.as_ref()) {
            Ok(identity) => Ok(Some(Box::new(identity))),
            Err(TokenError::Fetching) => Err(Unidentified::Fetching),
            Err(error) => {
                let code = error.code();
                // One that has run out was good once: it is no attempt to guess.
                if code == ErrorCode::InvalidToken {
                    public.addresses.failed(client, Instant::now());
                }
                Err(Unidentified::Refused(Refusal::token(error)))
            }
        },
        None if !channel.anonymous && !later => {
            Err(Unidentified::Refused(Refusal::unauthenticated()))
        }
        None => Ok(None),
    }
}

/// What a shard needs to know of a handshake.
pub(super) fn opening(
    accepted: Accepted,
    identity: Option<Box<Identity>>,
    client: Client,
    seat: Seat,
) -> Result<Opening, Refusal> {
    let room = accepted.room.as_deref().map(RoomName::parse).transpose();
    // The handshake checked both already: what it lets through fits these types.
    let room = room.map_err(|_| Refusal::not_upgradable("room is not a room's name"))?;
    let protocol = ProtocolIndex::try_from(accepted.protocol)
        .map_err(|_| Refusal::not_upgradable("protocol is not known"))?;
    let name = accepted.name.as_deref();
    Ok(Opening {
        protocol,
        handshake: Handshake {
            room,
            echo: accepted.echo,
        },
        info: name.map(|name| serde_json::json!({ "name": name }).to_string().into()),
        deflate: accepted.deflate.map(|deflate| deflate.server_window_bits),
        client: client.address,
        seat,
        caller: None,
        identity,
        service: None,
    })
}

/// The header fields of a 101.
pub(super) fn agreement(accepted: &Accepted) -> impl Iterator<Item = (&'static str, &str)> {
    let always = [
        ("upgrade", "websocket"),
        ("connection", "upgrade"),
        ("sec-websocket-accept", accepted.accept_key.as_str()),
    ];
    let subprotocol = accepted.subprotocol;
    let deflate = accepted.deflate.as_ref();
    always
        .into_iter()
        .chain(subprotocol.map(|name| ("sec-websocket-protocol", name)))
        .chain(deflate.map(|deflate| ("sec-websocket-extensions", deflate.response.as_str())))
}

fn switching_protocols(accepted: &Accepted) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.reserve(5);
    for (name, value) in agreement(accepted) {
        // Base64 and the handshake's own words are visible ASCII, so this never leaves one out.
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    response
}
