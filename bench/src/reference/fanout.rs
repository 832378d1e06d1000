//! Bare loops of epoll and write(2), one or several threads: a timer fires, every socket of a loop gets the frame.
//!
//! They are favoured: the gateway also reads each publish from a client, checks it, acknowledges it and tells its other
//! loops. With 1000 subscribers that is a thousandth of its writes, and part of what it is for.

use std::{
    io::{BufRead, Read, Write, stdin, stdout},
    net::{TcpListener, TcpStream},
    os::fd::AsFd,
    sync::{
        Arc,
        mpsc::{self, Receiver, Sender},
    },
    thread,
};

use anyhow::{Context, Result};
use nix::{
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout},
        eventfd::{EfdFlags, EventFd},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    unistd,
};

use super::{Send, Sent, socket};
use crate::{
    load::{
        frames::{self, Opcode},
        marker::Marker,
    },
    measure::monotonic_ns,
};

const LISTENER: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;
const TIMER: u64 = u64::MAX - 2;
const INBOX: u64 = u64::MAX - 3;

/// What a loop is given.
enum Order {
    Serve(TcpStream),
    Send(Send),
}

/// The way to a loop.
struct Inbox {
    orders: Sender<Order>,
    bell: Arc<EventFd>,
}

impl Inbox {
    fn put(&self, order: Order) -> Result<()> {
        self.orders.send(order).context("a loop has ended")?;
        self.bell.write(1)?;
        Ok(())
    }
}

/// What is being sent.
struct Run {
    send: Send,
    bursts_left: u64,
    sent: Sent,
}

struct Loop {
    epoll: Epoll,
    timer: TimerFd,
    orders: Receiver<Order>,
    bell: Arc<EventFd>,
    answers: Sender<Sent>,
    /// By the number that epoll knows them under; those that ended stay as holes.
    sockets: Vec<Option<TcpStream>>,
    run: Option<Run>,
    sequence: u64,
}

/// Serves until stdin ends, with connections spread over `loops` threads.
pub fn serve(loops: usize) -> Result<()> {
    let (answers, sent) = mpsc::channel();
    let inboxes = (0..loops)
        .map(|_| Loop::start(answers.clone()))
        .collect::<Result<Vec<_>>>()?;
    let listener = socket::listen()?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    socket::watch(&epoll, &listener, LISTENER)?;
    socket::watch(&epoll, stdin(), INPUT)?;
    let mut turns = inboxes.iter().cycle();
    loop {
        for key in wait(&epoll)? {
            if key == LISTENER {
                accept(&listener, &mut turns)?;
                continue;
            }
            let Some(send) = read_request()? else {
                return Ok(());
            };
            for inbox in &inboxes {
                inbox.put(Order::Send(send))?;
            }
            let all = sent.iter().take(loops).collect::<Vec<_>>();
            answer(Sent {
                messages: all.iter().map(|one| one.messages).min().unwrap_or(0),
                short_writes: all.iter().map(|one| one.short_writes).sum(),
            })?;
        }
    }
}

/// The numbers of what is ready.
fn wait(epoll: &Epoll) -> Result<Vec<u64>> {
    let mut events = [EpollEvent::empty(); 256];
    match epoll.wait(&mut events, EpollTimeout::NONE) {
        Err(nix::errno::Errno::EINTR) => Ok(Vec::new()),
        count => Ok(events[..count?].iter().map(EpollEvent::data).collect()),
    }
}

fn accept<'a>(listener: &TcpListener, turns: &mut impl Iterator<Item = &'a Inbox>) -> Result<()> {
    while let Some(socket) = socket::accept(listener)? {
        let inbox = turns.next().context("no loop")?;
        inbox.put(Order::Serve(socket))?;
    }
    Ok(())
}

/// One request a line; the asker waits for the answer, so no second line can be buffered out of epoll's sight.
fn read_request() -> Result<Option<Send>> {
    let mut line = String::new();
    if stdin().lock().read_line(&mut line)? == 0 {
        return Ok(None);
    }
    serde_json::from_str(&line)
        .map(Some)
        .with_context(|| format!("not a request: {line}"))
}

fn answer(sent: Sent) -> Result<()> {
    let mut line = serde_json::to_vec(&sent)?;
    line.push(b'\n');
    stdout().write_all(&line)?;
    Ok(stdout().flush()?)
}

