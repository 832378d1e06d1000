//! Decisions, and fleets that are asked over and over until they are even.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const DRAIN: Duration = Duration::from_secs(60);
const MAY: (bool, bool) = (true, true);
const LOOK: Step = Step::Look(Duration::from_secs(5));

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Gateways with so many connections each; the last one was started a minute ago, the others long before.
fn fleet(connections: &[u32]) -> Vec<Gateway> {
    let last = connections.len() - 1;
    let gateway = |(number, connections): (usize, &u32)| Gateway {
        pod: format!("p{number}"),
        started: Some(match number == last {
            true => now() - SignedDuration::from_mins(1),
            false => now() - SignedDuration::from_hours(30),
        }),
        ready: true,
        leaving: false,
        load: Some(Load {
            connections: *connections,
            moving: 0,
            draining: false,
        }),
    };
    connections.iter().enumerate().map(gateway).collect()
}

fn first(gateways: &[Gateway]) -> Step {
    decide(&mut Memory::default(), MAY, DRAIN, gateways, now())
}

fn load(gateway: &mut Gateway) -> &mut Load {
    gateway.load.as_mut().unwrap()
}

#[test]
fn the_most_crowded_gateway_keeps_the_mean_and_takes_its_part_of_a_drain() {
    let step = Step::Move {
        pod: "p1".into(),
        keep: 400,
        window: Duration::from_secs(30),
    };
    assert_eq!(first(&fleet(&[400, 800, 0])), step);
}

#[test]
fn however_short_a_drain_is_goodbyes_are_spread() {
    let mut memory = Memory::default();
    let step = decide(&mut memory, MAY, Duration::ZERO, &fleet(&[900, 0]), now());
    assert!(
        matches!(step, Step::Move { window, .. } if window == Duration::from_secs(5)),
        "{step:?}"
    );
}

#[test]
fn what_chance_or_a_tenth_explains_stays() {
    assert_eq!(first(&fleet(&[1100, 900])), Step::Rest);
    assert!(matches!(first(&fleet(&[1101, 899])), Step::Move { .. }));
    assert_eq!(first(&fleet(&[10, 0])), Step::Rest);
    assert_eq!(first(&fleet(&[0, 0])), Step::Rest);
}

#[test]
fn without_a_new_gateway_nobody_moves() {
    let mut old = fleet(&[900, 0]);
    old[1].started = Some(now() - SignedDuration::from_mins(61));
    assert_eq!(first(&old), Step::Rest);
    assert_eq!(first(&fleet(&[900])), Step::Rest);
    let mut unready = fleet(&[900, 0]);
    unready[1].ready = false;
    assert_eq!(first(&unready), Step::Rest);
}

#[test]
fn one_gateway_makes_room_at_a_time() {
    let mut gateways = fleet(&[900, 800, 0]);
    load(&mut gateways[1]).moving = 1;
    assert_eq!(first(&gateways), LOOK);
}

#[test]
fn who_does_not_say_what_it_has_is_waited_for() {
    let mut gateways = fleet(&[900, 0]);
    gateways[1].load = None;
    assert_eq!(first(&gateways), LOOK);
}

#[test]
fn while_gateways_go_or_come_all_stay() {
    let mut gateways = fleet(&[900, 0]);
    let held = |gateways: &[Gateway]| {
        let held = (true, false);
        decide(&mut Memory::default(), held, DRAIN, gateways, now())
    };
    assert_eq!(held(&gateways), Step::Rest);
    load(&mut gateways[0]).moving = 5;
    assert_eq!(held(&gateways), Step::Stay(vec!["p0".into()]));
}

#[test]
fn where_it_is_not_wanted_nobody_is_asked_for_anything() {
    let mut gateways = fleet(&[900, 0]);
    for moving in [0, 5] {
        load(&mut gateways[0]).moving = moving; // as a person may have asked by hand
        let step = decide(
            &mut Memory::default(),
            (false, true),
            DRAIN,
            &gateways,
            now(),
        );
        assert_eq!(step, Step::Rest);
    }
}

#[test]
fn a_gateway_that_drains_stops_it_and_is_left_alone() {
    let mut gateways = fleet(&[900, 800, 0]);
    load(&mut gateways[0]).moving = 9;
    let draining = load(&mut gateways[1]);
    (draining.draining, draining.moving) = (true, 800);
    assert_eq!(first(&gateways), Step::Stay(vec!["p0".into()]));
    gateways[0].leaving = true;
    assert_eq!(first(&gateways), Step::Rest);
}

/// Connections that move over time.
#[derive(Default)]
struct Moves {
    memory: Memory,
    /// Minutes since the newest gateway of [`fleet`] was a minute old.
    minutes: i64,
}

impl Moves {
    fn now(&self) -> Timestamp {
        now() + SignedDuration::from_mins(self.minutes)
    }

    fn look(&mut self, gateways: &[Gateway]) -> Step {
        let now = self.now();
        decide(&mut self.memory, MAY, DRAIN, gateways, now)
    }

    /// A step that a gateway takes. Gives whether it is the first.
    fn step(&mut self, gateways: &[Gateway]) -> bool {
        let step = self.look(gateways);
        assert!(matches!(step, Step::Move { .. }), "{step:?}");
        self.memory.taken()
    }

