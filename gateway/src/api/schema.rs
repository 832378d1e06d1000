//! The shapes of bodies. Those of requests are for the OpenAPI document only: the client protocol's own decoder reads
//! them, as `data` must stay the text that it is.

#![allow(
    dead_code,
    reason = "what is read or written elsewhere is only documented here"
)]

use serde::Serialize;
use serde_json::Value;
use utoipa::{IntoParams, ToSchema};

use super::problem::Problem;

/// What `POST /v1/publish` takes.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum PublishBody {
    /// One message.
    One(MessageToRoom),
    /// Several messages.
    Messages(Messages),
    /// One message to several rooms.
    Rooms(MessageToRooms),
}

/// A body that has a message in it, beside where it goes.
macro_rules! with_message {
    ($(#[$about:meta])* $name:ident { $($own:tt)* }) => {
        $(#[$about])*
        #[derive(ToSchema)]
        #[serde(deny_unknown_fields)]
        pub(super) struct $name {
            $($own)*
            /// Your name for the kind of message, at most 64 bytes.
            #[schema(max_length = 64, nullable = false)]
            event: Option<String>,
            /// The content: any JSON, passed on as its text; at most `limits.messageSize`, 64 levels deep.
            data: Value,
            /// `base64`: `data` is a string of base64, and the content its bytes.
            #[schema(nullable = false)]
            encoding: Option<Encoding>,
            /// Makes a repeat of this caller the same message, within `history.deduplicationSeconds`; at most 64 bytes.
            #[schema(max_length = 64, nullable = false)]
            message_id: Option<String>,
            /// The trace that the message belongs to, instead of that of the header (W3C Trace Context).
            #[schema(nullable = false)]
            traceparent: Option<String>,
        }
    };
}

with_message! {
    /// A message to a room.
    MessageToRoom {
        /// The room: 1 to 256 bytes of UTF-8 without control characters.
        #[schema(min_length = 1, max_length = 256)]
        room: String,
    }
}

with_message! {
    /// A message to several rooms.
    MessageToRooms {
        /// The rooms: 1 to 256 bytes of UTF-8 without control characters each.
        #[schema(min_items = 1, max_items = 100)]
        rooms: Vec<String>,
    }
}

with_message! {
    /// A message to a user.
    MessageToUser {
        /// The user, or the `connection_id` of an anonymous connection.
        #[schema(min_length = 1, max_length = 256)]
        to: String,
    }
}

/// Several messages.
#[derive(ToSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Messages {
    /// The messages.
    #[schema(min_items = 1, max_items = 100)]
    messages: Vec<MessageToRoom>,
}

/// How `data` stands for the content.
#[derive(ToSchema)]
#[serde(rename_all = "lowercase")]
pub(super) enum Encoding {
    /// A string of base64 for bytes.
    Base64,
}

/// What came of `POST /v1/publish`.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum PublishAnswer {
    /// Of one message.
    One(Published),
    /// Of several, or of several rooms.
    Several(Outcomes),
}

/// A message that was published.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Published {
    /// The room.
    pub(super) room: String,
    /// The life of the room's store that `offset` belongs to; in a room with history.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) epoch: Option<String>,
    /// The message's position; in a room with history.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) offset: Option<u64>,
    /// Milliseconds since the Unix epoch, where the broker tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) timestamp: Option<u64>,
    /// It is a repeat: the position is that of the first.
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    pub(super) duplicate: bool,
    /// `false`: there was a `message_id` or an `Idempotency-Key`, and the room itself does not know repeats.
    #[serde(skip_serializing_if = "Option::is_none")]
    #[schema(nullable = false)]
    pub(super) deduplicated: Option<bool>,
}

/// What came of several.
#[derive(Debug, Serialize, ToSchema)]
pub(super) struct Outcomes {
    /// One for each, in their order.
    pub(super) results: Vec<Outcome>,
}

/// What came of one of several.
#[derive(Debug, Serialize, ToSchema)]
#[serde(untagged)]
pub(super) enum Outcome {
    /// It is published.
    Published(Published),
    /// It is not, or perhaps not.
    Refused {
        /// The room, if it has a name.
        #[serde(skip_serializing_if = "Option::is_none")]
        #[schema(nullable = false)]
        room: Option<String>,
        /// Why.
        error: Problem,
    },
}

/// A page of a room's messages.
#[derive(ToSchema)]
pub(super) struct HistoryAnswer {
    /// The life of the room's store that offsets belong to.
    epoch: String,
    /// The messages, ascending.
    messages: Vec<KeptMessage>,
    /// Whether there are more in the direction that was asked for.
    more: bool,
}

/// A message that a room keeps.
#[derive(ToSchema)]
pub(super) struct KeptMessage {
    /// Its position.
    offset: u64,
    /// Who published it; absent: a service with an API key.
    #[schema(nullable = false)]
    from: Option<String>,
    /// The publisher's name for the kind of message.
    #[schema(nullable = false)]
    event: Option<String>,
    /// The content, as its publisher wrote it.
    data: Value,
    /// `base64`: the content is bytes.
    #[schema(nullable = false)]
    encoding: Option<Encoding>,
    /// Milliseconds since the Unix epoch.
    timestamp: u64,
    /// What the publisher says of itself.
    #[schema(required = false)]
    info: Value,
}

/// Who is in a room, or how many.
#[derive(ToSchema)]
#[serde(untagged)]
pub(super) enum PresenceAnswer {
    /// Who.
    Members {
        /// The number of the last presence frame here; 0 where nobody on this gateway is in the room.
        version: u64,
        /// The members, by connection.
        members: Vec<MemberEntry>,
        /// Whether there are more behind them.
        more: bool,
    },
    /// How many.
    Count {
        /// As above.
        version: u64,
        /// Members on all gateways.
        count: u64,
    },
}

/// One connection's entry.
#[derive(ToSchema)]
pub(super) struct MemberEntry {
    /// Which connection.
    connection_id: String,
    /// Its user; absent: anonymous.
    #[schema(nullable = false)]
    user_id: Option<String>,
    /// What the client says of itself.
    #[schema(required = false)]
    info: Value,
}

/// What any call that changes something may say.
#[derive(IntoParams)]
#[into_params(parameter_in = Header)]
pub(super) struct IdempotencyKey {
    /// Names the call: sent again with the same key and body it has the same answer, and is not done again.
    #[param(
        rename = "Idempotency-Key",
        min_length = 1,
        max_length = 255,
        pattern = "^[!-~]+$",
        nullable = false
    )]
    idempotency_key: Option<String>,
}
