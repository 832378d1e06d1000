//! The load generator as a process: one JSON request a line on stdin, one JSON answer a line on stdout.

use std::{
    collections::HashMap,
    io::{self, BufRead, Write},
    net::SocketAddr,
    sync::{
        Arc,
        mpsc::{Sender, channel},
    },
    thread,
};

use anyhow::{Context, Result};
use mio::Waker;
use serde::{Deserialize, Serialize};

use crate::load::{Opened, Plan, Published, Publisher, Schedule, Since, Snapshot, Swarm};

/// What the load generator can be asked.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Request {
    /// Open a group of connections.
    Open(Plan),
    /// Have a group subscribe that was held back.
    Subscribe {
        /// Of the answer to `Open`.
        group: usize,
        /// Position after which messages are wanted.
        since: Option<Since>,
    },
    /// Tell what a group received.
    Snapshot {
        /// Of the answer to `Open`.
        group: usize,
        /// Start counting anew.
        reset: bool,
    },
    /// Wait until a group has received so much since the last reset, or nothing more comes; answered like `Snapshot`.
    Receive {
        /// Of the answer to `Open`.
        group: usize,
        /// Messages, in all.
        messages: u64,
        /// Protocol pings, in all.
        pings: u64,
    },
    /// Close a group and wait for the server to end its connections.
    Close {
        /// Of the answer to `Open`.
        group: usize,
    },
    /// Publish to a room; answered when all is acknowledged. The connection stays for the next time.
    Publish {
        /// Where to.
        address: SocketAddr,
        /// Which room.
        room: String,
        /// How much and when.
        schedule: Schedule,
    },
}

/// What it answers.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reply {
    /// To `Open`.
    Opened(Opened),
    /// To `Snapshot` and `Receive`.
    Snapshot(Box<Snapshot>),
    /// To `Subscribe`: all have asked.
    Subscribed,
    /// To `Close`.
    Closed,
    /// To `Publish`.
    Published(Published),
    /// To any that failed.
    Failed(String),
}

/// A room at a server: what a publisher is kept under.
type Target = (SocketAddr, String);

/// What the loop is woken for.
enum Event {
    Asked(String),
    /// A publisher is back from its thread.
    Published(Target, Box<Publisher>, Result<Published>),
    /// Nobody asks any more.
    End,
}

/// Hands events to the loop and wakes it.
#[derive(Clone)]
struct Notifier {
    events: Sender<Event>,
    waker: Arc<Waker>,
}

impl Notifier {
    /// Whether the loop is still there.
    fn notify(&self, event: Event) -> bool {
        self.events.send(event).is_ok() && self.waker.wake().is_ok()
    }
}

/// Serves requests from stdin until it ends.
pub fn serve() -> Result<()> {
    let mut swarm = Swarm::new().context("cannot set up epoll")?;
    let (sender, events) = channel();
    let notifier = Notifier {
        events: sender,
        waker: swarm.waker(),
    };
    read_requests(notifier.clone());
    let mut publishers = HashMap::new();
    loop {
        swarm.turn(None)?;
        while let Ok(event) = events.try_recv() {
            match event {
                Event::Asked(line) => {
                    if let Some(reply) =
                        carry_out(&line, &mut swarm, &mut publishers, &notifier).transpose()
                    {
                        answer(reply)?;
                    }
                }
                Event::Published(target, publisher, result) => {
                    publishers.insert(target, *publisher);
                    answer(result.map(Reply::Published))?;
                }
                Event::End => return Ok(()),
            }
        }
    }
}

/// Carries out a request; without an answer where that comes later.
fn carry_out(
    line: &str,
    swarm: &mut Swarm,
    publishers: &mut HashMap<Target, Publisher>,
    notifier: &Notifier,
) -> Result<Option<Reply>> {
    let request = serde_json::from_str(line).with_context(|| format!("not a request: {line}"))?;
    Ok(Some(match request {
        Request::Open(plan) => Reply::Opened(swarm.open(plan)?),
        Request::Subscribe { group, since } => {
            swarm.subscribe(group, since.as_ref())?;
            Reply::Subscribed
        }
        Request::Snapshot { group, reset } => {
            Reply::Snapshot(Box::new(swarm.snapshot(group, reset)?))
        }
        Request::Receive {
            group,
            messages,
            pings,
        } => Reply::Snapshot(Box::new(swarm.receive(group, messages, pings)?)),
        Request::Close { group } => {
            swarm.close(group)?;
            Reply::Closed
        }
        Request::Publish {
            address,
            room,
            schedule,
        } => {
            let target = (address, room);
            let mut publisher = match publishers.remove(&target) {
                Some(publisher) => publisher,
                None => Publisher::connect(address, &target.1)?,
            };
            let notifier = notifier.clone();
            thread::spawn(move || {
                let result = publisher.publish(&schedule);
                notifier.notify(Event::Published(target, Box::new(publisher), result));
            });
            return Ok(None);
        }
    }))
}

fn read_requests(notifier: Notifier) {
    thread::spawn(move || {
        for line in io::stdin().lock().lines().map_while(Result::ok) {
            if !notifier.notify(Event::Asked(line)) {
                return;
            }
        }
        notifier.notify(Event::End);
    });
}

fn answer(result: Result<Reply>) -> Result<()> {
    let reply = result.unwrap_or_else(|error| Reply::Failed(format!("{error:#}")));
    let mut out = io::stdout().lock();
    serde_json::to_writer(&mut out, &reply)?;
    out.write_all(b"\n")?;
    out.flush().context("cannot answer")
}
