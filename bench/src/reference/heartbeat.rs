//! A bare loop that keeps idle connections alive: pings each once an interval and reads the pongs.

use std::{
    collections::VecDeque,
    io::{Read, stdin},
    net::TcpStream,
    os::fd::AsFd,
    time::{Duration, Instant},
};

use anyhow::Result;
use nix::{
    sys::{
        epoll::{Epoll, EpollCreateFlags, EpollEvent, EpollTimeout},
        time::TimeSpec,
        timerfd::{ClockId, Expiration, TimerFd, TimerFlags, TimerSetTimeFlags},
    },
    unistd,
};

use super::socket;
use crate::load::frames::{self, Opcode};

const LISTENER: u64 = u64::MAX;
const INPUT: u64 = u64::MAX - 1;
const TIMER: u64 = u64::MAX - 2;

/// How exactly pings keep their time: what a coarse timer wheel does.
const TICK: Duration = Duration::from_millis(100);

/// Serves until stdin ends; each connection is pinged every `interval`, counted from its upgrade.
pub fn serve(interval: Duration) -> Result<()> {
    let listener = socket::listen()?;
    listener.set_nonblocking(true)?;
    let epoll = Epoll::new(EpollCreateFlags::EPOLL_CLOEXEC)?;
    let timer = TimerFd::new(ClockId::CLOCK_MONOTONIC, TimerFlags::empty())?;
    timer.set(
        Expiration::Interval(TimeSpec::from_duration(TICK)),
        TimerSetTimeFlags::empty(),
    )?;
    socket::watch(&epoll, &listener, LISTENER)?;
    socket::watch(&epoll, stdin(), INPUT)?;
    socket::watch(&epoll, timer.as_fd(), TIMER)?;
    let mut ping = Vec::new();
    frames::push_server_frame(&mut ping, Opcode::Ping, &[]);
    let mut sockets: Vec<Option<TcpStream>> = Vec::new();
    // All wait equally long, so the queue is in order of time by itself.
    let mut due: VecDeque<(Instant, usize)> = VecDeque::new();
    let mut events = [EpollEvent::empty(); 256];
    loop {
        let count = match epoll.wait(&mut events, EpollTimeout::NONE) {
            Err(nix::errno::Errno::EINTR) => continue,
            count => count?,
        };
        for event in &events[..count] {
            match event.data() {
                LISTENER => {
                    while let Some(socket) = socket::accept(&listener)? {
                        socket::watch(&epoll, &socket, sockets.len() as u64)?;
                        due.push_back((Instant::now() + interval, sockets.len()));
                        sockets.push(Some(socket));
                    }
                }
                INPUT => return Ok(()),
                TIMER => {
                    unistd::read(&timer, &mut [0; 8])?;
                    let now = Instant::now();
                    while let Some(&(at, key)) = due.front().filter(|(at, _)| *at <= now) {
                        due.pop_front();
                        // A client that has gone is no longer pinged.
                        if let Some(socket) = &sockets[key]
                            && unistd::write(socket, &ping).is_ok()
                        {
                            due.push_back((at + interval, key));
                        }
                    }
                }
                key => {
                    let slot = &mut sockets[key as usize];
                    if let Some(mut socket) = slot.as_ref()
                        && matches!(socket.read(&mut [0; 512]), Ok(0) | Err(_))
                    {
                        *slot = None;
                    }
                }
            }
        }
    }
}
