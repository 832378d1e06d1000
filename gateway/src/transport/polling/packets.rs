//! What a poll is answered with: packets, which are taken as the client's socket takes them. Until then they count as
//! memory of queues, and nobody else tells the client anything.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};

use super::session::Place;
use crate::transport::shard::wire::{Line, Payload};

/// Bytes that are written at once, about.
const WRITTEN_AT_ONCE: usize = 16 * 1024;

/// Stands between packets.
const SEPARATOR: u8 = 0x1e;
/// Stands before the base64 of a message's bytes.
const BINARY: u8 = b'b';

/// One packet.
#[derive(Debug)]
pub(super) enum Packet {
    /// As it is.
    Text(Payload),
    /// A message's bytes.
    Binary(Payload),
    /// One that the gateway adds.
    Own(&'static str),
}

impl Packet {
    /// What a frame of text is in an answer. A separator in it, which plain text may have, would make it two packets: such a
    /// text goes as a message's bytes.
    pub(super) fn of_text(text: Payload) -> Self {
        match text.split_first() {
            Some((b'4', rest)) if rest.contains(&SEPARATOR) => Self::Binary(text.without_first()),
            _ => Self::Text(text),
        }
    }

    /// Bytes that it has in an answer.
    pub(super) fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => 1 + bytes.len().div_ceil(3) * 4,
            Self::Own(text) => text.len(),
        }
    }

    fn write(&self, out: &mut Vec<u8>) {
        match self {
            Self::Text(text) => out.extend_from_slice(text),
            Self::Binary(bytes) => {
                out.push(BINARY);
                out.extend_from_slice(STANDARD.encode(&**bytes).as_bytes());
            }
            Self::Own(text) => out.extend_from_slice(text.as_bytes()),
        }
    }
}

/// All packets of an answer at once.
pub(super) fn body_of(packets: &[Packet]) -> Vec<u8> {
    let mut out = Vec::with_capacity(packets.iter().map(|packet| packet.len() + 1).sum());
    for packet in packets {
        if !out.is_empty() {
            out.push(SEPARATOR);
        }
        packet.write(&mut out);
    }
    out
}

/// The packets of one answer.
#[derive(Debug)]
pub(super) struct Packets {
    packets: VecDeque<Packet>,
    /// Bytes that are not taken yet.
    left: usize,
    begun: bool,
    line: Line,
    /// Held until all are taken.
    place: Option<Place>,
}

impl Packets {
    /// An answer with these, at least one, of a session with this line.
    pub(super) fn new(packets: Vec<Packet>, line: Line, place: Place) -> Self {
        let separators = packets.len().saturating_sub(1);
        Self {
            left: separators + packets.iter().map(Packet::len).sum::<usize>(),
            packets: packets.into(),
            begun: false,
            line,
            place: Some(place),
        }
    }
}

impl Body for Packets {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _cx: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let mut out = Vec::with_capacity(self.left.min(WRITTEN_AT_ONCE));
        while out.len() < WRITTEN_AT_ONCE
            && let Some(packet) = self.packets.pop_front()
        {
            if std::mem::replace(&mut self.begun, true) {
                out.push(SEPARATOR);
            }
            packet.write(&mut out);
        }
        self.left -= out.len();
        if self.packets.is_empty() {
            self.place = None; // before the client has the last byte, after which it asks for more
        }
        match out.is_empty() {
            true => Poll::Ready(None),
            false => Poll::Ready(Some(Ok(Frame::data(Bytes::from(out))))),
        }
    }

    fn is_end_stream(&self) -> bool {
        self.packets.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.left as u64)
    }
}

impl Drop for Packets {
    fn drop(&mut self) {
        if !self.packets.is_empty() {
            // The client does not have all, and can't ask for the rest.
            self.line.lost();
        }
    }
}
