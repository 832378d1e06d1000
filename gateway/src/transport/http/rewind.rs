//! A socket whose first bytes were read already.

use std::io;
use std::net::Shutdown;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll, ready};

use socket2::SockRef;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio::net::TcpStream;

/// Reads what was heard, then the socket.
#[derive(Debug)]
pub(super) struct Rewind {
    heard: Vec<u8>,
    at: usize,
    /// Shared with who watches whether the client is there.
    stream: Arc<TcpStream>,
}

impl Rewind {
    pub(super) fn new(stream: TcpStream, heard: Vec<u8>) -> Self {
        let at = 0;
        let stream = Arc::new(stream);
        Self { heard, at, stream }
    }

    /// The socket, to watch it.
    pub(super) fn watched(&self) -> Weak<TcpStream> {
        Arc::downgrade(&self.stream)
    }

    /// The bare socket, unless somebody watches it still, and what was heard and not read: HTTP reads on only while it
    /// wants more.
    pub(super) fn into_parts(mut self) -> (Option<TcpStream>, Vec<u8>) {
        self.heard.drain(..self.at);
        (Arc::into_inner(self.stream), self.heard)
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
            loop {
                ready!(self.stream.poll_read_ready(cx))?;
                match self.stream.try_read(out.initialize_unfilled()) {
                    Ok(count) => {
                        out.advance(count);
                        return Poll::Ready(Ok(()));
                    }
                    Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                    Err(error) => return Poll::Ready(Err(error)),
                }
            }
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
        self: Pin<&mut Self>,
        cx: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        loop {
            ready!(self.stream.poll_write_ready(cx))?;
            match self.stream.try_write(bytes) {
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {}
                outcome => return Poll::Ready(outcome),
            }
        }
    }

    fn poll_flush(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(Ok(())) // a socket keeps nothing back
    }

    fn poll_shutdown(self: Pin<&mut Self>, _cx: &mut Context<'_>) -> Poll<io::Result<()>> {
        Poll::Ready(SockRef::from(&*self.stream).shutdown(Shutdown::Write))
    }
}
