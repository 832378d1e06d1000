//! The work-queue stream, its consumers, and the stream of dead letters: how they are made, and whose they are.
//!
//! The number of partitions is a matter of the stream: it was fixed when the stream was made and stands in its metadata,
//! and the server itself tells each message's partition by a subject transform. So gateways of different manifests never
//! disagree about it, and rooms keep their partition.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use async_nats::jetstream::consumer::{
    AckPolicy, Config as ConsumerConfig, DeliverPolicy, IntoConsumerConfig, PriorityPolicy, pull,
};
use async_nats::jetstream::stream::{
    Config, DiscardPolicy, RetentionPolicy, StorageType, SubjectTransform,
};

use super::keeper::Wanted;
use crate::broker::nats::subjects::Subjects;
use crate::config::Storage;
use crate::names::Epoch;

/// Metadata: the channel that a stream is of, as prefix/namespace/name.
pub const OWNER: &str = "linnet-owner";
/// Metadata: the work queue's epoch, which with a sequence names one message for ever.
pub const EPOCH: &str = "linnet-epoch";
/// Metadata: how many partitions the work queue has.
pub const PARTITIONS: &str = "linnet-partitions";
/// Metadata: how often a message is tried.
pub const MAX_DELIVERIES: &str = "linnet-max-deliveries";
/// Metadata: how many partitions the history has, for workers that put output into another room.
const HISTORY_PARTITIONS: &str = "linnet-history-partitions";

/// The group that a worker names when it asks for messages.
const GROUP: &str = "workers";
/// How long a worker that asks no more keeps others from its partition.
const PIN: Duration = Duration::from_secs(3);
/// How many workers may ask for messages of one partition at once.
const MAX_WAITING: i64 = 512;
/// Dead letters are kept for thirty days,
const DEAD_AGE: Duration = Duration::from_secs(30 * 24 * 3600);
/// and so many at most.
const DEAD_MESSAGES: i64 = 10_000;
/// How long a dead letter that is put there twice is known to be one.
const DEAD_WINDOW: Duration = Duration::from_secs(600);

/// What the work queue's metadata say.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Queue {
    /// Its epoch.
    pub epoch: String,
    /// How many partitions it has.
    pub partitions: u16,
    /// How often a message is tried.
    pub max_deliveries: u64,
}

/// The work-queue stream as a gateway makes it.
pub fn work(subjects: &Subjects, wanted: &Wanted) -> Config {
    let partitions = wanted.workers.partitions;
    let mut config = Config {
        name: subjects.work_stream(),
        description: Some(format!(
            "Messages for workers of the RealtimeChannel {}",
            subjects.owner()
        )),
        subjects: vec![subjects.work_filter()],
        subject_transform: Some(SubjectTransform {
            source: subjects.work_filter(),
            destination: subjects.work_transform(partitions),
        }),
        retention: RetentionPolicy::WorkQueue,
        // What was acknowledged to a publisher is never dropped for what comes later.
        discard: DiscardPolicy::New,
        storage: storage(wanted),
        metadata: HashMap::from([
            (OWNER.to_owned(), subjects.owner()),
            (EPOCH.to_owned(), Epoch::random().as_str().to_owned()),
            (PARTITIONS.to_owned(), partitions.to_string()),
        ]),
        ..Config::default()
    };
    adjust_work(&mut config, wanted);
    config
}

/// Makes what may change that of the manifest; gives whether anything was otherwise.
pub fn adjust_work(config: &mut Config, wanted: &Wanted) -> bool {
    let before = config.clone();
    config.duplicate_window = wanted.history.deduplication;
    config.num_replicas = wanted.history.replicas;
    let tries = wanted.workers.max_deliveries.to_string();
    config.metadata.insert(MAX_DELIVERIES.to_owned(), tries);
    let partitions = wanted.history.partitions.to_string();
    let key = HISTORY_PARTITIONS.to_owned();
    config.metadata.insert(key, partitions);
    *config != before
}

/// The stream of dead letters as a gateway makes it.
pub fn dead(subjects: &Subjects, wanted: &Wanted) -> Config {
    Config {
        name: subjects.dead_stream(),
        description: Some(format!(
            "Messages that no worker of the RealtimeChannel {} could work",
            subjects.owner()
        )),
        subjects: vec![subjects.dead_filter()],
        retention: RetentionPolicy::Limits,
        discard: DiscardPolicy::Old,
        max_age: DEAD_AGE,
        max_messages: DEAD_MESSAGES,
        duplicate_window: DEAD_WINDOW,
        storage: storage(wanted),
        num_replicas: wanted.history.replicas,
        metadata: HashMap::from([(OWNER.to_owned(), subjects.owner())]),
        ..Config::default()
    }
}

