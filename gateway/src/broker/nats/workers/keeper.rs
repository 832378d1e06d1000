//! Sees to it that what workers need is on NATS for as long as a rule of the channel asks for them, and minds dead letters
//! while this gateway holds the lease.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use async_nats::jetstream::consumer::{Config as ConsumerConfig, Info};
use async_nats::jetstream::stream::{Config, Info as StreamInfo};
use async_nats::jetstream::{Context, ErrorCode};
use serde::Deserialize;
use serde_json::json;
use tokio::sync::{oneshot, watch};
use tokio::time::{Instant, sleep};

use super::assets::{self, Queue};
use super::lease::Lease;
use super::undertaker::{Undertaker, Watch};
use crate::broker::nats::api::{ApiError, call};
use crate::broker::nats::connection::Connection;
use crate::broker::nats::health::{Fault, Health, WORK};
use crate::broker::nats::subjects::Subjects;
use crate::config::{Channel, History, Workers};

/// Pause after an error.
const PAUSE: Duration = Duration::from_millis(250);
/// How often it is looked whether everything is still there.
const LOOK: Duration = Duration::from_secs(5);
/// Shortest time between two looks at what workers have under way.
const SHORTEST: Duration = Duration::from_millis(500);
/// What may be wrong, until it can be used.
const FAULTS: [Fault; 6] = [
    Fault::NoJetStream,
    Fault::NoStream,
    Fault::WrongStream,
    Fault::NoLeader,
    Fault::AccountLimit,
    Fault::Other,
];

/// What the manifest says, as far as workers are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wanted {
    /// Window, replicas and storage are those of history.
    pub history: History,
    /// How workers share the rooms.
    pub workers: Workers,
}

impl Wanted {
    /// `None` where no rule of the channel asks for workers.
    pub fn of(channel: &Channel) -> Option<Self> {
        let history = channel.history.filter(|_| channel.rules.any_worker())?;
        Some(Self {
            history,
            workers: channel.workers,
        })
    }
}

/// Sees to it.
pub struct Keeper {
    /// Whose connection to use.
    pub connection: Connection,
    /// JetStream on that connection.
    pub jetstream: Context,
    /// The channel's names.
    pub subjects: Subjects,
    /// Whether this gateway makes what is missing, and keeps it as the manifest says.
    pub create: bool,
    /// This gateway's name.
    pub gateway: String,
    /// What the manifest says, as it changes.
    pub wanted: watch::Receiver<Option<Wanted>>,
    /// Where faults are told.
    pub health: Arc<Health>,
    /// Rung once everything is there; absent where clients need not wait for it.
    pub warm: Option<oneshot::Sender<()>>,
}

/// What is there.
struct Found {
    queue: Queue,
    consumers: Vec<Info>,
}

/// What is known while a keeper runs.
struct Run {
    keeper: Keeper,
    lease: Lease,
    undertaker: Undertaker,
}

impl Keeper {
    /// Works until the hub is gone.
    pub async fn run(self) {
        let mut wanted = self.wanted.clone();
        let mut connection = self.connection.clone();
        let mut run = Run {
            lease: Lease::new(self.subjects.presence_bucket(), &self.gateway),
            undertaker: Undertaker {
                jetstream: self.jetstream.clone(),
                subjects: self.subjects.clone(),
                gateway: self.gateway.clone(),
                watch: Watch::default(),
            },
            keeper: self,
        };
        let mut last = None;
        loop {
            // What is still in the queue once no rule asks for workers is worked like anything else.
            let now = *wanted.borrow_and_update();
            last = now.or(last);
            let Some(of) = last else {
                match wanted.changed().await {
                    Ok(()) => continue,
                    Err(_) => return,
                }
            };
            let generation = connection.up().await;
            run.undertaker.watch.clear();
            tokio::select! {
                biased;
                changed = wanted.changed() => if changed.is_err() {
                    return;
                },
                () = connection.lost(generation) => {}
                () = run.keep(of) => {}
            }
        }
    }
}

