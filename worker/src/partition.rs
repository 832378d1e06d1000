//! The work on one partition: asks for a message, has it handled, and asks for the next.
//!
//! The consumer hands out one message at a time, and pins the worker that got one: while that keeps asking with the id of
//! its pin, others wait. One request stands at a time, for a second, so that a dead worker's pin is over soon. A partition
//! where another worker has a message, or died on it, is asked in turn with the others like it (see [`crate::turns`]).

use std::pin::pin;
use std::time::Duration;

use async_nats::{StatusCode, Subscriber};
use futures_util::StreamExt;
use serde_json::{Value, json};
use tokio::time::{Instant, timeout};

use crate::delivery::{Delivery, Desk, Lost};
use crate::output::Output;
use crate::queue::{Queue, api};
use crate::turns::{Door, Turn, Turns};
use crate::worker::{Failure, Handler};

/// The group that workers belong to.
const GROUP: &str = "workers";
/// How long one request for a message stands.
const EXPIRES: Duration = Duration::from_secs(1);
/// How much longer its end may take to come here.
const LATE: Duration = Duration::from_secs(3);
/// How long it stands at least where partitions are asked in turn.
const BRIEFLY: Duration = Duration::from_millis(100);
/// How long the server has to give a pin back.
const UNPIN: Duration = Duration::from_secs(1);

/// Works on one partition.
pub(crate) struct Partition<H> {
    desk: Desk,
    handler: H,
    turns: Turns,
    inbox: String,
    answers: Subscriber,
    /// The id of the pin, where this worker has it.
    pin: Option<String>,
}

/// What came of a request.
enum Answer {
    Message(Box<Delivery>),
    Nothing,
    /// Another worker has the pin, or nobody.
    Unpinned,
}

impl<H: Handler> Partition<H> {
    /// Begins.
    ///
    /// # Errors
    /// When the client is closed.
    pub async fn new(desk: Desk, handler: H, turns: Turns) -> Result<Self, String> {
        let inbox = desk.client.new_inbox();
        let answers = desk.client.subscribe(inbox.clone()).await;
        Ok(Self {
            answers: answers.map_err(|error| error.to_string())?,
            desk,
            handler,
            turns,
            inbox,
            pin: None,
        })
    }

    /// Works until it is told to stop.
    ///
    /// # Errors
    /// When the queue is not what it was: it must be read anew.
    pub async fn work(mut self, connects: impl Fn() -> u64) -> Result<(), String> {
        let begun = connects();
        while !*self.desk.stop.borrow() {
            let lost = || match connects() == begun {
                true => Ok(()),
                false => Err("the connection was lost".to_owned()),
            };
            lost()?;
            self.turns.calm().await;
            let mut door = self.door().await;
            let answer = self.ask(door.is_some()).await?;
            lost()?;
            match answer {
                Answer::Message(delivery) => {
                    door = door.filter(|_| delivery.deliveries > 1);
                    self.handle(*delivery).await;
                    drop(door);
                }
                Answer::Nothing => {}
                Answer::Unpinned => {
                    self.pin = None;
                    // A consumer that was made anew forgets pins as well.
                    let now = Queue::open(&self.desk.client, &self.desk.channel).await?;
                    if now != self.desk.queue {
                        return Err("the work queue is another one".to_owned());
                    }
                }
            }
        }
        self.leave().await;
        Ok(())
    }

    /// The door, where the next message may be one that another worker did not survive. Elsewhere none comes while a
    /// request stands: a dead worker's pin outlives that.
    async fn door(&self) -> Option<Door> {
        if self.pin.is_some() {
            return None;
        }
        let state = self.desk.state().await;
        // Where it can't be read, the worst is taken for true.
        let unfinished = state.map_or(true, |state| state.num_ack_pending > 0);
        match unfinished {
            true => Some(self.turns.door().await),
            false => None,
        }
    }

    /// Asks for a message; `briefly` where others wait for their turn to ask.
    async fn ask(&mut self, briefly: bool) -> Result<Answer, String> {
        let expires = match briefly {
            true => (EXPIRES / u32::from(self.desk.queue.partitions.max(1))).max(BRIEFLY),
            false => EXPIRES,
        };
        let mut request = json!({"batch": 1, "expires": expires.as_nanos() as u64, "group": GROUP});
        if let Some(pin) = &self.pin {
            request["id"] = json!(pin);
        }
        let stream = self.desk.channel.work_stream();
        let consumer = self.desk.channel.consumer(self.desk.partition);
        let subject = format!("$JS.API.CONSUMER.MSG.NEXT.{stream}.{consumer}");
        let since = Instant::now();
        let payload = request.to_string().into();
        let sent = self
            .desk
            .client
            .publish_with_reply(subject, self.inbox.clone(), payload);
        sent.await.map_err(|error| error.to_string())?;
        let message = match timeout(EXPIRES + LATE, self.answers.next()).await {
            Ok(Some(message)) => message,
            Ok(None) => return Err("the client is closed".to_owned()),
            Err(_) => return Err("the server does not answer".to_owned()),
        };
        match message.status {
            None | Some(StatusCode::OK) => {}
            Some(StatusCode::NOT_FOUND | StatusCode::TIMEOUT) => return Ok(Answer::Nothing),
            Some(StatusCode::PIN_ID_MISMATCH) => return Ok(Answer::Unpinned),
            Some(StatusCode::NO_RESPONDERS) => return Err("the consumer is missing".to_owned()),
            Some(status) => {
                let why = message.description.map(|why| why.to_string());
                return Err(format!("{status} {}", why.unwrap_or_default()));
            }
        }
        let headers = message.headers.as_ref();
        // The server's own is the last: a publisher can't set one, but what another service put there may have.
        let pin = headers.and_then(|headers| headers.get_last("Nats-Pin-Id"));
        if let Some(pin) = pin {
            self.pin = Some(pin.to_string());
        }
        let delivery = Delivery::read(&self.desk.jetstream, message, since);
        Ok(delivery.map_or(Answer::Nothing, |delivery| {
            Answer::Message(Box::new(delivery))
        }))
    }

