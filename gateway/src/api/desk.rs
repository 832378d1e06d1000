//! Where callers of the server APIs wait for the hub: to the hub it is one more shard, whose answers go to whoever asked.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use slab::Slab;
use tokio::sync::oneshot;
use tokio::time::{Instant as Clock, timeout_at};

use crate::hub::top::TopRoom;
use crate::hub::{Address, Answer, Command, CommandKind, Delivery, HubHandle, Outlet};
use crate::message::Message;
use crate::names::RoomName;

/// The desk's number among shards; [`crate::runtime::Gateway::start`] makes fewer of them.
pub const NUMBER: u16 = u16::MAX;
/// Questions that may be open at once.
const OPEN: usize = 4096;
/// How long an answer may take: twice what a broker takes before it gives up.
pub const DEADLINE: Duration = Duration::from_secs(10);

/// Asks the hub on behalf of callers.
pub struct Desk {
    hub: HubHandle,
    waiting: Mutex<Waiting>,
}

/// Who waits for an answer.
#[derive(Default)]
struct Waiting {
    slots: Slab<Slot>,
    /// The next slot's.
    generation: u32,
}

struct Slot {
    generation: u32,
    /// `None` once it is answered.
    answer: Option<oneshot::Sender<Answer>>,
}

/// Why there is no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Failure {
    /// Too much is under way: the hub was not asked.
    Full,
    /// It has not come in time: what was asked for may happen.
    Late,
}

/// A place in the row of those who wait; given up with this.
struct Ticket<'a> {
    desk: &'a Desk,
    slot: usize,
    answer: oneshot::Receiver<Answer>,
}

/// Answers that are waited for, in the order of what was asked.
pub struct Asked<'a> {
    tickets: VecDeque<Ticket<'a>>,
    until: Clock,
}

impl Asked<'_> {
    /// The next one; `None` after the last. Nothing is lost where this is given up while it waits.
    pub async fn next(&mut self) -> Option<Result<Answer, Failure>> {
        let ticket = self.tickets.front_mut()?;
        let answer = timeout_at(self.until, &mut ticket.answer).await;
        self.tickets.pop_front();
        // A sender that is gone belongs to a hub that is.
        let answer = answer.map_err(drop).and_then(|answer| answer.map_err(drop));
        Some(answer.map_err(|()| Failure::Late))
    }
}

impl std::fmt::Debug for Desk {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Desk").finish_non_exhaustive()
    }
}

impl Desk {
    /// A desk that asks this hub; its answers must be let through by [`DeskOutlet`].
    #[must_use]
    pub fn new(hub: HubHandle) -> Arc<Self> {
        Arc::new(Self {
            hub,
            waiting: Mutex::default(),
        })
    }

    /// See [`HubHandle::rooms`].
    #[must_use]
    pub fn rooms(&self, prefix: &str, after: &str, limit: usize) -> (Vec<TopRoom>, bool) {
        self.hub.rooms(prefix, after, limit)
    }

    /// Asks one thing.
    ///
    /// # Errors
    /// Why there is no answer.
    pub async fn ask(&self, kind: CommandKind) -> Result<Answer, Failure> {
        let answer = self.ask_all(vec![kind]).await.pop();
        answer.unwrap_or(Err(Failure::Full)) // there is one for each question
    }

    /// Asks several things in one turn of the hub, in order; gives an answer for each.
    pub async fn ask_all(&self, kinds: Vec<CommandKind>) -> Vec<Result<Answer, Failure>> {
        let count = kinds.len();
        let Ok(mut asked) = self.put(kinds) else {
            return (0..count).map(|_| Err(Failure::Full)).collect();
        };
        let mut answers = Vec::with_capacity(count);
        while let Some(answer) = asked.next().await {
            answers.push(answer);
        }
        answers
    }

    /// Asks several things in one turn of the hub, in order, before this returns.
    ///
    /// # Errors
    /// Gives them back where too much is under way.
    pub fn put(&self, kinds: Vec<CommandKind>) -> Result<Asked<'_>, Vec<CommandKind>> {
        let tickets = match self.hub.is_full() {
            true => None,
            false => self.take_tickets(kinds.len()),
        };
        let Some(tickets) = tickets else {
            return Err(kinds);
        };
        let commands = tickets
            .iter()
            .zip(kinds)
            .map(|((ticket, generation), kind)| Command {
                from: Address {
                    shard: NUMBER,
                    slot: ticket.slot as u32,
                    generation: *generation,
                },
                id: None,
                kind,
            });
        if self.hub.send(commands.collect(), Instant::now()) {
            let hub = self.hub.clone();
            tokio::spawn(async move {
                while hub.work() {
                    tokio::task::yield_now().await;
                }
            });
        }
        Ok(Asked {
            tickets: tickets.into_iter().map(|(ticket, _)| ticket).collect(),
            until: Clock::now() + DEADLINE,
        })
    }

    /// All that many tickets, with their generations, or none.
    fn take_tickets(&self, count: usize) -> Option<Vec<(Ticket<'_>, u32)>> {
        let mut waiting = self.waiting();
        if waiting.slots.len() + count > OPEN {
            return None;
        }
        let tickets = (0..count).map(|_| {
            let (answer, receiver) = oneshot::channel();
            let generation = waiting.generation;
            waiting.generation = generation.wrapping_add(1);
            let slot = waiting.slots.insert(Slot {
                generation,
                answer: Some(answer),
            });
            let ticket = Ticket {
                desk: self,
                slot,
                answer: receiver,
            };
            (ticket, generation)
        });
        Some(tickets.collect())
    }

    /// Gives an answer to whoever waits for it, if somebody still does.
    fn take(&self, delivery: Delivery) {
        let Delivery::Answer { to, answer, .. } = delivery else {
            return; // the rest is for connections
        };
        let mut waiting = self.waiting();
        let slot = waiting.slots.get_mut(to.slot as usize);
        let asked = slot.filter(|slot| slot.generation == to.generation);
        if let Some(asker) = asked.and_then(|slot| slot.answer.take()) {
            drop(waiting);
            let _ = asker.send(answer); // who asked may be going
        }
    }

    fn waiting(&self) -> MutexGuard<'_, Waiting> {
        // It is whole between two calls, also if a thread has panicked.
        self.waiting.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Ticket<'_> {
    fn drop(&mut self) {
        self.desk.waiting().slots.try_remove(self.slot);
    }
}

