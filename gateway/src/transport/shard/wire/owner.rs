//! The end of a wire that a task has.

use std::sync::Arc;

use super::super::command::Command;
use super::super::handle::Shards;
use super::framing::{Frames, WireFrame};
use super::pipe::{Pipe, Taken};
use super::switch::NewSocket;

/// A connection whose client is spoken for by whoever holds this. Dropped, it ends the connection.
#[derive(Debug)]
pub struct Wire {
    line: Line,
    /// The buffer whose frames are being taken.
    frames: Option<Frames>,
}

/// The way to the shard of a wire, for what the client says.
#[derive(Debug, Clone)]
pub struct Line {
    pipe: Arc<Pipe>,
    shards: Shards,
    shard: usize,
}

/// What an owner tells its shard.
#[derive(Debug)]
pub enum Input {
    /// A frame of the protocol.
    Text(String),
    /// A frame of the protocol.
    Binary(Vec<u8>),
    /// The client closes, with this code: what it asked for before reaches it first.
    Close(u16),
    /// The client has broken the rules that its owner knows.
    Broken(Breach),
    /// The client goes on over a socket.
    Socket(Box<NewSocket>),
    /// There is room for more.
    Room,
    /// The owner is gone.
    Dropped,
}

impl Input {
    /// Bytes that come from the client.
    #[must_use]
    pub fn len(&self) -> usize {
        match self {
            Self::Text(text) => text.len(),
            Self::Binary(bytes) => bytes.len(),
            Self::Socket(socket) => socket.early.len(),
            Self::Close(_) | Self::Broken(_) | Self::Room | Self::Dropped => 0,
        }
    }

    /// Whether nothing comes from the client.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// How a client has broken rules, and what its connection is closed with.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Breach {
    /// The close code.
    pub code: u16,
    /// Why, in words.
    pub reason: &'static str,
}

/// The gateway has ended the connection: nothing can be sent any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the gateway has ended the connection")]
pub struct Ended;

/// Tells when the gateway has let go of a connection, to one who does not take its frames.
#[derive(Debug, Clone)]
pub struct Over(Arc<Pipe>);

impl Wire {
    pub(in super::super) fn new(pipe: Arc<Pipe>, shards: Shards, shard: usize) -> Self {
        let line = Line {
            pipe,
            shards,
            shard,
        };
        let frames = None;
        Self { line, frames }
    }

    /// The next frame; `None` when the connection is over. Nothing is lost where this is given up while it waits.
    pub async fn next(&mut self) -> Option<WireFrame> {
        loop {
            if let Some(frames) = &mut self.frames {
                let frame = frames.next();
                if frames.is_empty() {
                    self.frames = None; // the buffer counts as memory until it is let go
                }
                if frame.is_some() {
                    return frame;
                }
            }
            match self.line.pipe.take() {
                Taken::Chunk { chunk, wanted } => {
                    self.frames = Some(Frames::of(chunk));
                    if wanted {
                        self.line.tell(Input::Room);
                    }
                }
                Taken::Nothing => self.line.pipe.filled.notified().await,
                Taken::Ended => return None,
            }
        }
    }

    /// Sends a text frame of the protocol, as [`Line::send_text`].
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn send_text(&self, text: String) -> Result<(), Ended> {
        self.line.send_text(text).await
    }

    /// Sends a binary frame of the protocol, likewise.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn send_binary(&self, bytes: Vec<u8>) -> Result<(), Ended> {
        self.line.send_binary(bytes).await
    }

    /// Closes in the client's name. What it asked for before comes still, then [`WireFrame::Close`].
    pub fn close(&self, code: u16) {
        self.line.tell(Input::Close(code));
    }

    /// The way to the shard, for one who does not take frames.
    #[must_use]
    pub fn line(&self) -> Line {
        self.line.clone()
    }

    /// What tells of the end of the connection.
    #[must_use]
    pub fn over(&self) -> Over {
        Over(Arc::clone(&self.line.pipe))
    }

    /// Has the connection go on over a socket, which gets all that was not taken here. Of what the client says there, what
    /// was sent here before comes first.
    pub fn switch(mut self, mut socket: NewSocket) {
        socket.rest = self.frames.take();
        self.line.tell(Input::Socket(Box::new(socket)));
    }
}

impl Line {
    /// Sends a text frame of the protocol. Waits where the shard has not heard what came before.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn send_text(&self, text: String) -> Result<(), Ended> {
        self.send(Input::Text(text)).await
    }

    /// Sends a binary frame of the protocol, likewise.
    ///
    /// # Errors
    /// When the connection is over.
    pub async fn send_binary(&self, bytes: Vec<u8>) -> Result<(), Ended> {
        self.send(Input::Binary(bytes)).await
    }

    /// Has the gateway close the connection, for what the client must not do.
    pub fn broken(&self, breach: Breach) {
        self.tell(Input::Broken(breach));
    }

    /// Ends the connection without a word: nobody is there any more.
    pub fn lost(&self) {
        self.tell(Input::Dropped);
    }

    async fn send(&self, input: Input) -> Result<(), Ended> {
        let place = self.pipe.places.acquire().await.map_err(|_| Ended)?;
        place.forget(); // given back when the shard has heard it
        self.tell(input);
        Ok(())
    }

    fn tell(&self, input: Input) {
        if let Some(shard) = self.shards.get(self.shard) {
            shard.send(Command::Wire(Arc::clone(&self.pipe), input));
        }
    }
}

impl Drop for Wire {
    fn drop(&mut self) {
        self.line.lost();
    }
}

impl Over {
    /// Returns when the gateway has let go of the connection.
    pub async fn wait(&self) {
        let mut told = std::pin::pin!(self.0.ended.notified());
        told.as_mut().enable();
        if !self.0.is_ended() {
            told.await;
        }
    }
}
