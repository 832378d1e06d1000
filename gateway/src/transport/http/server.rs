//! The listening socket, and HTTP on the connections that shards give back.

use std::io;
use std::net::SocketAddr;
use std::sync::{Arc, LazyLock};
use std::time::Duration;

use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use socket2::SockRef;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{TcpListener, TcpSocket, TcpStream};
use tokio::time::timeout;

use super::caller::PassedOn;
use super::door::PublicDoor;
use super::exchange::Exchange;
use super::lease::Lease;
use super::metrics::Reason;
use super::public::Public;
use super::rewind::Rewind;
use super::upgrade::Agreed;
use crate::logging::pace::SharedPace;
use crate::transport::address::proxy::{self, Start};
use crate::transport::shard::handle::{NewConnection, Opening};

/// Connections that the kernel keeps for a moment: who reconnects after a rollout comes at once.
/// The system's own bound (`net.core.somaxconn`) is 4096.
const BACKLOG: u32 = 4096;

/// What the kernel keeps unsent of a socket: a larger buffer would hide a slow client from its queue.
const UNSENT_BYTES: u32 = 64 * 1024;

/// After this time without an acknowledgement the kernel gives a socket up, also one that is closed already.
const UNACKNOWLEDGED_WITHIN: Duration = Duration::from_secs(60);

/// For a request's headers, from the first moment on: a client that drips them is let go.
const HEADERS_WITHIN: Duration = Duration::from_secs(10);

/// Of a request's line and headers (PROTOCOL, Tokens).
pub(super) const HEADER_BYTES: usize = 16 * 1024;

/// What is read, and for how long, from a client that is still sending when its answer is complete.
/// Without it the kernel resets the connection, and the answer may be lost with it (RFC 9112 §9.6).
const LINGER: (u64, Duration) = (256 * 1024, Duration::from_millis(500));

/// The parser's settings, made once.
static HTTP: LazyLock<http1::Builder> = LazyLock::new(|| {
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new())
        .header_read_timeout(HEADERS_WITHIN)
        .max_buf_size(HEADER_BYTES)
        // An answer is small and made at once: one write, of one buffer.
        .writev(false)
        // A client that has said all it will say reads on.
        .half_close(true);
    http
});

/// Opens the listening socket. Without a free port among `address`'s own, port 0, one is chosen.
///
/// # Errors
/// When the address is taken or not this host's.
pub fn bind(address: SocketAddr) -> io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    // Accepted sockets inherit it, which saves a system call each. No frame waits for another.
    let options = SockRef::from(&socket);
    options.set_tcp_nodelay(true)?;
    options.set_tcp_notsent_lowat(UNSENT_BYTES)?;
    options.set_tcp_user_timeout(Some(UNACKNOWLEDGED_WITHIN))?;
    socket.bind(address)?;
    socket.listen(BACKLOG)
}

/// Lets newcomers in, and serves those that shards give back until it is dropped.
///
/// # Errors
/// When the listener can't be watched.
pub async fn serve(listener: TcpListener, public: Arc<Public>) -> io::Result<()> {
    let listener = listener.into_std()?;
    let mut passed_on = public.passed_on();
    let home = Arc::clone(&public.home);
    public.slots.on_freed(move || home.resume());
    let door = PublicDoor::new(listener, Arc::clone(&public));
    public.home.listen(Arc::new(door));
    while let Some(socket) = passed_on.recv().await {
        proceed(&public, socket);
    }
    Ok(())
}

/// HTTP proper for a socket that has not brought a handshake that is let in.
fn proceed(public: &Arc<Public>, passed_on: PassedOn) {
    let PassedOn {
        stream,
        heard,
        peer,
        slot,
        admitted,
    } = passed_on;
    match TcpStream::from_std(stream) {
        Ok(stream) => {
            let public = Arc::clone(public);
            tokio::spawn(async move {
                // The request may be here in full. An answer that can't be written at once is lost
                // where the parser ends the connection with it, as it does for headers over bound.
                if stream.writable().await.is_ok()
                    && let Some((stream, heard, peer)) =
                        introduce(&public, stream, heard, peer).await
                {
                    let stream = Rewind::new(stream, heard);
                    let lease = Arc::new(Lease::new(peer.ip(), slot, stream.watched()));
                    let exchange = Exchange::new(public, peer, lease, admitted);
                    converse(exchange, stream, peer).await;
                }
            });
        }
        Err(error) => complain(&error, peer, "a socket can't be watched"),
    }
}

