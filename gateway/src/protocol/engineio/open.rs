//! The server's first packet.

use super::Kind;

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

impl Open<'_> {
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
}
