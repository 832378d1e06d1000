//! How one connection's frames are written: its protocol, and whether they are compressed.

use crate::protocol::{FrameSink, PROTOCOLS, Protocol, ProtocolIndex};
use crate::transport::websocket::deflate::Deflater;
use crate::transport::websocket::frame::{self, Opcode};

/// Payloads below this are never compressed: the result would not be smaller.
const COMPRESS_FROM: usize = 64;

/// A protocol and the window of permessage-deflate; connections with the same encoding share frames.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Encoding {
    /// The protocol.
    pub protocol: ProtocolIndex,
    /// Window bits 9…15, or 0 where nothing is compressed.
    pub window: u8,
}

impl Encoding {
    /// The protocol itself.
    pub fn protocol(self) -> &'static dyn Protocol {
        PROTOCOLS[usize::from(self.protocol)]
    }
}

/// Appends frames to a buffer, compressed where the connection agreed to it.
pub struct FrameWriter<'a> {
    /// Where frames go.
    pub out: &'a mut Vec<u8>,
    /// Window bits, 0: no compression.
    pub window: u8,
    /// The shard's.
    pub deflater: &'a mut Deflater,
}

impl FrameWriter<'_> {
    fn frame(&mut self, opcode: Opcode, payload: &[u8]) {
        if self.window > 0 && payload.len() >= COMPRESS_FROM {
            let mut compressed = Vec::with_capacity(payload.len() / 2);
            self.deflater
                .compress(self.window, payload, &mut compressed);
            if compressed.len() < payload.len() {
                return frame::encode(opcode, true, &compressed, self.out);
            }
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
