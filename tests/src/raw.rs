//! A client made by hand, for what no library would send: broken handshakes, broken frames, a reader that stops.

use std::net::SocketAddr;

use serde_json::Value;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpSocket, TcpStream};

use crate::http::Answer;
use crate::wait::{STEP, within};

/// Opcodes of RFC 6455 section 5.2.
pub mod op {
    #![allow(missing_docs)]
    pub const CONTINUATION: u8 = 0;
    pub const TEXT: u8 = 1;
    pub const BINARY: u8 = 2;
    pub const CLOSE: u8 = 8;
    pub const PING: u8 = 9;
    pub const PONG: u8 = 10;
}

/// A frame's bytes. `first` is FIN (0x80), the reserved bits (0x70) and the opcode. Masked with the key 0, which RFC 6455
/// allows and which leaves the payload readable.
#[must_use]
pub fn frame(first: u8, payload: &[u8]) -> Vec<u8> {
    frame_with(first, 0x80, payload.len() as u64, payload)
}

/// A final text frame.
#[must_use]
pub fn text(payload: &str) -> Vec<u8> {
    frame(0x80 | op::TEXT, payload.as_bytes())
}

/// A frame whose mask bit (0x80 or 0) and announced `length` need not fit its payload.
#[must_use]
pub fn frame_with(first: u8, mask_bit: u8, length: u64, payload: &[u8]) -> Vec<u8> {
    let mut bytes = vec![first];
    if let Ok(short) = u8::try_from(length)
        && short < 126
    {
        bytes.push(mask_bit | short);
    } else if let Ok(medium) = u16::try_from(length) {
        bytes.push(mask_bit | 126);
        bytes.extend(medium.to_be_bytes());
    } else {
        bytes.push(mask_bit | 127);
        bytes.extend(length.to_be_bytes());
    }
    if mask_bit != 0 {
        bytes.extend([0; 4]);
    }
    bytes.extend(payload);
    bytes
}

/// A frame that came from the server.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// FIN, reserved bits and opcode.
    pub first: u8,
    /// The payload.
    pub payload: Vec<u8>,
}

/// What a read gave.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Heard {
    /// A frame.
    Frame(Frame),
    /// The end, by FIN or reset.
    End,
}

/// A TCP connection to the gateway's public port.
#[derive(Debug)]
pub struct Raw {
    stream: TcpStream,
    unread: Vec<u8>,
}

impl Raw {
    /// Connects, and nothing else.
    ///
    /// # Panics
    /// When the gateway can't be reached.
    pub async fn tcp(addr: SocketAddr) -> Self {
        let stream = TcpStream::connect(addr).await.unwrap();
        stream.set_nodelay(true).unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// Connects with a receive buffer of 4096 bytes, so that not reading is felt by the server soon.
    ///
    /// # Panics
    /// When the gateway can't be reached.
    pub async fn narrow(addr: SocketAddr) -> Self {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4096).unwrap();
        let stream = socket.connect(addr).await.unwrap();
        Self {
            stream,
            unread: Vec::new(),
        }
    }

    /// A connection that has upgraded at `/ws?query` with the default protocol.
    ///
    /// # Panics
    /// When the server refuses.
    pub async fn upgraded(addr: SocketAddr, query: &str) -> Self {
        let mut raw = Self::tcp(addr).await;
        let answer = raw.upgrade(&format!("/ws?{query}"), "").await;
        assert_eq!(answer.status, 101, "{answer:?}");
        raw
    }

    /// Sends a correct upgrade request for `path` with `headers` (lines that end in CRLF) added; gives the answer, a
    /// refusal with its body.
    ///
    /// # Panics
    /// When no answer comes.
    pub async fn upgrade(&mut self, path: &str, headers: &str) -> Answer {
        let host = self.stream.peer_addr().unwrap();
        self.send(
            format!(
                "GET {path} HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
                 Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n{headers}\r\n"
            )
            .as_bytes(),
        )
        .await;
        let mut answer = self.head().await;
        let length = answer.header("content-length").map(str::parse::<usize>);
        if let Some(Ok(length)) = length
            && answer.status != 101
        {
            while self.unread.len() < length {
                assert!(self.fill().await, "no whole body: {answer:?}");
            }
            let body = self.unread.drain(..length).collect();
            answer.body = String::from_utf8(body).unwrap();
        }
        answer
    }

    /// Sends bytes as they are. A server that has closed meanwhile is no error here; the next read tells.
    pub async fn send(&mut self, bytes: &[u8]) {
        let _ = within("a raw write", STEP, self.stream.write_all(bytes)).await;
    }

    /// Ends the sending half only.
    pub async fn shutdown(&mut self) {
        let _ = self.stream.shutdown().await;
    }

