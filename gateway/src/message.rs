//! What a publisher sends to a room and every subscriber of it receives.

use crate::names::{ConnectionId, Offset, RoomName, UserId};
use crate::traces::Trace;

/// One message, as it is kept in a ring and passed between the hub and the shards.
#[derive(Debug, Clone)]
pub struct Message {
    /// The room it was published to.
    pub room: RoomName,
    /// Its position; `None` in a room without history.
    pub offset: Option<Offset>,
    /// Milliseconds since the Unix epoch; the stored time where there is history.
    pub timestamp: u64,
    /// The publisher; `None` for a service that published without a session.
    pub from: Option<UserId>,
    /// The publisher's name for the kind of message.
    pub event: Option<Box<str>>,
    /// The content.
    pub data: Payload,
    /// JSON text of what the publisher says of itself.
    pub info: Option<std::sync::Arc<str>>,
    /// The connection that asked not to get its own message back.
    pub skip: Option<ConnectionId>,
    /// Its place in a trace; boxed, as few messages have one and rooms keep many.
    pub trace: Option<Box<Trace>>,
}

/// The content of a message, kept as the publisher sent it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Payload {
    /// JSON text, never reparsed.
    Json(Box<str>),
    /// A text frame of the plain protocol: a string without quotes.
    Text(Box<str>),
    /// Bytes: a binary frame, or decoded base64.
    Binary(Box<[u8]>),
}

impl Payload {
    /// Bytes that `limits.messageSize` bounds.
    pub fn len(&self) -> usize {
        match self {
            Self::Json(text) | Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
        }
    }

    /// Whether nothing is in it.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

impl Message {
    /// Bytes of memory that the message takes while it is kept: the struct, its reference counts,
    /// what it points to, the allocator's rounding, and what lies fallow between messages once
    /// many have come and gone on several threads (glibc, measured: six tenths of what is in use).
    pub fn footprint(&self) -> usize {
        const ALLOCATION: usize = 16;
        let event = self
            .event
            .as_ref()
            .map_or(0, |event| event.len() + ALLOCATION);
        let info = self.info.as_ref().map_or(0, |info| info.len() + ALLOCATION);
        let data = self.data.len().next_multiple_of(16) + ALLOCATION;
        let trace = (self.trace.as_ref()).map_or(0, |_| size_of::<Trace>() + ALLOCATION);
        let used = size_of::<Self>() + 2 * ALLOCATION + data + event + info + trace;
        used * 8 / 5
    }
}

/// The wall clock, in milliseconds since the Unix epoch.
pub fn unix_milliseconds() -> u64 {
    use std::time::{SystemTime, UNIX_EPOCH};
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_millis() as u64
}
