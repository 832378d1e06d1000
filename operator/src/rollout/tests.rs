use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use serde_json::json;

use super::{Gate, Gates, Pod, Progress, Turn, Turns, gates, progress};

/// A Deployment of 3, whose status says so.
fn deployment(updated: i32, all: i32, available: i32) -> Deployment {
    serde_json::from_value(json!({
        "metadata": {"generation": 2},
        "spec": {"replicas": 3, "selector": {}, "template": {}},
        "status": {
            "observedGeneration": 2, "replicas": all,
            "updatedReplicas": updated, "availableReplicas": available,
        },
    }))
    .unwrap()
}

fn pod(name: &str) -> Pod {
    Pod {
        name: name.into(),
        ready: true,
        newest: true,
        going_until: None,
    }
}

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

fn in_seconds(seconds: i64) -> Option<Timestamp> {
    Some(now() + SignedDuration::from_secs(seconds))
}

#[test]
fn a_rollout_is_over_when_all_pods_are_new_and_available() {
    let rolling = |deployment: &Deployment| progress(deployment, &[], now()).rolling;
    assert!(!rolling(&deployment(3, 3, 3)));
    assert!(rolling(&deployment(2, 3, 3)), "one is to be made");
    assert!(rolling(&deployment(3, 5, 3)), "old ones are there");
    assert!(rolling(&deployment(3, 3, 2)), "one is not available");
    let mut unseen = deployment(3, 3, 3);
    unseen.metadata.generation = Some(3);
    assert!(rolling(&unseen), "the controller has not seen the edit");
    unseen.status = None;
    assert!(rolling(&unseen));
}

#[test]
fn a_deployment_of_none_is_not_rolling() {
    let mut none = deployment(0, 0, 0);
    none.spec.as_mut().unwrap().replicas = Some(0);
    assert!(!progress(&none, &[], now()).rolling);
    none.status = None;
    assert!(!progress(&none, &[], now()).rolling);
}

#[test]
fn a_pod_that_goes_is_waited_for_until_its_grace_is_over_and_no_longer() {
    let going = |until| {
        let mut going = pod("a");
        going.going_until = until;
        progress(&deployment(3, 3, 3), &[pod("b"), going], now()).going
    };
    assert_eq!(going(None), 0);
    assert_eq!(going(in_seconds(75)), 1);
    assert_eq!(going(in_seconds(-20)), 1, "the kubelet's last steps");
    assert_eq!(going(in_seconds(-31)), 0, "one that hangs holds nothing up");
}

#[test]
fn a_new_pod_counts_as_ready_only_while_it_stays() {
    let ready = |change: fn(&mut Pod)| {
        let mut one = pod("a");
        change(&mut one);
        progress(&deployment(1, 4, 3), &[one], now()).new_ready
    };
    assert!(ready(|_| {}));
    assert!(!ready(|pod| pod.ready = false));
    assert!(!ready(|pod| pod.newest = false));
    assert!(!ready(|pod| pod.going_until = in_seconds(60)));
}

#[test]
fn in_a_quiet_fleet_everything_may_be_done() {
    let open = Gates {
        template: Gate::Open,
        scale_down: Gate::Open,
        autoscale_down: Gate::Open,
    };
    let quiet = Progress {
        rolling: false,
        going: 0,
        new_ready: true,
    };
    assert_eq!(gates(quiet), open);
    assert_eq!(
        gates(Progress {
            new_ready: false,
            ..quiet
        }),
        open,
        "none wanted"
    );
}

#[test]
fn while_pods_go_a_further_template_and_scaling_down_wait() {
    for rolling in [false, true] {
        let gates = gates(Progress {
            rolling,
            going: 2,
            new_ready: true,
        });
        assert_eq!(gates.template, Gate::Going(2));
        assert_eq!(gates.scale_down, Gate::Going(2));
        assert_eq!(gates.autoscale_down, Gate::Going(2));
        assert!(!gates.template.is_open());
    }
}

#[test]
fn a_rollout_without_a_ready_new_pod_can_be_mended_or_ended_at_once() {
    let stuck = Progress {
        rolling: true,
        going: 1,
        new_ready: false,
    };
    assert_eq!(gates(stuck).template, Gate::Open);
    assert_eq!(gates(stuck).scale_down, Gate::Open);
    assert_eq!(gates(stuck).autoscale_down, Gate::Going(1));
    let gates = gates(Progress { going: 0, ..stuck });
    assert_eq!(gates.template, Gate::Open);
    assert_eq!(gates.autoscale_down, Gate::Rolling, "it takes ready pods");
}

#[test]
fn after_scaling_down_a_template_waits_for_the_pods_that_go() {
    // Not rolling any more, but one still drains.
    let gates = gates(Progress {
        rolling: false,
        going: 1,
        new_ready: true,
    });
    assert_eq!(gates.template, Gate::Going(1));
}

fn after(turns: &mut Turns, channel: &str) -> Vec<String> {
    match turns.ask(channel) {
        Turn::After(others, _) => others,
        Turn::Now => panic!("{channel} has its turn"),
    }
}

#[test]
fn no_more_channels_roll_for_a_release_than_may() {
    let mut turns = Turns::new(2);
    assert_eq!(turns.ask("a"), Turn::Now);
    assert_eq!(turns.ask("b"), Turn::Now);
    assert_eq!(after(&mut turns, "c"), ["a", "b"]);
    assert_eq!(turns.ask("a"), Turn::Now, "it has its turn already");
    turns.done("a");
    turns.done("never asked");
    assert_eq!(turns.ask("c"), Turn::Now);
    assert_eq!(after(&mut turns, "a"), ["b", "c"]);
}

#[test]
fn the_more_channels_wait_the_less_often_each_asks() {
    let mut turns = Turns::new(1);
    assert_eq!(turns.ask("a"), Turn::Now);
    let mut last = Duration::ZERO;
    for number in 0..1000 {
        let Turn::After(_, wait) = turns.ask(&format!("c{number}")) else {
            panic!("there is one turn");
        };
        assert!(wait >= last && wait >= Duration::from_secs(5));
        last = wait;
    }
    assert_eq!(last, Duration::from_secs(100), "ten a second ask");
    turns.done("a");
    assert_eq!(turns.ask("c0"), Turn::Now);
}

#[test]
fn after_a_restart_who_was_rolling_keeps_its_turn() {
    let mut turns = Turns::new(1);
    turns.resume(["a".into(), "b".into()]);
    assert_eq!(turns.ask("b"), Turn::Now);
    turns.done("b");
    assert_eq!(after(&mut turns, "c"), ["a"]);
    turns.done("a");
    assert_eq!(turns.ask("c"), Turn::Now);
}

#[test]
fn a_limit_of_none_still_lets_a_release_arrive() {
    assert_eq!(Turns::new(0).ask("a"), Turn::Now);
}