impl Loop {
    fn start(answers: Sender<Sent>) -> Result<Inbox> {
        let bell = Arc::new(EventFd::from_flags(EfdFlags::EFD_NONBLOCK)?);
        let (sender, orders) = mpsc::channel();
        let mut this = Self {
            epoll: Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?,
            timer: TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty())?,
            orders,
            bell: bell.clone(),
            answers,
            sockets: Vec::new(),
            run: None,
            sequence: 0,
        };
        socket::watch(&this.epoll, this.timer.as_fd(), TIMER)?;
        socket::watch(&this.epoll, this.bell.as_fd(), INBOX)?;
        thread::spawn(move || {
            if let Err(error) = this.turn() {
                eprintln!("a loop has failed: {error:#}");
                std::process::exit(1);
            }
        });
        Ok(Inbox {
            orders: sender,
            bell,
        })
    }

    fn turn(&mut self) -> Result<()> {
        loop {
            for key in wait(&self.epoll)? {
                match key {
                    INBOX => self.take_orders()?,
                    TIMER => self.fire()?,
                    key => self.read(key),
                }
            }
        }
    }

    fn take_orders(&mut self) -> Result<()> {
        self.bell.read()?;
        while let Ok(order) = self.orders.try_recv() {
            match order {
                Order::Serve(socket) => {
                    socket::watch(&self.epoll, &socket, self.sockets.len() as u64)?;
                    self.sockets.push(Some(socket));
                }
                Order::Send(send) => self.begin(send)?,
            }
        }
        Ok(())
    }

    /// Clients send nothing here but the close frame, and end when we end.
    fn read(&mut self, key: u64) {
        if let Some(slot) = self.sockets.get_mut(key as usize)
            && let Some(socket) = slot
            && !matches!(socket.read(&mut [0; 512]), Err(error) if error.kind() == std::io::ErrorKind::WouldBlock)
        {
            *slot = None;
        }
    }

    fn begin(&mut self, send: Send) -> Result<()> {
        let interval = TimeSpec::from_duration(send.schedule.interval());
        self.timer
            .set(Expiration::Interval(interval), TimerSetTimeFlags::empty())?;
        self.run = Some(Run {
            send,
            bursts_left: send.schedule.bursts(),
            sent: Sent {
                messages: 0,
                short_writes: 0,
            },
        });
        Ok(())
    }

    fn fire(&mut self) -> Result<()> {
        let mut expirations = [0; 8];
        unistd::read(&self.timer, &mut expirations)?;
        let Some(run) = &mut self.run else {
            return Ok(());
        };
        // Late by several intervals: send what was due then, as a publisher would.
        for _ in 0..u64::from_ne_bytes(expirations).min(run.bursts_left) {
            run.bursts_left -= 1;
            let burst: Vec<Vec<u8>> = (0..run.send.schedule.burst)
                .map(|_| {
                    self.sequence += 1;
                    frame(run.send.frame_bytes, self.sequence)
                })
                .collect::<Result<_>>()?;
            let writes = if run.send.joined {
                vec![burst.concat()]
            } else {
                burst
            };
            for bytes in &writes {
                for socket in self.sockets.iter().flatten() {
                    if unistd::write(socket, bytes) != Ok(bytes.len()) {
                        run.sent.short_writes += 1;
                    }
                }
            }
            run.sent.messages += run.send.schedule.burst as u64;
        }
        if run.bursts_left == 0 {
            self.timer.unset()?;
            self.answers.send(run.sent)?;
            self.run = None;
        }
        Ok(())
    }
}

/// A frame of exactly `wire` bytes with a marker in it.
fn frame(wire: usize, sequence: u64) -> Result<Vec<u8>> {
    let length =
        frames::payload_len_of(wire).with_context(|| format!("no frame has {wire} bytes"))?;
    let mut payload = vec![b'x'; length];
    Marker {
        sequence,
        sent_ns: monotonic_ns(),
    }
    .write(&mut payload);
    let mut out = Vec::with_capacity(wire);
    frames::push_server_frame(&mut out, Opcode::Text, &payload);
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn frames_have_the_asked_length_on_the_wire() {
        for wire in [60, 127, 132, 260] {
            let bytes = frame(wire, 3).unwrap();
            assert_eq!(bytes.len(), wire);
            assert_eq!(Marker::find(&bytes).unwrap().sequence, 3);
        }
        assert!(
            frame(128, 1).is_err(),
            "a header is 2 bytes up to 127 and 4 from 130"
        );
    }
}
