//! What a Socket.IO client says and hears in text frames, over Engine.IO 4 by WebSocket.

/// Where it connects.
pub(super) const PATH: &str = "/socket.io/?EIO=4&transport=websocket";

/// The answer to the open packet: it enters the main namespace.
pub(super) const CONNECT: &[u8] = b"40";

/// The answer to a ping.
pub(super) const PONG: &[u8] = b"3";

/// What a server has sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Packet {
    /// The session is open.
    Opened,
    /// The namespace is.
    Connected,
    /// What was asked is done.
    Acknowledged,
    /// A message of a room.
    Message,
    /// A question whether the client is there.
    Ping,
    /// Any other event.
    Event,
    /// What no client in good order is sent.
    Unexpected,
}

impl Packet {
    /// Tells what a packet is by its beginning: clients are many, and their time is not the server's.
    pub(super) fn of(packet: &[u8]) -> Self {
        let acknowledgement = || {
            let rest = packet.strip_prefix(b"43")?;
            let digits = rest.iter().take_while(|byte| byte.is_ascii_digit()).count();
            Some(rest[digits..].starts_with(b"[") && !rest[digits..].starts_with(br#"[{"error""#))
        };
        match packet {
            b"2" => Self::Ping,
            _ if packet.starts_with(br#"42["message","#) => Self::Message,
            _ if packet.starts_with(br#"42["error""#) => Self::Unexpected,
            _ if packet.starts_with(b"42[") => Self::Event,
            _ if packet.starts_with(b"40{") => Self::Connected,
            _ if packet.starts_with(b"0{") => Self::Opened,
            _ if acknowledgement() == Some(true) => Self::Acknowledged,
            _ => Self::Unexpected,
        }
    }
}

/// The packet that joins a room.
pub(super) fn join(id: usize, room: &str) -> String {
    format!("42{id}{}", serde_json::json!(["join", room]))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_packet_is_known_by_its_beginning() {
        for (packet, what) in [
            ("2", Packet::Ping),
            (r#"0{"sid":"a"}"#, Packet::Opened),
            (r#"40{"sid":"a"}"#, Packet::Connected),
            (r#"42["message","hi",{}]"#, Packet::Message),
            (r#"42["connected",{}]"#, Packet::Event),
            ("4317[{}]", Packet::Acknowledged),
            (r#"431[{"error":{}}]"#, Packet::Unexpected),
            (r#"44{"message":"no"}"#, Packet::Unexpected),
            (r#"42["error",{}]"#, Packet::Unexpected),
            ("41", Packet::Unexpected),
            ("", Packet::Unexpected),
        ] {
            assert_eq!(Packet::of(packet.as_bytes()), what, "{packet}");
        }
    }

    #[test]
    fn a_room_is_joined_with_an_acknowledgement() {
        assert_eq!(join(3, "a\"b"), r#"423["join","a\"b"]"#);
    }
}
