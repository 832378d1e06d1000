//! Edits of a channel, and what the API server shows of them.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use crate::channel::settled;
use crate::kubectl::Kubectl;

/// The channel under edits.
pub const CHAT: &str = "realtimechannel/chat";

/// Seconds within which an edit must have done what it does.
const SOON: u64 = 30;

/// The kinds of a channel's objects, and the pods.
const KINDS: &str = "serviceaccounts,configmaps,services,networkpolicies,poddisruptionbudgets,deployments,ingresses,httproutes,pods";

/// An edit of one field, and the children that it changes.
pub struct Edit {
    field: &'static str,
    spec: Value,
    changes: &'static [&'static str],
    holds: fn(&Value) -> bool,
}

impl Edit {
    /// Lays `spec` over the spec's, for the sake of `field`, and is to change these children.
    #[must_use]
    pub fn new(field: &'static str, spec: Value, changes: &'static [&'static str]) -> Self {
        Self {
            field,
            spec,
            changes,
            holds: |_| true,
        }
    }

    /// It is carried out when this holds of the channel, and not before.
    #[must_use]
    pub fn until(self, holds: fn(&Value) -> bool) -> Self {
        Self { holds, ..self }
    }
}

/// What the API server shows of [`CHAT`].
pub struct Seen {
    /// What tells that a child was written, by kind and name. The status of those that have one is others'.
    children: BTreeMap<String, Value>,
    /// The template of the gateways' pods.
    pub template: Value,
    /// The pods that do not go, and how often each was started again.
    pub pods: BTreeMap<String, Value>,
}

impl Seen {
    /// What it shows now.
    pub async fn now(kubectl: &Kubectl) -> Self {
        let list = kubectl.get(KINDS).await;
        let mut seen = Self {
            children: BTreeMap::new(),
            template: Value::Null,
            pods: BTreeMap::new(),
        };
        for object in list["items"].as_array().unwrap() {
            let (kind, metadata) = (object["kind"].as_str().unwrap(), &object["metadata"]);
            let name = metadata["name"].as_str().unwrap();
            if !name.starts_with("chat-gateway") {
                continue; // every namespace has a ConfigMap and a ServiceAccount
            }
            if kind == "Pod" {
                if metadata["deletionTimestamp"].is_null() {
                    let starts = object["status"]["containerStatuses"][0]["restartCount"].clone();
                    seen.pods.insert(name.to_owned(), starts);
                }
                continue;
            }
            if kind == "Deployment" {
                seen.template = object["spec"]["template"].clone();
            }
            let version = match &metadata["generation"] {
                Value::Null => &metadata["resourceVersion"],
                generation => generation,
            };
            let mut annotations = metadata["annotations"].clone();
            if let Some(annotations) = annotations.as_object_mut() {
                // The Deployment's controller writes it when it comes to it.
                annotations.remove("deployment.kubernetes.io/revision");
            }
            let version = json!([metadata["uid"], version, metadata["labels"], annotations]);
            seen.children.insert(format!("{kind} {name}"), version);
        }
        seen
    }

    /// The children that differ, are new, or are gone.
    fn changed<'a>(&'a self, before: &'a Self) -> BTreeSet<&'a str> {
        let names = self.children.keys().chain(before.children.keys());
        names
            .filter(|name| self.children.get(*name) != before.children.get(*name))
            .map(String::as_str)
            .collect()
    }
}

/// [`CHAT`] under edits, and all that was wrong with them.
pub struct Edited {
    kubectl: Kubectl,
    wrong: Vec<String>,
}

impl Edited {
    /// The channel where `kubectl` is.
    #[must_use]
    pub fn new(kubectl: &Kubectl) -> Self {
        Self {
            kubectl: kubectl.clone(),
            wrong: Vec::new(),
        }
    }

    /// Makes an edit, and waits until the operator has carried it out. Gives what was before, and what is then.
    ///
    /// # Panics
    /// When it is not carried out in time.
    pub async fn make(&mut self, edit: &Edit) -> (Seen, Seen) {
        let before = Seen::now(&self.kubectl).await;
        let patch = json!({"spec": edit.spec}).to_string();
        self.kubectl
            .run(&["patch", CHAT, "--type=merge", "--patch", &patch])
            .await;
        settled(&self.kubectl, CHAT, SOON, |chat| {
            let observed = chat["status"]["observedGeneration"] == chat["metadata"]["generation"];
            observed && (edit.holds)(chat)
        })
        .await;
        let after = Seen::now(&self.kubectl).await;
        let (changed, meant) = (after.changed(&before), edit.changes.iter().copied());
        if changed != meant.collect() {
            let (field, changes) = (edit.field, edit.changes);
            self.wrong.push(format!(
                "{field} changed {changed:?} instead of {changes:?}"
            ));
        }
        (before, after)
    }

    /// Notes what an edit did `otherwise` than it was to, unless it `holds`.
    pub fn check(&mut self, edit: &Edit, holds: bool, otherwise: &str) {
        if !holds {
            self.wrong.push(format!("{}: {otherwise}", edit.field));
        }
    }

    /// The configurations that these pods' gateways say they serve.
    ///
    /// # Panics
    /// When one of them does not answer.
    pub async fn served(&self, pods: &BTreeMap<String, Value>) -> BTreeSet<String> {
        let mut served = BTreeSet::new();
        for pod in pods.keys() {
            let status = self.kubectl.status_of(pod).await.unwrap();
            served.insert(status["configHash"].as_str().unwrap().to_owned());
        }
        served
    }

    /// That nothing was wrong.
    ///
    /// # Panics
    /// With all that was.
    pub fn is_right(&self) {
        assert!(self.wrong.is_empty(), "{}", self.wrong.join("\n"));
    }
}
