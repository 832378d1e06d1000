//! The server's first packet.

use super::Kind;
use crate::protocol::Greeting;

/// What holds for a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Open<'a> {
    /// The session's id.
    pub sid: &'a str,
    /// The transports that it may change to.
    pub upgrades: &'a [&'a str],
    /// Milliseconds between two pings.
    pub ping_interval: u64,
    /// Milliseconds that the answer to one may take.
    pub ping_timeout: u64,
    /// Bytes that the client may put into one body.
    pub max_payload: usize,
}

impl<'a> Open<'a> {
    /// What holds for a session over a WebSocket.
    #[must_use]
    pub fn of(greeting: &Greeting, sid: &'a str) -> Self {
        Self {
            sid,
            upgrades: &[],
            ping_interval: greeting.ping * 1000,
            ping_timeout: greeting.timeout * 1000,
            max_payload: greeting.message_size,
        }
    }

    /// The packet.
    #[must_use]
    pub fn packet(&self) -> String {
        let json = serde_json::json!({
            "sid": self.sid,
            "upgrades": self.upgrades,
            "pingInterval": self.ping_interval,
            "pingTimeout": self.ping_timeout,
            "maxPayload": self.max_payload,
        });
        format!("{}{json}", char::from(Kind::Open.digit()))
    }
}

/// The packet of a session that begins with long-polling: its requests name another sid, which only its client may know, and
/// it may change to a WebSocket. `None` where `packet` is none of [`Open::packet`].
#[must_use]
pub fn polled(packet: &[u8], sid: &str) -> Option<String> {
    let (&digit, json) = packet.split_first()?;
    let mut open: serde_json::Value = serde_json::from_slice(json).ok()?;
    open["sid"] = sid.into();
    open["upgrades"] = serde_json::json!(["websocket"]);
    (digit == Kind::Open.digit()).then(|| format!("{}{open}", char::from(digit)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_says_what_holds_for_the_session() {
        let open = Open {
            sid: "abc",
            upgrades: &["websocket"],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: 65_536,
        };
        let packet = open.packet();
        let json: serde_json::Value =
            serde_json::from_str(packet.strip_prefix('0').unwrap()).unwrap();
        assert_eq!(
            json,
            serde_json::json!({
                "sid": "abc", "upgrades": ["websocket"],
                "pingInterval": 25_000, "pingTimeout": 20_000, "maxPayload": 65_536
            })
        );
    }

    #[test]
    fn a_polled_session_has_a_sid_of_its_own_and_may_change() {
        let open = Open {
            sid: "~public",
            upgrades: &[],
            ping_interval: 25_000,
            ping_timeout: 20_000,
            max_payload: 65_536,
        };
        let own = Open {
            sid: "secret",
            upgrades: &["websocket"],
            ..open
        };
        let packet = polled(open.packet().as_bytes(), "secret");
        assert_eq!(packet, Some(own.packet()));
        for packet in ["", "0", "4{}", "0x"] {
            assert_eq!(polled(packet.as_bytes(), "secret"), None, "{packet}");
        }
    }
}
