//! Long-polling on several gateways without affinity: each request reaches another one.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::Polling;
use linnet_tests::http;
use linnet_tests::polling::PATH;
use linnet_tests::prelude::*;

fn manifest(nats: &NatsServer) -> Manifest {
    let socket_io = json!({"transports": {"socketIO": {"mode": "Enabled"}}});
    Manifest::unhurried().nats(&[nats.url()]).spec(socket_io)
}

/// Two gateways that know each other.
async fn pair(manifest: &Manifest) -> [Gateway; 2] {
    let gateways = [
        Gateway::start(manifest).await,
        Gateway::start(manifest).await,
    ];
    for gateway in &gateways {
        gateway.ready().await;
        gateway.knows(2).await;
    }
    gateways
}

async fn passed_on(gateway: &Gateway, what: &str) -> f64 {
    let samples = gateway.metrics().await;
    let sample = samples.iter().find(|sample| {
        sample.name == "linnet_polling_passed_on_total" && sample.labels["what"] == what
    });
    sample.unwrap().value
}

#[test]
fn requests_that_reach_another_gateway_are_passed_on_in_order() {
    scenario(90, async {
        let nats = NatsServer::jetstream().await;
        let [here, there] = pair(&manifest(&nats)).await;
        let mut ann = Polling::connect(here.public).await;
        ann.ask(json!(["join", "lobby"])).await;
        let mut bob = there.client().await;
        bob.subscribe("lobby").await;
        for n in 0..50 {
            // The session stays where it is, and its requests come to each in turn.
            ann.reach(if n % 2 == 0 {
                there.public
            } else {
                here.public
            });
            let message = json!({"room": "lobby", "data": n});
            let said = ann.ask(json!(["message", message])).await;
            assert!(said.get("error").is_none(), "{said}");
            assert_eq!(ann.event().await.1[0], n);
            assert_eq!(bob.next_of("message").await["data"], n);
        }
        ann.reach(there.public);
        bob.publish("lobby", json!("x".repeat(60_000))).await;
        assert_eq!(ann.event().await.1[0].as_str().unwrap().len(), 60_000);
        for what in ["poll", "payload"] {
            assert!(passed_on(&there, what).await >= 25.0, "{what}");
            assert_eq!(passed_on(&here, what).await, 0.0, "{what}");
        }
        // A WebSocket must come to the session's own gateway; the client goes on polling.
        let mut raw = Raw::tcp(there.public).await;
        let refused = raw.upgrade(&ann.socket_path(), "").await;
        assert_eq!(
            (refused.status, refused.json()["code"].clone()),
            (400, json!(1))
        );
        ann.reach(here.public);
        let mut ann = ann.change().await;
        ann.ask(json!(["leave", "lobby"])).await;
    });
}

#[test]
fn what_ends_a_session_ends_it_from_another_gateway_too() {
    scenario(90, async {
        let nats = NatsServer::jetstream().await;
        let [here, there] = pair(&manifest(&nats).limits(json!({"messageSize": "1Ki"}))).await;
        for (body, status) in [("7", 400), (&*"x".repeat(30_000), 413), ("1", 200)] {
            let mut ann = Polling::connect(here.public).await;
            ann.reach(there.public);
            assert_eq!(ann.post(body).await.status, status);
            until("the end", async || {
                (ann.poll().await.status == 400).then_some(())
            })
            .await;
        }
        let mut ann = Polling::connect(here.public).await;
        let first = ann.begin_poll();
        ann.reach(there.public);
        let second = ann.begin_poll();
        let statuses = [first.await.unwrap().status, second.await.unwrap().status];
        assert!(
            statuses == [200, 400] || statuses == [400, 200],
            "{statuses:?}"
        );
        // One that goes away.
        until("nobody", async || {
            (here.metric("linnet_connections").await == 0.0).then_some(())
        })
        .await;
        let ann = Polling::connect(here.public).await;
        let mut raw = Raw::tcp(there.public).await;
        let poll = format!("GET {} HTTP/1.1\r\nHost: x\r\n\r\n", ann.path());
        raw.send(poll.as_bytes()).await;
        drop(raw);
        until("nobody", async || {
            (here.metric("linnet_connections").await == 0.0).then_some(())
        })
        .await;
    });
}

#[test]
fn sids_that_were_not_given_out_ask_nobody_for_anything() {
    scenario(90, async {
        let nats = NatsServer::jetstream().await;
        let [here, mut there] = pair(&manifest(&nats)).await;
        let mut ann = Polling::connect(there.public).await;
        ann.reach(here.public);
        ann.ask(json!(["leave", "nowhere"])).await;
        let passed = passed_on(&here, "poll").await;
        // Bits that are flipped: in the name of the gateway, in what is random, and in the MAC.
        for at in [3, 30, 70] {
            let mut forged = ann.sid.clone().into_bytes();
            forged[at] = if forged[at] == b'A' { b'B' } else { b'A' };
            let path = format!("{PATH}&sid={}", String::from_utf8(forged).unwrap());
            for answer in [
                http::get(here.public, &path).await,
                http::post(here.public, &path, "", "3").await,
            ] {
                assert_eq!(
                    (answer.status, answer.json()["code"].clone()),
                    (400, json!(1))
                );
            }
        }
        assert_eq!(passed_on(&here, "poll").await, passed);
        // And a gateway that is gone.
        let poll = ann.begin_poll();
        there.kill().await;
        assert_eq!(poll.await.unwrap().status, 400);
        assert_eq!(ann.poll().await.status, 400);
    });
}
