//! A client that speaks `linnet.v1.plain`.

use std::net::SocketAddr;

use futures_util::{SinkExt, StreamExt};
use tokio_tungstenite::tungstenite::Message;

use crate::client::{Refusal, Socket, close_of, open};
use crate::wait::{STEP, within};

/// A `linnet.v1.plain` client.
#[derive(Debug)]
pub struct Plain {
    socket: Socket,
}

impl Plain {
    /// Connects to `room`; `query` follows it (`&echo=false`).
    ///
    /// # Errors
    /// The HTTP answer, where the server refused the upgrade.
    pub async fn open(addr: SocketAddr, room: &str, query: &str) -> Result<Self, Refusal> {
        let query = format!("room={room}{query}");
        let socket = open(addr, &query, "linnet.v1.plain").await?;
        Ok(Self { socket })
    }

    /// Sends a text frame.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn say(&mut self, text: &str) {
        let message = Message::text(text.to_owned());
        within("a write", STEP, self.socket.send(message))
            .await
            .unwrap();
    }

    /// [`Self::say`] on a connection that may end; whether it was sent.
    pub async fn say_or_end(&mut self, text: &str) -> bool {
        let message = Message::text(text.to_owned());
        within("a write", STEP, self.socket.send(message))
            .await
            .is_ok()
    }

    /// Sends a binary frame.
    ///
    /// # Panics
    /// When the connection is gone.
    pub async fn say_bytes(&mut self, bytes: &[u8]) {
        let message = Message::binary(bytes.to_vec());
        within("a write", STEP, self.socket.send(message))
            .await
            .unwrap();
    }

    /// The next text or binary message.
    ///
    /// # Panics
    /// When the connection ends.
    pub async fn hear(&mut self) -> Message {
        within("a plain message", STEP, async {
            loop {
                match self.socket.next().await {
                    Some(Ok(message @ (Message::Text(_) | Message::Binary(_)))) => return message,
                    Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                    other => panic!("expected a message, got {other:?}"),
                }
            }
        })
        .await
    }

    /// The next message, which must be text.
    ///
    /// # Panics
    /// When it is binary, or the connection ends.
    pub async fn hear_text(&mut self) -> String {
        match self.hear().await {
            Message::Text(text) => text.to_string(),
            other => panic!("expected text, got {other:?}"),
        }
    }

    /// Says `mark` until it is heard: from then on this client hears the room. The plain protocol greets nobody, so
    /// there is nothing else to await. Not for rooms joined with `echo=false`.
    pub async fn settle(&mut self, mark: &str) {
        self.say(mark).await;
        while self.hear_text().await != mark {}
    }

    /// Reads up to the server's close frame; gives its code and reason.
    pub async fn closed(&mut self) -> (u16, String) {
        close_of(&mut self.socket).await
    }
}
