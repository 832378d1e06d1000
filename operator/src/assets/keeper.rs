//! Looks at the streams of one channel on NATS, and does what was decided.

use linnet_gateway::broker::nats::api::{ApiError, call};
use linnet_gateway::broker::nats::health::Fault;
use linnet_gateway::broker::nats::workers::prepare;
use serde::Deserialize;
use serde_json::{Value, json};

use super::brokers::Broker;
use super::correct::{Correction, Refusal, correct, owner_of};
use super::plan::{Asset, Plan};

/// Why the streams of a channel are not as they are to be.
#[derive(Debug, Clone, thiserror::Error)]
pub enum AssetError {
    /// A stream can't be used.
    #[error(transparent)]
    Refused(#[from] Refusal),
    /// JetStream does not do it.
    #[error("{what}: {error}")]
    Api {
        /// What was to be done.
        what: String,
        /// What it says.
        error: ApiError,
    },
}

impl AssetError {
    /// The reason of the condition.
    pub fn reason(&self) -> &'static str {
        match self {
            Self::Refused(Refusal::Owner { .. }) => "StreamConflict",
            Self::Refused(Refusal::Storage { .. }) => "StreamStorageDiffers",
            Self::Api { error, .. } => match error.fault {
                Fault::NoJetStream => "JetStreamUnavailable",
                Fault::NoLeader => "NoAnswer",
                Fault::PermissionDenied => "PermissionDenied",
                Fault::StorageFull | Fault::AccountLimit => "LimitReached",
                Fault::WrongStream => "StreamConflict",
                _ => "StreamRefused",
            },
        }
    }
}

/// What was done to a stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Done {
    /// It was made.
    Created,
    /// These fields were put right.
    Updated(Vec<&'static str>),
}

/// What came of keeping a channel's streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Kept {
    /// What was done to which.
    pub done: Vec<(String, Done)>,
    /// Streams of the channel that are not planned any more.
    pub orphans: Vec<String>,
}

/// What came of deleting a channel's streams.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deleted {
    /// Those that were deleted.
    pub deleted: Vec<String>,
    /// Those that stay since they are another's, and whose.
    pub others: Vec<(String, String)>,
}

/// The streams of one channel on its broker.
#[derive(Debug)]
pub struct Keeper<'a> {
    broker: &'a Broker,
    plan: &'a Plan,
}

impl<'a> Keeper<'a> {
    /// The streams of `plan` on `broker`.
    pub fn new(broker: &'a Broker, plan: &'a Plan) -> Self {
        Self { broker, plan }
    }

    /// Makes what is missing and puts right what differs. A stream that can't be helped does not keep the others from it.
    ///
    /// # Errors
    /// The first thing that could not be done.
    pub async fn keep(&self) -> Result<Kept, AssetError> {
        let mut kept = Kept::default();
        let mut first = None;
        for asset in &self.plan.assets {
            match self.keep_one(asset).await {
                Ok(Some(done)) => kept.done.push((asset.name().to_owned(), done)),
                Ok(None) => {}
                Err(error) => {
                    // Nobody answered: nobody will for the next one.
                    let silent =
                        matches!(&error, AssetError::Api { error, .. } if error.code.is_none());
                    first.get_or_insert(error);
                    if silent {
                        break;
                    }
                }
            }
        }
        if let Some(error) = first {
            return Err(error);
        }
        if let Some(wanted) = self.plan.workers {
            let prepared = prepare(&self.broker.jetstream, &self.plan.of, wanted).await;
            prepared.map_err(|why| error("preparing the work queue".to_owned(), why))?;
        }
        for name in self.names().await? {
            let planned = self.plan.has(&name);
            if !planned && self.owner(&name).await?.as_deref() == Some(&self.plan.owner) {
                kept.orphans.push(name);
            }
        }
        kept.orphans.sort_unstable();
        Ok(kept)
    }