fn storage(wanted: &Wanted) -> StorageType {
    match wanted.history.storage {
        Storage::File => StorageType::File,
        Storage::Memory => StorageType::Memory,
    }
}

/// The name of a partition's consumer.
pub fn consumer_name(partition: u16) -> String {
    format!("worker_{partition}")
}

/// The consumer of a partition as a gateway makes it: one message at a time to one worker at a time, again and again until
/// it is acknowledged.
pub fn consumer(subjects: &Subjects, partition: u16, acknowledge: Duration) -> ConsumerConfig {
    pull::Config {
        durable_name: Some(consumer_name(partition)),
        name: Some(consumer_name(partition)),
        deliver_policy: DeliverPolicy::All,
        ack_policy: AckPolicy::Explicit,
        ack_wait: acknowledge,
        max_deliver: -1,
        max_ack_pending: 1,
        max_waiting: MAX_WAITING,
        filter_subject: subjects.work_partition_filter(partition),
        priority_policy: PriorityPolicy::PinnedClient,
        priority_groups: vec![GROUP.to_owned()],
        priority_timeout: PIN,
        ..pull::Config::default()
    }
    .into_consumer_config()
}

/// Which consumers are missing of `there`, and which need another time to acknowledge.
pub fn consumers_to_write(
    subjects: &Subjects,
    partitions: u16,
    acknowledge: Duration,
    there: &BTreeMap<String, ConsumerConfig>,
) -> Vec<ConsumerConfig> {
    let needed = (0..partitions).map(|number| consumer(subjects, number, acknowledge));
    let differs = |config: &ConsumerConfig| {
        let name = config.durable_name.as_deref().unwrap_or_default();
        there
            .get(name)
            .is_none_or(|now| now.ack_wait != acknowledge)
    };
    needed.filter(differs).collect()
}

/// What is wrong with a consumer, such that order or the promise to try again would not hold; `None`: nothing.
pub fn consumer_fault(config: &ConsumerConfig) -> Option<&'static str> {
    if config.ack_policy != AckPolicy::Explicit {
        return Some("its ack_policy is not explicit");
    }
    if config.max_ack_pending != 1 {
        return Some("its max_ack_pending is not 1, so rooms would lose their order");
    }
    if config.max_deliver > 0 {
        return Some("its max_deliver is limited, so messages would be skipped");
    }
    if config.priority_policy != PriorityPolicy::PinnedClient {
        return Some("its priority_policy is not pinned_client");
    }
    None
}

/// Reads a work queue's configuration.
///
/// # Errors
/// Why it can't be used.
pub fn read_work(subjects: &Subjects, config: &Config) -> Result<Queue, String> {
    check(
        subjects,
        config,
        &subjects.work_filter(),
        RetentionPolicy::WorkQueue,
    )?;
    let number = |key: &str| {
        let value = config.metadata.get(key);
        value.and_then(|value| value.parse::<u64>().ok().filter(|value| *value > 0))
    };
    let partitions = number(PARTITIONS).and_then(|number| u16::try_from(number).ok());
    let partitions = partitions.ok_or(format!("its metadata have no {PARTITIONS}"))?;
    let transform = config.subject_transform.as_ref();
    let destination = transform.map(|transform| transform.destination.clone());
    if destination != Some(subjects.work_transform(partitions)) {
        return Err(format!(
            "its subject transform is not to {}",
            subjects.work_transform(partitions)
        ));
    }
    let epoch = config.metadata.get(EPOCH).filter(|epoch| !epoch.is_empty());
    Ok(Queue {
        epoch: epoch
            .ok_or(format!("its metadata have no {EPOCH}"))?
            .clone(),
        partitions,
        max_deliveries: number(MAX_DELIVERIES)
            .ok_or(format!("its metadata have no {MAX_DELIVERIES}"))?,
    })
}

/// Whether a stream can be used for dead letters.
///
/// # Errors
/// Why not.
pub fn check_dead(subjects: &Subjects, config: &Config) -> Result<(), String> {
    check(
        subjects,
        config,
        &subjects.dead_filter(),
        RetentionPolicy::Limits,
    )
}