impl Run {
    /// Looks again and again.
    async fn keep(&mut self, wanted: Wanted) {
        let jetstream = self.keeper.jetstream.clone();
        let subjects = self.keeper.subjects.clone();
        let assets = Assets {
            jetstream: &jetstream,
            subjects: &subjects,
            create: self.keeper.create,
            wanted,
        };
        let shift = (wanted.workers.acknowledge / 2).clamp(SHORTEST, LOOK);
        let mut adjust = self.keeper.create;
        let mut next_look = Instant::now();
        loop {
            if self.lease.is_held() || Instant::now() >= next_look {
                match assets.open(adjust).await {
                    Ok(found) => {
                        adjust = false;
                        self.is_there();
                        self.mind(&found).await;
                    }
                    Err(error) => {
                        self.tell(error);
                        sleep(PAUSE).await;
                        continue;
                    }
                }
                next_look = Instant::now() + LOOK;
            }
            self.lease.tend(&jetstream).await;
            sleep(shift).await;
        }
    }

    /// Everything can be used.
    fn is_there(&mut self) {
        for fault in FAULTS {
            self.keeper.health.clear_of(fault, WORK);
        }
        if let Some(warm) = self.keeper.warm.take() {
            let _ = warm.send(()); // nobody waits any more
        }
    }

    fn tell(&self, error: ApiError) {
        for fault in FAULTS.into_iter().filter(|fault| *fault != error.fault) {
            self.keeper.health.clear_of(fault, WORK);
        }
        self.keeper.health.set_of(error.fault, WORK, error.detail);
    }

    /// Sets aside what workers do not survive, if that is this gateway's to do.
    async fn mind(&mut self, found: &Found) {
        let waiting = found.consumers.iter();
        let waiting = waiting.map(|info| info.num_pending + info.num_ack_pending as u64);
        let metrics = &self.keeper.health.metrics;
        metrics.work_queue.set(waiting.sum());
        if !self.lease.is_held() {
            return self.undertaker.watch.clear();
        }
        let health = &self.keeper.health;
        match self.undertaker.look(&found.queue, &found.consumers).await {
            Ok(buried) => health.metrics.dead_letters.add_shared(buried),
            Err(error) => health.set_of(error.fault, WORK, error.detail),
        }
    }
}

/// Makes all that workers need, and puts right what the manifest decides, as a gateway with `--create-stream` does: this is
/// the operator's way.
///
/// # Errors
/// When JetStream does not do it, or something that is there can't be used.
pub async fn prepare(
    jetstream: &Context,
    subjects: &Subjects,
    wanted: Wanted,
) -> Result<(), ApiError> {
    let assets = Assets {
        jetstream,
        subjects,
        create: true,
        wanted,
    };
    assets.open(true).await.map(drop)
}

/// What is to be on NATS.
struct Assets<'a> {
    jetstream: &'a Context,
    subjects: &'a Subjects,
    create: bool,
    wanted: Wanted,
}

