//! Why a connection ended, or never came to be, is readable from its trace alone.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::collector::{SOON, Seen};
use linnet_tests::http;
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;
use linnet_tests::raw::text;

const API_KEY: &str = "test-0123456789abcdef0123456789abcdef";

/// A channel that traces so many of a million connections.
fn traced(collector: &Collector, rate: u32) -> Manifest {
    Manifest::unhurried().traced(&collector.over_http(), rate)
}

async fn start(manifest: &Manifest) -> Gateway {
    Gateway::start_in(manifest, &["--name", "g0"], &[SOON]).await
}

/// A gateway that takes tokens and traces all connections.
async fn start_with_tokens(collector: &Collector, secrets: &Secrets) -> Gateway {
    let jwt = json!({"keySecretName": SECRET});
    let manifest = traced(collector, 1_000_000)
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET}}));
    let args = ["--secrets", secrets.path()];
    Gateway::start_in(&manifest, &args, &[SOON]).await
}

/// The end of a connection that the gateway closed for `error`, as its trace tells it.
async fn ended(collector: &Collector, id: &str, error: &str, code: u16) -> Seen {
    let of = |seen: &Seen| seen.attribute("linnet.connection.id") == id;
    let connection = collector.span("connection", of).await;
    let close = collector.span("close", of).await;
    assert!(close.is_in(&connection), "{close:?}");
    assert_eq!(close.attribute("linnet.close.reason"), error);
    assert_eq!(close.attribute("error.type"), error);
    assert_eq!(close.attribute("linnet.close.code"), code.to_string());
    assert_eq!(close.span.status.as_ref().unwrap().code, 2, "a failure");
    close
}

#[test]
fn a_refused_handshake_tells_why() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector, 1_000_000)).await;
        let mut raw = Raw::tcp(gateway.public).await;
        let answer = raw
            .upgrade("/ws", "Authorization: Bearer expired.or.not\r\n")
            .await;
        assert_eq!(answer.status, 401, "{answer:?}");
        let refused = collector.span("connection", |_| true).await;
        assert_eq!(refused.attribute("error.type"), "invalid_token");
        assert_eq!(refused.attribute("http.response.status_code"), "401");
        assert_eq!(refused.span.status.as_ref().unwrap().code, 2);
        let bytes = refused.span.trace_id.iter();
        let trace_id: String = bytes.map(|byte| format!("{byte:02x}")).collect();
        let logged = gateway.logged("the refusal", |line| {
            let told = line["reason"] == "invalid_token";
            told.then(|| line["trace_id"].clone())
        });
        assert_eq!(logged.await, json!(trace_id));
    });
}

#[test]
fn a_token_that_has_expired_before_the_handshake_and_one_that_expires_after_it() {
    scenario(90, async {
        let collector = Collector::start().await;
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        let gateway = start_with_tokens(&collector, &secrets).await;
        let old = signer.token("ann", &json!({"exp": now() - 3600, "iat": now() - 7200}));
        let refusal = Client::with_token(gateway.public, &old).await.unwrap_err();
        assert_eq!(refusal.status, 401);
        let refused = collector.span("connection", |_| true).await;
        assert_eq!(refused.attribute("error.type"), "token_expired");
        assert_eq!(refused.attribute("http.response.status_code"), "401");

        // Expired already, but for the leeway of 30 s.
        let short = signer.token("bob", &json!({"exp": now() - 30 + 5}));
        let mut bob = Client::with_token(gateway.public, &short).await.unwrap();
        let id = bob.id();
        assert_eq!(bob.closed().await, (4201, "token_expired".into()));
        let close = ended(&collector, &id, "token_expired", 4201).await;
        assert_eq!(close.attribute("user.id"), "bob");
    });
}

#[test]
fn a_revoked_user() {
    scenario(60, async {
        let collector = Collector::start().await;
        let signer = Signer::new("a");
        let secrets = Secrets::of(&[&signer]);
        secrets.put("api.test", API_KEY);
        let gateway = start_with_tokens(&collector, &secrets).await;
        let token = signer.token("ann", &json!({"iat": now() - 5}));
        let mut ann = Client::with_token(gateway.public, &token).await.unwrap();
        let id = ann.id();
        let headers =
            format!("Authorization: Bearer {API_KEY}\r\nContent-Type: application/json\r\n");
        until("the API key to be read", || async {
            let answer = http::post(
                gateway.internal,
                "/v1/revoke",
                &headers,
                r#"{"user":"ann"}"#,
            );
            (answer.await.status == 200).then_some(())
        })
        .await;
        assert_eq!(ann.closed().await, (4006, "revoked".into()));
        let close = ended(&collector, &id, "revoked", 4006).await;
        assert_eq!(close.attribute("user.id"), "ann");
    });
}

