//! Deciding about an opening handshake: 101 and what the shard needs to know, or a refusal.

use std::sync::Arc;
use std::time::Instant;

use axum::body::Body;
use http::header::{self, HeaderMap, HeaderValue};
use http::{Request, Response, StatusCode, Version};
use hyper::body::Body as _;

use super::admission::Place;
use super::public::Public;
use super::refusal::Refusal;
use crate::names::RoomName;
use crate::protocol::{Handshake, ProtocolIndex};
use crate::transport::websocket::handshake::{self, Accepted};

/// What a handshake that was answered with 101 agreed on.
#[derive(Debug)]
pub(super) struct Agreed {
    pub(super) protocol: ProtocolIndex,
    pub(super) handshake: Handshake,
    pub(super) info: Option<Arc<str>>,
    pub(super) deflate: Option<u8>,
    /// Kept until a shard has the connection.
    pub(super) place: Place,
}

/// Judges a request for the channel's WebSocket.
pub(super) fn upgrade(
    public: &Public,
    request: Request<hyper::body::Incoming>,
) -> Result<(Agreed, Response<Body>), Refusal> {
    // The cheapest first: what comes in a flood must cost next to nothing.
    if public.lifecycle.is_draining() {
        return Err(Refusal::draining());
    }
    let policy = public.policy();
    let limits = &policy.channel.limits;
    let place = public
        .admission
        .admit(limits, public.home.connections(), Instant::now())?;
    let (mut request, body) = request.into_parts();
    if policy.any_origin {
        request.headers.remove(header::ORIGIN);
    }
    let (method, query) = (&request.method, request.uri.query());
    let accepted = handshake::accept(method, query, &request.headers, &policy.handshake())?;
    if request.version < Version::HTTP_11 {
        // RFC 6455 §4.2.1 item 1; an older proxy would not pass the rest on.
        return Err(Refusal::not_upgradable("a WebSocket needs HTTP/1.1"));
    }
    if !body.is_end_stream() {
        // Else its bytes would be taken for frames.
        let body = "a request for a WebSocket has no body";
        return Err(Refusal::not_upgradable(body));
    }
    if accepted.token.is_some() {
        return Err(Refusal::invalid_token());
    }
    let response = switching_protocols(&accepted);
    Ok((agree(accepted, place)?, response))
}

fn agree(accepted: Accepted, place: Place) -> Result<Agreed, Refusal> {
    let room = accepted.room.as_deref().map(RoomName::parse).transpose();
    // The handshake checked both already: what it lets through fits these types.
    let room = room.map_err(|_| Refusal::not_upgradable("room is not a room's name"))?;
    let protocol = ProtocolIndex::try_from(accepted.protocol)
        .map_err(|_| Refusal::not_upgradable("protocol is not known"))?;
    let name = accepted.name.as_deref();
    Ok(Agreed {
        protocol,
        handshake: Handshake {
            room,
            echo: accepted.echo,
        },
        info: name.map(|name| serde_json::json!({ "name": name }).to_string().into()),
        deflate: accepted.deflate.map(|deflate| deflate.server_window_bits),
        place,
    })
}

fn switching_protocols(accepted: &Accepted) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::SWITCHING_PROTOCOLS;
    let headers = response.headers_mut();
    headers.reserve(5);
    headers.insert(header::UPGRADE, HeaderValue::from_static("websocket"));
    headers.insert(header::CONNECTION, HeaderValue::from_static("upgrade"));
    put(headers, header::SEC_WEBSOCKET_ACCEPT, &accepted.accept_key);
    if let Some(name) = accepted.subprotocol {
        let name = HeaderValue::from_static(name);
        headers.insert(header::SEC_WEBSOCKET_PROTOCOL, name);
    }
    if let Some(deflate) = &accepted.deflate {
        put(headers, header::SEC_WEBSOCKET_EXTENSIONS, &deflate.response);
    }
    response
}

fn put(headers: &mut HeaderMap, name: header::HeaderName, value: &str) {
    // Base64 and the handshake's own words are visible ASCII, so this never leaves one out.
    if let Ok(value) = HeaderValue::from_str(value) {
        headers.insert(name, value);
    }
}
