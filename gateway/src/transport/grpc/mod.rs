//! Streams of the server API as connections on a [wire](super::shard::wire): how one is opened, and what a subscription asks
//! of its session and gives. What stands around the messages, `api::grpc` knows.

mod rooms;

use std::net::IpAddr;
use std::time::Duration;

use http::header::RETRY_AFTER;
use linnet_telemetry::Context;

use super::http::{Public, Refusal};
use super::shard::Opening;
use super::shard::wire::Wire;
use super::{Role, Transport};
use crate::auth::api_access::Caller;
use crate::protocol::{self, ErrorCode, Handshake};

pub use rooms::{Heeded, MOST, Rooms};

/// Why there is no connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Refused {
    /// The code.
    pub code: ErrorCode,
    /// What to do about it.
    pub message: String,
    /// When it may work.
    pub wait: Option<Duration>,
}

/// Lets a caller in as a handshake is let in, and opens its connection.
///
/// # Errors
/// Why it is not let in.
pub fn open(
    public: &Public,
    peer: IpAddr,
    caller: Caller,
    trace: Option<Context>,
) -> Result<Wire, Refused> {
    let transport = Transport::Grpc;
    let refuse = |refusal: Refusal| {
        public.tell_of(peer, transport, &refusal);
        Refused::from(refusal)
    };
    let admitted = public.admit(peer.into()).map_err(refuse)?;
    let (place, seat) = admitted.into_parts();
    let scope = caller.scope();
    let (identity, service) = match caller {
        Caller::User(identity) => (Some(identity), None),
        Caller::Key(_) => (None, Some(scope.into())),
    };
    let opening = Opening {
        protocol: protocol::PROTOBUF,
        handshake: Handshake::default(),
        info: None,
        deflate: None,
        client: peer,
        seat,
        caller: trace,
        identity,
        service,
    };
    let wire = public.home.plug(opening, transport, Role::Client);
    drop(place); // only now: the shard counts the connection from here on
    wire.ok_or_else(|| refuse(Refusal::starting()))
}

impl From<Refusal> for Refused {
    fn from(refusal: Refusal) -> Self {
        let found = ErrorCode::ALL
            .iter()
            .find(|code| code.as_str() == refusal.word());
        let code = match found {
            Some(code) => *code,
            None if refusal.status() == 429 => ErrorCode::RateLimited,
            None => ErrorCode::Overloaded,
        };
        let wait = refusal.headers().find(|(name, _)| name == RETRY_AFTER);
        let wait = wait.and_then(|(_, seconds)| seconds.to_str().ok()?.parse().ok());
        Self {
            code,
            message: refusal.body().to_owned(),
            wait: wait.map(Duration::from_secs),
        }
    }
}
