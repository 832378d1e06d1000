//! The loop of one shard: one that has its thread for itself waits in its own epoll, one that shares it in
//! [`beside`](super::beside).

use std::io;
use std::sync::atomic::Ordering;
use std::sync::mpsc::TryRecvError;
use std::time::{Duration, Instant};

use mio::Events;

use super::accepting::{DOOR, DOOR_TIMER};
use super::beside::PER_TURN;
use super::command::Command;
use super::rooms::Item;
use super::state::{Shard, WAKER};

/// Sockets that one look at them tells of.
const EVENTS: usize = 1024;
/// Commands taken per turn.
const COMMANDS_PER_TURN: usize = 1024;

/// How much a turn looks at.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Look {
    /// At sockets that have something, and at all else.
    Sockets(Option<Duration>),
    /// At all but sockets: none has anything new.
    Rest,
}

impl Shard {
    /// Runs until all handles are gone.
    pub fn run(mut self) -> io::Result<()> {
        let mut events = Events::with_capacity(EVENTS);
        loop {
            let look = Look::Sockets(self.timeout());
            if !self.turn(&mut events, look)? {
                return Ok(());
            }
        }
    }

    /// Takes one turn; gives whether there will be another.
    pub(super) fn turn(&mut self, events: &mut Events, look: Look) -> io::Result<bool> {
        events.clear();
        if let Look::Sockets(timeout) = look
            && let Err(error) = self.poll.poll(events, timeout)
            && error.kind() != io::ErrorKind::Interrupted
        {
            return Err(error);
        }
        // The clock moves before anything is stamped with it; what is due waits until sockets
        // were read, so that a sign of life counts that came while this thread was held up.
        self.wheel.advance(Instant::now(), &mut self.due);
        let mut knocked = false;
        self.heard = 0;
        for _ in 0..self.unheard.len() {
            if let Some(slot) = self.unheard.pop_front() {
                self.hear(slot);
            }
        }
        for event in &*events {
            match event.token() {
                WAKER => continue,
                DOOR => {
                    knocked = true;
                    continue;
                }
                _ => {}
            }
            let slot = event.token().0 as u32;
            if Self::is_arrival(slot) {
                self.hear(slot);
                continue;
            }
            if event.is_writable() {
                self.flush_backlog(slot);
            }
            if event.is_readable() || event.is_error() {
                self.read(slot);
            }
        }
        for _ in 0..self.unread.len() {
            if let Some(slot) = self.unread.pop_front() {
                self.read(slot);
            }
        }
        if knocked {
            self.accept(self.knocked); // after those who are in already
        }
        self.knocked = knocked;
        self.flush_out();
        self.send_outbox();
        if !self.take_commands() {
            return Ok(false);
        }
        self.look_at_due();
        self.fan_out_slice();
        self.flush_out();
        self.send_outbox();
        Ok(true)
    }

    /// How long nothing needs to be done unless something comes.
    pub(super) fn timeout(&self) -> Option<Duration> {
        if self.rooms.has_work()
            || self.more_commands
            || self.hub_is_left
            || !self.unread.is_empty()
            || !self.unheard.is_empty()
        {
            return Some(Duration::ZERO);
        }
        self.wheel.timeout(Instant::now())
    }

    fn take_commands(&mut self) -> bool {
        self.woken.swap(false, Ordering::AcqRel);
        self.more_commands = false;
        let most = match self.bell.is_shared() {
            true => PER_TURN,
            false => COMMANDS_PER_TURN,
        };
        for _ in 0..most {
            match self.commands.try_recv() {
                Ok(command) => self.command(command),
                Err(TryRecvError::Empty) => return true,
                Err(TryRecvError::Disconnected) => return false,
            }
        }
        self.more_commands = true;
        true
    }

    fn command(&mut self, command: Command) {
        let weight = command.weight();
        match command {
            Command::Messages(batch) => {
                let room = batch.room().clone();
                return self.in_room_order(&room, Item::Messages(batch)); // done when all members have it
            }
            Command::Listen(door, peers) => self.listen_at(door, peers),
            Command::Resume => self.resume_accepting(),
            Command::Arrive(socket, caller) => self.take_over(socket, caller),
            Command::Deliver(delivery) => self.deliver(delivery),
            Command::Handled(handled) => self.handled(*handled),
            Command::Adopt(connection) => self.adopt(*connection),
            Command::Plug(wire) => self.plug_in(*wire),
            Command::Wire(pipe, input) => self.heed(&pipe, input),
            Command::Configure(channel, _waits) => self.configure(channel),
            Command::Revoked => self.cut_revoked(),
            Command::Drain(window) => self.drain(window),
            Command::Thin(thinning, told) => {
                let moving = self.thin(thinning);
                let _ = told.send(moving); // who asked may have gone
            }
            Command::Slow(most, answer) => drop(answer.send(self.slowest(most))),
        }
        self.taken(weight);
    }

    fn send_outbox(&mut self) {
        if !self.outbox.is_empty() {
            // This loop looks at its commands next: the hub need not wake it.
            self.woken.store(true, Ordering::Release);
            self.more_commands = true;
            let commands = std::mem::take(&mut self.outbox);
            self.hub_is_left = self.hub.send(commands, Instant::now());
        } else if self.hub_is_left {
            self.hub_is_left = self.hub.work();
        }
    }

    fn look_at_due(&mut self) {
        if self.due.is_empty() {
            return;
        }
        let mut due = std::mem::take(&mut self.due);
        for (slot, generation) in due.drain(..) {
            if slot == DOOR_TIMER {
                self.resume_accepting();
            } else if Self::is_arrival(slot) {
                self.lose_patience(slot, generation);
            } else {
                self.look_at(slot, generation);
            }
        }
        self.look_at_waiting();
        self.due = due;
    }
}
