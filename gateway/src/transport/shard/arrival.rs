//! Sockets that were accepted and have not spoken yet. A shard hears their first bytes itself: the
//! usual client sends its whole handshake at once and is answered from here, the greeting in the
//! same write. A whole handshake that is refused is answered from here as well: what comes in a flood
//! changes no threads. Everything else, such as a request for a page, goes to HTTP proper.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream};

use mio::{Interest, Token};

use super::handle::Opening;
use super::state::Shard;
use crate::logging::pace::SharedPace;

/// Bit that tells the token and the timer entry of an arrival from a connection's.
const ARRIVAL: u32 = 1 << 31;
/// How long a shard waits for the first bytes, in ticks; HTTP has a bound of its own after it. So long it also waits for the
/// end of one that was refused.
const PATIENCE: u32 = 10;
/// What is read of a client that was refused and still sends: closed before, the kernel would reset the connection, and the
/// answer might be lost with it (RFC 9112 §9.6).
const LINGER: usize = 256 * 1024;

/// Arrivals that are heard before connections have their turn again, beside those that the shard itself accepts in one
/// turn: to check a token's signature takes as long as a hundred writes.
const HEARD_PER_TURN: usize = 16;

/// Who judges a socket's first bytes.
pub trait Caller: Send {
    /// Judges `bytes` if they hold a whole handshake.
    fn hear(&mut self, bytes: &[u8]) -> Heard;

    /// Takes the socket over, with what was read of it.
    fn pass_on(self: Box<Self>, socket: TcpStream, heard: &[u8]);
}

/// What first bytes are.
#[derive(Debug)]
pub enum Heard {
    /// A handshake that is accepted.
    Welcome(Box<Welcome>),
    /// A handshake that is not: the answer, as it is written before the connection ends.
    Refused(Vec<u8>),
    /// Something for HTTP proper.
    Elsewhere,
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
    /// Of one that was refused: bytes that may still come of it.
    leaving: Option<usize>,
}

impl Shard {
    /// Takes a socket that was just accepted. Its handshake may be there already.
    pub(super) fn arrive(&mut self, socket: mio::net::TcpStream, caller: Box<dyn Caller>) {
        let arrival = self.arrival(socket, caller);
        if let Some(arrival) = self.listen(arrival, false) {
            self.watch(arrival);
        }
    }

    /// Takes a socket that another shard has accepted. A crowd may come in one turn, as commands do, and waits like one
    /// that knocks here.
    pub(super) fn take_over(&mut self, socket: mio::net::TcpStream, caller: Box<dyn Caller>) {
        if self.heard < HEARD_PER_TURN {
            self.heard += 1;
            return self.arrive(socket, caller);
        }
        let arrival = self.arrival(socket, caller);
        self.watch(arrival); // what it has said already raises an event
    }

    fn arrival(&mut self, socket: mio::net::TcpStream, caller: Box<dyn Caller>) -> Arrival {
        Arrival {
            socket,
            caller,
            generation: self.next_generation(),
            leaving: None,
        }
    }

