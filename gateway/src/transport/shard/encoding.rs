//! How one connection's frames are written: its protocol, and what stands around a payload.

use super::wire::framing;
use crate::protocol::{FrameSink, PROTOCOLS, Protocol, ProtocolIndex};
use crate::transport::websocket::deflate::Deflater;
use crate::transport::websocket::frame::{self, Opcode};

/// Payloads below this are never compressed: the result would not be smaller.
const COMPRESS_FROM: usize = 64;

/// What frames depend on; connections with the same encoding share them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The protocol.
    pub protocol: ProtocolIndex,
    /// What stands around a payload.
    pub framing: Framing,
    /// How many bytes of the room's name the client leaves out.
    pub prefix: u8,
}

/// What stands around a payload.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Framing {
    /// A WebSocket's frame header.
    WebSocket,
    /// The same, and the payload is compressed with a window of so many bits, 9…15.
    Deflated(u8),
    /// What the owner of a wire takes apart.
    Wire,
}

impl Encoding {
    /// The same for a room of whose name so many bytes are left out.
    pub fn without(self, prefix: u8) -> Self {
        Self { prefix, ..self }
    }

    /// The protocol itself.
    pub fn protocol(self) -> &'static dyn Protocol {
        PROTOCOLS[usize::from(self.protocol)]
    }

    /// Appends the frame that ends a connection; without a code, where the client's close frame had none.
    pub fn close(self, code: Option<u16>, reason: &str, out: &mut Vec<u8>) {
        match (self.framing, code) {
            (Framing::Wire, code) => framing::encode_close(code.unwrap_or(1005), reason, out),
            (_, Some(code)) => frame::encode_close(code, reason, out),
            (_, None) => frame::encode(Opcode::Close, false, &[], out),
        }
    }
}

/// Appends frames to a buffer, compressed where the connection agreed to it.
pub struct FrameWriter<'a> {
    /// Where frames go.
    pub out: &'a mut Vec<u8>,
    /// What stands around payloads.
    pub framing: Framing,
    /// The shard's.
    pub deflater: &'a mut Deflater,
}

impl FrameWriter<'_> {
    fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        match self.framing {
            Framing::Wire => return framing::encode(opcode, payload, self.out),
            Framing::Deflated(window) if payload.len() >= COMPRESS_FROM => {
                let mut compressed = Vec::with_capacity(payload.len() / 2);
                self.deflater.compress(window, payload, &mut compressed);
                if compressed.len() < payload.len() {
                    return frame::encode(opcode, true, &compressed, self.out);
                }
            }
            Framing::Deflated(_) | Framing::WebSocket => {}
        }
        frame::encode(opcode, false, payload, self.out);
    }
}

impl FrameSink for FrameWriter<'_> {
    fn text(&mut self, payload: &[u8]) {
        self.frame(Opcode::Text, payload);
    }

    fn binary(&mut self, payload: &[u8]) {
        self.frame(Opcode::Binary, payload);
    }
}
