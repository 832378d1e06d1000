//! What must hold whatever happens, over many seeds. `LINNET_SEED` repeats one.

use std::collections::BTreeMap;

use rand::RngExt;

use super::super::entry::Topic;
use super::super::state::News;
use super::node::{Key, topics};
use super::world::{Network, World, seeds};
use crate::names::ConnectionId;

/// A world in which every gateway has some entries, known everywhere, and all may judge.
fn settled(seed: u64, gateways: usize) -> World {
    let mut world = World::new(seed, gateways);
    for node in world.up() {
        for _ in 0..5 {
            world.join_somewhere(node);
        }
    }
    let more = world.rng.random_range(0..5000);
    world.run(20_000 + more);
    world.converged();
    world
}

/// Per observer and entry of `of`, how often it joined and left since `since`.
fn counts(world: &World, of: usize, since: u64) -> BTreeMap<(usize, Key), (u32, u32)> {
    let mut counts = BTreeMap::new();
    for observer in world.up() {
        if observer == of {
            continue;
        }
        for (at, news) in &world.nodes[observer].told {
            let (key, count) = match news {
                News::Joined {
                    topic, attendee, ..
                } => ((topic.clone(), attendee.member.connection), (1, 0)),
                News::Left { topic, connection } => ((topic.clone(), *connection), (0, 1)),
                News::Watching(_) => continue,
            };
            if *at >= since && world.nodes[of].own.contains_key(&key) {
                let sum: &mut (u32, u32) = counts.entry((observer, key)).or_default();
                *sum = (sum.0 + count.0, sum.1 + count.1);
            }
        }
    }
    counts
}

/// Panics if anybody was told anything since `since`.
fn nothing_told(world: &World, since: u64) {
    for node in world.up() {
        let told = &world.nodes[node].told;
        let late: Vec<_> = told.iter().filter(|(at, _)| *at >= since).collect();
        assert!(late.is_empty(), "gateway {node}: {late:?}");
    }
}

/// One random step of those that have not ended.
fn something(world: &mut World) {
    let up = world.up();
    let node = up[world.rng.random_range(0..up.len())];
    let own: Vec<Key> = world.nodes[node].own.keys().cloned().collect();
    let paused = world.nodes[node].paused;
    match world.rng.random_range(0..100) {
        _ if paused => {
            if world.rng.random_bool(0.2) {
                world.resume(node);
            }
        }
        0..35 => world.join_somewhere(node),
        35..60 if !own.is_empty() => {
            let at = world.rng.random_range(0..own.len());
            world.leave(node, &own[at]);
        }
        60..70 if !own.is_empty() => {
            let at = world.rng.random_range(0..own.len());
            let (topic, connection) = own[at].clone();
            world.join(node, topic, connection); // with new facts
        }
        70..74 => world.pause(node),
        74..79 => world.disconnect(node),
        79..88 => {
            for node in up {
                world.reconnect(node);
            }
        }
        88 => world.drain(node),
        89 if up.len() > 2 => world.goodbye(node),
        90..92 if up.len() > 2 => world.kill(node),
        92..94 if up.len() < 6 => {
            world.start();
        }
        94 => world.outage(),
        95..97 => world.recover(),
        97 => world.jetstream = !world.jetstream,
        98 => world.delete_bucket(),
        _ => {
            let any = world.rng.random_range(0..world.nodes.len());
            world.repeat(any);
            world.end_lease(node);
        }
    }
}

#[test]
fn whatever_happens_every_history_is_possible_and_all_agree_once_it_is_quiet() {
    for seed in seeds(300) {
        let mut world = World::new(seed, 4);
        world.network = Network {
            loss: world.rng.random_range(0.0..0.3),
            duplicates: world.rng.random_range(0.0..0.3),
            max_delay: world.rng.random_range(1..2000),
            lost_answers: 0.05,
        };
        for _ in 0..150 {
            something(&mut world);
            let pause = world.rng.random_range(0..1000);
            world.run(pause);
        }
        world.network = Network::CALM;
        world.jetstream = true;
        for node in world.up() {
            if world.nodes[node].paused {
                world.resume(node);
            }
        }
        world.recover();
        world.run(60_000);
        world.converged();
        if seed.is_multiple_of(10) {
            world.run(160_000);
            world.converged();
            world.at_rest();
        }
    }
}