/// Reads what a trusted proxy says of its client before the client's own bytes, and takes that off. Gives the other end
/// of the conversation; `None` where the proxy makes no sense, or says nothing.
async fn introduce(
    public: &Public,
    mut stream: TcpStream,
    mut heard: Vec<u8>,
    peer: SocketAddr,
) -> Option<(TcpStream, Vec<u8>, SocketAddr)> {
    if !public.policy().trusted.contain(peer.ip()) {
        return Some((stream, heard, peer));
    }
    let read = async {
        loop {
            match proxy::parse(&heard) {
                Start::Plain => return Ok(Some(peer)),
                Start::Header { length, source } => {
                    heard.drain(..length);
                    return Ok(Some(source.unwrap_or(peer)));
                }
                Start::Malformed => return Err(Reason::Malformed),
                Start::Partial => match stream.read_buf(&mut heard).await {
                    Ok(0) | Err(_) => return Ok(None),
                    Ok(_) => {}
                },
            }
        }
    };
    match timeout(HEADERS_WITHIN, read)
        .await
        .unwrap_or(Err(Reason::Timeout))
    {
        Ok(client) => client.map(|client| (stream, heard, client)),
        Err(reason) => {
            public.give_up(peer, reason);
            None
        }
    }
}

/// A connection has had the time that it may take.
#[derive(Debug)]
struct Overdue;

/// One connection, from its first byte to its end or its move to a shard.
///
/// HTTP runs without hyper's own upgrades: with them the socket would come through a channel and a
/// second task, boxed. Here the connection is taken apart when HTTP is done with it, and nothing
/// of it stays on this side.
async fn converse(exchange: Exchange, stream: Rewind, peer: SocketAddr) {
    let public = Arc::clone(exchange.public());
    let lease = Arc::clone(exchange.lease()); // its slot is free when this is over
    let mut http = HTTP.serve_connection(TokioIo::new(stream), exchange);
    let done = std::future::poll_fn(|cx| http.poll_without_shutdown(cx));
    let outcome = tokio::select! {
        biased;
        outcome = done => Ok(outcome),
        () = lease.run_out() => Err(Overdue),
    };
    let parts = http.into_parts();
    let (Some(stream), unread) = parts.io.into_inner().into_parts() else {
        return; // nobody watches it any more
    };
    let asked = parts.service.was_asked();
    match (&outcome, parts.service.into_agreed()) {
        (Ok(Ok(())), Some(agreed)) => {
            let early = [&parts.read_buf[..], &unread[..]].concat();
            match agreed {
                Agreed::Connection { opening, place } => {
                    adopt(&public, stream, early, peer, *opening);
                    // Only now: the shard counts the connection from here on.
                    drop(place);
                }
                Agreed::Change(change) => {
                    if let Some(stream) = change.run(stream, early).await {
                        linger(stream).await;
                    }
                }
            }
        }
        _ => {
            // A connection that is kept for another request may end in any way.
            if let Some(reason) = failure(&outcome).filter(|_| !asked) {
                public.give_up(peer, reason);
            }
            // A client that was too slow so far gets no further time.
            if matches!(outcome, Ok(Ok(()))) || matches!(&outcome, Ok(Err(e)) if e.is_parse()) {
                linger(stream).await;
            }
        }
    }
}

fn complain(error: &io::Error, peer: SocketAddr, what: &str) {
    static LINES: SharedPace = SharedPace::new();
    if let Some(count) = LINES.due() {
        tracing::warn!(%error, %peer, count, "{what}");
    }
}

/// Gives the bare socket to a shard, with what the client has sent `early`: a copy, as the parser's buffer has 8 KiB that
/// it would hold on to.
fn adopt(public: &Public, stream: TcpStream, early: Vec<u8>, peer: SocketAddr, opening: Opening) {
    let stream = match stream.into_std() {
        Ok(stream) => stream,
        Err(error) => return complain(&error, peer, "a socket could not be handed over"),
    };
    public.home.adopt(NewConnection {
        stream,
        early,
        opening,
    });
}

/// What a connection that came to nothing is counted as; `None` where nobody is to blame.
fn failure(outcome: &Result<hyper::Result<()>, Overdue>) -> Option<Reason> {
    match outcome {
        Ok(Ok(())) => None,
        Err(_) => Some(Reason::Timeout),
        Ok(Err(error)) if error.is_timeout() => Some(Reason::Timeout),
        Ok(Err(error)) if error.is_parse() => Some(Reason::Malformed),
        // The client went away.
        Ok(Err(_)) => None,
    }
}

/// Ends a connection so that the client gets what was written.
async fn linger(mut stream: TcpStream) {
    let (bytes, time) = LINGER;
    if stream.shutdown().await.is_ok() {
        let mut rest = (&mut stream).take(bytes);
        // However it ends, the socket closes next.
        let _ = timeout(time, tokio::io::copy(&mut rest, &mut tokio::io::sink())).await;
    }
}
