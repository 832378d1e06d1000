//! The client's side, for tests: masked frames, and a reader's events as values.

use std::ops::ControlFlow;

use super::deflate::Inflater;
use super::frame::Opcode;
use super::reader::{Event, ReadContext, ReadError, Reader};

/// An [`Event`] that owns its data.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Got {
    Text(String),
    Binary(Vec<u8>),
    Ping(Vec<u8>),
    Pong(Vec<u8>),
    Close(Option<u16>, String),
}

impl Got {
    /// An event with content; `None` for a fragment without any.
    pub fn of(event: Event<'_>) -> Option<Self> {
        Some(match event {
            Event::Text(text) => Self::Text(text.to_owned()),
            Event::Binary(data) => Self::Binary(data.to_owned()),
            Event::Ping(data) => Self::Ping(data.to_owned()),
            Event::Pong(data) => Self::Pong(data.to_owned()),
            Event::Close { code, reason } => Self::Close(code, reason.to_owned()),
            Event::Empty => return None,
        })
    }
}

/// A frame as a client sends it.
pub fn masked(fin: bool, rsv1: bool, opcode: Opcode, mask: [u8; 4], payload: &[u8]) -> Vec<u8> {
    let mut frame = Vec::new();
    super::frame::encode_header(opcode, rsv1, payload.len(), &mut frame);
    frame[0] &= if fin { 0xFF } else { 0x7F };
    frame[1] |= 0x80;
    frame.extend_from_slice(&mask);
    frame.extend(
        payload
            .iter()
            .zip(mask.iter().cycle())
            .map(|(byte, mask)| byte ^ mask),
    );
    frame
}

/// An uncompressed frame with some mask.
pub fn client(fin: bool, opcode: Opcode, payload: &[u8]) -> Vec<u8> {
    masked(fin, false, opcode, [0x37, 0xFA, 0x21, 0x3D], payload)
}

/// A connection's reading half with everything it needs.
pub struct Connection {
    pub reader: Reader,
    pub max_frame_payload: usize,
    pub max_message: usize,
    pub inflater: Option<Inflater>,
    pub got: Vec<Got>,
    /// Fragments without content.
    pub empty: usize,
}

impl Connection {
    pub fn new() -> Self {
        let reader = Reader::new();
        Self {
            reader,
            max_frame_payload: 100_000,
            max_message: 200_000,
            inflater: None,
            got: Vec::new(),
            empty: 0,
        }
    }

    pub fn with_deflate() -> Self {
        Self {
            inflater: Some(Inflater::new()),
            ..Self::new()
        }
    }

    pub fn feed(&mut self, input: &[u8]) -> Result<(), ReadError> {
        let mut ctx = ReadContext {
            max_frame_payload: self.max_frame_payload,
            max_message: self.max_message,
            inflater: self.inflater.as_mut(),
        };
        self.reader
            .read(&mut input.to_vec(), &mut ctx, &mut |event| {
                match Got::of(event) {
                    Some(got) => self.got.push(got),
                    None => self.empty += 1,
                }
                ControlFlow::Continue(())
            })
    }

    /// Feeds the input in pieces of these sizes, over and over, until its end or an error.
    pub fn feed_in_pieces(&mut self, mut input: &[u8], sizes: &[usize]) -> Result<(), ReadError> {
        for &size in sizes.iter().cycle() {
            if input.is_empty() {
                break;
            }
            let (piece, rest) = input.split_at(size.min(input.len()));
            self.feed(piece)?;
            input = rest;
        }
        Ok(())
    }
}

/// What a fresh connection makes of these bytes.
pub fn read(input: &[u8]) -> (Vec<Got>, Result<(), ReadError>) {
    let mut connection = Connection::new();
    let result = connection.feed(input);
    (connection.got, result)
}