#[test]
fn a_slow_consumer_with_what_it_got() {
    scenario(120, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector, 1_000_000)
            .without_pings()
            .limits(json!({"sendQueueSize": "64Ki"}));
        let gateway = start(&manifest).await;
        let mut slow = Raw::narrow(gateway.public).await;
        assert_eq!(slow.upgrade("/ws", "").await.status, 101);
        let id = slow.read_json().await["connection_id"].clone();
        let subscribe = json!({"type": "subscribe", "room": "hall", "id": 1});
        slow.send(&text(&subscribe.to_string())).await;
        assert_eq!(slow.read_json().await["type"], "ack");
        let mut publisher = gateway.client().await;
        // 800 KiB: more than the queue and both buffers of its socket hold.
        for n in 0..100 {
            publisher
                .publish("hall", json!([n, "x".repeat(8192)]))
                .await;
        }
        let id = id.as_str().unwrap();
        let close = ended(&collector, id, "slow_consumer", 4100).await;
        let number = |name: &str| -> u64 { close.attribute(name).parse().unwrap() };
        assert!(number("linnet.connection.messages_delivered") > 0);
        assert!(number("linnet.connection.bytes_sent") > 4096);
    });
}

#[test]
fn drain_and_a_lost_socket_tell_of_themselves_in_the_close() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector, 1_000_000);
        let mut gateway = Gateway::start_in(&manifest, &["--drain", "0"], &[SOON]).await;
        let lost = gateway.client().await;
        let mut drained = gateway.client().await;
        lost.cut();
        let reason = |reason: &'static str| {
            move |seen: &Seen| seen.attribute("linnet.close.reason") == reason
        };
        collector.span("close", reason("lost")).await;
        gateway.signal("TERM");
        assert_eq!(drained.closed().await.0, 1012);
        let close = collector.span("close", reason("draining")).await;
        assert!(close.span.status.is_none(), "no failure: {close:?}");
        gateway.exit(20).await;
    });
}

#[test]
fn an_untraced_connection_that_an_error_closes_tells_of_that_alone() {
    scenario(60, async {
        let collector = Collector::start().await;
        let gateway = start(&traced(&collector, 0)).await;
        let mut well = gateway.client().await;
        well.subscribe("lobby").await;
        well.publish("lobby", json!(1)).await;
        well.close().await;
        let mut faulty = Raw::upgraded(gateway.public, "").await;
        faulty.send(&linnet_tests::raw::frame(0x82, b"\x01")).await;
        let close = collector.span("close", |_| true).await;
        assert_eq!(close.attribute("error.type"), "bad_request");
        assert_eq!(close.attribute("linnet.close.code"), "1003");
        assert_eq!(collector.spans().len(), 1, "{:?}", collector.spans());
    });
}

#[test]
fn a_process_that_samples_nothing_still_tells_of_errors_and_one_without_an_exporter_of_none() {
    scenario(60, async {
        let collector = Collector::start().await;
        let manifest = traced(&collector, 1_000_000);
        for (variable, told) in [
            (("OTEL_TRACES_SAMPLER", "always_off"), 1),
            (("OTEL_TRACES_EXPORTER", "none"), 1), // none more
        ] {
            let args = ["--drain", "0"];
            let mut gateway = Gateway::start_in(&manifest, &args, &[SOON, variable]).await;
            gateway.client().await.close().await;
            let mut faulty = Raw::upgraded(gateway.public, "").await;
            faulty.send(&linnet_tests::raw::frame(0x82, b"\x01")).await;
            assert_eq!(faulty.closed().await.0, 1003);
            collector.awaited("close", 1).await;
            gateway.signal("TERM");
            gateway.exit(20).await;
            let all = collector.spans();
            assert_eq!(all.len(), told, "{all:?}");
            assert_eq!(all[0].span.name, "close");
            assert_eq!(all[0].attribute("error.type"), "bad_request");
        }
    });
}
