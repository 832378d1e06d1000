//! One packet, as a WebSocket frame carries it.

use super::super::Frame;

/// What a packet is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// The server's first: what holds for the session.
    Open,
    /// The transport can be closed.
    Close,
    /// A heartbeat, from the server; with `probe` from a client that changes its transport.
    Ping,
    /// The answer to a ping.
    Pong,
    /// What the layer above says.
    Message,
    /// The client has changed its transport.
    Upgrade,
    /// Ends a poll for which there is nothing.
    Noop,
}

impl Kind {
    /// The kind that a packet begins with.
    #[must_use]
    pub fn of(digit: u8) -> Option<Self> {
        Some(match digit {
            b'0' => Self::Open,
            b'1' => Self::Close,
            b'2' => Self::Ping,
            b'3' => Self::Pong,
            b'4' => Self::Message,
            b'5' => Self::Upgrade,
            b'6' => Self::Noop,
            _ => return None,
        })
    }

    /// What a packet of the kind begins with.
    #[must_use]
    pub fn digit(self) -> u8 {
        b'0' + self as u8
    }
}

/// What a packet carries.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Data<'a> {
    /// Text, often none.
    Text(&'a str),
    /// Bytes; only a message has them.
    Binary(&'a [u8]),
}

/// One packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Packet<'a> {
    /// What it is for.
    pub kind: Kind,
    /// What it carries.
    pub data: Data<'a>,
}

/// What is no packet.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PacketError {
    /// Nothing at all.
    #[error("an Engine.IO packet begins with its type")]
    Empty,
    /// A type that there is not.
    #[error("an Engine.IO packet's type is a digit from 0 to 6")]
    Type,
}

impl<'a> Packet<'a> {
    /// Reads the text of a packet.
    pub fn from_text(text: &'a str) -> Result<Self, PacketError> {
        let digit = *text.as_bytes().first().ok_or(PacketError::Empty)?;
        let kind = Kind::of(digit).ok_or(PacketError::Type)?;
        let data = Data::Text(&text[1..]); // the type is one byte
        Ok(Self { kind, data })
    }

    /// Reads a WebSocket frame: a binary one is a message's bytes as they are.
    pub fn from_frame(frame: Frame<'a>) -> Result<Self, PacketError> {
        match frame {
            Frame::Text(text) => Self::from_text(text),
            Frame::Binary(bytes) => Ok(Self {
                kind: Kind::Message,
                data: Data::Binary(bytes),
            }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_text_frame_is_a_type_and_the_rest() {
        for (text, kind, data) in [
            ("0{}", Kind::Open, "{}"),
            ("1", Kind::Close, ""),
            ("2probe", Kind::Ping, "probe"),
            ("3", Kind::Pong, ""),
            ("4hä", Kind::Message, "hä"),
            ("5", Kind::Upgrade, ""),
            ("6", Kind::Noop, ""),
        ] {
            let data = Data::Text(data);
            assert_eq!(
                Packet::from_frame(Frame::Text(text)),
                Ok(Packet { kind, data })
            );
            assert_eq!(kind.digit(), text.as_bytes()[0]);
        }
    }

    #[test]
    fn a_binary_frame_is_a_message() {
        let packet = Packet::from_frame(Frame::Binary(b"4")).unwrap();
        assert_eq!(
            (packet.kind, packet.data),
            (Kind::Message, Data::Binary(b"4"))
        );
    }

    #[test]
    fn what_has_no_type_is_no_packet() {
        assert_eq!(Packet::from_text(""), Err(PacketError::Empty));
        for text in ["7", "a", " 4", "b AQ==", "é4", "\u{1e}4"] {
            assert_eq!(Packet::from_text(text), Err(PacketError::Type), "{text}");
        }
    }
}
