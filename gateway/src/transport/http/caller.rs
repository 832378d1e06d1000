//! The short way in: a handshake that a socket sends at once and whole is judged where the
//! connection will live, without HTTP proper. What is not such a handshake takes the long way.

use std::net::SocketAddr;
use std::sync::Arc;

use http::header::{CONTENT_LENGTH, HeaderMap, HeaderName, HeaderValue, TRANSFER_ENCODING};
use http::{Method, Uri};

use super::admission::Place;
use super::entrance::Entrance;
use super::public::Public;
use super::refusal::Refusal;
use super::server::HEADER_BYTES;
use super::slots::Slot;
use super::upgrade::{Admitted, Unidentified, accept, admit, agreement, identify, opening};
use crate::traces;
use crate::transport::Transport;
use crate::transport::address::client::Client;
use crate::transport::address::proxy::{self, Start};
use crate::transport::shard::arrival::{Caller, Heard, Welcome};
use crate::transport::websocket::handshake::Accepted;

/// Headers that a handshake has here at most.
const MOST_HEADERS: usize = 64;

/// A socket that was accepted and has not spoken yet.
pub(super) struct Newcomer {
    public: Arc<Public>,
    peer: SocketAddr,
    slot: Slot,
    /// Held until the shard counts the connection.
    place: Option<Place>,
    /// Of a handshake that was let in, and counted, where HTTP proper waits for whose it is.
    admitted: Option<Admitted>,
}

/// A socket for HTTP proper.
pub(super) struct PassedOn {
    pub(super) stream: std::net::TcpStream,
    pub(super) heard: Vec<u8>,
    pub(super) peer: SocketAddr,
    pub(super) slot: Slot,
    /// Where its first request is a handshake that was let in, and counted, already.
    pub(super) admitted: Option<Admitted>,
}

impl Newcomer {
    pub(super) fn new(public: Arc<Public>, peer: SocketAddr, slot: Slot) -> Self {
        Self {
            public,
            peer,
            slot,
            place: None,
            admitted: None,
        }
    }
}

impl Newcomer {
    /// How many bytes a trusted proxy says of its client before the client's own, and who that is. `None` where that is
    /// not clear yet, or broken: both are for HTTP proper.
    fn announcement(&self, bytes: &[u8]) -> Option<(usize, SocketAddr)> {
        if !self.public.policy().trusted.contain(self.peer.ip()) {
            return Some((0, self.peer));
        }
        match proxy::parse(bytes) {
            Start::Plain => Some((0, self.peer)),
            Start::Header { length, source } => Some((length, source.unwrap_or(self.peer))),
            Start::Partial | Start::Malformed => None,
        }
    }
}

/// A whole handshake, as it came.
struct Request {
    /// Its bytes, those before it included.
    length: usize,
    client: Client,
    entrance: Entrance,
    uri: Uri,
    headers: HeaderMap,
}

impl Newcomer {
    /// Reads a whole request for the channel's WebSocket; `None` where the bytes are none, or one that only HTTP proper
    /// understands.
    fn request(&self, bytes: &[u8]) -> Option<Request> {
        let (announced, peer) = self.announcement(bytes)?;
        let bytes = &bytes[announced..];
        let mut headers = [httparse::EMPTY_HEADER; MOST_HEADERS];
        let mut request = httparse::Request::new(&mut headers);
        let httparse::Status::Complete(length) = request.parse(bytes).ok()? else {
            return None;
        };
        if length > HEADER_BYTES || request.method != Some("GET") || request.version != Some(1) {
            return None;
        }
        let uri: Uri = request.path?.parse().ok()?;
        let entrance = self.public.entrance(uri.path())?;
        let headers = header_map(request.headers)?;
        if entrance.polls(uri.query(), &headers) {
            return None;
        }
        let client = self.public.client(peer.ip(), &headers);
        Some(Request {
            length: announced + length,
            client,
            entrance,
            uri,
            headers,
        })
    }

    /// Judges a request; `None` where whose it is must be waited for.
    fn judge(&mut self, request: Request) -> Result<Option<Welcome>, Refusal> {
        let Request {
            length,
            client,
            entrance,
            uri,
            headers,
        } = request;
        let admitted = admit(&self.public, client)?;
        let accepted = accept(
            &self.public,
            client,
            entrance,
            &Method::GET,
            uri.query(),
            &headers,
        )?;
        let later = self.public.policy().can_connect(accepted.protocol);
        let identity = match identify(&self.public, client, accepted.token.as_deref(), later) {
            Ok(identity) => identity,
            Err(Unidentified::Refused(refusal)) => return Err(refusal),
            // HTTP proper can wait.
            Err(Unidentified::Fetching) => {
                self.admitted = Some(admitted);
                return Ok(None);
            }
        };
        let Admitted { place, seat } = admitted;
        let response = response(&accepted);
        let mut opening = opening(accepted, identity, client, seat)?;
        opening.caller = traces::caller(&headers);
        self.place = Some(place);
        Ok(Some(Welcome {
            response,
            length,
            opening,
        }))
    }
}

impl Caller for Newcomer {
    fn hear(&mut self, bytes: &[u8]) -> Heard {
        let Some(request) = self.request(bytes) else {
            return Heard::Elsewhere;
        };
        let address = request.client.address;
        match self.judge(request) {
            Ok(Some(welcome)) => Heard::Welcome(Box::new(welcome)),
            Ok(None) => Heard::Elsewhere,
            Err(refusal) => {
                self.public.tell_of(address, Transport::WebSocket, &refusal);
                Heard::Refused(refusal.to_bytes())
            }
        }
    }

    fn pass_on(self: Box<Self>, stream: std::net::TcpStream, heard: &[u8]) {
        let Self {
            public,
            peer,
            slot,
            admitted,
            ..
        } = *self;
        public.pass_on(PassedOn {
            stream,
            heard: heard.to_vec(),
            peer,
            slot,
            admitted,
        });
    }
}

/// The headers of a request without a body.
fn header_map(parsed: &[httparse::Header<'_>]) -> Option<HeaderMap> {
    let mut headers = HeaderMap::with_capacity(parsed.len());
    for header in parsed {
        let name = HeaderName::from_bytes(header.name.as_bytes()).ok()?;
        if name == CONTENT_LENGTH || name == TRANSFER_ENCODING {
            return None;
        }
        headers.append(name, HeaderValue::from_bytes(header.value).ok()?);
    }
    Some(headers)
}

/// 101, as it is written.
fn response(accepted: &Accepted) -> Vec<u8> {
    let mut head = Vec::with_capacity(256);
    head.extend_from_slice(b"HTTP/1.1 101 Switching Protocols\r\n");
    for (name, value) in agreement(accepted) {
        for part in [name, ": ", value, "\r\n"] {
            head.extend_from_slice(part.as_bytes());
        }
    }
    head.extend_from_slice(b"\r\n");
    head
}
