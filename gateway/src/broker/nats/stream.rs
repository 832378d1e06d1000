//! The streams that keep a channel's messages: how they are made, whose they are, and their epoch.
//!
//! An epoch is a random text in the stream's metadata, set when the stream is made. Where a gateway finds that a stream
//! has lost messages that it had seen (rolled back, restored from a backup), it sets another one. NATS has no
//! compare-and-swap of a stream's configuration, so the next epoch is a hash of the one before: gateways that find the
//! same fault at the same time write the same, and whoever comes late sees that it is done.

use std::collections::HashMap;

use async_nats::jetstream::stream::{Config, DiscardPolicy, Info, RetentionPolicy, StorageType};
use async_nats::jetstream::{Context, ErrorCode};
use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use serde_json::json;
use sha2::{Digest, Sha256};

use super::api::{ApiError, call};
use super::health::Fault;
use super::subjects::Subjects;
use crate::config::{History, Storage};
use crate::names::{Epoch, Offset};

/// Metadata: the stream's epoch.
pub const EPOCH: &str = "linnet-epoch";
/// Metadata: the channel that the stream is of, as prefix/namespace/name.
pub const OWNER: &str = "linnet-owner";
/// How many epochs that follow one another are told from a stream that was made anew.
const FOLLOWING: usize = 8;
/// Subjects whose messages are counted at most.
const COUNTED_SUBJECTS: usize = 10_000;

/// What a stream is like now.
#[derive(Debug, Clone)]
pub struct Stream {
    /// Its epoch.
    pub epoch: Epoch,
    /// The first position that is stored, or the one after [`Self::last`].
    pub first: Offset,
    /// The last position that was given out.
    pub last: Offset,
    /// How many messages are stored.
    pub messages: u64,
    /// Their bytes.
    pub bytes: u64,
    /// How many messages it keeps of a room.
    pub per_room: usize,
    /// How many copies there are.
    pub replicas: usize,
}

impl Stream {
    /// Whether its epoch was made from another one, since the stream had lost messages.
    pub fn follows(&self, other: &Epoch) -> bool {
        let mut epoch = other.clone();
        (0..FOLLOWING).any(|_| {
            epoch = next(&epoch);
            epoch == self.epoch
        })
    }
}

/// The stream of one partition.
#[derive(Debug, Clone)]
pub struct StreamOf {
    subjects: Subjects,
    partition: u16,
    /// Whether this gateway makes it, and keeps its limits as the manifest says.
    create: bool,
}

impl StreamOf {
    /// The stream of a partition; `create`: this gateway makes it if it is missing.
    pub fn new(subjects: Subjects, partition: u16, create: bool) -> Self {
        Self {
            subjects,
            partition,
            create,
        }
    }

    /// Its name.
    pub fn name(&self) -> String {
        self.subjects.stream(self.partition)
    }

    /// Looks at it; makes it or puts its limits right first, if that is this gateway's to do.
    ///
    /// # Errors
    /// When it is not there, is another's, or JetStream does not answer.
    pub async fn open(&self, jetstream: &Context, history: &History) -> Result<Stream, ApiError> {
        let mut info = match self.info(jetstream).await {
            Err(error) if error.fault == Fault::NoStream && self.create => {
                self.create(jetstream, history).await?
            }
            info => info?,
        };
        self.check(&info.config)?;
        if self.create && self.adjust(&mut info.config, history) {
            tracing::info!(
                stream = self.name(),
                "the stream's limits become the manifest's"
            );
            info = self.update(jetstream, &info.config).await?;
        }
        if !info.config.metadata.contains_key(EPOCH) {
            let epoch = Epoch::random();
            info = self.write_epoch(jetstream, info, &epoch).await?;
        }
        Ok(read(&info))
    }

    /// Gives the stream another epoch than `seen`, all of which stood for other messages. Does nothing where that has
    /// been done already.
    ///
    /// # Errors
    /// When JetStream does not do it.
    pub async fn renew_epoch(
        &self,
        jetstream: &Context,
        seen: &[Epoch],
    ) -> Result<Stream, ApiError> {
        let mut info = self.info(jetstream).await?;
        let mut epoch = epoch(&info);
        if seen.contains(&epoch) {
            while seen.contains(&epoch) {
                epoch = next(&epoch);
            }
            tracing::warn!(
                stream = self.name(),
                epoch = epoch.as_str(),
                "the stream has lost messages: a new epoch"
            );
            info = self.write_epoch(jetstream, info, &epoch).await?;
        }
        Ok(read(&info))
    }

    /// The rooms' subjects that hold `at_least` messages; `None` where there are too many subjects to look at.
    ///
    /// # Errors
    /// When JetStream does not answer.
    pub async fn full_subjects(
        &self,
        jetstream: &Context,
        at_least: usize,
    ) -> Result<Option<Vec<String>>, ApiError> {
        #[derive(Deserialize)]
        struct Counted {
            state: State,
        }
        #[derive(Deserialize)]
        struct State {
            #[serde(default)]
            num_subjects: usize,
            #[serde(default)]
            subjects: HashMap<String, usize>,
        }
        let ask = json!({"subjects_filter": self.subjects.stored_filter(self.partition)});
        let counted: Counted =
            call(jetstream, format!("STREAM.INFO.{}", self.name()), &ask).await?;
        if counted.state.num_subjects > COUNTED_SUBJECTS.max(counted.state.subjects.len()) {
            return Ok(None);
        }
        let full = |(subject, count): (String, usize)| (count >= at_least).then_some(subject);
        Ok(Some(
            counted
                .state
                .subjects
                .into_iter()
                .filter_map(full)
                .collect(),
        ))
    }

