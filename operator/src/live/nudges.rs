//! Which pods are to be annotated, and when again.

use std::collections::BTreeMap;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt;
use tokio::time::Instant;

use crate::gateways::Readings;
use crate::names;

/// How long a kubelet has after the first annotation until it is asked again. Each time it has twice as long.
const FIRST: Duration = Duration::from_secs(2);

/// When it is looked at first.
const LOOK: Duration = Duration::from_millis(700);

/// The longest that it has: about as long as it would take without being asked.
const LONGEST: Duration = Duration::from_secs(60);

/// An annotation that a pod is to get.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Annotation {
    /// The pod's name.
    pub pod: String,
    /// Its uid.
    pub uid: String,
    /// The configuration that its gateway is to serve.
    pub hash: String,
    /// How often it was asked again; `None` the first time.
    pub nudge: Option<u32>,
}

/// Who was asked when, of one channel.
#[derive(Debug, Default)]
pub struct Nudges(BTreeMap<String, Asked>);

#[derive(Debug)]
struct Asked {
    hash: String,
    times: u32,
    next: Instant,
}

impl Nudges {
    /// The annotations that are due at `now`, for the configuration with hash `hash`.
    pub fn due(
        &mut self,
        pods: &[Pod],
        readings: &Readings,
        hash: &str,
        now: Instant,
    ) -> Vec<Annotation> {
        let behind = |pod: &&Pod| is_behind(pod, readings, hash);
        let behind: Vec<_> = pods.iter().filter(behind).collect();
        self.0.retain(|uid, _| {
            behind
                .iter()
                .any(|pod| pod.metadata.uid.as_ref() == Some(uid))
        });
        let due = behind
            .into_iter()
            .filter_map(|pod| self.ask(pod, hash, now));
        due.collect()
    }

    /// Whether nobody is remembered.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// When to look again whether those who are behind have caught up; `None` where nobody is behind.
    #[must_use]
    pub fn next(&self, now: Instant) -> Option<Instant> {
        let next = |asked: &Asked| match asked.times {
            // Most kubelets are quick.
            0 => asked.next.min(now + LOOK),
            _ => asked.next,
        };
        self.0.values().map(next).min()
    }

    fn ask(&mut self, pod: &Pod, hash: &str, now: Instant) -> Option<Annotation> {
        let uid = pod.uid()?;
        let annotation = |nudge| Annotation {
            pod: pod.name_any(),
            uid: uid.clone(),
            hash: hash.to_owned(),
            nudge,
        };
        match self.0.get_mut(&uid).filter(|asked| asked.hash == hash) {
            None => {
                let asked = Asked {
                    hash: hash.to_owned(),
                    times: 0,
                    next: now + FIRST,
                };
                self.0.insert(uid.clone(), asked);
                // After a restart of the operator the pod may have been asked already.
                let told = pod.annotations().get(names::CONFIGURATION);
                (told.map(String::as_str) != Some(hash)).then(|| annotation(None))
            }
            Some(asked) if asked.next > now => None,
            Some(asked) => {
                asked.times += 1;
                let wait = FIRST.saturating_mul(1 << asked.times.min(16));
                asked.next = now + wait.min(LONGEST);
                Some(annotation(Some(asked.times)))
            }
        }
    }
}

/// Whether a pod's gateway serves, as far as can be known, an older configuration.
fn is_behind(pod: &Pod, readings: &Readings, hash: &str) -> bool {
    let running = pod
        .status
        .as_ref()
        .and_then(|status| status.phase.as_deref())
        == Some("Running");
    if !running || pod.metadata.deletion_timestamp.is_some() {
        return false;
    }
    match readings.get(&pod.name_any()) {
        // What it refuses, it has seen.
        Some(Ok(reading)) => reading.config_hash != hash && reading.config_error.is_none(),
        // It can't be asked: the annotation is all that can be known.
        Some(Err(_)) | None => {
            let told = pod.annotations().get(names::CONFIGURATION);
            told.map(String::as_str) != Some(hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::gateways::Missing;

    fn pod(name: &str, annotations: Value) -> Pod {
        serde_json::from_value(json!({
            "metadata": {"name": name, "uid": name, "annotations": annotations},
            "status": {"phase": "Running"},
        }))
        .unwrap()
    }

    fn says(pod: &str, hash: &str, error: Option<&str>) -> Readings {
        let reading = json!({
            "name": pod, "configHash": hash, "configError": error, "connections": 0,
            "draining": false, "version": "1",
        });
        [(pod.to_owned(), Ok(serde_json::from_value(reading).unwrap()))].into()
    }

    #[tokio::test]
    async fn who_is_behind_is_told_at_once_and_again_ever_more_patiently() {
        let (mut nudges, pods) = (Nudges::default(), [pod("a", json!({}))]);
        let (readings, start) = (says("a", "old", None), Instant::now());
        let first = nudges.due(&pods, &readings, "new", start);
        assert_eq!(first[0].hash, "new");
        assert_eq!(first[0].nudge, None);
        let told = [pod("a", json!({names::CONFIGURATION: "new"}))];
        let mut asked = Vec::new();
        for second in 1..=30 {
            let now = start + Duration::from_secs(second);
            let due = nudges.due(&told, &readings, "new", now);
            asked.extend(due.iter().map(|annotation| (second, annotation.nudge)));
        }
        assert_eq!(
            asked,
            [(2, Some(1)), (6, Some(2)), (14, Some(3)), (30, Some(4))]
        );
    }

    #[tokio::test]
    async fn who_serves_it_or_refuses_it_is_left_in_peace() {
        let (mut nudges, pods, now) = (Nudges::default(), [pod("a", json!({}))], Instant::now());
        let serves = says("a", "new", None);
        let refuses = says("a", "old", Some("line 1"));
        assert_eq!(nudges.due(&pods, &serves, "new", now), []);
        assert_eq!(nudges.due(&pods, &refuses, "new", now), []);
        assert_eq!(nudges.next(now), None);
    }

    #[tokio::test]
    async fn who_can_not_be_asked_is_told_once() {
        let (mut nudges, now) = (Nudges::default(), Instant::now());
        let silent: Readings = [("a".to_owned(), Err(Missing::TimedOut))].into();
        assert_eq!(
            nudges
                .due(&[pod("a", json!({}))], &silent, "new", now)
                .len(),
            1
        );
        let told = [pod("a", json!({names::CONFIGURATION: "new"}))];
        assert_eq!(nudges.due(&told, &silent, "new", now + LONGEST), []);
    }

    #[tokio::test]
    async fn after_a_restart_nobody_is_told_what_was_told_before() {
        let told = [pod("a", json!({names::CONFIGURATION: "new"}))];
        let (mut nudges, now) = (Nudges::default(), Instant::now());
        let behind = says("a", "old", None);
        assert_eq!(nudges.due(&told, &behind, "new", now), []);
        assert_eq!(nudges.due(&told, &behind, "new", now + FIRST).len(), 1);
    }

    #[tokio::test]
    async fn a_pod_that_does_not_run_or_is_going_is_not_told() {
        let mut going = pod("a", json!({}));
        going.metadata.deletion_timestamp =
            serde_json::from_value(json!("2026-01-01T00:00:00Z")).unwrap();
        let mut pending = pod("a", json!({}));
        pending.status.as_mut().unwrap().phase = Some("Pending".into());
        let (mut nudges, now) = (Nudges::default(), Instant::now());
        assert_eq!(
            nudges.due(&[going, pending], &Readings::new(), "new", now),
            []
        );
    }
}
