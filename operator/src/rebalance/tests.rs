//! Decisions, and fleets that are asked over and over until they are even.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

use super::*;

const DRAIN: Duration = Duration::from_secs(60);
const MAY: (bool, bool) = (true, true);

fn now() -> Timestamp {
    "2026-01-01T00:00:00Z".parse().unwrap()
}

/// Gateways with so many connections each; the last one became ready a minute ago, the others long before.
fn fleet(connections: &[u32]) -> Vec<Gateway> {
    let last = connections.len() - 1;
    let gateway = |(number, connections): (usize, &u32)| Gateway {
        pod: format!("p{number}"),
        ready_since: Some(match number == last {
            true => now() - SignedDuration::from_mins(1),
            false => now() - SignedDuration::from_hours(30),
        }),
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
        first: true,
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
    old[1].ready_since = Some(now() - SignedDuration::from_mins(61));
    assert_eq!(first(&old), Step::Rest);
    assert_eq!(first(&fleet(&[900])), Step::Rest);
    let mut unready = fleet(&[900, 0]);
    unready[1].ready_since = None;
    assert_eq!(first(&unready), Step::Rest);
}

#[test]
fn one_gateway_makes_room_at_a_time() {
    let mut gateways = fleet(&[900, 800, 0]);
    load(&mut gateways[1]).moving = 1;
    assert_eq!(first(&gateways), Step::Look);
}

#[test]
fn who_does_not_say_what_it_has_is_waited_for() {
    let mut gateways = fleet(&[900, 0]);
    gateways[1].load = None;
    assert_eq!(first(&gateways), Step::Look);
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

#[test]
fn clients_that_come_back_are_left_in_peace_until_gateways_are_added_again() {
    let (mut memory, mut gateways) = (Memory::default(), fleet(&[900, 0]));
    let mut look = |gateways: &[Gateway]| decide(&mut memory, MAY, DRAIN, gateways, now());
    assert!(matches!(look(&gateways), Step::Move { first: true, .. }));
    assert!(matches!(look(&gateways), Step::Move { first: false, .. }));
    assert_eq!(look(&gateways), Step::GiveUp);
    assert_eq!(look(&gateways), Step::Rest);
    gateways[1].ready_since = Some(now());
    assert!(matches!(look(&gateways), Step::Move { first: true, .. }));
}

#[test]
fn a_gateway_that_can_not_be_asked_is_not_asked_for_ever() {
    let (mut memory, gateways) = (Memory::default(), fleet(&[900, 0]));
    for _ in 0..2 {
        let step = decide(&mut memory, MAY, DRAIN, &gateways, now());
        assert!(matches!(step, Step::Move { .. }));
        memory.refused();
    }
    let step = decide(&mut memory, MAY, DRAIN, &gateways, now());
    assert_eq!(step, Step::Rest);
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
            let (mut memory, mut moved) = (Memory::default(), 0);
            loop {
                let gateways = fleet(&connections);
                let step = decide(&mut memory, MAY, DRAIN, &gateways, now());
                let Step::Move { pod, keep, .. } = step else {
                    assert_eq!(step, Step::Rest, "{connections:?}");
                    break;
                };
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
