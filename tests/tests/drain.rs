//! A gateway that is told to stop: it says so, moves its clients on, and is gone in time.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::{Duration, Instant};

use linnet_tests::prelude::*;

#[test]
fn a_draining_gateway_is_not_ready_and_refuses_newcomers() {
    scenario(60, async {
        let gateway = Gateway::start_with(&Manifest::unhurried(), &["--drain", "20"]).await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        assert_eq!(gateway.get("/readyz").await.status, 200);
        gateway.signal("TERM");
        let answer = until("an unready gateway", || async {
            let answer = gateway.get("/readyz").await;
            (answer.status == 503).then_some(answer)
        })
        .await;
        assert!(
            answer.body.contains("drain"),
            "the reason is told: {answer:?}"
        );
        assert_eq!(
            gateway.get("/livez").await.status,
            200,
            "it must not be killed for draining"
        );
        assert_eq!(gateway.status().await["draining"], true);

        let refusal = gateway.try_client("").await.unwrap_err();
        assert_eq!(refusal.status, 503, "{refusal:?}");
        assert!(refusal.header("retry-after").is_some(), "{refusal:?}");
        assert!(
            refusal
                .header("connection")
                .unwrap()
                .eq_ignore_ascii_case("close"),
            "{refusal:?}"
        );
        // Until it has moved, a client is served.
        client.publish("lobby", json!("still served")).await;
        client.skip_to("message").await;
    });
}

#[test]
fn goaway_is_spread_over_the_window_and_followed_by_1012() {
    const CLIENTS: usize = 40;
    const DRAIN: u64 = 4;
    scenario(60, async {
        let drain = DRAIN.to_string();
        let mut gateway = Gateway::start_with(&Manifest::unhurried(), &["--drain", &drain]).await;
        let mut clients = Vec::new();
        for _ in 0..CLIENTS {
            clients.push(gateway.client().await);
        }
        gateway.signal("TERM");
        let told = clients.into_iter().map(|mut client| {
            tokio::spawn(async move {
                let goaway = client.next_of("goaway").await;
                let at = Instant::now();
                let left = goaway["within_ms"].as_u64().unwrap();
                assert!(left <= DRAIN * 1000, "{goaway}");
                assert_eq!(client.closed().await, (1012, "draining".to_owned()));
                at
            })
        });
        let mut times = Vec::new();
        for told in told.collect::<Vec<_>>() {
            times.push(told.await.unwrap());
        }
        let spread = *times.iter().max().unwrap() - *times.iter().min().unwrap();
        assert!(
            spread >= Duration::from_millis(500),
            "all told within {spread:?}"
        );
        assert!(gateway.exit(DRAIN + 30).await.success());
    });
}

#[test]
fn a_drain_ends_early_when_nobody_is_left() {
    scenario(60, async {
        let mut gateway = Gateway::start_with(&Manifest::unhurried(), &["--drain", "40"]).await;
        let client = gateway.client().await;
        gateway.signal("TERM");
        client.close().await;
        assert!(
            gateway.exit(30).await.success(),
            "nobody is left to wait for"
        );
    });
}

#[test]
fn plain_clients_are_closed_with_1012() {
    scenario(60, async {
        let mut gateway = Gateway::start_with(&Manifest::unhurried(), &["--drain", "1"]).await;
        let mut plain = gateway.plain("lobby").await;
        plain.settle("ready").await;
        gateway.signal("TERM");
        assert_eq!(plain.closed().await, (1012, "draining".to_owned()));
        assert!(gateway.exit(30).await.success());
    });
}

#[test]
fn clients_that_ignore_everything_do_not_hold_the_exit() {
    scenario(60, async {
        let mut gateway = Gateway::start_with(&Manifest::unhurried(), &["--drain", "1"]).await;
        let mut deaf = Vec::new();
        for _ in 0..20 {
            deaf.push(Raw::upgraded(gateway.public, "").await);
        }
        let mut silent = Vec::new();
        for _ in 0..20 {
            silent.push(Raw::tcp(gateway.public).await);
        }
        gateway.signal("TERM");
        assert!(gateway.exit(30).await.success());
    });
}

#[test]
fn a_window_of_zero_closes_at_once() {
    scenario(60, async {
        let mut gateway = Gateway::start_with(&Manifest::unhurried(), &["--drain", "0"]).await;
        let mut client = gateway.client().await;
        gateway.signal("TERM");
        assert_eq!(client.closed().await, (1012, "draining".to_owned()));
        assert!(gateway.exit(30).await.success());
    });
}

#[test]
fn a_second_signal_ends_at_once() {
    for second in ["TERM", "INT"] {
        scenario(60, async {
            let mut gateway =
                Gateway::start_with(&Manifest::unhurried(), &["--drain", "600"]).await;
            let _client = gateway.client().await;
            gateway.signal("TERM");
            until("draining", || async {
                (gateway.status().await["draining"] == true).then_some(())
            })
            .await;
            gateway.signal(second);
            gateway.exit(30).await;
        });
    }
}

#[test]
fn the_manifests_drain_seconds_hold_where_no_flag_is_given() {
    scenario(60, async {
        let manifest = Manifest::unhurried().spec(json!({"rollout": {"drainSeconds": 1}}));
        let mut gateway = Gateway::start(&manifest).await;
        let mut client = gateway.client().await;
        gateway.signal("TERM");
        assert_eq!(client.closed().await, (1012, "draining".to_owned()));
        assert!(gateway.exit(30).await.success());
    });
}