fn check(
    subjects: &Subjects,
    config: &Config,
    filter: &str,
    retention: RetentionPolicy,
) -> Result<(), String> {
    let owner = subjects.owner();
    match config.metadata.get(OWNER) {
        Some(other) if *other != owner => {
            return Err(format!("it belongs to {other}, not to {owner}"));
        }
        _ => {}
    }
    if config.subjects != [filter] {
        return Err(format!(
            "its subjects are {:?}, not {filter}",
            config.subjects
        ));
    }
    if config.retention != retention {
        return Err(format!(
            "its retention is {:?}, not {retention:?}",
            config.retention
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::{History, Workers};

    fn subjects() -> Subjects {
        Subjects::new("linnet", "default", "chat", 1)
    }

    fn wanted() -> Wanted {
        Wanted {
            history: History {
                max_messages_per_room: 100,
                max_age: Duration::from_secs(60),
                deduplication: Duration::from_secs(30),
                storage: Storage::File,
                replicas: 3,
                partitions: 1,
            },
            workers: Workers {
                partitions: 4,
                acknowledge: Duration::from_secs(10),
                max_deliveries: 5,
            },
        }
    }

    #[test]
    fn what_a_gateway_makes_it_can_use() {
        let config = work(&subjects(), &wanted());
        let queue = read_work(&subjects(), &config).unwrap();
        assert_eq!((queue.partitions, queue.max_deliveries), (4, 5));
        assert!(!queue.epoch.is_empty());
        assert_eq!(config.num_replicas, 3);
        check_dead(&subjects(), &dead(&subjects(), &wanted())).unwrap();
        let consumer = consumer(&subjects(), 3, Duration::from_secs(1));
        assert_eq!(consumer_fault(&consumer), None);
        assert_eq!(consumer.filter_subject, "linnet.default.chat.work.3.*");
    }

    #[test]
    fn partitions_and_epoch_stay_when_the_manifest_changes() {
        let mut config = work(&subjects(), &wanted());
        let before = read_work(&subjects(), &config).unwrap();
        let mut other = wanted();
        (other.workers.partitions, other.workers.max_deliveries) = (9, 2);
        assert!(adjust_work(&mut config, &other));
        assert!(!adjust_work(&mut config, &other), "once is enough");
        let after = read_work(&subjects(), &config).unwrap();
        assert_eq!(
            after,
            Queue {
                max_deliveries: 2,
                ..before
            }
        );
    }

    #[test]
    fn a_stream_that_would_lose_order_or_is_anothers_is_refused_with_what_is_wrong() {
        type Change = fn(&mut Config);
        let changes: [(Change, &str); 6] = [
            (
                |c| drop(c.metadata.insert(OWNER.into(), "x/y/z".into())),
                "belongs to x/y/z",
            ),
            (|c| c.subjects = vec!["a.>".into()], "subjects"),
            (|c| c.retention = RetentionPolicy::Limits, "retention"),
            (|c| c.subject_transform = None, "subject transform"),
            (|c| drop(c.metadata.remove(EPOCH)), EPOCH),
            (
                |c| drop(c.metadata.insert(PARTITIONS.into(), "0".into())),
                PARTITIONS,
            ),
        ];
        for (change, word) in changes {
            let mut config = work(&subjects(), &wanted());
            change(&mut config);
            let fault = read_work(&subjects(), &config).unwrap_err();
            assert!(fault.contains(word), "{fault}");
        }
    }

    #[test]
    fn a_consumer_that_would_lose_order_or_messages_is_refused() {
        type Change = fn(&mut ConsumerConfig);
        let changes: [Change; 4] = [
            |c| c.max_ack_pending = 2,
            |c| c.max_deliver = 5,
            |c| c.ack_policy = AckPolicy::None,
            |c| c.priority_policy = PriorityPolicy::None,
        ];
        for change in changes {
            let mut config = consumer(&subjects(), 0, Duration::from_secs(1));
            change(&mut config);
            assert!(consumer_fault(&config).is_some(), "{config:?}");
        }
    }

    #[test]
    fn only_consumers_that_are_missing_or_have_another_time_are_written() {
        let second = Duration::from_secs(1);
        let names = |there: &BTreeMap<_, _>| -> Vec<String> {
            let write = consumers_to_write(&subjects(), 3, second, there);
            write
                .into_iter()
                .filter_map(|config| config.durable_name)
                .collect()
        };
        let mut there = BTreeMap::new();
        assert_eq!(names(&there).len(), 3);
        for (number, wait) in [(0, second), (1, second * 2)] {
            there.insert(consumer_name(number), consumer(&subjects(), number, wait));
        }
        assert_eq!(names(&there), ["worker_1", "worker_2"]);
    }
}
