//! A room's messages of one hub turn, and their frames: encoded once per encoding, by whichever shard needs it first.

use std::sync::{Arc, OnceLock};
use std::time::Instant;

use super::backlog::{Chunk, QueueMemory};
use super::encoding::{Encoding, FrameWriter, Framing};
use crate::message::Message;
use crate::names::{ConnectionId, RoomName};
use crate::protocol::PROTOCOLS;
use crate::traces::{self, FanOutSpan};
use crate::transport::websocket::deflate::Deflater;

const PROTOCOL_COUNT: usize = PROTOCOLS.len();
/// Windows of 9 to 15 bits.
const WINDOWS: usize = 7;

/// Messages for all subscribers of a room.
#[derive(Debug)]
pub struct Batch {
    room: RoomName,
    messages: Vec<Arc<Message>>,
    received: Instant,
    memory: Arc<QueueMemory>,
    weight: usize,
    span: Option<FanOutSpan>,
    plain: [OnceLock<Chunk>; PROTOCOL_COUNT],
    compressed: OnceLock<Box<[[OnceLock<Chunk>; WINDOWS]; PROTOCOL_COUNT]>>,
    /// For wires.
    wired: OnceLock<Box<[OnceLock<Chunk>; PROTOCOL_COUNT]>>,
}

impl Batch {
    /// Messages of one room, in order, the first of which was read from its publisher at `received`.
    pub fn new(
        room: RoomName,
        messages: Vec<Arc<Message>>,
        received: Instant,
        memory: Arc<QueueMemory>,
    ) -> Self {
        let weight = messages
            .iter()
            .map(|message| message.data.len() + 128)
            .sum();
        let span = traces::fan_out(&room, &messages);
        let (plain, compressed, wired) = Default::default();
        Self {
            room,
            messages,
            received,
            memory,
            weight,
            span,
            plain,
            compressed,
            wired,
        }
    }

    /// The same with a span, also where none are sent.
    #[cfg(test)]
    pub fn traced(mut self) -> Self {
        self.span = FanOutSpan::begin(&self.room, &self.messages);
        self
    }

    /// The room.
    pub fn room(&self) -> &RoomName {
        &self.room
    }

    /// The messages.
    pub fn messages(&self) -> &[Arc<Message>] {
        &self.messages
    }

    /// When the first message was read from its publisher's socket.
    pub fn received(&self) -> Instant {
        self.received
    }

    /// The span of handing it out, where one of its messages is traced.
    pub fn span(&self) -> Option<&FanOutSpan> {
        self.span.as_ref()
    }

    /// Bytes that wait with it.
    pub fn weight(&self) -> usize {
        self.weight
    }

    /// Appends all its frames in that encoding.
    pub fn append(&self, encoding: Encoding, deflater: &mut Deflater, out: &mut Vec<u8>) {
        self.encode(encoding, deflater, out, |_| true);
    }

    /// All its frames in an encoding that leaves nothing out of the room's name.
    pub fn chunk(&self, encoding: Encoding, deflater: &mut Deflater) -> &Chunk {
        let protocol = usize::from(encoding.protocol);
        let slot = match encoding.framing {
            Framing::WebSocket => &self.plain[protocol],
            Framing::Deflated(window) => {
                &self.compressed.get_or_init(Default::default)[protocol][usize::from(window - 9)]
            }
            Framing::Wire => &self.wired.get_or_init(Default::default)[protocol],
        };
        slot.get_or_init(|| {
            let mut out = Vec::with_capacity(self.weight + 64 * self.messages.len());
            self.encode(encoding, deflater, &mut out, |_| true);
            Chunk::new(out, self.memory.clone())
        })
    }

    /// Appends the frames of the messages that a connection did not ask to be left out of; gives how many.
    pub fn encode_without(
        &self,
        connection: ConnectionId,
        encoding: Encoding,
        deflater: &mut Deflater,
        out: &mut Vec<u8>,
    ) -> u64 {
        self.encode(encoding, deflater, out, |message| {
            message.skip != Some(connection)
        })
    }

    fn encode(
        &self,
        encoding: Encoding,
        deflater: &mut Deflater,
        out: &mut Vec<u8>,
        wanted: impl Fn(&Message) -> bool,
    ) -> u64 {
        let mut writer = FrameWriter {
            out,
            framing: encoding.framing,
            deflater,
        };
        let mut count = 0;
        for message in self.messages.iter().filter(|message| wanted(message)) {
            encoding
                .protocol()
                .encode_message(message, encoding.prefix, &mut writer);
            count += 1;
        }
        count
    }
}
