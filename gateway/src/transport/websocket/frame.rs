//! Frames on the wire (RFC 6455 §5): writing the server's, reading the headers of a client's.

/// The longest payload of a control frame, in bytes (RFC 6455 §5.5).
pub const MAX_CONTROL_PAYLOAD: usize = 125;

/// The longest reason of a close frame, in bytes: a control payload less the code.
pub const MAX_CLOSE_REASON: usize = MAX_CONTROL_PAYLOAD - 2;

/// The longest header of a client's frame, in bytes: two, a 64-bit length and the mask.
pub const MAX_HEADER: usize = 14;

/// What a frame is (RFC 6455 §5.2). The reserved values have no variant: they end a connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub enum Opcode {
    /// A further fragment of the message begun before.
    Continuation = 0x0,
    /// A message of UTF-8 text, or its first fragment.
    Text = 0x1,
    /// A message of bytes, or its first fragment.
    Binary = 0x2,
    /// The last frame of its sender.
    Close = 0x8,
    /// To be answered by a pong with the same payload.
    Ping = 0x9,
    /// The answer to a ping, or a sign of life of its own.
    Pong = 0xA,
}

impl Opcode {
    /// Whether this is a close, ping or pong, which may stand between a message's fragments.
    pub fn is_control(self) -> bool {
        self as u8 & 0x8 != 0
    }

    fn from_bits(bits: u8) -> Option<Self> {
        Some(match bits {
            0x0 => Self::Continuation,
            0x1 => Self::Text,
            0x2 => Self::Binary,
            0x8 => Self::Close,
            0x9 => Self::Ping,
            0xA => Self::Pong,
            _ => return None,
        })
    }
}

/// Appends one whole, unfragmented, unmasked frame (RFC 6455 §5.2).
///
/// `rsv1` marks a payload made by [`Deflater::compress`](super::deflate::Deflater::compress)
/// (RFC 7692 §6). A control frame's payload must fit [`MAX_CONTROL_PAYLOAD`].
pub fn encode(opcode: Opcode, rsv1: bool, payload: &[u8], out: &mut Vec<u8>) {
    debug_assert!(!opcode.is_control() || payload.len() <= MAX_CONTROL_PAYLOAD && !rsv1);
    out.reserve(payload.len() + 10);
    encode_header(opcode, rsv1, payload.len(), out);
    out.extend_from_slice(payload);
}

/// Appends the header of a frame whose `len` bytes of payload follow: 2, 4 or 10 bytes.
pub fn encode_header(opcode: Opcode, rsv1: bool, len: usize, out: &mut Vec<u8>) {
    out.push(0x80 | u8::from(rsv1) << 6 | opcode as u8);
    if let Ok(short) = u8::try_from(len)
        && short <= 125
    {
        out.push(short);
    } else if let Ok(medium) = u16::try_from(len) {
        out.push(126);
        out.extend_from_slice(&medium.to_be_bytes());
    } else {
        out.push(127);
        out.extend_from_slice(&(len as u64).to_be_bytes());
    }
}

/// Appends a close frame (RFC 6455 §5.5.1).
///
/// A reason over [`MAX_CLOSE_REASON`] bytes is cut at the last character that fits. To answer a close
/// that had no code, [`encode`] one without a payload.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let reason = &reason[..reason.floor_char_boundary(MAX_CLOSE_REASON)];
    encode_header(Opcode::Close, false, 2 + reason.len(), out);
    out.extend_from_slice(&code.to_be_bytes());
    out.extend_from_slice(reason.as_bytes());
}

/// Whether a peer may put this code into a close frame (RFC 6455 §7.4, and the IANA registry, which
/// has 1012 to 1014 since).
pub fn is_close_code(code: u16) -> bool {
    matches!(code, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The header of a client's frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// Whether the frame ends its message.
    pub fin: bool,
    /// Whether the message is compressed (RFC 7692 §6).
    pub rsv1: bool,
    /// What the frame is.
    pub opcode: Opcode,
    /// What the payload is masked with (RFC 6455 §5.3).
    pub mask: [u8; 4],
    /// The payload's length in bytes, as claimed.
    pub len: u64,
}

/// The bytes can't begin a client's frame: close with 1002.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct HeaderError(pub &'static str);

/// Reads the header of a client's frame (RFC 6455 §5.2) and tells how many bytes it took.
///
/// `None`: it is not complete yet. An error is told from the first byte that shows it, and more bytes
/// never turn it into another one.
pub fn parse(input: &[u8]) -> Result<Option<(Header, usize)>, HeaderError> {
    let Some(&first) = input.first() else {
        return Ok(None);
    };
    if first & 0x30 != 0 {
        return Err(HeaderError("reserved bit set"));
    }
    let fin = first & 0x80 != 0;
    let opcode = Opcode::from_bits(first & 0x0F).ok_or(HeaderError("reserved opcode"))?;
    if opcode.is_control() && !fin {
        return Err(HeaderError("fragmented control frame"));
    }
    let Some(&second) = input.get(1) else {
        return Ok(None);
    };
    if second & 0x80 == 0 {
        return Err(HeaderError("frame not masked"));
    }
    let short = second & 0x7F;
    if opcode.is_control() && usize::from(short) > MAX_CONTROL_PAYLOAD {
        return Err(HeaderError("control frame too long"));
    }
    let rest = &input[2..];
    let (len, extended) = match short {
        126 => match rest.first_chunk() {
            Some(bytes) => (u64::from(u16::from_be_bytes(*bytes)), 2),
            None => return Ok(None),
        },
        127 => match rest.first_chunk() {
            Some(bytes) => (u64::from_be_bytes(*bytes), 8),
            None => return Ok(None),
        },
        _ => (u64::from(short), 0),
    };
    if extended == 2 && len < 126 || extended == 8 && len <= u64::from(u16::MAX) {
        return Err(HeaderError("length not minimal"));
    }
    if len >> 63 != 0 {
        return Err(HeaderError("length over 63 bits"));
    }
    let Some(mask) = rest[extended..].first_chunk() else {
        return Ok(None);
    };
    let header = Header {
        fin,
        rsv1: first & 0x40 != 0,
        opcode,
        mask: *mask,
        len,
    };
    Ok(Some((header, 2 + extended + 4)))
}

/// Takes the mask off a piece of a payload, in place (RFC 6455 §5.3).
///
/// `offset` is how many bytes of the payload came before this piece.
pub fn unmask(piece: &mut [u8], mut mask: [u8; 4], offset: usize) {
    mask.rotate_left(offset % 4);
    let [a, b, c, d] = mask;
    let wide = u64::from_ne_bytes([a, b, c, d, a, b, c, d]);
    let (words, tail) = piece.as_chunks_mut::<8>();
    for word in words {
        *word = (u64::from_ne_bytes(*word) ^ wide).to_ne_bytes();
    }
    for (byte, mask) in tail.iter_mut().zip(mask.iter().cycle()) {
        *byte ^= mask;
    }
}

#[cfg(test)]
mod tests;
