//! Messages to a user, wherever the user is connected: every gateway hears each, and says how many connections took it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::{Message as Heard, Subject};
use bytes::Bytes;
use futures_util::StreamExt;
use tokio::sync::mpsc;
use tokio::time::{Instant, sleep_until};

use super::connection::Connection;
use super::health::{Fault, Health};
use super::refusal;
use super::subjects::Subjects;
use super::wire;
use crate::broker::{Close, Event, PublishError, Token};
use crate::message::Message;
use crate::names::UserId;

/// How long the other gateways may take to answer.
const DEADLINE: Duration = Duration::from_secs(1);
/// What a gateway answers whose queue to the user is full.
const FULL: &[u8] = b"full";

/// What the hub asks for.
#[derive(Debug)]
pub enum Ask {
    /// To send a message.
    Send {
        /// Names the answer.
        token: Token,
        /// The receiver.
        to: UserId,
        /// What for.
        what: What,
    },
    /// To answer one that was heard here.
    Taken {
        /// The event's.
        token: Token,
        /// Connections that took it; `None`: queues are full.
        connections: Option<usize>,
    },
}

/// What is for a user's connections.
#[derive(Debug)]
pub enum What {
    /// A message.
    Message(Arc<Message>),
    /// Their end.
    Close(Arc<Close>),
}

/// How many gateways of the channel there are, this one included.
pub type Gateways = Arc<dyn Fn() -> usize + Send + Sync>;

/// Sends and hears messages to users.
pub struct Direct {
    /// Whose connection to use.
    pub connection: Connection,
    /// Their names.
    pub subjects: Subjects,
    /// What to do.
    pub asks: mpsc::UnboundedReceiver<Ask>,
    /// Where messages and answers go.
    pub events: mpsc::UnboundedSender<Event>,
    /// How many must answer.
    pub gateways: Gateways,
    /// Where faults are told.
    pub health: Arc<Health>,
}

/// A message that was sent and is not answered by all.
struct Sent {
    token: Token,
    missing: usize,
    taken: usize,
    full: bool,
    /// Whether anybody has answered.
    heard: bool,
    until: Instant,
}

impl Direct {
    /// Sends and hears until the hub is gone.
    pub async fn run(mut self) {
        let client = self.connection.client.clone();
        let inbox = client.new_inbox();
        let subscribed = tokio::try_join!(
            client.subscribe(self.subjects.direct()),
            client.subscribe(format!("{inbox}.*")),
        );
        let (mut heard, mut answers) = match subscribed {
            Ok(both) => both,
            Err(error) => return self.health.set(Fault::Other, error.to_string()),
        };
        let mut sent: HashMap<u64, Sent> = HashMap::new();
        let mut replies: HashMap<Token, Option<Subject>> = HashMap::new();
        let mut next = 0;
        loop {
            let due = sent.values().map(|sent| sent.until).min();
            tokio::select! {
                Some(message) = heard.next() => {
                    next += 1;
                    if self.hear(&message, next) {
                        replies.insert(next, message.reply);
                    }
                }
                Some(answer) = answers.next() => {
                    let number = answer.subject.rsplit('.').next().and_then(|end| end.parse().ok());
                    let Some(number) = number else { continue };
                    let Some(waiting) = sent.get_mut(&number) else { continue };
                    waiting.missing = waiting.missing.saturating_sub(1);
                    waiting.heard = true;
                    match std::str::from_utf8(&answer.payload).ok().and_then(|text| text.parse::<usize>().ok()) {
                        Some(taken) => waiting.taken += taken,
                        None => waiting.full |= answer.payload == FULL,
                    }
                    if waiting.missing == 0 && let Some(done) = sent.remove(&number) {
                        self.tell(done);
                    }
                }
                ask = self.asks.recv() => match ask {
                    Some(Ask::Send { token, to, what }) => {
                        if !self.connection.is_up() {
                            let result = Err(refusal::without_connection(&self.health));
                            let _ = self.events.send(Event::DirectSent { token, result });
                            continue;
                        }
                        next += 1;
                        let (headers, payload) = match what {
                            What::Message(message) => wire::encode_direct(&to, (*message).clone()),
                            What::Close(close) => wire::encode_close(&to, &close),
                        };
                        let reply = format!("{inbox}.{next}");
                        let publish = client.publish_with_reply_and_headers(
                            self.subjects.direct(), reply, headers, payload,
                        );
                        let until = Instant::now() + DEADLINE;
                        let missing = (self.gateways)().max(1);
                        sent.insert(next, Sent { token, missing, taken: 0, full: false, heard: false, until });
                        // What finds no place in the client's queue is answered at its deadline.
                        let _ = tokio::time::timeout_at(until, publish).await;
                    }
                    Some(Ask::Taken { token, connections }) => {
                        if let Some(Some(reply)) = replies.remove(&token) {
                            let payload = connections.map_or(Bytes::from_static(FULL), |taken| taken.to_string().into());
                            let answer = client.publish(reply, payload);
                            let _ = tokio::time::timeout(DEADLINE, answer).await;
                        }
                    }
                    None => return,
                },
                () = sleep_until(due.unwrap_or_else(Instant::now)), if due.is_some() => {
                    let now = Instant::now();
                    for (_, late) in sent.extract_if(|_, sent| sent.until <= now) {
                        self.tell(late);
                    }
                }
            }
        }
    }

    /// Hands a message to the hub; false where it is none.
    fn hear(&self, message: &Heard, token: Token) -> bool {
        let headers = message.headers.as_ref();
        match wire::decode_close(headers, &message.payload) {
            Ok(Some((to, close))) => {
                let close = Arc::new(close);
                return self.events.send(Event::Expel { to, close, token }).is_ok();
            }
            Ok(None) => {}
            Err(error) => {
                self.health
                    .set(Fault::Malformed, format!("{}: {error}", message.subject));
                return false;
            }
        }
        match wire::decode_direct(headers, &message.payload) {
            Ok((to, message)) => {
                let message = Arc::new(message);
                self.events
                    .send(Event::Direct { to, message, token })
                    .is_ok()
            }
            Err(error) => {
                self.health
                    .set(Fault::Malformed, format!("{}: {error}", message.subject));
                false
            }
        }
    }

    /// What came of a message; answers that are still missing are those of gateways that are not there any more.
    fn tell(&self, sent: Sent) {
        let result = match sent {
            // Not even this gateway has answered: the connection was lost.
            Sent { heard: false, .. } => Err(PublishError::OutcomeUnknown),
            Sent {
                taken: 0,
                full: true,
                ..
            } => Err(PublishError::Overloaded),
            Sent { taken, .. } => Ok(taken),
        };
        let token = sent.token;
        let _ = self.events.send(Event::DirectSent { token, result }); // the hub is gone
    }
}
