//! Connections that come and go: each leaves a bounded number of spans, and none leaves anything behind.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::{HashMap, HashSet};

use futures_util::{StreamExt, stream};
use linnet_tests::collector::{Manner, SOON, Seen};
use linnet_tests::prelude::*;

const DROPPED: &str = "linnet_telemetry_spans_dropped_total";
const EXPORTED: &str = "linnet_telemetry_spans_exported_total";

/// So many clients are there at the same time.
const AT_ONCE: usize = 50;

fn traced(collector: &Collector) -> Manifest {
    Manifest::unhurried().traced(&collector.over_http(), 1_000_000)
}

/// `count` clients come, subscribe and go, as fast as it goes.
async fn come_and_go(gateway: &Gateway, count: usize) {
    let visits = stream::iter(0..count).map(|_| async {
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        client.close().await;
    });
    visits.buffer_unordered(AT_ONCE).collect::<()>().await;
}

#[test]
fn five_thousand_connections_leave_three_spans_each_and_no_memory_behind() {
    const ROUND: usize = 1000;
    const ROUNDS: usize = 5;
    scenario(240, async {
        let collector = Collector::start().await;
        let variables = [SOON, ("OTEL_BSP_MAX_QUEUE_SIZE", "100000")];
        let gateway = Gateway::start_in(&traced(&collector), &[], &variables).await;
        let mut settled = 0;
        for round in 1..=ROUNDS {
            come_and_go(&gateway, ROUND).await;
            collector.awaited("close", round * ROUND).await;
            // Two rounds for what a process keeps from its first work on.
            if round == 2 {
                settled = gateway.rss();
            }
        }
        let grown = gateway.rss().saturating_sub(settled);
        let mut lives: HashMap<String, Vec<String>> = HashMap::new();
        for seen in collector.spans() {
            let life = lives
                .entry(seen.attribute("linnet.connection.id"))
                .or_default();
            life.push(seen.span.name);
        }
        assert_eq!(lives.len(), ROUNDS * ROUND);
        for (id, life) in &mut lives {
            life.sort();
            assert_eq!(*life, ["close", "connection", "subscribe"], "{id}");
        }
        assert_eq!(gateway.metric(DROPPED).await, 0.0);
        until("none to be left", || async {
            let left = gateway.metric("linnet_connections").await;
            (left == 0.0).then_some(())
        })
        .await;
        assert!(
            grown < 8 << 20,
            "{grown} bytes more after {ROUND} and again as many"
        );
    });
}

#[test]
fn where_the_collector_does_not_keep_up_each_span_is_counted_as_sent_or_as_dropped() {
    const CONNECTIONS: usize = 1000;
    scenario(120, async {
        let collector = Collector::mannered(Manner::Silent).await;
        let variables = [
            SOON,
            ("OTEL_BSP_MAX_QUEUE_SIZE", "64"),
            ("OTEL_BSP_MAX_EXPORT_BATCH_SIZE", "64"),
            ("OTEL_EXPORTER_OTLP_TIMEOUT", "200"),
        ];
        let gateway = Gateway::start_in(&traced(&collector), &[], &variables).await;
        come_and_go(&gateway, CONNECTIONS / 2).await;
        collector.is_asked().await;
        // What did not find a place in the queue is lost; from now on all is taken that does.
        gateway.metric_reaches(DROPPED, 1.0).await;
        collector.behave(Manner::Well);
        come_and_go(&gateway, CONNECTIONS / 2).await;
        let all = (3 * CONNECTIONS) as f64;
        until("an account of each span", || async {
            let (exported, dropped) = (
                gateway.metric(EXPORTED).await,
                gateway.metric(DROPPED).await,
            );
            assert!(exported + dropped <= all, "{exported} + {dropped}");
            (exported + dropped == all).then_some(())
        })
        .await;
        // What took the collector too long was sent again.
        let arrived: HashSet<_> = collector.spans().iter().map(Seen::id).collect();
        let exported = gateway.metric(EXPORTED).await;
        assert!(
            exported > 0.0 && arrived.len() as f64 >= exported,
            "{exported}"
        );
    });
}