/// The hub's way to the shards, and to a desk.
pub struct DeskOutlet<O> {
    shards: O,
    desk: Arc<Desk>,
}

impl<O: Outlet> DeskOutlet<O> {
    /// An outlet to these shards and this desk.
    pub fn new(shards: O, desk: Arc<Desk>) -> Self {
        Self { shards, desk }
    }
}

impl<O: Outlet> Outlet for DeskOutlet<O> {
    fn messages(
        &mut self,
        room: &RoomName,
        messages: Vec<Arc<Message>>,
        received: Instant,
        shards: &[u32],
    ) {
        self.shards.messages(room, messages, received, shards);
    }

    fn send(&mut self, shard: u16, delivery: Delivery) {
        match shard {
            NUMBER => self.desk.take(delivery),
            _ => self.shards.send(shard, delivery),
        }
    }

    fn is_full(&self, shard: u16) -> bool {
        shard != NUMBER && self.shards.is_full(shard)
    }

    fn flush(&mut self) {
        self.shards.flush();
    }
}

#[cfg(test)]
mod tests {
    use std::future::poll_fn;
    use std::pin::Pin;
    use std::task::Poll;

    use super::*;
    use crate::broker::embedded::Embedded;
    use crate::config::Channel;
    use crate::hub::actor::{Inbox, handle};
    use crate::hub::state::Hub;
    use crate::protocol::{ErrorCode, HistoryRange};

    /// Nobody is connected.
    struct Nobody;

    impl Outlet for Nobody {
        fn messages(&mut self, _: &RoomName, _: Vec<Arc<Message>>, _: Instant, _: &[u32]) {}

        fn send(&mut self, _: u16, _: Delivery) {
            panic!("nobody is connected");
        }

        fn is_full(&self, _: u16) -> bool {
            false
        }

        fn flush(&mut self) {}
    }

    fn channel() -> Arc<Channel> {
        let manifest = "\
apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata: {name: tests}
spec: {authentication: {anonymous: Allow}}
";
        Arc::new(Channel::compile(&linnet_crds::parse(manifest).unwrap()))
    }

    /// A desk whose hub does not run before [`run`].
    fn desk() -> (Arc<Desk>, HubHandle, Inbox) {
        let (hub, inbox) = handle();
        (Desk::new(hub.clone()), hub, inbox)
    }

    fn run(desk: &Arc<Desk>, hub: &HubHandle, inbox: Inbox) {
        let channel = channel();
        let broker = Embedded::new(&channel);
        let outlet = DeskOutlet::new(Nobody, Arc::clone(desk));
        hub.start(Hub::new(channel, broker, outlet, 1, Arc::default()), inbox);
    }

    async fn waits<F: Future>(future: &mut Pin<&mut F>) -> bool {
        poll_fn(|context| Poll::Ready(future.as_mut().poll(context).is_pending())).await
    }

    fn question() -> CommandKind {
        CommandKind::History {
            room: RoomName::parse("a").unwrap(),
            range: HistoryRange::Newest,
            limit: 1,
        }
    }

    #[tokio::test]
    async fn each_question_has_its_answer() {
        let (desk, hub, inbox) = desk();
        run(&desk, &hub, inbox);
        let answers = desk.ask_all(vec![question(), question()]).await;
        assert_eq!(answers.len(), 2);
        for answer in answers {
            let refused = matches!(answer, Ok(Answer::Refused(ErrorCode::NoHistory)));
            assert!(refused, "{answer:?}");
        }
        assert!(desk.waiting().slots.is_empty());
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_comes_too_late_is_nobodys() {
        let (desk, hub, inbox) = desk();
        assert_eq!(desk.ask(question()).await.unwrap_err(), Failure::Late);
        assert!(desk.waiting().slots.is_empty());
        let second = desk.ask(question());
        tokio::pin!(second);
        assert!(waits(&mut second).await);
        run(&desk, &hub, inbox); // answers both: the first one's place is the second one's now
        assert!(matches!(second.await, Ok(Answer::Refused(_))));
    }

    #[tokio::test(start_paused = true)]
    async fn who_goes_gives_up_the_place_and_a_full_desk_says_so_at_once() {
        let (desk, _hub, _inbox) = desk();
        {
            let all = desk.ask_all((0..OPEN).map(|_| question()).collect());
            tokio::pin!(all);
            assert!(waits(&mut all).await);
            assert_eq!(desk.ask(question()).await.unwrap_err(), Failure::Full);
        }
        assert!(desk.waiting().slots.is_empty());
    }
}
