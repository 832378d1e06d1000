//! Several packets in the body of one request or answer of long-polling.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;

use super::{Data, Kind, Packet, PacketError};

/// Stands between packets.
const SEPARATOR: char = '\u{1e}';
/// Stands before the base64 of a message's bytes.
const BINARY: char = 'b';
/// Packets of one body at most: a client of the reference implementation sends what it has, which is seldom more than ten.
pub const MOST_PACKETS: usize = 1024;

/// What is no payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum PayloadError {
    /// One of its packets is none.
    #[error(transparent)]
    Packet(#[from] PacketError),
    /// Bytes that are not in base64.
    #[error("the bytes of a packet must be base64 with padding")]
    Base64,
    /// Over [`MOST_PACKETS`].
    #[error("a payload has at most 1024 packets")]
    TooMany,
}

/// Reads a body and hands its packets on, in order, up to the first that is none.
pub fn parse(body: &str, mut take: impl FnMut(Packet<'_>)) -> Result<(), PayloadError> {
    for (index, part) in body.split(SEPARATOR).enumerate() {
        if index >= MOST_PACKETS {
            return Err(PayloadError::TooMany);
        }
        match part.strip_prefix(BINARY) {
            None => take(Packet::from_text(part)?),
            Some(text) => {
                let bytes = STANDARD.decode(text).map_err(|_| PayloadError::Base64)?;
                take(Packet {
                    kind: Kind::Message,
                    data: Data::Binary(&bytes),
                });
            }
        }
    }
    Ok(())
}

/// Appends a packet to a body.
pub fn write(packet: Packet<'_>, body: &mut String) {
    if !body.is_empty() {
        body.push(SEPARATOR);
    }
    match packet.data {
        Data::Text(text) => {
            body.push(char::from(packet.kind.digit()));
            body.push_str(text);
        }
        Data::Binary(bytes) => {
            body.push(BINARY);
            STANDARD.encode_string(bytes, body);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(body: &str) -> Result<Vec<String>, PayloadError> {
        let mut packets = Vec::new();
        parse(body, |packet| packets.push(format!("{packet:?}"))).map(|()| packets)
    }

    fn message(data: Data<'_>) -> Packet<'_> {
        Packet {
            kind: Kind::Message,
            data,
        }
    }

    #[test]
    fn packets_stand_one_after_the_other_and_bytes_in_base64() {
        let packets = [
            message(Data::Text("hello")),
            Packet {
                kind: Kind::Ping,
                data: Data::Text(""),
            },
            message(Data::Binary(&[1, 2, 3, 4])),
            message(Data::Binary(&[])),
        ];
        let mut body = String::new();
        for packet in packets {
            write(packet, &mut body);
        }
        assert_eq!(body, "4hello\u{1e}2\u{1e}bAQIDBA==\u{1e}b");
        let written = packets.map(|packet| format!("{packet:?}"));
        assert_eq!(read(&body).unwrap(), written);
    }

    #[test]
    fn one_broken_packet_breaks_the_payload() {
        assert_eq!(read(""), Err(PacketError::Empty.into()));
        assert_eq!(read("4a\u{1e}"), Err(PacketError::Empty.into()));
        assert_eq!(read("4a\u{1e}abc"), Err(PacketError::Type.into()));
        for bytes in ["b!", "bAQ", "bAQ=", "bAQ== ", "bAR=="] {
            assert_eq!(read(bytes), Err(PayloadError::Base64), "{bytes}");
        }
    }

    #[test]
    fn the_number_of_packets_is_bounded() {
        let body = |count| vec!["6"; count].join("\u{1e}");
        assert_eq!(read(&body(MOST_PACKETS)).unwrap().len(), MOST_PACKETS);
        assert_eq!(read(&body(MOST_PACKETS + 1)), Err(PayloadError::TooMany));
    }
}