impl Assets<'_> {
    /// Looks at everything; makes what is missing, and with `adjust` puts right what the manifest decides, if that is
    /// this gateway's to do.
    async fn open(&self, adjust: bool) -> Result<Found, ApiError> {
        let mut work = self
            .stream(assets::work(self.subjects, &self.wanted))
            .await?;
        // What another one made by hand without these is adopted.
        if self.create && adjust && assets::adjust_work(&mut work, &self.wanted) {
            work = self.call_stream("UPDATE", &work).await?;
        }
        let queue = assets::read_work(self.subjects, &work);
        let queue = queue.map_err(|why| self.wrong(&work.name, &why))?;
        let dead = self
            .stream(assets::dead(self.subjects, &self.wanted))
            .await?;
        let checked = assets::check_dead(self.subjects, &dead);
        checked.map_err(|why| self.wrong(&dead.name, &why))?;
        let consumers = self.consumers(&queue, adjust).await?;
        Ok(Found { queue, consumers })
    }

    fn wrong(&self, name: &str, why: &str) -> ApiError {
        ApiError::new(Fault::WrongStream, format!("{name}: {why}"))
    }

    /// A stream's configuration; makes it like `config` if it is missing.
    async fn stream(&self, config: Config) -> Result<Config, ApiError> {
        let info = format!("STREAM.INFO.{}", config.name);
        match call::<StreamInfo>(self.jetstream, info.clone(), &json!({})).await {
            Ok(found) => Ok(found.config),
            Err(error) if error.fault == Fault::NoStream && self.create => {
                match self.call_stream("CREATE", &config).await {
                    // Another gateway was first.
                    Err(error) if error.code == Some(ErrorCode::STREAM_NAME_EXIST) => {
                        let found: StreamInfo = call(self.jetstream, info, &json!({})).await?;
                        Ok(found.config)
                    }
                    made => {
                        made.inspect(|_| tracing::info!(stream = config.name, "the stream is made"))
                    }
                }
            }
            Err(error) if error.fault == Fault::NoStream => {
                Err(ApiError::new(Fault::NoStream, config.name))
            }
            Err(error) => Err(error),
        }
    }

    async fn call_stream(&self, what: &str, config: &Config) -> Result<Config, ApiError> {
        let subject = format!("STREAM.{what}.{}", config.name);
        let info: StreamInfo = call(self.jetstream, subject, config).await?;
        Ok(info.config)
    }

    /// The partitions' consumers; makes what is missing.
    async fn consumers(&self, queue: &Queue, adjust: bool) -> Result<Vec<Info>, ApiError> {
        let found = self.list().await?;
        let there: BTreeMap<String, ConsumerConfig> = found
            .iter()
            .map(|info| (info.name.clone(), info.config.clone()))
            .collect();
        let mut write = assets::consumers_to_write(
            self.subjects,
            queue.partitions,
            self.wanted.workers.acknowledge,
            &there,
        );
        let name = |config: &ConsumerConfig| config.durable_name.clone().unwrap_or_default();
        if !adjust {
            write.retain(|config| !there.contains_key(&name(config)));
        }
        if self.create {
            for config in &write {
                self.write(&name(config), config).await?;
            }
        } else if let Some(missing) = write.first().map(name) {
            let detail = format!("{}: no consumer {missing}", self.subjects.work_stream());
            return Err(ApiError::new(Fault::NoStream, detail));
        }
        let consumers = match write.is_empty() {
            true => found,
            false => self.list().await?,
        };
        for partition in 0..queue.partitions {
            let name = assets::consumer_name(partition);
            let Some(info) = consumers.iter().find(|info| info.name == name) else {
                continue; // a cluster takes a moment
            };
            if let Some(why) = assets::consumer_fault(&info.config) {
                let what = format!("{}, consumer {name}", self.subjects.work_stream());
                return Err(self.wrong(&what, why));
            }
        }
        Ok(consumers)
    }

    async fn list(&self) -> Result<Vec<Info>, ApiError> {
        #[derive(Deserialize)]
        struct Page {
            // The server writes null for none.
            consumers: Option<Vec<Info>>,
        }
        // A page holds 256 of them, and there are 64 partitions at most.
        let subject = format!("CONSUMER.LIST.{}", self.subjects.work_stream());
        let page: Page = call(self.jetstream, subject, &json!({"offset": 0})).await?;
        Ok(page.consumers.unwrap_or_default())
    }

    async fn write(&self, name: &str, config: &ConsumerConfig) -> Result<(), ApiError> {
        let stream = self.subjects.work_stream();
        let subject = format!("CONSUMER.CREATE.{stream}.{name}.{}", config.filter_subject);
        let ask = json!({"stream_name": stream, "config": config, "action": ""});
        let _: Info = call(self.jetstream, subject, &ask).await?;
        Ok(())
    }
}
