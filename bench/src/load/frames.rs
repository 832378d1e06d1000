//! WebSocket frames (RFC 6455 §5.2), both directions, without IO.

/// What a frame is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Opcode {
    /// A further part of a fragmented message.
    Continuation,
    /// Text.
    Text,
    /// Bytes.
    Binary,
    /// The end of a connection.
    Close,
    /// A question whether the peer is there.
    Ping,
    /// The answer to a ping.
    Pong,
}

impl Opcode {
    const fn bits(self) -> u8 {
        match self {
            Self::Continuation => 0,
            Self::Text => 1,
            Self::Binary => 2,
            Self::Close => 8,
            Self::Ping => 9,
            Self::Pong => 10,
        }
    }

    const fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }
}

/// A whole frame that a server sent.
#[derive(Debug, PartialEq, Eq)]
pub struct Frame<'a> {
    /// What it is.
    pub opcode: Opcode,
    /// Whether it ends its message.
    pub last: bool,
    /// Its payload.
    pub payload: &'a [u8],
    /// Its length on the wire, header included.
    pub wire: usize,
}

/// Why bytes from a server are no frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Malformed;

/// The first frame in `bytes`; `None` while it is incomplete.
pub fn parse(bytes: &[u8]) -> Result<Option<Frame<'_>>, Malformed> {
    let &[first, second, ref rest @ ..] = bytes else {
        return Ok(None);
    };
    let opcode = Opcode::from_bits(first & 0x0f).ok_or(Malformed)?;
    // A server neither masks nor, without an extension, sets reserved bits.
    if first & 0x70 != 0 || second & 0x80 != 0 {
        return Err(Malformed);
    }
    let (header, length) = match second {
        126 => match rest {
            &[a, b, ..] => (4, usize::from(u16::from_be_bytes([a, b]))),
            _ => return Ok(None),
        },
        127 => match rest.first_chunk::<8>() {
            Some(length) => (
                10,
                usize::try_from(u64::from_be_bytes(*length)).map_err(|_| Malformed)?,
            ),
            None => return Ok(None),
        },
        short => (2, usize::from(short)),
    };
    let wire = header + length;
    let Some(payload) = bytes.get(header..wire) else {
        return Ok(None);
    };
    Ok(Some(Frame {
        opcode,
        last: first & 0x80 != 0,
        payload,
        wire,
    }))
}

/// Length on the wire of an unmasked frame with `payload` bytes.
pub const fn server_frame_len(payload: usize) -> usize {
    payload
        + match payload {
            0..126 => 2,
            126..65536 => 4,
            _ => 10,
        }
}

/// The payload length that makes an unmasked frame of `wire` bytes. `None` for the lengths that no frame has.
pub fn payload_len_of(wire: usize) -> Option<usize> {
    [2, 4, 10]
        .into_iter()
        .filter_map(|header| wire.checked_sub(header))
        .find(|&len| server_frame_len(len) == wire)
}

/// Appends a frame as a server sends it.
pub fn push_server_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    push_header(out, opcode, payload.len(), 0);
    out.extend_from_slice(payload);
}

/// Appends a frame as a client sends it. The masking key is zero: it is legal, leaves the payload readable in a
/// capture, and costs a server the same as any other.
pub fn push_client_frame(out: &mut Vec<u8>, opcode: Opcode, payload: &[u8]) {
    push_header(out, opcode, payload.len(), 0x80);
    out.extend_from_slice(&[0; 4]);
    out.extend_from_slice(payload);
}

fn push_header(out: &mut Vec<u8>, opcode: Opcode, length: usize, mask: u8) {
    out.push(0x80 | opcode.bits());
    match u16::try_from(length) {
        Ok(short @ 0..126) => out.push(mask | short as u8),
        Ok(middle) => {
            out.push(mask | 126);
            out.extend_from_slice(&middle.to_be_bytes());
        }
        Err(_) => {
            out.push(mask | 127);
            out.extend_from_slice(&(length as u64).to_be_bytes());
        }
    }
}

/// The first frame that a client sent, as the references read it: its opcode and its length on the wire. The
/// payload is not unmasked, since nothing here looks into it.
pub fn parse_client(bytes: &[u8]) -> Option<(Opcode, usize)> {
    let &[first, second, ref rest @ ..] = bytes else {
        return None;
    };
    let (header, length) = match second & 0x7f {
        126 => (
            4,
            usize::from(u16::from_be_bytes(*rest.first_chunk::<2>()?)),
        ),
        127 => (
            10,
            usize::try_from(u64::from_be_bytes(*rest.first_chunk::<8>()?)).ok()?,
        ),
        short => (2, usize::from(short)),
    };
    let wire = header + if second & 0x80 != 0 { 4 } else { 0 } + length;
    if bytes.len() < wire {
        return None;
    }
    Some((Opcode::from_bits(first & 0x0f)?, wire))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_of_every_length_class_is_read_back_as_it_was_built() {
        for length in [0, 1, 125, 126, 127, 65535, 65536, 70_000] {
            let payload = vec![b'x'; length];
            let mut bytes = Vec::new();
            push_server_frame(&mut bytes, Opcode::Text, &payload);
            assert_eq!(bytes.len(), server_frame_len(length));
            let frame = parse(&bytes).unwrap().unwrap();
            assert_eq!(
                (frame.opcode, frame.last, frame.payload.len()),
                (Opcode::Text, true, length)
            );
            assert_eq!(frame.wire, bytes.len());
            assert_eq!(payload_len_of(bytes.len()), Some(length));
        }
    }

    #[test]
    fn an_incomplete_frame_is_waited_for_at_every_byte() {
        for length in [3, 200, 70_000] {
            let mut bytes = Vec::new();
            push_server_frame(&mut bytes, Opcode::Binary, &vec![7; length]);
            for end in (0..20.min(bytes.len())).chain([bytes.len() - 1]) {
                assert_eq!(parse(&bytes[..end]), Ok(None), "{length} {end}");
            }
        }
    }

    #[test]
    fn masks_reserved_bits_and_unknown_opcodes_of_a_server_are_malformed() {
        assert_eq!(parse(&[0x81, 0x80]), Err(Malformed));
        assert_eq!(parse(&[0xc1, 0]), Err(Malformed));
        assert_eq!(parse(&[0x83, 0]), Err(Malformed));
    }

    #[test]
    fn a_client_frame_is_masked_and_measured() {
        for length in [0, 5, 126, 66_000] {
            let mut bytes = Vec::new();
            push_client_frame(&mut bytes, Opcode::Text, &vec![b'y'; length]);
            assert_eq!(bytes[1] & 0x80, 0x80);
            assert_eq!(parse_client(&bytes), Some((Opcode::Text, bytes.len())));
            assert_eq!(parse_client(&bytes[..bytes.len() - 1]), None);
        }
    }

    #[test]
    fn wire_lengths_that_no_frame_has_are_refused() {
        assert_eq!(payload_len_of(128), None);
        assert_eq!(payload_len_of(1), None);
        assert_eq!(payload_len_of(130), Some(126));
    }
}
