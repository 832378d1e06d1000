//! Sockets that were accepted and have not spoken yet. A shard hears their first bytes itself: the
//! usual client sends its whole handshake at once and is answered from here, the greeting in the
//! same write. Everything else, a request for a page as well as a refusal, goes to HTTP proper.

use std::io::{self, Read};
use std::net::TcpStream;

use mio::{Interest, Token};

use super::event_loop::Shard;
use super::handle::Opening;

/// Bit that tells the token and the timer entry of an arrival from a connection's.
const ARRIVAL: u32 = 1 << 31;
/// How long a shard waits for the first bytes, in ticks; HTTP has a bound of its own after it.
const PATIENCE: u32 = 10;

/// Arrivals that are heard before connections have their turn again: to check a token's signature takes as long as a
/// hundred writes.
const HEARD_PER_TURN: usize = 16;

/// Who judges a socket's first bytes.
pub trait Caller: Send {
    /// Answers if `bytes` hold a whole handshake that is accepted.
    fn hear(&mut self, bytes: &[u8]) -> Option<Welcome>;

    /// Takes the socket over, with what was read of it.
    fn pass_on(self: Box<Self>, socket: TcpStream, heard: &[u8]);
}

/// An accepted handshake.
#[derive(Debug)]
pub struct Welcome {
    /// The answer, as it is written.
    pub response: Vec<u8>,
    /// Bytes of the handshake; what follows them are frames.
    pub length: usize,
    /// What was agreed on.
    pub opening: Opening,
}

/// A socket that has not spoken yet.
pub(super) struct Arrival {
    socket: mio::net::TcpStream,
    caller: Box<dyn Caller>,
    generation: u32,
}

impl Shard {
    /// Takes a socket that was just accepted. Its handshake may be there already.
    pub(super) fn arrive(&mut self, socket: mio::net::TcpStream, caller: Box<dyn Caller>) {
        let generation = self.next_generation();
        let arrival = Arrival {
            socket,
            caller,
            generation,
        };
        let Some(mut arrival) = self.listen(arrival, false) else {
            return;
        };
        let slot = self.arrivals.vacant_key() as u32;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token((slot | ARRIVAL) as usize);
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut arrival.socket, token, interest) {
            tracing::warn!(%error, "a socket cannot be watched; it is dropped");
            return self.left();
        }
        self.arrivals.insert(arrival);
        let until = self.wheel.now() + PATIENCE;
        self.wheel.insert(until, (slot | ARRIVAL, generation));
    }

    /// Whether a token or timer entry is an arrival's.
    pub(super) fn is_arrival(slot: u32) -> bool {
        slot & ARRIVAL != 0
    }

    /// An arrival has something to read.
    pub(super) fn hear(&mut self, token: u32) {
        if self.heard >= HEARD_PER_TURN {
            return self.unheard.push_back(token);
        }
        self.heard += 1;
        let slot = (token & !ARRIVAL) as usize;
        if let Some(arrival) = self.arrivals.try_remove(slot)
            && let Some(arrival) = self.listen(arrival, true)
        {
            // Nothing was there to read: the slot that has just become free is taken again.
            self.arrivals.insert(arrival);
        }
    }

    /// An arrival was silent for too long to be waited for here.
    pub(super) fn lose_patience(&mut self, token: u32, generation: u32) {
        let slot = (token & !ARRIVAL) as usize;
        let waits = self.arrivals.get(slot);
        if waits.is_some_and(|arrival| arrival.generation == generation) {
            let arrival = self.arrivals.remove(slot);
            self.pass_on(arrival, true, &[]);
        }
    }

    /// Reads an arrival's first bytes; gives it back while there are none.
    fn listen(&mut self, mut arrival: Arrival, watched: bool) -> Option<Arrival> {
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = arrival.socket.read(&mut scratch);
        let mut rest = None;
        match outcome {
            Ok(0) => self.left(),
            Ok(count) => self.judge(arrival, watched, &mut scratch[..count]),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted
                ) =>
            {
                rest = Some(arrival);
            }
            Err(_) => self.left(),
        }
        self.scratch = scratch;
        rest
    }

    fn judge(&mut self, mut arrival: Arrival, watched: bool, heard: &mut [u8]) {
        let Some(welcome) = arrival.caller.hear(heard) else {
            return self.pass_on(arrival, watched, heard);
        };
        self.flush_out();
        self.metrics.bytes_in.add(heard.len() as u64);
        let early = &mut heard[welcome.length..];
        self.open(
            arrival.socket,
            watched,
            welcome.opening,
            &welcome.response,
            early,
        );
        self.left(); // only now: it counts as a connection already
    }

    fn pass_on(&mut self, mut arrival: Arrival, watched: bool, heard: &[u8]) {
        if watched {
            // Fails only for a socket that is not watched.
            let _ = self.poll.registry().deregister(&mut arrival.socket);
        }
        arrival.caller.pass_on(arrival.socket.into(), heard);
        self.left();
    }
}