    /// Waits for what an arrival has to say.
    fn watch(&mut self, mut arrival: Arrival) {
        let generation = arrival.generation;
        let slot = self.arrivals.vacant_key() as u32;
        let interest = Interest::READABLE | Interest::WRITABLE;
        let token = Token((slot | ARRIVAL) as usize);
        let registry = self.poll.registry();
        if let Err(error) = registry.register(&mut arrival.socket, token, interest) {
            static LINES: SharedPace = SharedPace::new();
            if let Some(count) = LINES.due() {
                tracing::warn!(%error, count, "a socket cannot be watched; it is dropped");
            }
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

    /// An arrival was silent, or did not go, for too long to be waited for here.
    pub(super) fn lose_patience(&mut self, token: u32, generation: u32) {
        let slot = (token & !ARRIVAL) as usize;
        let waits = self.arrivals.get(slot);
        if waits.is_some_and(|arrival| arrival.generation == generation) {
            let arrival = self.arrivals.remove(slot);
            match arrival.leaving {
                None => self.pass_on(arrival, true, &[]),
                Some(_) => self.left(),
            }
        }
    }

    /// Reads an arrival's first bytes; gives it back while there are none, and while it takes its leave.
    fn listen(&mut self, mut arrival: Arrival, watched: bool) -> Option<Arrival> {
        if arrival.leaving.is_some() {
            return self.see_off(arrival);
        }
        let mut scratch = std::mem::take(&mut self.scratch);
        let outcome = arrival.socket.read(&mut scratch);
        let mut rest = None;
        match outcome {
            Ok(0) => self.left(),
            Ok(count) => rest = self.judge(arrival, watched, &mut scratch[..count]),
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

    fn judge(&mut self, mut arrival: Arrival, watched: bool, heard: &mut [u8]) -> Option<Arrival> {
        let welcome = match arrival.caller.hear(heard) {
            Heard::Welcome(welcome) => *welcome,
            Heard::Refused(answer) => return self.turn_away(arrival, &answer),
            Heard::Elsewhere => {
                self.pass_on(arrival, watched, heard);
                return None;
            }
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
        None
    }

    /// Answers an arrival that is refused; gives it back until it has gone.
    fn turn_away(&self, mut arrival: Arrival, answer: &[u8]) -> Option<Arrival> {
        // A fresh socket takes some kilobytes, or is broken.
        let written = arrival.socket.write(answer);
        let told = written.is_ok_and(|count| count == answer.len());
        if told && arrival.socket.shutdown(Shutdown::Write).is_ok() {
            arrival.leaving = Some(LINGER);
            return Some(arrival);
        }
        self.left();
        None
    }

    /// Reads what an arrival that was refused still sends; gives it back until it has gone.
    fn see_off(&mut self, mut arrival: Arrival) -> Option<Arrival> {
        let mut most = arrival.leaving?;
        while most > 0 {
            match arrival.socket.read(&mut self.scratch) {
                Ok(0) => break,
                Ok(count) => most = most.saturating_sub(count),
                Err(error) if error.kind() == io::ErrorKind::WouldBlock => {
                    arrival.leaving = Some(most);
                    return Some(arrival);
                }
                Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                Err(_) => break,
            }
        }
        self.left();
        None
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

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::net::TcpListener;
    use std::sync::Arc;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::time::{Duration, Instant};

    use super::super::backlog::QueueMemory;
    use super::super::event_loop::Look;
    use super::super::handle::ShardHandle;
    use super::super::state::Thread;
    use super::*;
    use crate::config::Channel;

    /// Counts who is heard, and gives every socket back.
    struct Counting(Arc<AtomicUsize>);

    impl Caller for Counting {
        fn hear(&mut self, bytes: &[u8]) -> Heard {
            assert_eq!(bytes, b"hello");
            self.0.fetch_add(1, Ordering::Relaxed);
            Heard::Elsewhere
        }

        fn pass_on(self: Box<Self>, _socket: TcpStream, heard: &[u8]) {
            assert_eq!(heard, b"hello");
        }
    }

    /// Refuses everybody.
    struct Refusing;

    impl Caller for Refusing {
        fn hear(&mut self, _bytes: &[u8]) -> Heard {
            Heard::Refused(b"no".to_vec())
        }

        fn pass_on(self: Box<Self>, _socket: TcpStream, _heard: &[u8]) {
            panic!("it was answered");
        }
    }

    fn shard() -> (Shard, ShardHandle) {
        let manifest = "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\n\
                        metadata: {name: tests}\nspec: {authentication: {anonymous: Allow}}\n";
        let channel = Arc::new(Channel::compile(&linnet_crds::check(manifest).unwrap()));
        let (hub, _inbox) = crate::hub::actor::handle();
        let memory = Arc::new(QueueMemory::new(channel.limits.queue_memory, 1));
        let (name, tokens) = ("tests".into(), Arc::default());
        Shard::new(0, name, channel, tokens, hub, memory, Thread::Own).unwrap()
    }

    /// A client that has said `hello` to a shard before that listens.
    fn spoken(shard: &ShardHandle, caller: impl Caller + 'static) -> TcpStream {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let mut client = TcpStream::connect(listener.local_addr().unwrap()).unwrap();
        client.write_all(b"hello").unwrap();
        let (socket, _) = listener.accept().unwrap();
        assert_eq!(socket.peek(&mut [0; 8]).unwrap(), 5, "it has spoken");
        socket.set_nonblocking(true).unwrap();
        shard.arrive(mio::net::TcpStream::from_std(socket), Box::new(caller));
        client
    }

    #[test]
    fn a_crowd_from_another_shard_is_heard_in_several_turns() {
        const CROWD: usize = 100;
        let (mut shard, handle) = shard();
        let heard = Arc::<AtomicUsize>::default();
        let mut clients = Vec::new();
        for _ in 0..CROWD {
            clients.push(spoken(&handle, Counting(Arc::clone(&heard))));
        }
        let mut events = mio::Events::with_capacity(1024);
        let begun = Instant::now();
        let (mut before, mut turns) = (0, 0);
        while heard.load(Ordering::Relaxed) < CROWD {
            let look = Look::Sockets(Some(Duration::from_millis(10)));
            assert!(shard.turn(&mut events, look).unwrap());
            let now = heard.load(Ordering::Relaxed);
            assert!(now - before <= HEARD_PER_TURN, "{} in a turn", now - before);
            (before, turns) = (now, turns + 1);
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        assert!(turns >= CROWD / HEARD_PER_TURN);
        assert_eq!(shard.load(), 0);
    }

    #[test]
    fn who_is_refused_gets_its_answer_whatever_it_still_sends_and_is_gone_with_its_end() {
        let (mut shard, handle) = shard();
        let mut client = spoken(&handle, Refusing);
        let mut events = mio::Events::with_capacity(16);
        let turn = |shard: &mut Shard, events: &mut mio::Events| {
            let look = Look::Sockets(Some(Duration::from_millis(10)));
            assert!(shard.turn(events, look).unwrap());
        };
        turn(&mut shard, &mut events);
        client.write_all(&[b'x'; 1000]).unwrap();
        let mut answer = Vec::new();
        client.read_to_end(&mut answer).unwrap();
        assert_eq!(answer, b"no");
        assert_eq!(shard.arrivals.len(), 1, "it may still send");
        drop(client);
        let begun = Instant::now();
        while !shard.arrivals.is_empty() {
            assert!(
                begun.elapsed() < Duration::from_millis(900),
                "not by its patience"
            );
            turn(&mut shard, &mut events);
        }
        assert_eq!(shard.load(), 0);
    }

    #[test]
    fn who_is_refused_and_does_not_go_is_let_go_of() {
        let (mut shard, handle) = shard();
        let _client = spoken(&handle, Refusing);
        let mut events = mio::Events::with_capacity(16);
        let begun = Instant::now();
        loop {
            let look = Look::Sockets(Some(Duration::from_millis(100)));
            assert!(shard.turn(&mut events, look).unwrap());
            if shard.arrivals.is_empty() {
                break;
            }
            assert!(begun.elapsed() < Duration::from_secs(60));
        }
        assert!(
            begun.elapsed() >= Duration::from_millis(500),
            "it had time to read"
        );
        assert_eq!(shard.load(), 0);
    }
}
