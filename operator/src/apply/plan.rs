//! What is to be written of a channel's children. Pure: from what is wanted and what is there.

use serde_json::{Value, json};

use super::difference;
use crate::children::Child;
use crate::decision::{Decision, Template};
use crate::dereference::{Live, Seen, is_controlled_by};

/// One write.
#[derive(Clone, Debug, PartialEq)]
pub struct Write {
    /// Of which child.
    pub child: Child,
    /// What.
    pub action: Action,
    /// The field that made it necessary, for the log.
    pub because: String,
}

/// What is written.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// A server-side apply of this manifest.
    Apply(Value),
    /// The number of gateways alone.
    Replicas(i32),
    /// The end of the object with this uid.
    Delete {
        /// The uid.
        uid: String,
    },
}

impl Action {
    /// The right that it needs, as RBAC names it.
    #[must_use]
    pub fn verb(&self) -> &'static str {
        match self {
            Self::Apply(_) | Self::Replicas(_) => "patch",
            Self::Delete { .. } => "delete",
        }
    }
}

/// An object that stands where a child is to be and is another's.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Conflict {
    /// The child.
    pub child: Child,
    /// Its name.
    pub name: String,
    /// Whether it belongs to another channel: most likely one of the same name that was just deleted.
    pub of_a_channel: bool,
}

/// The objects that stand where wanted children are to be and are not those of the channel with `uid`.
#[must_use]
pub fn conflicts(wanted: &[(Child, Option<Value>)], live: &Live, uid: &str) -> Vec<Conflict> {
    let wanted = wanted.iter().filter(|(_, manifest)| manifest.is_some());
    let strangers = wanted.filter_map(|(child, _)| {
        let object = live.get(child)?.object()?;
        if is_controlled_by(object, uid) {
            return None;
        }
        let owners = object["metadata"]["ownerReferences"].as_array();
        let mut owners = owners.into_iter().flatten();
        Some(Conflict {
            child: *child,
            name: object["metadata"]["name"].as_str()?.to_owned(),
            of_a_channel: owners.any(|owner| owner["kind"] == linnet_crds::channel::KIND),
        })
    });
    strangers.collect()
}

/// The writes, in their order. Nothing of another's is among them: see [`conflicts`].
#[must_use]
pub fn writes(
    wanted: Vec<(Child, Option<Value>)>,
    live: &Live,
    uid: &str,
    decision: Decision,
) -> Vec<Write> {
    let writes = wanted.into_iter().filter_map(|(child, manifest)| {
        let seen = live.get(&child).unwrap_or(&Seen::Nothing);
        let own = seen.object().filter(|object| is_controlled_by(object, uid));
        match (manifest, seen, own) {
            (Some(manifest), Seen::Object(_), Some(own)) => changed(child, manifest, own, decision),
            (Some(manifest), Seen::Nothing, _) => Some(Write {
                child,
                action: Action::Apply(manifest),
                because: "it is not there".into(),
            }),
            (None, _, Some(own)) if own["metadata"]["deletionTimestamp"].is_null() => Some(Write {
                child,
                action: Action::Delete {
                    uid: own["metadata"]["uid"].as_str()?.to_owned(),
                },
                because: "the channel asks for none".into(),
            }),
            _ => None,
        }
    });
    writes.collect()
}

