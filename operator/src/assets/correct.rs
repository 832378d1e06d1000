//! What to do with a stream that is there.
//!
//! The live configuration is changed as JSON, and only in the fields that are ours: a typed one would drop what a newer
//! server has added, and what people have set (placement, a bound in bytes) is theirs. The placement goes back as it came,
//! since another one beside another number of replicas is refused (10123).

use linnet_gateway::broker::nats::stream::{EPOCH, OWNER};
use serde_json::{Map, Value, json};

use super::plan::{Asset, Kind};

/// Fields that every stream of ours has as it was made.
const OURS: [&str; 6] = [
    "subjects",
    "retention",
    "discard",
    "num_replicas",
    "allow_direct",
    "max_msgs_per_subject",
];
/// More of the streams of history.
const HISTORY: [&str; 2] = ["max_age", "duplicate_window"];
/// More of the streams around workers. The number of partitions, and with it the subject transform, was fixed when the
/// stream was made.
const WORK: [&str; 1] = ["duplicate_window"];
/// More of the bucket of revoked users.
const REVOCATIONS: [&str; 1] = ["max_age"];

/// More of the bucket of leases.
const LEASES: [&str; 4] = [
    "allow_msg_ttl",
    "subject_delete_marker_ttl",
    "allow_rollup_hdrs",
    "deny_delete",
];

/// What to do.
#[derive(Debug, Clone, PartialEq)]
pub enum Correction {
    /// Nothing: it is as it is to be.
    None,
    /// Update it to this configuration; the fields that differed, for people.
    Update(Value, Vec<&'static str>),
}

/// Why it can't be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Choose another name for the channel or another prefix for the operator, or remove the stream.
    #[error("the stream {stream} belongs to {owner}")]
    Owner {
        /// The stream.
        stream: String,
        /// Whose it says to be.
        owner: String,
    },
    /// Storage can't change: delete the stream, or give the channel the storage that it has.
    #[error("the stream {stream} is kept in {found}, and spec.history.storage asks for {wanted}")]
    Storage {
        /// The stream.
        stream: String,
        /// What it has.
        found: String,
        /// What it is to have.
        wanted: String,
    },
}

/// What to do with the stream of which the server says that its configuration is `live`, so that it is `asset` of
/// `owner`.
///
/// # Errors
/// When it is another's, or can't become what it is to be.
pub fn correct(live: &Value, asset: &Asset, owner: &str) -> Result<Correction, Refusal> {
    let stream = || asset.name().to_owned();
    let text = |value: Option<&Value>| value.and_then(Value::as_str).unwrap_or("?").to_owned();
    match owner_of(live) {
        Some(other) if other != owner => {
            return Err(Refusal::Owner {
                stream: stream(),
                owner: other.to_owned(),
            });
        }
        _ => {}
    }
    // A Config always has a form in JSON: its maps have texts for keys.
    let wanted = serde_json::to_value(&asset.config).unwrap_or_default();
    if live.get("storage") != wanted.get("storage") {
        return Err(Refusal::Storage {
            stream: stream(),
            found: text(live.get("storage")),
            wanted: text(wanted.get("storage")),
        });
    }
    let mut next = live.as_object().cloned().unwrap_or_default();
    let mut changed = Vec::new();
    let more: &[&str] = match asset.kind {
        Kind::History => &HISTORY,
        Kind::Leases => &LEASES,
        Kind::Revocations => &REVOCATIONS,
        Kind::Work | Kind::Dead => &WORK,
    };
    for field in OURS.iter().chain(more).copied() {
        if same(live.get(field), wanted.get(field)) {
            continue;
        }
        changed.push(field);
        match wanted.get(field) {
            Some(value) => next.insert(field.to_owned(), value.clone()),
            None => next.remove(field),
        };
    }
    let metadata = next.entry("metadata").or_insert_with(|| json!({}));
    if !metadata.is_object() {
        *metadata = json!({});
    }
    if let Some(metadata) = metadata.as_object_mut() {
        adopt(metadata, asset, owner, &mut changed);
    }
    Ok(match changed.is_empty() {
        true => Correction::None,
        false => Correction::Update(Value::Object(next), changed),
    })
}

/// Whose a stream with this configuration says to be.
pub(super) fn owner_of(live: &Value) -> Option<&str> {
    live.get("metadata")?.get(OWNER)?.as_str()
}

/// Says whose it is, and gives it an epoch if it has none. The epoch that it has stays, whatever was planned.
fn adopt(
    metadata: &mut Map<String, Value>,
    asset: &Asset,
    owner: &str,
    changed: &mut Vec<&'static str>,
) {
    if metadata.get(OWNER).and_then(Value::as_str) != Some(owner) {
        metadata.insert(OWNER.to_owned(), json!(owner));
        changed.push(OWNER);
    }
    if let Some(epoch) = asset.config.metadata.get(EPOCH)
        && !metadata.contains_key(EPOCH)
    {
        metadata.insert(EPOCH.to_owned(), json!(epoch));
        changed.push(EPOCH);
    }
}

/// Whether a field has the same value; one that is not there is false, 0 or empty, or a bound that there is not.
fn same(live: Option<&Value>, wanted: Option<&Value>) -> bool {
    fn plain(value: Option<&Value>) -> Option<&Value> {
        value.filter(|value| match value {
            Value::Null | Value::Bool(false) => false,
            Value::Number(number) => !matches!(number.as_i64(), Some(0 | -1)),
            Value::Array(items) => !items.is_empty(),
            _ => true,
        })
    }
    plain(live) == plain(wanted)
}
