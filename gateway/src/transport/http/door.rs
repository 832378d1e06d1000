//! How newcomers come in: accepted by the shards, so that the usual one never changes threads.

use std::io::{self, ErrorKind};
use std::os::fd::{AsFd, BorrowedFd};
use std::sync::Arc;

use mio::net::TcpListener;

use super::caller::Newcomer;
use super::public::Public;
use crate::logging::pace::SharedPace;
use crate::transport::shard::accepting::{Door, Knock};

/// The pace of lines about files or memory that ran out.
static COMPLAINTS: SharedPace = SharedPace::new();

/// The public port's listener.
pub(super) struct PublicDoor {
    listener: TcpListener,
    public: Arc<Public>,
}

impl PublicDoor {
    /// `listener` is non-blocking.
    pub(super) fn new(listener: std::net::TcpListener, public: Arc<Public>) -> Self {
        Self {
            listener: TcpListener::from_std(listener),
            public,
        }
    }
}

impl Door for PublicDoor {
    fn listener(&self) -> BorrowedFd<'_> {
        self.listener.as_fd()
    }

    fn answer(&self) -> Knock {
        let Some(slot) = self.public.slots.take(self.public.connections()) else {
            return Knock::Full;
        };
        loop {
            return match self.listener.accept() {
                Ok((socket, peer)) => {
                    let Some(slot) = self.public.wait(slot, peer.ip()) else {
                        return Knock::TurnedAway;
                    };
                    let newcomer = Newcomer::new(Arc::clone(&self.public), peer, slot);
                    Knock::Came(socket, Box::new(newcomer))
                }
                Err(error) if error.kind() == ErrorKind::WouldBlock => Knock::Nobody,
                // The client was gone before it was accepted.
                Err(error) if is_of_one_connection(&error) => continue,
                Err(error) => {
                    if let Some(count) = COMPLAINTS.due() {
                        tracing::warn!(%error, count, "connections can't be accepted");
                    }
                    Knock::Failed
                }
            };
        }
    }
}

fn is_of_one_connection(error: &io::Error) -> bool {
    use ErrorKind::{ConnectionAborted, ConnectionRefused, ConnectionReset, Interrupted};
    let kinds = [
        ConnectionAborted,
        ConnectionRefused,
        ConnectionReset,
        Interrupted,
    ];
    kinds.contains(&error.kind())
}
