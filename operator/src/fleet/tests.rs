//! Decisions from what the API server shows.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::decision::Template;
use crate::dereference::{Observed, Seen};
use crate::{names, scaling};

const KEY: &str = "talk/chat";

/// A channel with pods, and the time.
struct Scene {
    fleets: Fleets,
    observed: Observed,
    now: Instant,
    time: Timestamp,
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

impl Scene {
    /// `replicas` gateways of template `old`, all ready and quiet.
    fn new(spec: Value, replicas: i32) -> Self {
        let channel = serde_json::from_value(json!({
            "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
            "metadata": {"name": "chat", "namespace": "talk", "uid": "me", "generation": 4},
            "spec": spec, "status": {"observedGeneration": 4},
        }))
        .unwrap();
        let mut scene = Self {
            fleets: Fleets::new(1),
            observed: Observed {
                channel,
                taken: Vec::new(),
                live: Default::default(),
                pods: Vec::new(),
                readings: Default::default(),
                secrets: Default::default(),
            },
            now: Instant::now(),
            time: now(),
        };
        scene.deployment(replicas, replicas, "old");
        for number in 0..replicas {
            scene.pod(&format!("p{number}"), "old", Some(0));
        }
        scene
    }

    fn deployment(&mut self, replicas: i32, updated: i32, template: &str) {
        let annotations = json!({names::TEMPLATE: template});
        let deployment = json!({
            "apiVersion": "apps/v1", "kind": "Deployment",
            "metadata": {
                "name": "chat-gateway", "uid": "d", "generation": 2,
                "ownerReferences": [{"apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
                    "name": "chat", "uid": "me", "controller": true}],
            },
            "spec": {"replicas": replicas, "selector": {}, "template": {"metadata": {"annotations": annotations}}},
            "status": {"observedGeneration": 2, "replicas": replicas, "updatedReplicas": updated,
                "availableReplicas": updated, "readyReplicas": updated},
        });
        let child = crate::children::Child::Deployment;
        self.observed.live.insert(child, Seen::Object(deployment));
    }

    fn pod(&mut self, name: &str, template: &str, connections: Option<u32>) {
        let annotations = json!({names::TEMPLATE: template});
        let pod = json!({
            "metadata": {"name": name, "uid": format!("u-{name}"), "annotations": annotations},
            "status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]},
        });
        self.observed
            .pods
            .push(serde_json::from_value(pod).unwrap());
        if let Some(connections) = connections {
            let reading = json!({"name": name, "configHash": "h", "connections": connections,
                "draining": false, "version": "1"});
            let reading = serde_json::from_value(reading).unwrap();
            self.observed.readings.insert(name.to_owned(), Ok(reading));
        }
    }

    fn going(&mut self, pod: usize) {
        let until = self.time + SignedDuration::from_secs(75);
        let time = k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(until);
        self.observed.pods[pod].metadata.deletion_timestamp = Some(time);
    }

    fn says(&mut self, connections: &[u32]) {
        for (number, connections) in connections.iter().enumerate() {
            let reading = self
                .observed
                .readings
                .get_mut(&format!("p{number}"))
                .unwrap();
            reading.as_mut().unwrap().connections = *connections;
        }
    }