    /// Looks at it.
    ///
    /// # Errors
    /// When it is not there, or JetStream does not answer.
    pub async fn look(&self, jetstream: &Context) -> Result<Stream, ApiError> {
        Ok(read(&self.info(jetstream).await?))
    }

    async fn info(&self, jetstream: &Context) -> Result<Info, ApiError> {
        call(
            jetstream,
            format!("STREAM.INFO.{}", self.name()),
            &json!({}),
        )
        .await
    }

    /// What it is made with, with an epoch of its own. The operator makes it with the same.
    pub fn config(&self, history: &History) -> Config {
        let mut config = Config {
            name: self.name(),
            description: Some(format!(
                "History of the RealtimeChannel {}",
                self.subjects.owner()
            )),
            subjects: vec![self.subjects.stored_filter(self.partition)],
            retention: RetentionPolicy::Limits,
            discard: DiscardPolicy::Old,
            storage: match history.storage {
                Storage::File => StorageType::File,
                Storage::Memory => StorageType::Memory,
            },
            allow_direct: true,
            metadata: HashMap::from([
                (OWNER.to_owned(), self.subjects.owner()),
                (EPOCH.to_owned(), Epoch::random().as_str().to_owned()),
            ]),
            ..Config::default()
        };
        self.adjust(&mut config, history);
        config
    }

    async fn create(&self, jetstream: &Context, history: &History) -> Result<Info, ApiError> {
        let config = self.config(history);
        match call(jetstream, format!("STREAM.CREATE.{}", self.name()), &config).await {
            // Another gateway was first: it drew another epoch.
            Err(error) if error.code == Some(ErrorCode::STREAM_NAME_EXIST) => {
                self.info(jetstream).await
            }
            made => made.inspect(|_| tracing::info!(stream = self.name(), "the stream is made")),
        }
    }

    async fn update(&self, jetstream: &Context, config: &Config) -> Result<Info, ApiError> {
        call(jetstream, format!("STREAM.UPDATE.{}", self.name()), config).await
    }

    async fn write_epoch(
        &self,
        jetstream: &Context,
        mut info: Info,
        epoch: &Epoch,
    ) -> Result<Info, ApiError> {
        let value = epoch.as_str().to_owned();
        info.config.metadata.insert(EPOCH.to_owned(), value);
        self.update(jetstream, &info.config).await
    }

    /// Whether the stream is this channel's and can be used.
    fn check(&self, config: &Config) -> Result<(), ApiError> {
        let wrong =
            |what: String| ApiError::new(Fault::WrongStream, format!("{}: {what}", self.name()));
        let owner = self.subjects.owner();
        match config.metadata.get(OWNER) {
            Some(other) if *other != owner => {
                return Err(wrong(format!("it belongs to {other}, not to {owner}")));
            }
            _ => {}
        }
        let subject = self.subjects.stored_filter(self.partition);
        if config.subjects != [subject.clone()] {
            return Err(wrong(format!(
                "its subjects are {:?}, not {subject}",
                config.subjects
            )));
        }
        if !config.allow_direct {
            return Err(wrong("allow_direct is not set".to_owned()));
        }
        Ok(())
    }

    /// Makes the limits those of the manifest; what can't change later stays. Gives whether anything changed.
    fn adjust(&self, config: &mut Config, history: &History) -> bool {
        let before = config.clone();
        config.max_messages_per_subject = history.max_messages_per_room as i64;
        config.max_age = history.max_age;
        config.duplicate_window = history.deduplication;
        config.num_replicas = history.replicas;
        *config != before
    }
}

/// The epoch that follows another one.
fn next(epoch: &Epoch) -> Epoch {
    let hash = Sha256::digest(epoch.as_str());
    Epoch::from_client(&URL_SAFE_NO_PAD.encode(&hash[..16]))
}

fn epoch(info: &Info) -> Epoch {
    Epoch::from_client(info.config.metadata.get(EPOCH).map_or("", String::as_str))
}

fn read(info: &Info) -> Stream {
    let (config, state) = (&info.config, &info.state);
    Stream {
        epoch: epoch(info),
        // A stream that never held anything says 0.
        first: Offset(state.first_sequence.max(1)),
        last: Offset(state.last_sequence),
        messages: state.messages,
        bytes: state.bytes,
        per_room: usize::try_from(config.max_messages_per_subject).unwrap_or(usize::MAX),
        replicas: config.num_replicas,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_next_epoch_is_the_same_for_all_who_ask() {
        let epoch = Epoch::random();
        assert_eq!(next(&epoch), next(&epoch.clone()));
        assert_ne!(next(&epoch), epoch);
        assert_eq!(next(&epoch).as_str().len(), epoch.as_str().len());
    }

    #[test]
    fn another_channels_stream_is_refused_by_name() {
        let of = StreamOf::new(Subjects::new("linnet", "default", "chat", 1), 0, true);
        let mut config = Config {
            subjects: vec!["linnet.default.chat.history.0.*".into()],
            allow_direct: true,
            ..Config::default()
        };
        assert!(of.check(&config).is_ok(), "one without an owner is adopted");
        config
            .metadata
            .insert(OWNER.into(), "other/default/chat".into());
        let error = of.check(&config).unwrap_err();
        assert_eq!(error.fault, Fault::WrongStream);
        assert!(
            error.detail.contains("belongs to other/default/chat"),
            "{error}"
        );
    }
}
