//! Sessions that live on another gateway: what their clients ask here is passed on.
//!
//! A sid says where its session lives: the gateway's process, 128 random bits, and a MAC over both with a key of that
//! gateway, which others ask it for once. So a sid that nobody gave out is refused where it comes, and asks nobody for
//! anything. The order of what a client says is its own: it says nothing more before it has the answer.

use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use bytes::Bytes;
use ring::hmac;

use super::payload::{self, Unread};
use super::poll;
use super::session::Sessions;
use crate::broker::nats::presence::entry::ProcessId;
use crate::broker::nats::relay::{Relay, RelayError};
use crate::protocol::engineio::Refused;

/// Length of a sid: two times 16 bytes and a MAC of 32, in base64.
const SID: usize = 86;
/// For an answer that nobody waits for something to tell for.
const ANSWERED_WITHIN: Duration = Duration::from_secs(5);
/// Keys of other gateways that are remembered: more gateways than a channel has in the time of a rollout.
const KEYS: usize = 1024;

/// What is asked of the gateway of a session.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Ask {
    /// Its key.
    Key = b'k',
    /// What there is to tell.
    Poll = b'p',
    /// To hear what the client says.
    Say = b's',
    /// To end it: what the client says is too large.
    TooLarge = b'l',
    /// To end it: what the client says did not come, or is no text.
    Broken = b'b',
    /// To end it: the client is gone.
    Gone = b'g',
}

/// What is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
enum Answered {
    /// What was asked for follows.
    Done = b'd',
    /// There is no such session.
    Unknown = b'u',
    /// The client must not do that.
    Bad = b'b',
}

/// The way to other gateways. It has a secret, so this type has no `Debug`.
pub(super) struct Elsewhere {
    relay: Relay,
    me: ProcessId,
    key: hmac::Key,
    bits: [u8; 32],
    others: Mutex<HashMap<ProcessId, hmac::Key>>,
}

/// Takes a sid apart: where it lives, what its MAC is over, and that.
fn parts(sid: &str) -> Option<(ProcessId, [u8; 32], [u8; 32])> {
    let bytes = URL_SAFE_NO_PAD.decode(sid).ok()?;
    let (named, tag) = bytes.split_first_chunk::<32>()?;
    let process = *named.first_chunk::<16>()?;
    let tag = tag.try_into().ok()?;
    Some((ProcessId::from_bytes(process), *named, tag))
}

impl Elsewhere {
    pub(super) fn new(relay: Relay) -> Self {
        let bits: [u8; 32] = rand::random();
        Self {
            me: relay.me(),
            relay,
            key: hmac::Key::new(hmac::HMAC_SHA256, &bits),
            bits,
            others: Mutex::default(),
        }
    }

    /// A sid of this gateway.
    pub(super) fn sid(&self) -> String {
        sid_of(self.me, &self.key)
    }

    /// Answers what other gateways ask.
    pub(super) async fn serve(self: Arc<Self>, sessions: Arc<Sessions>) {
        let served = Arc::clone(&self);
        let answer = move |request: Bytes| {
            let (elsewhere, sessions) = (Arc::clone(&served), Arc::clone(&sessions));
            async move { elsewhere.answer(&sessions, &request).await }
        };
        self.relay.serve(answer).await;
    }

    async fn answer(&self, sessions: &Sessions, request: &[u8]) -> Bytes {
        let answered = |answered: Answered, rest: &[u8]| {
            let mut bytes = vec![answered as u8];
            bytes.extend_from_slice(rest);
            Bytes::from(bytes)
        };
        let Some((&ask, rest)) = request.split_first() else {
            return answered(Answered::Bad, &[]);
        };
        if ask == Ask::Key as u8 {
            return answered(Answered::Done, &self.bits);
        }
        let (sid, said) = rest.split_at(rest.len().min(SID));
        let session = std::str::from_utf8(sid).ok();
        let Some(session) = session.and_then(|sid| sessions.find(sid)) else {
            return answered(Answered::Unknown, &[]);
        };
        let outcome = match ask {
            ask if ask == Ask::Poll as u8 => match poll::tell(sessions, &session, None).await {
                Ok(told) => {
                    let packets = told.into_bytes();
                    if packets.len() < self.relay.largest() {
                        return answered(Answered::Done, &packets);
                    }
                    session.too_large();
                    Err(Refused::Sid)
                }
                Err(refused) => Err(refused),
            },
            ask if ask == Ask::Say as u8 => payload::say(&session, said).await,
            ask => {
                match ask {
                    ask if ask == Ask::TooLarge as u8 => session.too_large(),
                    ask if ask == Ask::Gone as u8 => session.line().lost(),
                    _ => session.broken("a payload is Engine.IO packets in UTF-8"),
                }
                Ok(())
            }
        };
        match outcome {
            Ok(()) => answered(Answered::Done, &[]),
            Err(Refused::Sid) => answered(Answered::Unknown, &[]),
            Err(_) => answered(Answered::Bad, &[]),
        }
    }