    /// Reads an HTTP answer's head; what follows it stays unread.
    ///
    /// # Panics
    /// When the connection ends before.
    pub async fn head(&mut self) -> Answer {
        loop {
            if let Some(end) = find(&self.unread, b"\r\n\r\n") {
                let head: Vec<u8> = self.unread.drain(..end + 4).collect();
                return Answer::parse(&head).unwrap();
            }
            assert!(self.fill().await, "no whole head: {:?}", self.unread);
        }
    }

    /// The next frame, or the end.
    pub async fn read(&mut self) -> Heard {
        loop {
            if let Some((frame, used)) = parse(&self.unread) {
                self.unread.drain(..used);
                return Heard::Frame(frame);
            }
            if !self.fill().await {
                return Heard::End;
            }
        }
    }

    /// The next frame that is no ping, which must be text and JSON.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn read_json(&mut self) -> Value {
        loop {
            match self.read().await {
                Heard::Frame(frame) if frame.first == 0x80 | op::TEXT => {
                    return serde_json::from_slice(&frame.payload).unwrap();
                }
                Heard::Frame(frame) if frame.first == 0x80 | op::PING => {}
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    /// The next frame, which must be text.
    ///
    /// # Panics
    /// When something else comes.
    pub async fn read_text(&mut self) -> String {
        match self.read().await {
            Heard::Frame(frame) if frame.first == 0x80 | op::TEXT => {
                String::from_utf8(frame.payload).unwrap()
            }
            other => panic!("expected a text frame, got {other:?}"),
        }
    }

    /// Reads up to the close frame; gives its code and reason. 1006 where the connection ended without one.
    ///
    /// # Panics
    /// When a close frame is malformed.
    pub async fn closed(&mut self) -> (u16, String) {
        loop {
            match self.read().await {
                Heard::End => return (1006, String::new()),
                Heard::Frame(frame) if frame.first == 0x80 | op::CLOSE => {
                    let Some((code, reason)) = frame.payload.split_first_chunk::<2>() else {
                        return (1005, String::new());
                    };
                    assert!(
                        frame.payload.len() <= 125,
                        "a close frame of over 125 bytes"
                    );
                    let reason = String::from_utf8(reason.to_vec()).unwrap();
                    return (u16::from_be_bytes(*code), reason);
                }
                Heard::Frame(_) => {}
            }
        }
    }

    /// Reads until the server ends the connection; gives all bytes that came.
    pub async fn drain(&mut self) -> Vec<u8> {
        while self.fill().await {}
        std::mem::take(&mut self.unread)
    }

    /// The stream itself, for tests that read and write at once.
    #[must_use]
    pub fn into_stream(self) -> TcpStream {
        self.stream
    }

    /// Reads what there is; false at the end of the stream.
    async fn fill(&mut self) -> bool {
        let read = self.stream.read_buf(&mut self.unread);
        within("bytes or the end", STEP, read)
            .await
            .is_ok_and(|count| count > 0)
    }
}

fn find(bytes: &[u8], what: &[u8]) -> Option<usize> {
    bytes.windows(what.len()).position(|window| window == what)
}

/// Reads one unmasked frame; gives it and the bytes it took.
fn parse(bytes: &[u8]) -> Option<(Frame, usize)> {
    let (&first, &second) = (bytes.first()?, bytes.get(1)?);
    assert_eq!(second & 0x80, 0, "a server must not mask");
    let (length, start) = match second {
        126 => {
            let length = bytes.get(2..4)?.try_into().ok()?;
            (usize::from(u16::from_be_bytes(length)), 4)
        }
        127 => {
            let length = bytes.get(2..10)?.try_into().ok()?;
            (usize::try_from(u64::from_be_bytes(length)).unwrap(), 10)
        }
        short => (usize::from(short), 2),
    };
    let payload = bytes.get(start..start + length)?.to_vec();
    Some((Frame { first, payload }, start + length))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_three_lengths_of_the_rfc() {
        assert_eq!(frame(0x81, b"hi"), b"\x81\x82\0\0\0\0hi");
        assert_eq!(frame(0x82, &[7; 200])[..4], [0x82, 0xfe, 0, 200]);
        assert_eq!(frame(0x82, &[7; 70_000])[..4], [0x82, 0xff, 0, 0]);
    }

    #[test]
    fn a_frame_is_read_once_it_is_whole() {
        assert_eq!(parse(b"\x81\x05hel"), None);
        let (frame, used) = parse(b"\x81\x05hello\x89").unwrap();
        assert_eq!((frame.payload.as_slice(), used), (b"hello".as_slice(), 7));
    }
}