#[test]
fn nats_away_for_everybody_is_no_presence_event() {
    for seed in seeds(100) {
        let mut world = settled(seed, 4);
        world.network.loss = 0.05;
        let since = world.now;
        world.outage();
        let away = world.rng.random_range(1_000..120_000);
        world.run(away);
        world.recover();
        world.run(60_000);
        nothing_told(&world, since);
        world.network.loss = 0.0;
        world.run(6_000);
        world.converged();
    }
}

#[test]
fn what_happened_while_nats_was_away_is_told_afterwards_and_nothing_else() {
    for seed in seeds(100) {
        let mut world = settled(seed, 3);
        world.outage();
        let since = world.now;
        let left = world.nodes[0].own.keys().next().unwrap().clone();
        world.leave(0, &left);
        world.join(0, topics()[0].clone(), ConnectionId::from_bytes([9; 16]));
        let away = world.rng.random_range(1_000..60_000);
        world.run(away);
        world.recover();
        world.run(30_000);
        world.converged();
        for observer in [1, 2] {
            let told = &world.nodes[observer].told;
            let late = told.iter().filter(|(at, _)| *at >= since);
            assert_eq!(late.count(), 2);
        }
    }
}

#[test]
fn a_killed_gateways_entries_leave_within_20_s_on_every_survivor_and_once() {
    for seed in seeds(100) {
        let mut world = settled(seed, 4);
        let since = world.now;
        world.kill(0);
        world.run(20_000);
        world.converged();
        world.repeat(0);
        world.run(100_000);
        let counts = counts(&world, 0, since);
        assert_eq!(counts.len(), world.nodes[0].own.len() * 3);
        assert!(counts.values().all(|count| *count == (0, 1)), "{counts:?}");
        world.converged();
    }
}

#[test]
fn a_gateway_that_says_goodbye_leaves_at_once() {
    for seed in seeds(20) {
        let mut world = settled(seed, 3);
        world.goodbye(0);
        world.run(50);
        world.converged();
    }
}

#[test]
fn a_stopped_gateway_is_at_most_one_leave_and_one_join_and_sees_none_of_others() {
    for seed in seeds(150) {
        let mut world = settled(seed, 4);
        let since = world.now;
        let stopped = match seed % 3 {
            0 => 30_000,
            _ => world.rng.random_range(100..60_000),
        };
        world.pause(0);
        if world.rng.random_bool(0.3) {
            world.disconnect(0); // the server gives up on it
        }
        world.run(stopped);
        world.resume(0);
        world.reconnect(0);
        world.run(40_000);
        world.converged();
        let counts = counts(&world, 0, since);
        assert!(
            counts
                .values()
                .all(|(joins, leaves)| *joins <= 1 && *leaves <= 1),
            "{counts:?}"
        );
        if stopped < 9_000 {
            assert!(counts.is_empty(), "{stopped}: {counts:?}");
        }
        let told = &world.nodes[0].told;
        assert!(told.iter().all(|(at, _)| *at < since), "the stopped one");
    }
}

#[test]
fn a_gateway_that_loses_its_lease_and_notices_does_not_leave() {
    for seed in seeds(50) {
        let mut world = settled(seed, 3);
        let since = world.now;
        world.network.max_delay = 400;
        for _ in 0..5 {
            match world.rng.random_bool(0.5) {
                true => world.delete_bucket(),
                false => world.end_lease(0),
            }
            let pause = world.rng.random_range(100..10_000);
            world.run(pause);
        }
        world.run(40_000);
        nothing_told(&world, since);
        world.converged();
    }
}

#[test]
fn without_jetstream_nobody_leaves_and_changes_are_told_all_the_same() {
    for seed in seeds(50) {
        let mut world = settled(seed, 3);
        let since = world.now;
        world.jetstream = false;
        let away = world.rng.random_range(1_000..120_000);
        world.run(away);
        nothing_told(&world, since);
        let late = world.start();
        world.join_somewhere(0);
        world.run(1_000);
        world.converged();
        assert_eq!(world.nodes[late].view.len(), 16);
        world.jetstream = true;
        world.run(60_000);
        world.converged();
    }
}

