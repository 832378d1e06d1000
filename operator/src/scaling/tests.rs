//! Decisions over time.

use std::time::Duration;

use linnet_crds::autoscaling::{Autoscaling, ScaleDown};
use tokio::time::Instant;

use super::victims::COST;
use super::{Decision, Gateway, Hold, Memory, Outcome, costs, decide, initial};

/// A channel whose clock the tests move.
struct Scene {
    memory: Memory,
    scaling: Autoscaling,
    current: i32,
    hold: Hold,
    now: Instant,
}

impl Scene {
    /// 2 to 20 gateways of 100 connections each, a window of 60 s, and `current` of them.
    fn new(current: i32) -> Self {
        Self {
            memory: Memory::default(),
            scaling: Autoscaling {
                min_replicas: 2,
                max_replicas: 20,
                target_connections: 100,
                scale_down: ScaleDown {
                    stabilization_window_seconds: 60,
                },
            },
            current,
            hold: Hold::Free,
            now: Instant::now(),
        }
    }

    /// Decides for gateways that say so; does not obey.
    fn look(&mut self, said: &[Option<u32>]) -> Decision {
        let gateways = gateways(said);
        decide(
            &mut self.memory,
            &self.scaling,
            self.current,
            &gateways,
            self.hold,
            self.now,
        )
    }

    fn pass(&mut self, seconds: u64) {
        self.now += Duration::from_secs(seconds);
    }

    /// Looks every 10 s for so long.
    fn watch(&mut self, seconds: u64, said: &[Option<u32>]) {
        for _ in 0..seconds / 10 {
            self.look(said);
            self.pass(10);
        }
    }
}

fn gateways(said: &[Option<u32>]) -> Vec<Gateway> {
    let one = |(n, said): (usize, &Option<u32>)| Gateway {
        pod: format!("chat-{n}"),
        ready: true,
        leaving: false,
        connections: *said,
        cost: None,
    };
    said.iter().enumerate().map(one).collect()
}

fn full(count: usize, connections: u32) -> Vec<Option<u32>> {
    vec![Some(connections); count]
}

#[test]
fn more_are_made_at_once_as_many_as_the_connections_need() {
    let mut scene = Scene::new(2);
    let decision = scene.look(&full(2, 151));
    assert_eq!((decision.replicas, decision.outcome), (4, Outcome::Up));
}

#[test]
fn ten_per_cent_more_or_less_change_nothing() {
    let mut scene = Scene::new(10);
    scene.watch(600, &full(10, 110));
    assert_eq!(scene.look(&full(10, 110)).outcome, Outcome::Enough);
    scene.watch(600, &full(10, 90));
    assert_eq!(scene.look(&full(10, 90)).outcome, Outcome::Enough);
    let decision = scene.look(&full(10, 111));
    assert_eq!((decision.replicas, decision.outcome), (12, Outcome::Up));
}

#[test]
fn never_more_than_the_maximum_nor_fewer_than_the_minimum() {
    let mut scene = Scene::new(18);
    assert_eq!(scene.look(&full(18, 500)).replicas, 20);
    scene.current = 20;
    let decision = scene.look(&full(20, 500));
    assert_eq!(
        (decision.replicas, decision.outcome),
        (20, Outcome::AtMaximum)
    );
    let mut scene = Scene::new(2);
    scene.watch(600, &full(2, 0));
    let decision = scene.look(&full(2, 0));
    assert_eq!(
        (decision.replicas, decision.outcome),
        (2, Outcome::AtMinimum)
    );
}

#[test]
fn a_gateway_is_taken_away_only_after_fewer_were_enough_for_the_whole_window() {
    let mut scene = Scene::new(4);
    for _ in 0..6 {
        let decision = scene.look(&full(4, 10));
        assert_eq!(
            (decision.replicas, decision.outcome),
            (4, Outcome::Stabilizing)
        );
        scene.pass(10);
    }
    let decision = scene.look(&full(4, 10));
    assert_eq!((decision.replicas, decision.outcome), (3, Outcome::Down));
}

#[test]
fn a_peak_within_the_window_keeps_what_it_needed() {
    let mut scene = Scene::new(6);
    scene.watch(300, &full(6, 10));
    scene.look(&full(6, 75)); // needs 5
    scene.pass(10);
    scene.watch(50, &full(6, 10));
    assert_eq!(scene.look(&full(6, 10)).replicas, 5);
    scene.current = 5;
    let decision = scene.look(&full(5, 10));
    assert_eq!(decision.outcome, Outcome::Stabilizing, "the peak needed 5");
    scene.pass(11);
    assert_eq!(scene.look(&full(5, 10)).replicas, 4);
}

#[test]
fn a_restart_begins_a_fresh_window() {
    let mut scene = Scene::new(4);
    scene.watch(300, &full(4, 10));
    assert_eq!(scene.look(&full(4, 10)).outcome, Outcome::Down);
    scene.memory = Memory::default();
    assert_eq!(scene.look(&full(4, 10)).outcome, Outcome::Stabilizing);
}

#[test]
fn a_time_in_which_nobody_looked_begins_a_fresh_window() {
    let mut scene = Scene::new(4);
    scene.watch(300, &full(4, 10));
    scene.pass(600);
    assert_eq!(scene.look(&full(4, 10)).outcome, Outcome::Stabilizing);
}

