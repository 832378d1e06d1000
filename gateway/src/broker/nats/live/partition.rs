//! One live partition: its subscription, and when that stands.
//!
//! A subscription is on its way to the server when the client has it. What another gateway publishes before it has
//! arrived is not heard here, and nobody could tell. So whoever begins to watch a room is answered once the server is
//! known to have the subscription: it takes in what one connection sends in order, so an echo that was asked for after
//! it shows that, and so does any message that comes over it. Where neither comes in time the watcher is answered all
//! the same, and told of a gap once the subscription stands: there may have been one.

use std::sync::Arc;
use std::time::Duration;

use async_nats::{Client, Message, Subscriber};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until, timeout};

use super::heard::Heard;
use crate::broker::nats::connection::Connection;
use crate::broker::nats::health::Health;
use crate::broker::{Event, GapReason, Token};

/// How long the server may take to send an echo.
pub const ECHO: Duration = Duration::from_secs(2);

/// Who has begun to watch a room of the partition.
#[derive(Debug)]
pub struct Watcher {
    /// Names the answer; `None` where nobody waits for one.
    pub token: Option<Token>,
    /// The room's subject.
    pub subject: String,
}

/// The task of one partition. It ends when nobody can watch any more.
pub struct Partition {
    /// The subscription.
    pub messages: Subscriber,
    /// Who begins to watch.
    pub watchers: mpsc::UnboundedReceiver<Watcher>,
    /// Which connection it was made on.
    pub connection: Connection,
    /// And which of its lives; `None` if there was none, so that no echo will come.
    pub generation: Option<u64>,
    /// The rooms.
    pub heard: Arc<Heard>,
    /// Where messages and answers go.
    pub events: mpsc::Sender<Event>,
    /// Where faults are told.
    pub health: Arc<Health>,
}

/// What a partition waits for.
enum Next {
    Watcher(Watcher),
    Message(Message),
    End,
}

impl Partition {
    /// Hears the partition.
    pub async fn run(mut self) {
        let first = self.stand().await;
        if let Some(message) = first {
            self.hear(&message).await;
        }
        loop {
            match self.next().await {
                Next::Watcher(watcher) => self.answer(watcher.token).await,
                Next::Message(message) => self.hear(&message).await,
                Next::End => return,
            }
        }
    }

    /// Watchers come first: whoever publishes after it has begun to watch must be known when that message comes.
    async fn next(&mut self) -> Next {
        tokio::select! {
            biased;
            watcher = self.watchers.recv() => watcher.map_or(Next::End, Next::Watcher),
            message = self.messages.next() => message.map_or(Next::End, Next::Message),
        }
    }

    /// Awaits that the subscription stands, or that nobody can say. Gives the message that has shown it.
    async fn stand(&mut self) -> Option<Message> {
        let generation = self.generation?;
        let (mut connection, client) = (self.connection.clone(), self.connection.client.clone());
        let mut echo = std::pin::pin!(echo(&client));
        let mut lost = std::pin::pin!(connection.lost(generation));
        let until = Instant::now() + ECHO;
        let (mut waiting, mut unproven) = (Vec::new(), Vec::new());
        let mut late = false;
        let first = loop {
            tokio::select! {
                biased;
                next = self.next() => match next {
                    Next::Watcher(watcher) if late => {
                        self.answer(watcher.token).await;
                        unproven.push(watcher.subject);
                    }
                    Next::Watcher(watcher) => waiting.push(watcher),
                    Next::Message(message) => break Some(message),
                    Next::End => break None,
                },
                () = &mut echo => break None,
                // All rooms are told of a gap when there is a connection again.
                () = &mut lost => {
                    unproven.clear();
                    break None;
                }
                () = sleep_until(until), if !late => {
                    late = true;
                    for watcher in waiting.drain(..) {
                        self.answer(watcher.token).await;
                        unproven.push(watcher.subject);
                    }
                }
            }
        };
        for watcher in waiting {
            self.answer(watcher.token).await;
        }
        if !unproven.is_empty() {
            self.heard.lose_these(&unproven, GapReason::BrokerReset);
            self.heard.tell(&self.events).await;
        }
        first
    }

    async fn answer(&self, token: Option<Token>) {
        if let Some(token) = token {
            let _ = self.events.send(Event::Watched { token }).await; // the hub is gone
        }
    }

    async fn hear(&self, message: &Message) {
        self.heard.hear(message, &self.events, &self.health);
        if self.heard.has_lost() {
            self.heard.tell(&self.events).await;
        }
    }
}

/// Awaits a message of its own: the server takes in what one connection sends in order. Pending where none can come.
async fn echo(client: &Client) {
    let inbox = client.new_inbox();
    let heard = async {
        let mut echo = client.subscribe(inbox.clone()).await.ok()?;
        client.publish(inbox, Bytes::new()).await.ok()?;
        echo.next().await
    };
    if heard.await.is_none() {
        std::future::pending::<()>().await; // the client has ended
    }
}

/// Awaits an echo for as long as it may take; one that does not come shows that the connection is lost.
pub async fn echo_in_time(client: &Client) {
    let _ = timeout(ECHO, echo(client)).await;
}
