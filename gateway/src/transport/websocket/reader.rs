//! From a connection's bytes to messages (RFC 6455 §5, §6.2).
//!
//! A [`Reader`] holds nothing while no frame or message is incomplete: the bytes come in a buffer that all
//! connections of a shard share, frames are unmasked in it, and a message that lies in it whole is handed on
//! from there. Only what is incomplete at the end of the buffer is copied, and grows as data comes, never
//! to what a header merely claims.

use std::ops::ControlFlow;

use super::deflate::{InflateError, Inflater};
use super::frame::{self, Header, HeaderError, Opcode};
use super::message::{InvalidText, Message};

/// What a client sent, borrowed until the sink returns.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// A whole text message.
    Text(&'a str),
    /// A whole binary message.
    Binary(&'a [u8]),
    /// To be answered by a pong with the same payload (RFC 6455 §5.5.2).
    Ping(&'a [u8]),
    /// The answer to a ping, or unasked (RFC 6455 §5.5.3).
    Pong(&'a [u8]),
    /// A fragment without payload that does not end its message: allowed, and good for nothing but to keep us busy.
    Empty,
    /// The client closes: answer with a close frame; nothing is read after it (RFC 6455 §5.5.1).
    Close {
        /// The code, a valid one; `None` where the frame had no payload.
        code: Option<u16>,
        /// The reason, at most 123 bytes, often empty.
        reason: &'a str,
    },
}

/// The client broke the protocol or a limit: send a close frame with this and drop the connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{reason} ({code})")]
pub struct ReadError {
    /// 1002, 1007 or 1009 (RFC 6455 §7.4.1).
    pub code: u16,
    /// What was wrong, for the close frame.
    pub reason: &'static str,
}

impl ReadError {
    const fn protocol(reason: &'static str) -> Self {
        Self { code: 1002, reason }
    }

    const fn payload(reason: &'static str) -> Self {
        Self { code: 1007, reason }
    }

    const fn too_big(reason: &'static str) -> Self {
        Self { code: 1009, reason }
    }
}

impl From<HeaderError> for ReadError {
    fn from(HeaderError(reason): HeaderError) -> Self {
        Self::protocol(reason)
    }
}

impl From<InflateError> for ReadError {
    fn from(error: InflateError) -> Self {
        match error {
            InflateError::TooLarge => Self::too_big("message too big"),
            InflateError::Corrupt => Self::payload("invalid compressed data"),
        }
    }
}

impl From<InvalidText> for ReadError {
    fn from(InvalidText: InvalidText) -> Self {
        Self::payload("invalid UTF-8")
    }
}

/// What all connections of a shard, or all with the same limits, share while one of them is read.
pub struct ReadContext<'a> {
    /// The longest payload of one data frame, in bytes; a longer one is error 1009.
    pub max_frame_payload: usize,
    /// The longest message, in bytes: the sum over its fragments, and once more what it inflates to.
    pub max_message: usize,
    /// Inflates compressed messages; `None` where the connection has not negotiated permessage-deflate.
    pub inflater: Option<&'a mut Inflater>,
}

/// The receiving half of one connection. 16 bytes while nothing is incomplete.
#[derive(Default)]
pub struct Reader {
    partial: Option<Box<Partial>>,
    /// After a close frame, an error or a sink that broke off: nothing is read any more.
    ended: bool,
}

/// What was incomplete at the end of the last input. Exists only while something is.
#[derive(Default)]
struct Partial {
    /// The first `header_len` bytes of a header.
    header: [u8; frame::MAX_HEADER],
    header_len: u8,
    /// A frame that misses some of its payload.
    frame: Option<Frame>,
    /// What came of that frame's payload, if it is a control frame.
    control: Vec<u8>,
    /// The message whose last fragment is not complete.
    message: Option<Message>,
}

struct Frame {
    header: Header,
    /// The payload's length: checked against a limit, so it fits.
    len: usize,
    received: usize,
}

type Sink<'a> = &'a mut dyn FnMut(Event<'_>) -> ControlFlow<()>;

impl Reader {
    /// A reader at the beginning of a connection, just after the handshake.
    pub fn new() -> Self {
        Self::default()
    }

    /// Reads the next bytes of the connection, which are overwritten, and hands each event to `sink`.
    ///
    /// How the bytes are cut into inputs makes no difference to the events or the error, but that text
    /// is found to be invalid as soon as possible. When the sink breaks off, and after
    /// [`Event::Close`] or an error, the rest and all further input are ignored.
    pub fn read(
        &mut self,
        input: &mut [u8],
        ctx: &mut ReadContext<'_>,
        sink: &mut dyn FnMut(Event<'_>) -> ControlFlow<()>,
    ) -> Result<(), ReadError> {
        if self.ended {
            return Ok(());
        }
        let result = self.read_frames(input, ctx, sink);
        if !matches!(result, Ok(ControlFlow::Continue(()))) {
            self.ended = true;
            self.partial = None;
        }
        result.map(|_| ())
    }

    /// The memory held for what is incomplete, in bytes.
    pub fn partial_bytes(&self) -> usize {
        self.partial.as_deref().map_or(0, |partial| {
            let message = partial.message.as_ref().map_or(0, Message::capacity);
            size_of::<Partial>() + partial.control.capacity() + message
        })
    }

    /// Whether a frame or a message has begun and is not complete: a client may not leave it so for long.
    pub fn mid_message(&self) -> bool {
        self.partial.is_some()
    }

    fn read_frames(
        &mut self,
        mut input: &mut [u8],
        ctx: &mut ReadContext<'_>,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        while !input.is_empty() {
            let mut frame = match self
                .partial
                .as_mut()
                .and_then(|partial| partial.frame.take())
            {
                Some(frame) => frame,
                None => {
                    let (header, used) = self.read_header(input)?;
                    input = &mut input[used..];
                    match header {
                        Some(header) => self.begin(header, ctx)?,
                        None => break,
                    }
                }
            };
            if input.is_empty() && frame.len > 0 {
                // Nothing of the payload yet: it may still come whole.
                self.partial.get_or_insert_default().frame = Some(frame);
                break;
            }
            let (piece, rest) = input.split_at_mut(input.len().min(frame.len - frame.received));
            input = rest;
            frame::unmask(piece, frame.header.mask, frame.received);
            let whole = piece.len() == frame.len;
            frame.received += piece.len();
            let flow = match frame.header.opcode.is_control() {
                true => self.control(frame, piece, whole, sink)?,
                false => self.data(frame, piece, whole, ctx, sink)?,
            };
            if flow.is_break() {
                return Ok(flow);
            }
        }
        Ok(ControlFlow::Continue(()))
    }

    /// The next header, if it is complete, and how much of the input it took.
    fn read_header(&mut self, input: &[u8]) -> Result<(Option<Header>, usize), ReadError> {
        let held = self
            .partial
            .as_ref()
            .map_or(0, |partial| usize::from(partial.header_len));
        if held == 0
            && let Some((header, used)) = frame::parse(input)?
        {
            return Ok((Some(header), used));
        }
        let partial = self.partial.get_or_insert_default();
        let total = frame::MAX_HEADER.min(held + input.len());
        partial.header[held..total].copy_from_slice(&input[..total - held]);
        Ok(match frame::parse(&partial.header[..total])? {
            Some((header, used)) => {
                partial.header_len = 0;
                (Some(header), used - held)
            }
            None => {
                // At most MAX_HEADER, 14. A header of that length is complete, so all input was taken.
                partial.header_len = total as u8;
                (None, total - held)
            }
        })
    }

    /// Checks a frame against the message in progress and the limits, before any of its payload.
    fn begin(&self, header: Header, ctx: &ReadContext<'_>) -> Result<Frame, ReadError> {
        let message = self
            .partial
            .as_ref()
            .and_then(|partial| partial.message.as_ref());
        if header.rsv1 {
            match header.opcode {
                Opcode::Text | Opcode::Binary if ctx.inflater.is_some() => {}
                Opcode::Text | Opcode::Binary => {
                    return Err(ReadError::protocol("compression not negotiated"));
                }
                _ => return Err(ReadError::protocol("reserved bit set")),
            }
        }
        match header.opcode {
            Opcode::Continuation if message.is_none() => {
                return Err(ReadError::protocol("continuation without a message"));
            }
            Opcode::Text | Opcode::Binary if message.is_some() => {
                return Err(ReadError::protocol("message within a message"));
            }
            _ => {}
        }
        let len = usize::try_from(header.len).unwrap_or(usize::MAX);
        if !header.opcode.is_control() {
            if len > ctx.max_frame_payload {
                return Err(ReadError::too_big("frame too big"));
            }
            let before = message.map_or(0, |message| message.data().len());
            if before.saturating_add(len) > ctx.max_message {
                return Err(ReadError::too_big("message too big"));
            }
        }
        Ok(Frame {
            header,
            len,
            received: 0,
        })
    }

    fn control(
        &mut self,
        frame: Frame,
        piece: &[u8],
        whole: bool,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        if whole {
            self.release();
            return deliver_control(frame.header.opcode, piece, sink);
        }
        let partial = self.partial.get_or_insert_default();
        partial.control.extend_from_slice(piece);
        if frame.received < frame.len {
            partial.frame = Some(frame);
            return Ok(ControlFlow::Continue(()));
        }
        let payload = std::mem::take(&mut partial.control);
        self.release();
        deliver_control(frame.header.opcode, &payload, sink)
    }

    fn data(
        &mut self,
        frame: Frame,
        piece: &[u8],
        whole: bool,
        ctx: &mut ReadContext<'_>,
        sink: Sink<'_>,
    ) -> Result<ControlFlow<()>, ReadError> {
        let Header {
            fin, rsv1, opcode, ..
        } = frame.header;
        let text = opcode == Opcode::Text;
        if whole && fin && opcode != Opcode::Continuation {
            self.release();
            return deliver(text, rsv1, piece, ctx, sink);
        }
        let partial = self.partial.get_or_insert_default();
        // A continuation always finds its message: `begin` refused it otherwise.
        let message = partial
            .message
            .get_or_insert_with(|| Message::new(text, rsv1));
        message.append(piece, fin.then_some(frame.len - frame.received))?;
        if frame.received < frame.len {
            partial.frame = Some(frame);
            return Ok(ControlFlow::Continue(()));
        }
        let Some(message) = partial.message.take_if(|_| fin) else {
            return Ok(match frame.len {
                0 => sink(Event::Empty),
                _ => ControlFlow::Continue(()),
            });
        };
        self.release();
        deliver(message.text, message.compressed, message.data(), ctx, sink)
    }

    /// Gives the memory back unless something is incomplete.
    fn release(&mut self) {
        self.partial.take_if(|partial| partial.message.is_none());
    }
}

fn deliver(
    text: bool,
    compressed: bool,
    data: &[u8],
    ctx: &mut ReadContext<'_>,
    sink: Sink<'_>,
) -> Result<ControlFlow<()>, ReadError> {
    let data = match &mut ctx.inflater {
        Some(inflater) if compressed => inflater.inflate(data, ctx.max_message)?,
        _ => data,
    };
    Ok(sink(match text {
        true => Event::Text(std::str::from_utf8(data).map_err(|_| InvalidText)?),
        false => Event::Binary(data),
    }))
}

fn deliver_control(
    opcode: Opcode,
    payload: &[u8],
    sink: Sink<'_>,
) -> Result<ControlFlow<()>, ReadError> {
    match opcode {
        Opcode::Ping => Ok(sink(Event::Ping(payload))),
        Opcode::Pong => Ok(sink(Event::Pong(payload))),
        _ => {
            let (code, reason) = close_payload(payload)?;
            // Nothing may follow a close frame (RFC 6455 §5.5.1), whatever the sink says.
            let _ = sink(Event::Close { code, reason });
            Ok(ControlFlow::Break(()))
        }
    }
}

/// Takes a close frame's payload apart (RFC 6455 §5.5.1, §7.4).
fn close_payload(payload: &[u8]) -> Result<(Option<u16>, &str), ReadError> {
    match payload {
        [] => Ok((None, "")),
        [_] => Err(ReadError::protocol("close code cut short")),
        [high, low, reason @ ..] => {
            let code = u16::from_be_bytes([*high, *low]);
            if !frame::is_close_code(code) {
                return Err(ReadError::protocol("invalid close code"));
            }
            let reason = std::str::from_utf8(reason)
                .map_err(|_| ReadError::payload("invalid UTF-8 in close reason"))?;
            Ok((Some(code), reason))
        }
    }
}

#[cfg(test)]
mod tests;