    async fn handle(&self, delivery: Delivery) {
        let queue = &self.desk.queue;
        let last = delivery.deliveries >= queue.max_deliveries;
        // Held until the delivery is ended: one that kills the process must not do so before that.
        let mut _turn = None;
        let outcome = if delivery.deliveries > queue.max_deliveries {
            let before = delivery.deliveries - 1;
            Err(Failure::Dead(format!(
                "delivered {before} times and never acknowledged: workers died on it, or did not end in time"
            )))
        } else {
            let mut kept = delivery.since;
            match self.turn(&delivery, &mut kept).await {
                Ok(turn) => _turn = Some(turn),
                // This process stood still for a while.
                Err(_) => return,
            }
            self.run(&delivery, kept).await
        };
        let done = match outcome {
            Ok(outputs) => match self.desk.finish(&delivery, outputs).await {
                Err(Lost::Refused(reason)) => self.desk.bury(&delivery, &reason).await,
                done => done,
            },
            Err(Failure::Dead(reason)) => self.desk.bury(&delivery, &reason).await,
            Err(Failure::Again(reason)) if last => self.desk.bury(&delivery, &reason).await,
            Err(Failure::Again(reason)) => {
                tracing::warn!(
                    sequence = delivery.sequence,
                    reason,
                    "a message is tried again"
                );
                self.desk.put_off(&delivery).await;
                Ok(())
            }
        };
        if done.is_err() {
            let sequence = delivery.sequence;
            tracing::warn!(sequence, "another worker has the message by now");
        }
    }

    /// Awaits that a message may be handled, and keeps it meanwhile.
    async fn turn(&self, delivery: &Delivery, kept: &mut Instant) -> Result<Turn, Lost> {
        let mut turn = pin!(self.turns.take(delivery.deliveries > 1));
        let turn = loop {
            match timeout(self.desk.queue.acknowledge / 4, &mut turn).await {
                Ok(turn) => break turn,
                Err(_) => self.desk.keep(delivery, kept).await?,
            }
        };
        self.desk.keep(delivery, kept).await?;
        Ok(turn)
    }

    /// Runs the handler in a task of its own, so that its panic is a failure like another.
    async fn run(&self, delivery: &Delivery, kept: Instant) -> Result<Vec<Output>, Failure> {
        let input = delivery
            .input()
            .map_err(|error| Failure::Dead(error.to_string()))?;
        // Over before the server gives the message to somebody else, so that what is said of it counts.
        let time = self.desk.queue.acknowledge.mul_f64(0.9);
        let mut running = tokio::spawn(self.handler.handle(input));
        match timeout(time.saturating_sub(kept.elapsed()), &mut running).await {
            Ok(Ok(outcome)) => outcome,
            Ok(Err(error)) => {
                let word = match error.try_into_panic() {
                    Ok(word) => panic_text(&*word),
                    Err(error) => error.to_string(),
                };
                Err(Failure::Again(format!("the handler panicked: {word}")))
            }
            Err(_) => {
                running.abort();
                let seconds = time.as_secs_f32();
                let why = format!("the handler did not end within {seconds} s");
                Err(Failure::Again(why))
            }
        }
    }

    /// Lets the next worker begin at once.
    async fn leave(self) {
        drop(self.answers);
        if self.pin.is_none() {
            return;
        }
        let stream = self.desk.channel.work_stream();
        let consumer = self.desk.channel.consumer(self.desk.partition);
        let subject = format!("CONSUMER.UNPIN.{stream}.{consumer}");
        let group = json!({"group": GROUP});
        let unpin = api::<Value>(&self.desk.client, &subject, &group);
        // Where NATS is away the pin ends by itself.
        if let Ok(Err(error)) = timeout(UNPIN, unpin).await {
            tracing::debug!(error, "the pin ends by itself");
        }
    }
}

fn panic_text(word: &(dyn std::any::Any + Send)) -> String {
    let text = word.downcast_ref::<&str>().map(|text| (*text).to_owned());
    let text = text.or_else(|| word.downcast_ref::<String>().cloned());
    text.unwrap_or_else(|| "without a word".to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_word_of_a_panic_is_told() {
        assert_eq!(panic_text(&"short"), "short");
        assert_eq!(panic_text(&"long".to_owned()), "long");
        assert_eq!(panic_text(&5), "without a word");
    }
}
