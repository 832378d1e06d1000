//! How frames lie one behind the other in the buffers that wires share: what a frame is, the length of its payload in
//! four bytes, the payload.

use std::ops::{Deref, Range};

use super::super::backlog::Chunk;
use crate::transport::websocket::frame::Opcode;

const HEADER: usize = 5;

/// A frame that the gateway has written.
#[derive(Debug, Clone)]
pub enum WireFrame {
    /// UTF-8.
    Text(Payload),
    /// Bytes.
    Binary(Payload),
    /// The last one: the gateway ends the connection.
    Close {
        /// What a WebSocket's close frame would say.
        code: u16,
        /// The error's word.
        reason: Box<str>,
    },
}

/// A frame's bytes, which lie in a buffer that others may share. They count as memory of queues for as long as one is held.
#[derive(Clone)]
pub struct Payload {
    chunk: Chunk,
    range: Range<usize>,
}

impl Payload {
    /// All but its first byte.
    #[must_use]
    pub fn without_first(mut self) -> Self {
        self.range.start = (self.range.start + 1).min(self.range.end);
        self
    }
}

impl Deref for Payload {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.chunk.bytes()[self.range.clone()]
    }
}

#[cfg(test)]
impl Payload {
    /// A payload of a test's own.
    pub fn of(bytes: &[u8]) -> Self {
        let memory = super::super::backlog::QueueMemory::new(1 << 20, 1);
        Self {
            chunk: Chunk::new(bytes.to_vec(), memory.into()),
            range: 0..bytes.len(),
        }
    }
}

/// What people say is left out.
impl std::fmt::Debug for Payload {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{} bytes", self.len())
    }
}

/// Appends one frame.
pub fn encode(opcode: Opcode, payload: &[u8], out: &mut Vec<u8>) {
    out.reserve(HEADER + payload.len());
    out.push(opcode as u8);
    out.extend_from_slice(&(payload.len() as u32).to_be_bytes()); // a payload is bounded by messageSize, far below 4 GiB
    out.extend_from_slice(payload);
}

/// Appends the frame that ends a connection.
pub fn encode_close(code: u16, reason: &str, out: &mut Vec<u8>) {
    let payload = [&code.to_be_bytes(), reason.as_bytes()].concat();
    encode(Opcode::Close, &payload, out);
}

/// A buffer whose frames are taken one by one.
#[derive(Debug)]
pub struct Frames {
    chunk: Chunk,
    at: usize,
}

impl Frames {
    pub(super) fn of(chunk: Chunk) -> Self {
        Self { chunk, at: 0 }
    }

    /// Whether all were taken.
    pub(super) fn is_empty(&self) -> bool {
        self.at >= self.chunk.bytes().len()
    }
}

impl Iterator for Frames {
    type Item = WireFrame;

    fn next(&mut self) -> Option<WireFrame> {
        let rest = &self.chunk.bytes()[self.at..];
        let (&opcode, rest) = rest.split_first()?;
        let length = u32::from_be_bytes(*rest.first_chunk()?) as usize;
        let start = self.at + HEADER;
        let range = start..start + length;
        self.at = range.end;
        let payload = Payload {
            chunk: self.chunk.clone(),
            range,
        };
        Some(match opcode {
            opcode if opcode == Opcode::Text as u8 => WireFrame::Text(payload),
            opcode if opcode == Opcode::Binary as u8 => WireFrame::Binary(payload),
            _ => {
                let (code, reason) = payload.split_first_chunk()?;
                WireFrame::Close {
                    code: u16::from_be_bytes(*code),
                    reason: String::from_utf8_lossy(reason).into(),
                }
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::super::super::backlog::QueueMemory;
    use super::*;

    #[test]
    fn frames_are_taken_as_they_were_written() {
        let mut bytes = Vec::new();
        encode(Opcode::Text, "héllo".as_bytes(), &mut bytes);
        encode(Opcode::Binary, &[0; 70_000], &mut bytes);
        encode(Opcode::Text, b"", &mut bytes);
        encode_close(4100, "slow_consumer", &mut bytes);
        let memory = Arc::new(QueueMemory::new(1 << 20, 1));
        let mut frames = Frames::of(Chunk::new(bytes, memory));
        assert!(
            matches!(frames.next(), Some(WireFrame::Text(text)) if *text == *"héllo".as_bytes())
        );
        assert!(matches!(frames.next(), Some(WireFrame::Binary(bytes)) if bytes.len() == 70_000));
        assert!(matches!(frames.next(), Some(WireFrame::Text(text)) if text.is_empty()));
        let Some(WireFrame::Close { code, reason }) = frames.next() else {
            panic!("no close frame");
        };
        assert_eq!((code, &*reason), (4100, "slow_consumer"));
        assert!(frames.next().is_none());
    }
}