#[test]
fn a_gateway_cut_off_from_the_others_is_one_leave_and_one_join() {
    for seed in seeds(50) {
        let mut world = settled(seed, 3);
        let since = world.now;
        world.disconnect(0);
        let away = world.rng.random_range(1_000..90_000);
        world.run(away);
        assert_eq!(world.nodes[0].view.len(), 15, "it judges nobody");
        world.reconnect(0);
        world.run(40_000);
        world.converged();
        let all = (0..3).map(|of| counts(&world, of, since));
        for (of, counts) in all.enumerate() {
            let most = |(joins, leaves): &(u32, u32)| of == 0 && *joins <= 1 && *leaves <= 1;
            assert!(counts.values().all(most), "{of}: {counts:?}");
        }
    }
}

#[test]
fn a_copy_that_is_wrong_without_a_reason_is_healed_by_a_digest() {
    let mut world = settled(1, 2);
    let (topic, connection) = world.nodes[0].own.keys().next().unwrap().clone();
    let key = super::super::entry::Key::new(topic, connection);
    world.nodes[1].state.peers().corrupt(&key);
    // The healing tells the join of an entry that the view never lost.
    let known = world.nodes[1].view.remove(&(key.topic, connection));
    assert!(known.is_some());
    world.run(6_000);
    world.converged();
}

#[test]
fn a_late_gateway_gets_a_room_of_twenty_thousand_and_changes_meanwhile() {
    let mut world = World::new(7, 1);
    for number in 0..20_000u32 {
        let mut bits = [0; 16];
        bits[..4].copy_from_slice(&number.to_be_bytes());
        world.join(0, topics()[0].clone(), ConnectionId::from_bytes(bits));
    }
    world.run(2_000);
    world.network.max_delay = 200;
    let late = world.start();
    for _ in 0..100 {
        world.join_somewhere(0);
        world.run(10);
    }
    world.run(2_000);
    world.converged();
    assert_eq!(world.nodes[late].view.len(), 20_100);
}

#[test]
fn a_topic_that_is_watched_later_begins_with_who_is_there() {
    let mut world = settled(3, 2);
    let lobby = &topics()[0];
    for node in &mut world.nodes {
        node.state.unwatch(lobby);
        node.view.retain(|(topic, _), _| topic != lobby);
    }
    world.join(0, lobby.clone(), ConnectionId::from_bytes([9; 16]));
    world.run(1_000);
    for node in &mut world.nodes {
        assert!(node.view.keys().all(|(topic, _)| topic != lobby));
        node.state.watch(lobby.clone());
        node.state.watch(lobby.clone());
        node.wake();
    }
    world.run(1_000);
    world.converged();
}

#[test]
fn a_drain_is_told_of_the_connections_of_users() {
    let mut world = World::new(4, 2);
    for topic in topics() {
        world.join(0, topic, ConnectionId::from_bytes([1; 16]));
    }
    world.run(1_000);
    world.drain(0);
    world.run(1_000);
    world.converged();
    let late = world.start();
    world.run(1_000);
    for node in [1, late] {
        let view = world.nodes[node].view.iter();
        let draining = view.filter(|(_, (_, draining))| *draining);
        assert!(draining.clone().count() == 2, "gateway {node}");
        for (key, _) in draining {
            assert!(matches!(key.0, Topic::User(_)), "gateway {node}");
        }
    }
}

#[test]
fn the_same_seed_is_the_same_run() {
    let run = |seed| {
        let mut world = World::new(seed, 3);
        world.network.max_delay = 300;
        world.network.loss = 0.1;
        for _ in 0..40 {
            something(&mut world);
            world.run(200);
        }
        let told = world.nodes.iter().map(|node| node.told.clone());
        told.collect::<Vec<_>>()
    };
    assert_eq!(run(5), run(5));
}
