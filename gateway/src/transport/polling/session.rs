//! The sessions that are reached by long-polling, by their sids.

use std::collections::HashMap;
use std::fmt;
use std::sync::{Arc, Mutex, MutexGuard, OnceLock, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use tokio::sync::{self, OwnedMutexGuard, watch};
use tokio::time::sleep;

use super::elsewhere::Elsewhere;
use crate::broker::nats::relay::Relay;
use crate::transport::shard::wire::{Breach, Line, Wire};

/// So long a session that is over waits for a poll to tell its client why.
const LAST_WORDS: Duration = Duration::from_secs(5);

/// What a session has to tell. It is gone once the session is over, or goes on over a WebSocket.
pub(super) type Place = OwnedMutexGuard<Option<Mouth>>;

/// Where packets come from.
#[derive(Debug)]
pub(super) struct Mouth {
    /// The session itself.
    pub(super) wire: Wire,
    /// Whether the gateway has ended it, with this code, and all else is told.
    pub(super) over: Option<u16>,
}

/// All of them. Who knows a sid speaks for its client: it has 128 random bits, and is told to nobody else.
#[derive(Default)]
pub(in crate::transport) struct Sessions {
    here: Mutex<HashMap<Arc<str>, Arc<Session>>>,
    /// The way to those that live elsewhere, where there are other gateways.
    elsewhere: OnceLock<Arc<Elsewhere>>,
}

/// One session.
pub(in crate::transport) struct Session {
    sid: Arc<str>,
    line: Line,
    /// Who tells the client something has this.
    mouth: Arc<sync::Mutex<Option<Mouth>>>,
    /// Who hears the client has this.
    hearing: sync::Mutex<()>,
    phase: watch::Sender<Phase>,
}

/// How far a session is on its way to a WebSocket.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Phase {
    /// Its client polls.
    Polling,
    /// There is a WebSocket that has not shown yet that packets get through.
    Probing,
    /// They do: the client waits for its last poll to come back, and then changes.
    Probed,
    /// It has changed.
    Gone,
}

impl Sessions {
    /// Keeps a session that has begun, until it is over.
    pub(super) fn begin(self: &Arc<Self>, wire: Wire) -> Arc<Session> {
        let over = wire.over();
        let session = Arc::new(Session {
            sid: self.sid().into(),
            line: wire.line(),
            mouth: Arc::new(sync::Mutex::new(Some(Mouth { wire, over: None }))),
            hearing: sync::Mutex::new(()),
            phase: watch::Sender::new(Phase::Polling),
        });
        let sid = Arc::clone(&session.sid);
        self.all().insert(Arc::clone(&sid), Arc::clone(&session));
        let sessions = Arc::clone(self);
        tokio::spawn(async move {
            over.wait().await;
            sleep(LAST_WORDS).await;
            sessions.end(&sid);
        });
        session
    }

    /// Finds sessions of other gateways too, and lets those find the ones here.
    pub(in crate::transport) fn connect(self: &Arc<Self>, relay: Relay) {
        let elsewhere = Arc::new(Elsewhere::new(relay));
        if self.elsewhere.set(Arc::clone(&elsewhere)).is_ok() {
            tokio::spawn(elsewhere.serve(Arc::clone(self)));
        }
    }

    /// The way to sessions of other gateways.
    pub(super) fn elsewhere(&self) -> Option<&Arc<Elsewhere>> {
        self.elsewhere.get()
    }

    fn sid(&self) -> String {
        match self.elsewhere.get() {
            Some(elsewhere) => elsewhere.sid(),
            None => URL_SAFE_NO_PAD.encode(rand::random::<[u8; 16]>()),
        }
    }

    /// The session of a sid.
    pub(in crate::transport) fn find(&self, sid: &str) -> Option<Arc<Session>> {
        self.all().get(sid).cloned()
    }

    /// Nobody finds it any more.
    pub(super) fn end(&self, sid: &str) {
        let ended = self.all().remove(sid);
        drop(ended); // not while others wait: its wire tells the shard
    }

    fn all(&self) -> MutexGuard<'_, HashMap<Arc<str>, Arc<Session>>> {
        self.here.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Without its sid, which is a secret.
impl fmt::Debug for Session {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("Session");
        out.field("phase", &self.phase()).finish_non_exhaustive()
    }
}

/// Without their sids.
impl fmt::Debug for Sessions {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("Sessions").field(&self.all().len()).finish()
    }
}

impl Session {
    /// What its client's requests name.
    pub(super) fn sid(&self) -> &str {
        &self.sid
    }

    /// The way to its shard.
    pub(super) fn line(&self) -> &Line {
        &self.line
    }

    /// Tells the client from here on, unless somebody else does.
    pub(super) fn try_tell(&self) -> Option<Place> {
        Arc::clone(&self.mouth).try_lock_owned().ok()
    }

    /// Tells the client when nobody else does any more.
    pub(super) async fn tell(&self) -> Place {
        Arc::clone(&self.mouth).lock_owned().await
    }

    /// Hears the client from here on, unless somebody else does.
    pub(super) fn try_hear(&self) -> Option<sync::MutexGuard<'_, ()>> {
        self.hearing.try_lock().ok()
    }

    /// Hears the client when nobody else does any more.
    pub(super) async fn hear(&self) -> sync::MutexGuard<'_, ()> {
        self.hearing.lock().await
    }

    /// Has the gateway close it, for what its client must not do.
    pub(super) fn broken(&self, reason: &'static str) {
        self.line.broken(Breach { code: 1003, reason });
    }

    /// Has the gateway close it, for too much at once.
    pub(super) fn too_large(&self) {
        let reason = "message too big";
        self.line.broken(Breach { code: 1009, reason });
    }

    /// How far it is on its way to a WebSocket.
    pub(super) fn phase(&self) -> Phase {
        *self.phase.borrow()
    }

    /// What tells of that.
    pub(super) fn phases(&self) -> watch::Receiver<Phase> {
        self.phase.subscribe()
    }

    /// Goes from one phase to another; gives whether it was in the first.
    pub(super) fn enter(&self, from: Phase, to: Phase) -> bool {
        self.phase.send_if_modified(|phase| {
            let was = *phase == from;
            if was {
                *phase = to;
            }
            was
        })
    }
}
