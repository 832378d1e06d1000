//! The API server's audit log.

use std::{
    env,
    fs::{self, File},
    io::{Read, Seek, SeekFrom},
    path::PathBuf,
};

use anyhow::{Context, Result, ensure};
use jiff::Timestamp;
use serde_json::Value;

const WRITES: [&str; 5] = ["create", "update", "patch", "delete", "deletecollection"];

/// The log from a moment on.
#[derive(Debug)]
pub struct Audit {
    path: PathBuf,
    from: u64,
}

/// A request that was answered.
#[derive(Debug)]
pub struct Request {
    /// Who asked.
    pub user: String,
    /// Such as `patch`.
    pub verb: String,
    /// Such as `configmaps`.
    pub resource: String,
    /// Of the object.
    pub name: String,
    /// When it was answered.
    pub at: Timestamp,
}

impl Audit {
    /// The log from now on.
    pub fn from_now() -> Result<Self> {
        let path = env::var("LINNET_CLUSTER_AUDIT").unwrap_or_default();
        ensure!(
            !path.is_empty(),
            "LINNET_CLUSTER_AUDIT names no audit log: writes are counted on the one-node cluster (LINNET_CLUSTER=onenode)"
        );
        let path = PathBuf::from(path);
        let from = fs::metadata(&path).map_or(0, |file| file.len());
        Ok(Self { path, from })
    }

    /// The answered requests of `user` so far.
    pub fn of(&self, user: &str) -> Result<Vec<Request>> {
        let mut file = File::open(&self.path)
            .with_context(|| format!("cannot read {}", self.path.display()))?;
        ensure!(
            file.metadata()?.len() >= self.from,
            "the audit log was rotated meanwhile: run this once more"
        );
        file.seek(SeekFrom::Start(self.from))?;
        let mut text = Vec::new();
        file.read_to_end(&mut text)?;
        let lines = text.split(|byte| *byte == b'\n');
        // The last line may not be whole yet.
        let events = lines.filter_map(|line| serde_json::from_slice::<Value>(line).ok());
        let requests = events.filter_map(|event| request(&event));
        Ok(requests
            .filter(|request| user.is_empty() || request.user == user)
            .collect())
    }

    /// The writes of `user` so far but for Events and Leases.
    pub fn writes_of(&self, user: &str) -> Result<Vec<Request>> {
        let mut writes = self.of(user)?;
        writes.retain(Request::counts_as_write);
        Ok(writes)
    }
}

impl Request {
    fn counts_as_write(&self) -> bool {
        WRITES.contains(&self.verb.as_str())
            && !["events", "leases"].contains(&self.resource.as_str())
    }
}

fn request(event: &Value) -> Option<Request> {
    let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let object = &event["objectRef"];
    Some(Request {
        user: text(&event["user"]["username"]),
        verb: text(&event["verb"]),
        resource: text(&object["resource"]),
        name: text(&object["name"]),
        at: event["stageTimestamp"].as_str()?.parse().ok()?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_line_tells_who_did_what_and_when() {
        let event = json!({
            "verb": "patch", "user": {"username": "a"}, "objectRef": {"resource": "configmaps", "name": "b"},
            "requestReceivedTimestamp": "2026-01-01T00:00:00.000000Z", "stageTimestamp": "2026-01-01T00:00:00.250000Z",
        });
        let request = request(&event).unwrap();
        assert_eq!((request.user.as_str(), request.name.as_str()), ("a", "b"));
        assert_eq!(request.at.as_millisecond() % 1000, 250);
        assert!(request.counts_as_write());
    }

    #[test]
    fn events_leases_and_reads_are_no_writes() {
        for (verb, resource) in [
            ("create", "events"),
            ("patch", "leases"),
            ("get", "configmaps"),
        ] {
            let event = json!({"verb": verb, "objectRef": {"resource": resource}, "stageTimestamp": "2026-01-01T00:00:00Z"});
            assert!(
                !request(&event).unwrap().counts_as_write(),
                "{verb} {resource}"
            );
        }
    }
}