#[test]
fn a_window_of_nothing_takes_away_at_once() {
    let mut scene = Scene::new(4);
    scene.scaling.scale_down.stabilization_window_seconds = 0;
    assert_eq!(scene.look(&full(4, 10)).replicas, 3);
}

#[test]
fn one_step_takes_one_gateway_or_a_tenth() {
    for (current, left) in [(3, 2), (9, 8), (10, 9), (19, 18), (20, 18)] {
        let mut scene = Scene::new(current);
        let said = full(current.unsigned_abs() as usize, 0);
        scene.watch(120, &said);
        assert_eq!(scene.look(&said).replicas, left, "of {current}");
    }
}

#[test]
fn a_missing_reading_is_full_when_fewer_are_thought_of_and_empty_when_more_are() {
    let mut scene = Scene::new(4);
    // 10 + 10 + 2 × 100 = 220: three would do, one would if the silent ones were empty.
    let said = [Some(10), Some(10), None, None];
    scene.watch(300, &said);
    assert_eq!(scene.look(&said).replicas, 3);
    scene.current = 3;
    assert_eq!(scene.look(&said).outcome, Outcome::Enough);
    // 2 × 220 = 440 needs five; with the silent ones full it would be seven.
    scene.current = 4;
    let decision = scene.look(&[Some(220), Some(221), None, None]);
    assert_eq!(decision.replicas, 5);
}

#[test]
fn without_any_reading_nothing_changes() {
    let mut scene = Scene::new(4);
    scene.watch(300, &[None; 4]);
    let decision = scene.look(&[None; 4]);
    assert_eq!((decision.replicas, decision.outcome), (4, Outcome::Unknown));
}

#[test]
fn connections_of_gateways_that_are_going_count_for_they_come_back() {
    let mut scene = Scene::new(3);
    let mut gateways = gateways(&full(4, 90));
    gateways[3].leaving = true;
    let decision = decide(
        &mut scene.memory,
        &scene.scaling,
        3,
        &gateways,
        Hold::Rollout,
        scene.now,
    );
    assert_eq!((decision.replicas, decision.outcome), (4, Outcome::Up));
}

#[test]
fn none_is_taken_away_while_gateways_are_replaced_but_more_are_made() {
    let mut scene = Scene::new(4);
    scene.watch(300, &full(4, 10));
    scene.hold = Hold::Rollout;
    let decision = scene.look(&full(4, 10));
    assert_eq!((decision.replicas, decision.outcome), (4, Outcome::Waiting));
    assert!(decision.costs.is_empty());
    assert_eq!(scene.look(&full(4, 200)).replicas, 8);
}

#[test]
fn a_changed_minimum_is_reached_at_once_and_a_changed_maximum_in_steps() {
    let mut scene = Scene::new(3);
    scene.scaling.min_replicas = 5;
    let decision = scene.look(&full(3, 100));
    assert_eq!((decision.replicas, decision.outcome), (5, Outcome::Up));
    let mut scene = Scene::new(6);
    scene.scaling.max_replicas = 3;
    assert_eq!(scene.look(&full(6, 100)).replicas, 5);
    scene.hold = Hold::Rollout;
    assert_eq!(scene.look(&full(6, 100)).replicas, 6);
    assert_eq!(initial(&scene.scaling, 1), 2);
    assert_eq!(initial(&scene.scaling, 9), 3);
}

#[test]
fn the_least_loaded_go_first_and_stale_costs_are_taken_away() {
    let mut all = gateways(&[Some(50), Some(3), None, Some(7)]);
    all[3].cost = Some("5".into());
    assert_eq!(costs(&all, 1), [("chat-1".into(), Some(COST))]);
    all[0].cost = Some(COST.into());
    assert_eq!(costs(&all, 0), [("chat-0".into(), None)]);
    all[1].cost = Some(COST.into());
    assert_eq!(costs(&all, 1), [("chat-0".into(), None)]);
    all[0].cost = None;
    assert_eq!(costs(&all, 1), [], "it has its cost already");
    all[1].leaving = true;
    assert_eq!(costs(&all, 1), [("chat-3".into(), Some(COST))]);
}

#[test]
fn who_was_chosen_stays_chosen_while_clients_come_and_go() {
    let mut all = gateways(&[Some(50), Some(3)]);
    all[1].cost = Some(COST.into());
    all[1].connections = Some(60);
    assert_eq!(costs(&all, 1), []);
}

#[test]
fn one_that_is_not_ready_goes_before_any_that_is() {
    let mut all = gateways(&[Some(0), None, Some(5)]);
    all[1].ready = false;
    assert_eq!(costs(&all, 1), [("chat-1".into(), Some(COST))]);
}

#[test]
fn a_decision_to_go_down_names_as_many_pods_as_go() {
    let mut scene = Scene::new(20);
    scene.watch(120, &full(20, 1));
    let decision = scene.look(&full(20, 1));
    assert_eq!(decision.replicas, 18);
    assert_eq!(decision.costs.len(), 2);
}

#[test]
fn a_memory_does_not_grow_with_time() {
    let mut scene = Scene::new(4);
    scene.scaling.scale_down.stabilization_window_seconds = 86_400;
    for round in 0..100_000u32 {
        scene.look(&full(4, round * 7 % 100));
        scene.pass(10);
    }
    assert!(format!("{:?}", scene.memory).len() < 10_000);
}
