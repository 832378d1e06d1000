use std::time::Duration;

use async_nats::jetstream::context::Context;
use async_nats::jetstream::stream::{Config, Info};

use super::*;
use crate::wait::{scenario, until};

async fn create(streams: &Context, replicas: usize) {
    let config = Config {
        name: "s".into(),
        subjects: vec!["s.*".into()],
        num_replicas: replicas,
        ..Config::default()
    };
    streams.create_stream(config).await.unwrap();
}

/// Stores a message; gives its sequence.
async fn store(streams: &Context) -> u64 {
    let ack = streams.publish("s.x", "x".into()).await.unwrap();
    ack.await.unwrap().sequence
}

async fn info(streams: &Context) -> Info {
    let streams = &streams;
    until("the stream", || async move {
        let stream = streams.get_stream("s").await.ok()?;
        Some(stream.cached_info().clone())
    })
    .await
}

#[test]
fn a_killed_server_comes_back_on_its_port_with_its_streams() {
    scenario(60, async {
        let mut server = NatsServer::jetstream().await;
        let streams = server.streams().await;
        create(&streams, 1).await;
        store(&streams).await;
        server.kill().await;
        server.launch().await;
        // The same client: it has come back to the same port.
        assert_eq!(info(&streams).await.state.messages, 1);
        server.restart().await;
        assert_eq!(info(&streams).await.state.messages, 1);
    });
}

#[test]
fn a_paused_server_answers_when_it_goes_on() {
    scenario(60, async {
        let server = NatsServer::jetstream().await;
        let mut streams = server.streams().await;
        streams.set_timeout(Duration::from_millis(300));
        server.pause();
        assert!(streams.query_account().await.is_err());
        server.resume();
        let streams = &streams;
        until(
            "an answer",
            || async move { streams.query_account().await.ok() },
        )
        .await;
    });
}

#[test]
fn a_snapshot_rolls_a_stream_back() {
    scenario(60, async {
        let mut server = NatsServer::jetstream().await;
        let streams = server.streams().await;
        create(&streams, 1).await;
        store(&streams).await;
        server.stop().await;
        let snapshot = server.snapshot();
        server.launch().await;
        info(&streams).await;
        assert_eq!(store(&streams).await, 2);
        server.stop().await;
        server.restore(&snapshot);
        server.launch().await;
        assert_eq!(info(&streams).await.state.last_sequence, 1);
    });
}

#[test]
fn a_full_store_refuses_until_a_restart_with_more_room() {
    scenario(60, async {
        let mut server = NatsServer::jetstream_with("max_file: 64K", "max_payload: 1M").await;
        let streams = server.streams().await;
        create(&streams, 1).await;
        let big = || async {
            let ack = streams.publish("s.big", vec![0; 40_000].into()).await;
            ack.unwrap().await
        };
        // The server looks at what is used before it stores, so one message may lie across the limit.
        big().await.unwrap();
        let _ = big().await;
        let refused = big().await.unwrap_err().to_string();
        assert!(refused.contains("resource"), "{refused}");
        let config = server.with_store("max_file: 1M", "");
        server.restart_with(&config).await;
        info(&streams).await;
        big().await.unwrap();
    });
}

#[test]
fn another_server_leads_when_the_leader_was_killed() {
    scenario(90, async {
        let mut cluster = NatsCluster::start().await;
        let streams = cluster.streams().await;
        create(&streams, 3).await;
        store(&streams).await;
        cluster.in_step("s").await;
        let killed = cluster.kill_leader("s").await;
        assert_ne!(cluster.leader("s").await, killed);
        assert_eq!(info(&streams).await.state.messages, 1);
        cluster.node_mut(killed).launch().await;
        cluster.in_step("s").await;
    });
}
