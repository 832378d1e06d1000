//! Storms over NATS: two gateways, many clients and publishers, and a fault in the middle. `LINNET_CLIENTS` sets how many
//! clients each gateway has, `LINNET_SEED` repeats a run.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use linnet_tests::follower::Holes;
use linnet_tests::prelude::*;
use linnet_tests::storm::{Outcome, Progress, Storm};
use rand::SeedableRng;
use rand::rngs::StdRng;

/// How many gateways there are.
const GATEWAYS: usize = 2;

/// How long a whole test may take, in seconds. It only bounds failures.
const DEADLINE: u64 = 400;

/// How long the network to NATS is cut.
const CUT: Duration = Duration::from_secs(20);

/// Messages that rooms keep: more than a storm has.
const KEEPS_ALL: u32 = 50_000;

/// Keeps `messages` a room, connected through `urls`.
fn manifest(messages: u32, urls: &[String]) -> Manifest {
    Manifest::unhurried().history(messages).nats(urls)
}

/// What was acked reached everybody once and in order, and both gateways tell it so.
async fn is_whole(outcome: &Outcome, fleet: &Fleet) {
    for number in 0..GATEWAYS {
        outcome.is_whole(&mut fleet[number].client().await).await;
    }
}

/// Lets a storm blow while the network behind `proxy` swallows everything for a time.
async fn cut_off(storm: Storm, fleet: &Fleet, proxy: &Proxy) -> Outcome {
    let fault = async |mut progress: Progress| {
        progress.reaches(30).await;
        proxy.hold().await;
        tokio::time::sleep(CUT).await;
        proxy.pass().await;
    };
    storm.blow(&fleet.doors(), GATEWAYS, fault).await
}

#[test]
fn clients_that_are_cut_and_resume_on_the_other_gateway_miss_nothing() {
    scenario(DEADLINE, async {
        let server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(KEEPS_ALL, &[server.url()]), GATEWAYS).await;
        let storm = Storm {
            cuts: Some(500),
            ..Storm::new()
        };
        let outcome = storm.blow(&fleet.doors(), GATEWAYS, async |_| {}).await;
        is_whole(&outcome, &fleet).await;
        // None, where the machine does not hold NATS up for seconds.
        let refused: usize = outcome.refused.values().sum();
        assert!(refused < outcome.acked.len() / 20, "{:?}", outcome.refused);
    });
}

#[test]
fn nothing_is_lost_when_a_gateway_is_killed() {
    scenario(DEADLINE, async {
        let server = NatsServer::jetstream().await;
        let mut fleet = Fleet::start(&manifest(KEEPS_ALL, &[server.url()]), GATEWAYS).await;
        let storm = Storm::new();
        let mut random = StdRng::seed_from_u64(storm.seed);
        let doors = fleet.doors();
        let gateways = &mut fleet;
        let fault = async move |mut progress: Progress| {
            progress.reaches(30).await;
            let victim = gateways.pick(&mut random);
            gateways[victim].kill().await;
            progress.reaches(60).await;
            gateways.restart(victim).await;
        };
        let outcome = storm.blow(&doors, GATEWAYS, fault).await;
        is_whole(&outcome, &fleet).await;
    });
}

#[test]
fn nothing_is_lost_when_nats_is_killed_and_when_it_is_restarted() {
    scenario(DEADLINE, async {
        let mut server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(KEEPS_ALL, &[server.url()]), GATEWAYS).await;
        let nats = &mut server;
        let fault = async move |mut progress: Progress| {
            progress.reaches(30).await;
            nats.kill().await;
            nats.launch().await;
            progress.reaches(60).await;
            nats.restart().await;
        };
        let outcome = Storm::new().blow(&fleet.doors(), GATEWAYS, fault).await;
        is_whole(&outcome, &fleet).await;
    });
}

#[test]
fn nothing_is_lost_when_the_leader_of_a_replicated_stream_is_killed() {
    scenario(DEADLINE, async {
        let mut cluster = NatsCluster::start().await;
        let manifest = manifest(KEEPS_ALL, &cluster.urls()).replicas(3);
        let fleet = Fleet::start(&manifest, GATEWAYS).await;
        let stream = cluster.node(0).channel_stream().await;
        cluster.in_step(&stream).await;
        let nodes = &mut cluster;
        let fault = async move |mut progress: Progress| {
            for percent in [25, 50, 75] {
                progress.reaches(percent).await;
                let killed = nodes.kill_leader(&stream).await;
                progress.reaches(percent + 10).await;
                nodes.node_mut(killed).launch().await;
                nodes.in_step(&stream).await;
            }
        };
        let outcome = Storm::new().blow(&fleet.doors(), GATEWAYS, fault).await;
        is_whole(&outcome, &fleet).await;
    });
}

#[test]
fn nothing_is_lost_when_the_network_between_a_gateway_and_nats_is_cut() {
    scenario(DEADLINE, async {
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let behind = manifest(KEEPS_ALL, &[proxy.nats_url()]);
        let beside = manifest(KEEPS_ALL, &[server.url()]);
        let fleet = Fleet::start_each(&[behind, beside]).await;
        let outcome = cut_off(Storm::new(), &fleet, &proxy).await;
        is_whole(&outcome, &fleet).await;
    });
}

#[test]
fn nothing_is_lost_when_the_network_between_all_gateways_and_nats_is_cut() {
    scenario(DEADLINE, async {
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let fleet = Fleet::start(&manifest(KEEPS_ALL, &[proxy.nats_url()]), GATEWAYS).await;
        let outcome = cut_off(Storm::new(), &fleet, &proxy).await;
        is_whole(&outcome, &fleet).await;
        assert!(!outcome.refused.is_empty(), "a publish has a deadline");
    });
}

#[test]
fn what_the_stream_no_longer_has_after_a_cut_is_told() {
    scenario(DEADLINE, async {
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        // The other gateway's publishers go on: far more than a room keeps passes by meanwhile.
        let behind = manifest(100, &[proxy.nats_url()]);
        let beside = manifest(100, &[server.url()]);
        let fleet = Fleet::start_each(&[behind, beside]).await;
        let storm = Storm {
            holes: Holes::Noted,
            ..Storm::new()
        };
        let outcome = cut_off(storm, &fleet, &proxy).await;
        outcome.loses_nothing_in_silence();
        assert!(outcome.holes() > 0, "the stream can't have kept it all");
    });
}

#[test]
fn what_the_stream_no_longer_has_for_clients_that_come_late_is_told() {
    scenario(DEADLINE, async {
        let server = NatsServer::jetstream().await;
        let fleet = Fleet::start(&manifest(2, &[server.url()]), GATEWAYS).await;
        let storm = Storm {
            cuts: Some(500),
            holes: Holes::Noted,
            rate: 4000,
            ..Storm::new()
        };
        let outcome = storm.blow(&fleet.doors(), GATEWAYS, async |_| {}).await;
        outcome.loses_nothing_in_silence();
        assert!(outcome.holes() > 0, "two messages a room are gone at once");
    });
}
