//! A socket whose first bytes were read already.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Reads what was heard, then the socket.
#[derive(Debug)]
pub(super) struct Rewind {
    heard: Vec<u8>,
    at: usize,
    stream: TcpStream,
}

impl Rewind {
    pub(super) fn new(stream: TcpStream, heard: Vec<u8>) -> Self {
        let at = 0;
        Self { heard, at, stream }
    }

    /// The bare socket, and what was heard and not read: HTTP reads on only while it wants more.
    pub(super) fn into_parts(mut self) -> (TcpStream, Vec<u8>) {
        self.heard.drain(..self.at);
        (self.stream, self.heard)
    }
}

impl AsyncRead for Rewind {
    fn poll_read(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        out: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let rest = &self.heard[self.at..];
        if rest.is_empty() {
            return Pin::new(&mut self.stream).poll_read(cx, out);
        }
        let count = rest.len().min(out.remaining());
        out.put_slice(&rest[..count]);
        self.at += count;
        if self.at == self.heard.len() {
            (self.heard, self.at) = (Vec::new(), 0);
        }
        Poll::Ready(Ok(()))
    }
}

impl AsyncWrite for Rewind {
    fn poll_write(
        mut self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(cx, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(cx)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(cx)
    }
}
