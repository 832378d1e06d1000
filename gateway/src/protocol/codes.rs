//! Error codes and close codes: what went wrong, and what a client should do.

/// Why a request was refused or a connection closed; the string is the same in `error.code` and in close reasons.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum ErrorCode {
    /// The frame is not a valid request.
    BadRequest,
    /// `type` is not one of the protocol's.
    UnknownType,
    /// Not a room name.
    BadRoom,
    /// Over `limits.messageSize`.
    MessageTooLarge,
    /// `connect` was not the first request.
    AlreadyConnected,
    /// The session has no identity.
    Unauthenticated,
    /// The token was refused.
    InvalidToken,
    /// The room's rules do not allow it.
    Forbidden,
    /// Over `limits.roomsPerConnection`.
    TooManyRooms,
    /// The room keeps no messages.
    NoHistory,
    /// The room tells nobody who is in it.
    NoPresence,
    /// The channel has no handler.
    NoHandler,
    /// A newer connection of the user took the place.
    Replaced,
    /// The client reads too slowly.
    SlowConsumer,
    /// Over a rate.
    RateLimited,
    /// The gateway's queues are full.
    Overloaded,
    /// The broker is away; nothing was published.
    Unavailable,
    /// Sent, not confirmed.
    OutcomeUnknown,
    /// The broker has no room for it; nothing was published.
    StorageFull,
    /// The channel may not store more there; nothing was published.
    StorageLimit,
    /// The broker stores nothing; nothing was published.
    NoStorage,
    /// The broker does not let the gateway in; nothing was published.
    BrokerUnauthorized,
    /// The broker does not let the gateway publish this; nothing was published.
    BrokerDenied,
    /// Nothing was heard for interval + timeout.
    PingTimeout,
    /// No `connect` came.
    ConnectTimeout,
    /// A catch-up was left idle.
    CatchUpTimeout,
    /// Messages were missed, and the protocol cannot say so.
    Gap,
    /// The gateway goes away.
    Draining,
    /// Our fault.
    Internal,
    /// The token's time is over.
    TokenExpired,
    /// The user was revoked.
    Revoked,
    /// The keys to check a token with can't be had.
    KeysUnavailable,
    /// The manifest does not have this transport served any more.
    TransportDisabled,
    /// A service has closed the connection.
    Disconnected,
    /// The channel's handler has refused it.
    Rejected,
    /// The channel's handler gave no answer that can be used.
    HandlerFailed,
    /// The channel's handler gave no answer in time.
    HandlerTimeout,
}

impl ErrorCode {
    /// All codes, in order of their numbers.
    pub const ALL: [Self; 37] = [
        Self::BadRequest,
        Self::UnknownType,
        Self::BadRoom,
        Self::MessageTooLarge,
        Self::AlreadyConnected,
        Self::Unauthenticated,
        Self::InvalidToken,
        Self::Forbidden,
        Self::TooManyRooms,
        Self::NoHistory,
        Self::NoPresence,
        Self::NoHandler,
        Self::Replaced,
        Self::SlowConsumer,
        Self::RateLimited,
        Self::Overloaded,
        Self::Unavailable,
        Self::OutcomeUnknown,
        Self::StorageFull,
        Self::StorageLimit,
        Self::NoStorage,
        Self::BrokerUnauthorized,
        Self::BrokerDenied,
        Self::PingTimeout,
        Self::ConnectTimeout,
        Self::CatchUpTimeout,
        Self::Gap,
        Self::Draining,
        Self::Internal,
        Self::TokenExpired,
        Self::Revoked,
        Self::KeysUnavailable,
        Self::TransportDisabled,
        Self::Disconnected,
        Self::Rejected,
        Self::HandlerFailed,
        Self::HandlerTimeout,
    ];

