//! The list of revoked users that gateways share: a key-value bucket, watched, and read again after each reconnect.
//! While there is no connection what was known last holds.

use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::Context;
use async_nats::jetstream::kv::{Entry, Operation};
use async_nats::jetstream::stream::{Config, DiscardPolicy};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use futures_util::StreamExt;
use tokio::sync::{mpsc, oneshot};

use super::connection::Connection;
use super::stream::OWNER;
use super::subjects::Subjects;
use crate::auth::revocation::{KEPT, Revocations};
use crate::auth::revoker::{Job, RevokeError};
use crate::auth::tokens::unix_seconds;
use crate::names::UserId;

/// Between two tries to open the bucket on one connection.
const AGAIN: Duration = Duration::from_secs(2);
/// Between two looks for what is too old.
const FORGET_EVERY: Duration = Duration::from_secs(3600);

/// The stream behind the bucket of a channel (NATS ADR-8).
#[must_use]
pub fn config(subjects: &Subjects, replicas: usize) -> Config {
    let bucket = subjects.revocations_bucket();
    Config {
        name: format!("KV_{bucket}"),
        description: Some("Linnet: users whose tokens are worth nothing".into()),
        subjects: vec![format!("$KV.{bucket}.>")],
        max_messages_per_subject: 1,
        max_age: Duration::from_secs(KEPT),
        num_replicas: replicas.max(1),
        discard: DiscardPolicy::New,
        allow_rollup: true,
        deny_delete: true,
        allow_direct: true,
        metadata: [(OWNER.to_owned(), subjects.owner())].into(),
        ..Config::default()
    }
}

/// Keeps a gateway's list equal to the one that gateways share.
pub struct Shared {
    /// Speaks to NATS.
    pub connection: Connection,
    /// Speaks to JetStream.
    pub jetstream: Context,
    /// Names the bucket.
    pub subjects: Subjects,
    /// Copies that are kept of it.
    pub replicas: usize,
    /// This gateway's list.
    pub revocations: Arc<Revocations>,
    /// Whom it is to put on the list.
    pub jobs: mpsc::Receiver<Job>,
    /// Told once the list was read, or can't be: before that nobody is let in.
    pub listed: Option<oneshot::Sender<()>>,
}

impl Shared {
    /// Runs until the gateway ends.
    pub async fn run(mut self) {
        loop {
            tokio::select! {
                () = self.revocations.needed() => break,
                job = self.jobs.recv() => match job {
                    // No token is taken, so that nobody has a name to be revoked by.
                    Some(job) => {
                        let _ = job.done.send(Ok(()));
                    }
                    None => return,
                },
            }
        }
        let mut complaint = String::new();
        loop {
            let generation = tokio::select! {
                biased;
                generation = self.connection.up() => generation,
                job = self.jobs.recv() => match job {
                    Some(job) => {
                        let error = RevokeError::Shared("there is no connection to NATS".into());
                        let _ = job.done.send(Err(error)); // who asked may have gone
                        continue;
                    }
                    None => return,
                },
            };
            match self.follow(generation).await {
                Ok(()) => {}
                Err(error) => {
                    self.tell();
                    if error != complaint {
                        tracing::error!(error, "revocations of users can't be shared");
                        complaint = error;
                    }
                    self.refuse_for(AGAIN).await;
                }
            }
            if self.jobs.is_closed() {
                return;
            }
        }
    }

    /// Follows the list for as long as this connection stands.
    async fn follow(&mut self, generation: u64) -> Result<(), String> {
        let bucket = self.subjects.revocations_bucket();
        let config = config(&self.subjects, self.replicas);
        let made = self.jetstream.get_or_create_stream(config).await;
        made.map_err(|error| error.to_string())?;
        let store = self.jetstream.get_key_value(&bucket).await;
        let store = store.map_err(|error| error.to_string())?;
        let watch = store.watch_with_history(">").await;
        let mut watch = watch.map_err(|error| error.to_string())?;
        let status = store.status().await.map_err(|error| error.to_string())?;
        if status.values() == 0 {
            self.tell();
        }
        let mut connection = self.connection.clone();
        let lost = connection.lost(generation);
        tokio::pin!(lost);
        let mut forget = tokio::time::interval(FORGET_EVERY);
        loop {
            tokio::select! {
                () = &mut lost => return Ok(()),
                entry = watch.next() => match entry {
                    Some(Ok(entry)) => {
                        take(&self.revocations, &entry);
                        if entry.delta == 0 {
                            self.tell();
                        }
                    }
                    Some(Err(error)) => return Err(error.to_string()),
                    None => return Err("the watch has ended".into()),
                },
                job = self.jobs.recv() => match job {
                    Some(Job { user, at, done }) => {
                        let put = store.put(key(&user), at.to_string().into()).await;
                        let put = put.map(drop);
                        // Who asked may have gone.
                        let _ = done.send(put.map_err(|error| RevokeError::Shared(error.to_string())));
                    }
                    None => return Ok(()),
                },
                _ = forget.tick() => self.revocations.forget_old(unix_seconds()),
            }
        }
    }

    /// Lets clients in, as far as the list is concerned.
    fn tell(&mut self) {
        if let Some(listed) = self.listed.take() {
            let _ = listed.send(()); // who waited has gone: so does the process
        }
    }

    /// Says for a while that the list can't be written.
    async fn refuse_for(&mut self, time: Duration) {
        let until = tokio::time::sleep(time);
        tokio::pin!(until);
        loop {
            tokio::select! {
                () = &mut until => return,
                job = self.jobs.recv() => match job {
                    Some(job) => {
                        let error = RevokeError::Shared("NATS has no bucket for it".into());
                        let _ = job.done.send(Err(error)); // who asked may have gone
                    }
                    None => return,
                },
            }
        }
    }
}

/// The key of a user: a bucket takes few characters.
fn key(user: &UserId) -> String {
    URL_SAFE_NO_PAD.encode(user.as_str())
}

fn take(revocations: &Revocations, entry: &Entry) {
    let user = URL_SAFE_NO_PAD.decode(&entry.key).ok();
    let user = user.and_then(|user| String::from_utf8(user).ok());
    let Some(user) = user.and_then(|user| UserId::from_token(&user)) else {
        return; // somebody else's entry
    };
    if entry.operation != Operation::Put {
        return revocations.restore(&user);
    }
    let at = std::str::from_utf8(&entry.value).ok();
    if let Some(at) = at.and_then(|at| at.parse().ok()) {
        revocations.revoke(user, at);
    }
}