    /// The gateway that a sid names, where that has given it out, and lives.
    pub(super) async fn owner(&self, sid: &str) -> Result<ProcessId, Refused> {
        let (process, named, tag) = parts(sid).ok_or(Refused::Sid)?;
        if process == self.me || !self.relay.lives(process) {
            return Err(Refused::Sid); // it would have been found, or is gone
        }
        let key = self.key_of(process).await.ok_or(Refused::Sid)?;
        hmac::verify(&key, &named, &tag).map_err(|_| Refused::Sid)?;
        Ok(process)
    }

    /// What a session has to tell, in a body.
    pub(super) async fn poll(
        &self,
        owner: ProcessId,
        sid: &str,
        within: Duration,
    ) -> Result<Bytes, Refused> {
        self.ask(owner, sid, Ask::Poll, &[], within).await
    }

    /// Has a session hear what its client says.
    pub(super) async fn say(
        &self,
        owner: ProcessId,
        sid: &str,
        said: &[u8],
    ) -> Result<(), Refused> {
        let said = self.ask(owner, sid, Ask::Say, said, ANSWERED_WITHIN).await;
        said.map(drop)
    }

    /// Ends a session whose client says what can't be passed on.
    pub(super) async fn give_up(&self, owner: ProcessId, sid: &str, unread: Unread) {
        let ask = match unread {
            Unread::TooLarge => Ask::TooLarge,
            Unread::Binary | Unread::Cut | Unread::Slow => Ask::Broken,
        };
        // It ends by itself otherwise.
        let _ = self.ask(owner, sid, ask, &[], ANSWERED_WITHIN).await;
    }

    /// Ends a session whose client is gone.
    pub(super) async fn gone(&self, owner: ProcessId, sid: &str) {
        let _ = self.ask(owner, sid, Ask::Gone, &[], ANSWERED_WITHIN).await;
    }

    async fn ask(
        &self,
        owner: ProcessId,
        sid: &str,
        ask: Ask,
        said: &[u8],
        within: Duration,
    ) -> Result<Bytes, Refused> {
        let request = [&[ask as u8], sid.as_bytes(), said].concat();
        let answer = self.relay.ask(owner, request.into(), within).await;
        let mut answer = answer.map_err(|error| match error {
            RelayError::TooLarge => Refused::BadRequest,
            RelayError::Unknown | RelayError::Silent => Refused::Sid,
        })?;
        match answer.first() {
            Some(done) if *done == Answered::Done as u8 => Ok(answer.split_off(1)),
            Some(bad) if *bad == Answered::Bad as u8 => Err(Refused::BadRequest),
            _ => Err(Refused::Sid),
        }
    }

    /// The key that a gateway's sids are made with.
    async fn key_of(&self, process: ProcessId) -> Option<hmac::Key> {
        if let Some(key) = self.others().get(&process) {
            return Some(key.clone());
        }
        let request = Bytes::from_static(&[Ask::Key as u8]);
        let answer = self
            .relay
            .ask(process, request, ANSWERED_WITHIN)
            .await
            .ok()?;
        let (_, bits) = answer.split_first()?;
        let key = hmac::Key::new(hmac::HMAC_SHA256, bits.first_chunk::<32>()?);
        let mut others = self.others();
        if others.len() >= KEYS {
            others.retain(|process, _| self.relay.lives(*process));
        }
        others.insert(process, key.clone());
        Some(key)
    }

    fn others(&self) -> MutexGuard<'_, HashMap<ProcessId, hmac::Key>> {
        self.others.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn sid_of(process: ProcessId, key: &hmac::Key) -> String {
    let mut bytes = [0; 64];
    bytes[..16].copy_from_slice(process.as_bytes());
    bytes[16..32].copy_from_slice(&rand::random::<[u8; 16]>());
    let tag = hmac::sign(key, &bytes[..32]);
    bytes[32..].copy_from_slice(tag.as_ref());
    URL_SAFE_NO_PAD.encode(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sid_names_its_gateway_and_holds_a_mac_over_all_else() {
        let process = ProcessId::random();
        let key = hmac::Key::new(hmac::HMAC_SHA256, b"one");
        let sid = sid_of(process, &key);
        assert_eq!(sid.len(), SID);
        let (named, over, tag) = parts(&sid).unwrap();
        assert_eq!(named, process);
        assert!(hmac::verify(&key, &over, &tag).is_ok());
        let other = hmac::Key::new(hmac::HMAC_SHA256, b"two");
        assert!(hmac::verify(&other, &over, &tag).is_err());
        for broken in ["", "x", &sid[1..], &format!("{sid}AA"), "~~~~"] {
            assert!(parts(broken).is_none(), "{broken}");
        }
    }
}