    /// The protocol's word.
    pub fn as_str(self) -> &'static str {
        self.facts().0
    }

    /// The WebSocket close code, where the error closes the connection (RFC 6455 §7.4, PROTOCOL, Close codes).
    pub fn close_code(self) -> u16 {
        self.facts().1
    }

    /// What a client should do, in words.
    pub fn advice(self) -> &'static str {
        self.facts().2
    }

    /// Whether a refusal with it is something that a well-behaved client would not cause often.
    pub fn blames_client(self) -> bool {
        !matches!(
            self,
            Self::Overloaded
                | Self::Unavailable
                | Self::OutcomeUnknown
                | Self::StorageFull
                | Self::StorageLimit
                | Self::NoStorage
                | Self::BrokerUnauthorized
                | Self::BrokerDenied
                | Self::Internal
                | Self::KeysUnavailable
                | Self::Rejected
                | Self::HandlerFailed
                | Self::HandlerTimeout
        )
    }

    fn facts(self) -> (&'static str, u16, &'static str) {
        match self {
            Self::BadRequest => (
                "bad_request",
                4008,
                "not a valid request: see the protocol's documentation",
            ),
            Self::UnknownType => (
                "unknown_type",
                4008,
                "unknown `type`: see the protocol's documentation",
            ),
            Self::BadRoom => (
                "bad_room",
                4009,
                "a room name has 1 to 256 bytes of UTF-8 without control characters",
            ),
            Self::MessageTooLarge => (
                "message_too_large",
                1009,
                "the payload is over limits.messageSize: send less",
            ),
            Self::AlreadyConnected => (
                "already_connected",
                4008,
                "`connect` must be the first request",
            ),
            Self::Unauthenticated => ("unauthenticated", 4001, "connect with a token first"),
            Self::InvalidToken => (
                "invalid_token",
                4002,
                "the token is not accepted: get a new one",
            ),
            Self::Forbidden => ("forbidden", 4003, "the room's rules do not allow this"),
            Self::TooManyRooms => (
                "too_many_rooms",
                4010,
                "leave a room before you join another",
            ),
            Self::NoHistory => ("no_history", 4011, "the room keeps no messages"),
            Self::NoPresence => ("no_presence", 4011, "the room does not tell who is in it"),
            Self::NoHandler => (
                "no_handler",
                4011,
                "the channel has no handler for requests",
            ),
            Self::Replaced => (
                "replaced",
                4004,
                "a newer connection of this user took the place",
            ),
            Self::SlowConsumer => ("slow_consumer", 4100, "read faster, then resume"),
            Self::RateLimited => ("rate_limited", 4101, "over the rate: wait, then try again"),
            Self::Overloaded => (
                "overloaded",
                4102,
                "the gateway's queues are full: try again later",
            ),
            Self::Unavailable => ("unavailable", 4103, "not published: try again"),
            Self::OutcomeUnknown => (
                "outcome_unknown",
                4103,
                "sent, but not confirmed: send it again with the same message_id",
            ),
            Self::StorageFull => (
                "storage_full",
                4106,
                "not published: the broker's storage is full, try again later",
            ),
            Self::StorageLimit => (
                "storage_limit",
                4107,
                "not published: the channel may store no more, try again later",
            ),
            Self::NoStorage => (
                "no_storage",
                4108,
                "not published: the broker stores nothing, try again later",
            ),
            Self::BrokerUnauthorized => (
                "broker_unauthorized",
                4109,
                "not published: the broker does not let the gateway in, try again later",
            ),
            Self::BrokerDenied => (
                "broker_denied",
                4110,
                "not published: the broker does not let the gateway do this, try again later",
            ),
            Self::PingTimeout => (
                "ping_timeout",
                4104,
                "nothing was heard from you: connect again",
            ),
            Self::ConnectTimeout => (
                "connect_timeout",
                4005,
                "`connect` with a token must follow the handshake",
            ),
            Self::CatchUpTimeout => (
                "catch_up_timeout",
                4105,
                "ask for the next page within 30 s",
            ),
            Self::Gap => ("gap", 4200, "messages were missed: connect again"),
            Self::Draining => ("draining", 1012, "the gateway goes away: connect again"),
            Self::Internal => ("internal", 1011, "a fault of the gateway: try again later"),
            Self::TokenExpired => (
                "token_expired",
                4201,
                "the token has expired: connect with a new one",
            ),
            Self::Revoked => ("revoked", 4006, "the user was signed out: sign in again"),
            Self::KeysUnavailable => (
                "keys_unavailable",
                4111,
                "the keys to check the token with can't be had now: try again later",
            ),
            Self::TransportDisabled => (
                "transport_disabled",
                4012,
                "this way to connect is switched off: use another",
            ),
            Self::Disconnected => (
                "disconnected",
                4007,
                "a service of the application has closed the connection",
            ),
            Self::Rejected => ("rejected", 4013, "the channel's handler has refused this"),
            Self::HandlerFailed => (
                "handler_failed",
                4112,
                "the channel's handler gave no answer that can be used: try again later",
            ),
            Self::HandlerTimeout => (
                "handler_timeout",
                4113,
                "the channel's handler gave no answer in time: try again later",
            ),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn codes_stand_in_the_order_of_their_numbers() {
        for (index, code) in ErrorCode::ALL.iter().enumerate() {
            assert_eq!(*code as usize, index);
            assert!(
                code.as_str().len() <= 123,
                "a close reason has at most 123 bytes"
            );
        }
    }
}