fn changed(child: Child, mut manifest: Value, own: &Value, decision: Decision) -> Option<Write> {
    if child == Child::Deployment && decision.template == Template::Held {
        return (own["spec"]["replicas"] != decision.replicas).then(|| Write {
            child,
            action: Action::Replicas(decision.replicas),
            because: "spec.replicas".into(),
        });
    }
    let because = difference::first(child, &manifest, own)?;
    // Should it be another by now, it is not for us to change.
    manifest["metadata"]["uid"] = json!(own["metadata"]["uid"]);
    Some(Write {
        child,
        action: Action::Apply(manifest),
        because,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAIN: Decision = Decision {
        replicas: 2,
        template: Template::Newest,
    };

    fn owned(uid: &str, more: Value) -> Value {
        let mut object = json!({"metadata": {
            "name": "chat-gateway",
            "uid": "child",
            "ownerReferences": [{"uid": uid, "controller": true, "kind": "RealtimeChannel"}],
        }});
        let more = more.as_object().unwrap().clone();
        object.as_object_mut().unwrap().extend(more);
        object
    }

    fn live(child: Child, object: Value) -> Live {
        [(child, Seen::Object(object))].into()
    }

    fn wanted(spec: Value) -> Vec<(Child, Option<Value>)> {
        vec![(Child::Deployment, Some(json!({"spec": spec})))]
    }

    #[test]
    fn nothing_is_written_where_nothing_differs() {
        let live = live(
            Child::Deployment,
            owned("me", json!({"spec": {"a": 1, "b": 2}})),
        );
        assert_eq!(writes(wanted(json!({"a": 1})), &live, "me", PLAIN), []);
    }

    #[test]
    fn what_differs_is_applied_to_the_object_that_was_seen_and_no_other() {
        let live = live(Child::Deployment, owned("me", json!({"spec": {"a": 2}})));
        let writes = writes(wanted(json!({"a": 1})), &live, "me", PLAIN);
        let [write] = &writes[..] else {
            panic!("{writes:?}")
        };
        assert_eq!(write.because, "spec.a");
        let manifest = json!({"metadata": {"uid": "child"}, "spec": {"a": 1}});
        assert_eq!(write.action, Action::Apply(manifest));
    }

    #[test]
    fn what_is_not_there_is_made() {
        let manifest = json!({"spec": {"a": 1}});
        let writes = writes(wanted(json!({"a": 1})), &Live::new(), "me", PLAIN);
        assert_eq!(writes[0].action, Action::Apply(manifest));
    }

    #[test]
    fn anothers_object_is_a_conflict_and_never_written() {
        for object in [
            json!({"metadata": {"name": "chat-gateway"}, "spec": {"a": 2}}),
            owned("other", json!({"spec": {"a": 2}})),
        ] {
            let live = live(Child::Deployment, object);
            assert_eq!(writes(wanted(json!({"a": 1})), &live, "me", PLAIN), []);
            assert_eq!(
                writes(vec![(Child::Deployment, None)], &live, "me", PLAIN),
                []
            );
            let conflicts = conflicts(&wanted(json!({})), &live, "me");
            assert_eq!(conflicts[0].name, "chat-gateway");
        }
    }

    #[test]
    fn an_owner_that_is_not_the_controller_has_no_say() {
        let mut object = owned("me", json!({}));
        object["metadata"]["ownerReferences"][0]["controller"] = json!(false);
        let live = live(Child::Deployment, object);
        assert_eq!(conflicts(&wanted(json!({})), &live, "me").len(), 1);
    }

    #[test]
    fn what_is_wanted_no_more_is_deleted_once() {
        let none = || vec![(Child::Ingress, None)];
        let going = live(Child::Ingress, owned("me", json!({})));
        let uid = "child".to_owned();
        let action = &writes(none(), &going, "me", PLAIN)[0].action;
        assert_eq!(*action, Action::Delete { uid });
        let mut gone = owned("me", json!({}));
        gone["metadata"]["deletionTimestamp"] = json!("2026-01-01T00:00:00Z");
        assert_eq!(writes(none(), &live(Child::Ingress, gone), "me", PLAIN), []);
    }

    #[test]
    fn while_the_template_is_held_only_the_number_changes() {
        let held = Decision {
            replicas: 3,
            template: Template::Held,
        };
        let live = live(
            Child::Deployment,
            owned("me", json!({"spec": {"replicas": 2, "a": 2}})),
        );
        let wanted = || wanted(json!({"replicas": 3, "a": 1}));
        let found = writes(wanted(), &live, "me", held);
        assert_eq!(found[0].action, Action::Replicas(3));
        let same = Decision {
            replicas: 2,
            ..held
        };
        assert_eq!(writes(wanted(), &live, "me", same), []);
        let new = writes(wanted(), &Live::new(), "me", held);
        assert!(
            matches!(new[0].action, Action::Apply(_)),
            "there is none to keep"
        );
    }

    #[test]
    fn a_kind_that_the_server_does_not_know_is_left_alone() {
        let live: Live = [(Child::HttpRoute, Seen::NoApi)].into();
        let wanted = vec![(Child::HttpRoute, Some(json!({})))];
        assert_eq!(writes(wanted, &live, "me", PLAIN), []);
    }
}