    /// A step that a gateway does not take. Gives how often in a row, and the seconds until it is asked again.
    fn refused(&mut self, gateways: &[Gateway]) -> (u32, u64) {
        let step = self.look(gateways);
        assert!(matches!(step, Step::Move { .. }), "{step:?}");
        let now = self.now();
        let (times, wait) = self.memory.refused(now);
        (times, wait.as_secs())
    }
}

#[test]
fn clients_that_come_back_are_left_in_peace_until_gateways_are_added_again() {
    let (mut moves, mut gateways) = (Moves::default(), fleet(&[900, 0]));
    assert!(moves.step(&gateways), "the first");
    assert!(!moves.step(&gateways), "the second");
    assert_eq!(moves.look(&gateways), Step::End(End::InVain));
    assert_eq!(moves.look(&gateways), Step::Rest);
    gateways[1].started = Some(now());
    assert!(moves.step(&gateways), "the first again");
}

#[test]
fn a_gateway_that_is_away_for_a_moment_is_none_that_was_added() {
    let (mut moves, mut gateways) = (Moves::default(), fleet(&[900, 800, 0]));
    moves.step(&gateways);
    moves.step(&gateways);
    gateways[2].ready = false;
    assert_eq!(moves.look(&gateways), Step::Rest, "the others are not new");
    gateways[2].ready = true;
    assert_eq!(
        moves.look(&gateways),
        Step::End(End::InVain),
        "two steps in vain"
    );
    moves.minutes = 30;
    gateways[2].ready = false;
    assert_eq!(moves.look(&gateways), Step::Rest);
    gateways[2].ready = true;
    assert_eq!(moves.look(&gateways), Step::Rest, "nothing begins anew");
}

#[test]
fn a_gateway_that_can_not_be_asked_is_asked_again_and_the_more_seldom_the_more_often_it_was() {
    let (mut moves, gateways) = (Moves::default(), fleet(&[900, 0]));
    let mut waits = Vec::new();
    for times in 1..=6 {
        let (refused, wait) = moves.refused(&gateways);
        assert_eq!(refused, times);
        let soon = Step::Look(Duration::from_secs(wait));
        assert_eq!(moves.look(&gateways), soon, "another pass asks nobody");
        waits.push(wait);
        moves.minutes += 1;
    }
    assert_eq!(waits, [5, 10, 20, 40, 60, 60]);
    assert!(moves.step(&gateways), "the first that was taken");
    assert_eq!(moves.refused(&gateways), (1, 5), "a count of its own");
}

#[test]
fn a_gateway_that_can_not_be_asked_tells_nothing_of_where_clients_go() {
    let (mut moves, gateways) = (Moves::default(), fleet(&[900, 0]));
    moves.step(&gateways);
    moves.refused(&gateways); // the step before was in vain, and this is none
    moves.minutes = 1;
    moves.step(&gateways);
    assert_eq!(moves.look(&gateways), Step::End(End::InVain));
}

#[test]
fn what_is_not_even_after_an_hour_is_told_once() {
    let (mut moves, mut gateways) = (Moves::default(), fleet(&[9000, 0]));
    moves.step(&gateways);
    load(&mut gateways[0]).connections = 7000;
    moves.minutes = 60;
    assert_eq!(moves.look(&gateways), Step::End(End::Late));
    assert_eq!(moves.look(&gateways), Step::Rest);
}

#[test]
fn what_nobody_was_asked_for_ends_in_silence() {
    let (mut moves, gateways) = (Moves::default(), fleet(&[9000, 0]));
    moves.refused(&gateways);
    moves.minutes = 60;
    assert_eq!(moves.look(&gateways), Step::Rest);
}

#[test]
fn fleets_of_every_size_come_to_be_even_and_then_rest() {
    let mut chance = StdRng::seed_from_u64(7);
    for (before, added) in [(1, 1), (2, 1), (3, 3), (10, 10), (1, 9)] {
        for each in [50, 1000] {
            let mut connections = vec![each; before];
            connections.extend(vec![0; added]);
            let total: u32 = connections.iter().sum();
            let mean = f64::from(total) / connections.len() as f64;
            let (mut moves, mut moved) = (Moves::default(), 0);
            loop {
                let step = moves.look(&fleet(&connections));
                let Step::Move { pod, keep, .. } = step else {
                    let end = match moved {
                        0 => Step::Rest,
                        _ => Step::End(End::Even),
                    };
                    assert_eq!(step, end, "{connections:?}");
                    break;
                };
                moves.memory.taken();
                let from: usize = pod[1..].parse().unwrap();
                assert!(
                    f64::from(keep) >= mean,
                    "nobody gives more than it has too many"
                );
                for _ in keep..connections[from] {
                    connections[from] -= 1;
                    let to = chance.random_range(0..connections.len());
                    connections[to] += 1;
                    moved += 1;
                }
                assert!(moved < total * 4, "{connections:?} never rests");
            }
            let most = f64::from(*connections.iter().max().unwrap());
            let allowed = mean + 1.0 + (mean / 10.0).max(3.0 * mean.sqrt()) + 1.0;
            assert!(most <= allowed, "{connections:?}");
        }
    }
}