    fn look(&self, template: &str) -> Verdict {
        let spec = &self.observed.channel.spec;
        let times = (self.now, self.time);
        self.fleets
            .decide(KEY, spec, &self.observed, Some(template), times)
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Writes the marks, as the API server would.
    fn obey(&mut self, marks: Vec<Mark>) {
        for mark in marks {
            let pod = self.observed.pods.iter_mut();
            let pod = pod
                .into_iter()
                .find(|pod| pod.metadata.name.as_ref() == Some(&mark.pod));
            let annotations = pod.unwrap().metadata.annotations.get_or_insert_default();
            match mark.cost {
                Some(cost) => annotations.insert(scaling::COST_ANNOTATION.into(), cost.into()),
                None => annotations.remove(scaling::COST_ANNOTATION),
            };
        }
    }
}

fn scaled() -> Value {
    json!({"autoscaling": {"minReplicas": 2, "maxReplicas": 10, "targetConnections": 50,
        "scaleDown": {"stabilizationWindowSeconds": 10}}})
}

#[test]
fn a_quiet_fleet_is_left_as_it_is() {
    let scene = Scene::new(json!({"replicas": 3}), 3);
    let verdict = scene.look("old");
    assert_eq!(
        (verdict.decision.replicas, verdict.decision.template),
        (3, Template::Newest)
    );
    assert_eq!(
        (verdict.marks, verdict.scaling, verdict.waits),
        (vec![], None, None)
    );
}

#[test]
fn a_new_channel_begins_with_what_it_asks_for() {
    let mut scene = Scene::new(json!({"replicas": 5}), 0);
    scene.observed.live.clear();
    assert_eq!(scene.look("new").decision.replicas, 5);
    scene.observed.channel.spec.autoscaling =
        serde_json::from_value(scaled()["autoscaling"].clone()).unwrap();
    assert_eq!(scene.look("new").decision.replicas, 5);
    scene.observed.channel.spec.replicas = 1;
    assert_eq!(scene.look("new").decision.replicas, 2, "its minimum");
}

#[test]
fn the_number_falls_one_pass_after_the_pods_that_go_are_marked() {
    let mut scene = Scene::new(scaled(), 3);
    scene.says(&[40, 10, 40]);
    scene.look("old");
    scene.pass(10);
    let verdict = scene.look("old");
    assert_eq!(verdict.decision.replicas, 3);
    let marks: Vec<_> = verdict
        .marks
        .iter()
        .map(|mark| (mark.pod.as_str(), mark.cost))
        .collect();
    assert_eq!(marks, [("p1", Some(scaling::COST))]);
    assert_eq!(verdict.marks[0].uid, "u-p1");
    scene.obey(verdict.marks);
    let verdict = scene.look("old");
    assert_eq!((verdict.decision.replicas, verdict.marks.len()), (2, 0));
    assert_eq!(verdict.scaling.unwrap().reason, "ScalingDown");
}

#[test]
fn who_dies_between_the_mark_and_the_number_leaves_a_mark_that_is_taken_away() {
    let mut scene = Scene::new(scaled(), 3);
    scene.pass(20);
    scene.look("old");
    scene.pass(20);
    let marks = scene.look("old").marks;
    scene.obey(marks);
    scene.fleets = Fleets::new(1); // another operator
    let verdict = scene.look("old");
    assert_eq!(verdict.decision.replicas, 3, "its window is fresh");
    assert_eq!(verdict.marks[0].cost, None);
    scene.obey(verdict.marks);
    assert_eq!(scene.look("old").marks, []);
}

#[test]
fn a_person_who_scales_down_takes_the_least_loaded_too() {
    let mut scene = Scene::new(json!({"replicas": 2}), 3);
    scene.says(&[5, 4, 3]);
    let verdict = scene.look("old");
    assert_eq!(
        (verdict.decision.replicas, verdict.marks[0].pod.as_str()),
        (3, "p2")
    );
    scene.obey(verdict.marks);
    assert_eq!(scene.look("old").decision.replicas, 2);
    scene.going(0);
    let verdict = scene.look("old");
    assert_eq!(verdict.decision.replicas, 3);
    assert!(
        verdict
            .waits
            .unwrap()
            .message
            .contains("fewer gateways wait")
    );
}

#[test]
fn a_person_who_scales_up_waits_for_nothing() {
    let mut scene = Scene::new(json!({"replicas": 5}), 3);
    scene.going(0);
    assert_eq!(scene.look("new").decision.replicas, 5);
}

#[test]
fn a_further_template_waits_for_pods_that_go_and_not_beyond_their_grace() {
    let mut scene = Scene::new(json!({"replicas": 3}), 3);
    scene.observed.channel.metadata.generation = Some(5); // an edit
    scene.going(0);
    let verdict = scene.look("new");
    assert_eq!(verdict.decision.template, Template::Held);
    assert!(
        verdict
            .waits
            .unwrap()
            .message
            .contains("a new pod template waits")
    );
    scene.time = now() + SignedDuration::from_secs(200);
    assert_eq!(scene.look("new").decision.template, Template::Newest);
}

#[test]
fn a_template_of_which_nothing_gets_ready_is_mended_at_once() {
    let mut scene = Scene::new(json!({"replicas": 3}), 3);
    scene.observed.channel.metadata.generation = Some(5);
    scene.deployment(3, 0, "bad");
    scene.going(0);
    assert_eq!(scene.look("good").decision.template, Template::Newest);
}

#[test]
fn a_release_takes_turns_and_an_edit_does_not_wait_for_it() {
    let mut scene = Scene::new(json!({"replicas": 3}), 3);
    let spec = scene.observed.channel.spec.clone();
    let times = (scene.now, scene.time);
    let other = |scene: &Scene, template| {
        scene
            .fleets
            .decide("talk/other", &spec, &scene.observed, Some(template), times)
    };
    assert_eq!(other(&scene, "new").decision.template, Template::Newest);
    let verdict = scene.look("new");
    assert_eq!(verdict.decision.template, Template::Held);
    assert!(verdict.waits.unwrap().message.contains("other channels"));
    scene.observed.channel.metadata.generation = Some(5);
    assert_eq!(scene.look("new").decision.template, Template::Newest);
    scene.observed.channel.metadata.generation = Some(4);
    // The other one runs the release whole.
    assert_eq!(other(&scene, "old").decision.template, Template::Newest);
    assert_eq!(scene.look("new").decision.template, Template::Newest);
}

#[test]
fn after_a_restart_a_release_goes_on_where_it_was() {
    let mut scene = Scene::new(json!({"replicas": 3}), 3);
    let mut of = |updated, image: &str| {
        scene.deployment(3, updated, "old");
        let mut deployment = scene.observed.deployment().unwrap();
        let pod = json!({"containers": [{"name": "gateway", "image": image}]});
        let template = &mut deployment.spec.as_mut().unwrap().template;
        template.spec = serde_json::from_value(pod).unwrap();
        deployment
    };
    let (rolling, own, quiet) = (of(1, "release"), of(1, "own"), of(3, "release"));
    let all = [("talk/a", &rolling), ("talk/b", &own), ("talk/c", &quiet)];
    let all = all.map(|(key, deployment)| (key.to_owned(), deployment));
    scene.fleets.resume("release", all);
    assert_eq!(scene.look("new").decision.template, Template::Held);
    scene.fleets.forget("talk/a");
    assert_eq!(scene.look("new").decision.template, Template::Newest);
}

#[test]
fn a_channel_that_is_scaled_says_why_it_has_as_many_gateways_without_numbers() {
    let mut scene = Scene::new(scaled(), 3);
    scene.says(&[500, 0, 0]);
    let verdict = scene.look("old");
    assert_eq!(verdict.decision.replicas, 10);
    let draft = verdict.scaling.unwrap();
    assert_eq!(draft.reason, "ScalingUp");
    scene.observed.readings.clear();
    let draft = scene.look("old").scaling.unwrap();
    assert_eq!(
        (draft.truth, draft.reason.as_str()),
        (crate::status::Truth::Unknown, "NoReadings")
    );
}

#[test]
fn a_pod_that_has_ended_is_none_of_the_fleet() {
    let mut scene = Scene::new(json!({"replicas": 2}), 3);
    scene.observed.pods[0].status.as_mut().unwrap().phase = Some("Failed".into());
    scene.says(&[0, 9, 8]);
    assert_eq!(scene.look("old").marks[0].pod, "p2");
}