    /// Deletes the streams that say that they are the channel's, planned or not.
    ///
    /// # Errors
    /// When NATS does not do it.
    pub async fn delete(&self) -> Result<Deleted, AssetError> {
        let mut names = self.names().await?;
        names.extend(self.plan.names());
        names.push(self.plan.leases.clone());
        names.push(self.plan.revocations.clone());
        names.push(self.plan.answers.clone());
        names.sort_unstable();
        names.dedup();
        let mut deleted = Deleted::default();
        for name in names {
            let Some(config) = self.look(&name).await? else {
                continue;
            };
            match owner_of(&config) {
                Some(owner) if owner == self.plan.owner => {
                    let gone: Result<Value, ApiError> = self
                        .call(&format!("STREAM.DELETE.{name}"), &json!({}))
                        .await;
                    match gone {
                        Err(error) if error.fault == Fault::NoStream => {}
                        gone => {
                            gone.map_err(|why| error(format!("deleting the stream {name}"), why))?;
                            deleted.deleted.push(name);
                        }
                    }
                }
                owner => {
                    let owner = owner.unwrap_or("nobody that it names").to_owned();
                    deleted.others.push((name, owner));
                }
            }
        }
        Ok(deleted)
    }

    async fn keep_one(&self, asset: &Asset) -> Result<Option<Done>, AssetError> {
        let name = asset.name();
        let live = match self.look(name).await? {
            Some(live) => live,
            None => {
                let made: Result<Value, ApiError> = self
                    .call(&format!("STREAM.CREATE.{name}"), &asset.config)
                    .await;
                match made {
                    Ok(_) => return Ok(Some(Done::Created)),
                    // A gateway was first. What it made differs in its epoch at least.
                    Err(refusal) => match self.look(name).await? {
                        Some(live) => live,
                        None => return Err(error(format!("making the stream {name}"), refusal)),
                    },
                }
            }
        };
        match correct(&live, asset, &self.plan.owner)? {
            Correction::None => Ok(None),
            Correction::Update(config, changed) => {
                let updated: Result<Value, ApiError> =
                    self.call(&format!("STREAM.UPDATE.{name}"), &config).await;
                let what = format!("updating {} of the stream {name}", changed.join(", "));
                updated.map_err(|why| error(what, why))?;
                Ok(Some(Done::Updated(changed)))
            }
        }
    }

    /// The configuration of a stream; `None` if it is not there.
    async fn look(&self, name: &str) -> Result<Option<Value>, AssetError> {
        #[derive(Deserialize)]
        struct Info {
            config: Value,
        }
        let info: Result<Info, ApiError> =
            self.call(&format!("STREAM.INFO.{name}"), &json!({})).await;
        match info {
            Ok(info) => Ok(Some(info.config)),
            Err(error) if error.fault == Fault::NoStream => Ok(None),
            Err(silence) => Err(error(format!("looking at the stream {name}"), silence)),
        }
    }

    async fn owner(&self, name: &str) -> Result<Option<String>, AssetError> {
        let config = self.look(name).await?;
        Ok(config.as_ref().and_then(owner_of).map(str::to_owned))
    }

    /// The streams that take in the channel's subjects.
    async fn names(&self) -> Result<Vec<String>, AssetError> {
        #[derive(Deserialize)]
        struct Page {
            #[serde(default)]
            streams: Option<Vec<String>>,
        }
        let mut names = Vec::new();
        loop {
            let ask = json!({"subject": self.plan.subjects, "offset": names.len()});
            let page: Result<Page, ApiError> = self.call("STREAM.NAMES", &ask).await;
            let page = page.map_err(|why| error("listing streams".to_owned(), why))?;
            match page.streams {
                Some(more) if !more.is_empty() => names.extend(more),
                _ => return Ok(names),
            }
        }
    }

    /// A request that NATS denies is not answered; the denial comes beside it.
    async fn call<T: serde::de::DeserializeOwned>(
        &self,
        subject: &str,
        payload: &impl serde::Serialize,
    ) -> Result<T, ApiError> {
        let answer = call(&self.broker.jetstream, subject.to_owned(), payload).await;
        answer.map_err(|error: ApiError| match self.broker.denials.about(subject) {
            Some(denial) if error.code.is_none() => ApiError::new(Fault::PermissionDenied, denial),
            _ => error,
        })
    }
}

fn error(what: String, error: ApiError) -> AssetError {
    AssetError::Api { what, error }
}
