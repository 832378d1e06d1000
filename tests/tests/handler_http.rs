//! Requests that the channel's handler answers over HTTP.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::backend::{BackEnd, Received, Says};
use linnet_tests::contract::Contract;
use linnet_tests::issuer::{SECRET, Secrets};
use linnet_tests::ports;
use linnet_tests::prelude::*;
use tokio::sync::oneshot;

const KEY: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
const OTHER_KEY: &str = "whsec_bm90aGluZyB0aGF0IGlzIGEgc2VjcmV0IGtleQ==";

/// A channel whose handler at `url` answers requests, with these further fields.
fn manifest(url: &str, more: Value) -> Manifest {
    let handler = json!({"url": url, "events": ["request"]});
    Manifest::unhurried()
        .spec(json!({ "handler": handler }))
        .spec(json!({ "handler": more }))
}

fn request(event: &str, data: Value) -> Value {
    json!({"type": "request", "event": event, "data": data})
}

/// Answers with what was asked.
fn echoes(received: &Received) -> Says {
    Says::Json(json!({"data": received.data()["data"]}))
}

#[test]
fn a_request_is_answered_by_the_back_end_which_learns_who_asks() {
    scenario(60, async {
        let back_end = BackEnd::start(echoes).await;
        let gateway = Gateway::start(&manifest(&back_end.url(), json!({}))).await;
        let mut ann = gateway.client_with("name=Ann").await;
        let ack = ann.ack(request("price", json!({"sku": "A-17"}))).await;
        assert_eq!(ack["data"], json!({"sku": "A-17"}));
        let seen = back_end.seen();
        let [asked] = &seen[..] else {
            panic!("{seen:?}")
        };
        let (event, data) = (&asked.event, asked.data());
        assert_eq!(event["specversion"], "1.0");
        assert_eq!(event["type"], "dev.linnet.request");
        assert_eq!(event["source"], "/namespaces/default/channels/tests");
        assert_eq!(event["subject"], ann.id());
        assert_eq!(event["datacontenttype"], "application/json");
        assert!(event["time"].as_str().unwrap().ends_with('Z'));
        assert_eq!(data["connection_id"], ann.id());
        assert_eq!(data["gateway"], ann.connected["gateway"]);
        assert_eq!(data["info"], json!({"name": "Ann"}));
        assert_eq!(data["event"], "price");
        assert!(data.get("user_id").is_none());
        let kind = "application/cloudevents+json; charset=utf-8";
        assert_eq!(asked.header("content-type"), kind);
        assert_eq!(asked.header("webhook-id"), event["id"]);
        assert_eq!(asked.header("webhook-signature"), "", "there is no key");

        let bytes = json!({"type": "request", "event": "e", "data": "AAE=", "encoding": "base64"});
        ann.ack(bytes).await;
        let asked = &back_end.hears("request", 2).await[1];
        assert_eq!(asked.data()["encoding"], "base64");
    });
}

#[test]
fn an_answer_may_refuse_send_and_put_into_rooms_and_take_out() {
    scenario(60, async {
        let back_end = BackEnd::start(|asked: &Received| {
            Says::Json(match asked.data()["event"].as_str().unwrap() {
                "refuse" => json!({"reject": {"code": "sold_out", "message": "none is left"}}),
                "join" => json!({"join": ["vip"], "data": "in",
                    "emit": [{"event": "welcome", "data": {"to": "vip"}}]}),
                "leave" => json!({"leave": ["vip"]}),
                "bytes" => json!({"data": "AAE=", "encoding": "base64"}),
                _ => json!({}),
            })
        })
        .await;
        let manifest = manifest(&back_end.url(), json!({}))
            .history(10)
            .room(json!({"match": "vip", "subscribe": "Nobody", "publish": "Everyone"}));
        let contract = Contract::read();
        let gateway = Gateway::start(&manifest).await;
        let (mut ann, mut bob) = (gateway.client().await, gateway.client().await);

        let error = ann.refused(request("refuse", json!(1)), "rejected").await;
        contract.check_server("request", &error);
        assert_eq!(error["reason"], "sold_out");
        assert_eq!(error["message"], "none is left");
        let ack = ann.ack(request("bytes", json!(1))).await;
        contract.check_server("request", &ack);
        assert_eq!(
            (&ack["data"], &ack["encoding"]),
            (&json!("AAE="), &json!("base64"))
        );
        let ack = ann.ack(request("nothing", json!(1))).await;
        contract.check_server("request", &ack);
        assert!(ack.get("data").is_none());

        let subscribe = json!({"type": "subscribe", "room": "vip"});
        ann.refused(subscribe.clone(), "forbidden").await;
        assert_eq!(ann.ack(request("join", json!(1))).await["data"], "in");
        let direct = ann.next_of("direct").await;
        contract.check_server("", &direct);
        assert_eq!(direct["event"], "welcome");
        assert!(direct.get("from").is_none());
        let subscribed = ann.next_of("subscribed").await;
        contract.check_server("", &subscribed);
        assert_eq!(subscribed["room"], "vip");
        assert!(subscribed["epoch"].is_string(), "{subscribed}");
        bob.publish("vip", json!("hello")).await;
        assert_eq!(ann.next_of("message").await["data"], "hello");
        // Who was let in may come back to what he has missed.
        ann.ack(json!({"type": "unsubscribe", "room": "vip"})).await;
        bob.publish("vip", json!("missed")).await;
        let since = json!({"epoch": subscribed["epoch"], "offset": subscribed["offset"]});
        let back = json!({"type": "subscribe", "room": "vip", "since": since});
        let page = ann.ack(back).await;
        assert_eq!(page["messages"].as_array().unwrap().len(), 2, "{page}");

        ann.ack(request("leave", json!(1))).await;
        let out = ann.next_of("unsubscribed").await;
        contract.check_server("", &out);
        assert_eq!(
            (&out["room"], &out["code"]),
            (&json!("vip"), &json!("rejected"))
        );
        ann.refused(subscribe, "forbidden").await;
    });
}

#[test]
fn requests_of_one_connection_are_made_one_after_another_and_others_do_not_wait() {
    scenario(60, async {
        let (tell, told) = oneshot::channel();
        let first = std::sync::Mutex::new(Some(told));
        let back_end =
            BackEnd::start(
                move |asked: &Received| match asked.data()["event"] == "slow" {
                    true => Says::Later(first.lock().unwrap().take().unwrap()),
                    false => echoes(asked),
                },
            )
            .await;
        let slow = json!({"timeoutSeconds": 60});
        let gateway = Gateway::start(&manifest(&back_end.url(), slow)).await;
        let (mut ann, mut bob) = (gateway.client().await, gateway.client().await);
        ann.send(json!({"type": "request", "id": "slow", "event": "slow", "data": 0}))
            .await;
        for number in 1..=20 {
            ann.send(json!({"type": "request", "id": number, "event": "e", "data": number}))
                .await;
        }
        ann.settle().await;
        back_end.hears("request", 1).await;
        assert_eq!(bob.ack(request("e", json!("b"))).await["data"], "b");
        let seen = back_end.seen();
        assert_eq!(seen.len(), 2, "one of hers is under way: {seen:?}");
        ann.publish("lobby", json!("all else goes on")).await;
        tell.send(json!({"data": "at last"})).unwrap();
        assert_eq!(ann.next_of("ack").await["data"], "at last");
        for number in 1..=20 {
            assert_eq!(ann.next_of("ack").await["data"], number);
        }
        let asked = back_end.seen_of("request");
        let hers = asked
            .iter()
            .filter(|asked| asked.data()["connection_id"] == ann.id());
        let order: Vec<u64> = hers
            .map(|asked| asked.data()["data"].as_u64().unwrap())
            .collect();
        assert_eq!(order, (0..=20).collect::<Vec<u64>>());
    });
}

#[test]
fn who_asks_faster_than_he_is_answered_is_told_so() {
    scenario(60, async {
        let back_end = BackEnd::start(|_: &Received| Says::Hangs).await;
        let slow = json!({"timeoutSeconds": 300});
        let gateway = Gateway::start(&manifest(&back_end.url(), slow)).await;
        let mut ann = gateway.client().await;
        for number in 1..=100 {
            ann.send(json!({"type": "request", "id": number, "event": "e", "data": 1}))
                .await;
        }
        let error = ann.next_of("error").await;
        assert_eq!(error["code"], "overloaded", "{error}");
        assert!(error["retry_after_ms"].as_u64() > Some(0), "{error}");
        assert!(error["id"].as_u64() > Some(60), "some wait: {error}");
        ann.publish("lobby", json!("all else goes on")).await;
    });
}

#[test]
fn whatever_the_back_end_does_the_client_has_an_answer_and_stays() {
    scenario(120, async {
        let secret = "what is said is nobody's business";
        let back_end =
            BackEnd::start(
                move |asked: &Received| match asked.data()["event"].as_str().unwrap() {
                    "status" => Says::Status(500),
                    "redirect" => Says::Status(302),
                    "lie" => Says::Text(format!("{{\"data\": \"{secret}\"")),
                    "html" => Says::Text("<html></html>".into()),
                    "typo" => Says::Json(json!({"rejected": {"code": secret}})),
                    "contradiction" => Says::Json(json!({"reject": {}, "data": 1})),
                    "large" => Says::Json(json!({"data": "x".repeat(70_000)})),
                    "rooms" => Says::Json(json!({"join": vec!["a"; 2000]})),
                    "endless" => Says::Endless,
                    "slow" => Says::Hangs,
                    _ => echoes(asked),
                },
            )
            .await;
        let gateway =
            Gateway::start(&manifest(&back_end.url(), json!({"timeoutSeconds": 2}))).await;
        let mut ann = gateway.client().await;
        for event in [
            "status",
            "redirect",
            "lie",
            "html",
            "typo",
            "contradiction",
            "large",
            "rooms",
            "endless",
        ] {
            ann.refused(request(event, json!(1)), "handler_failed")
                .await;
        }
        ann.refused(request("slow", json!(1)), "handler_timeout")
            .await;
        assert_eq!(ann.ack(request("e", json!(2))).await["data"], 2);
        let outcomes = |samples: Vec<linnet_tests::metrics::Sample>| {
            let of = |outcome: &str| {
                let named = samples.iter().filter(|sample| {
                    let label = |name: &str| sample.labels.get(name).map(String::as_str);
                    sample.name == "linnet_handler_calls_total"
                        && label("event") == Some("request")
                        && label("outcome") == Some(outcome)
                });
                named.map(|sample| sample.value).sum::<f64>()
            };
            ["answered", "failed", "timeout"].map(of)
        };
        assert_eq!(outcomes(gateway.metrics().await), [1.0, 9.0, 1.0]);
        assert_eq!(gateway.metric("linnet_handler_calls_in_flight").await, 0.0);
        let lines = gateway.log().join("\n");
        assert!(lines.contains("the handler fails"), "{lines}");
        assert!(!lines.contains(secret), "{lines}");

        let nobody = format!("http://127.0.0.1:{}/", ports::lasting());
        gateway.reconfigure(&manifest(&nobody, json!({}))).await;
        ann.refused(request("e", json!(1)), "handler_failed").await;
        gateway
            .reconfigure(&manifest(&back_end.url(), json!({})))
            .await;
        assert_eq!(ann.ack(request("e", json!(3))).await["data"], 3);
    });
}

#[test]
fn a_handler_comes_and_goes_on_open_connections() {
    scenario(60, async {
        let back_end = BackEnd::start(echoes).await;
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut ann = gateway.client().await;
        ann.refused(request("e", json!(1)), "no_handler").await;
        gateway
            .reconfigure(&manifest(&back_end.url(), json!({})))
            .await;
        assert_eq!(ann.ack(request("e", json!(2))).await["data"], 2);
        let tells = manifest(&back_end.url(), json!({"events": ["connect"]}));
        gateway.reconfigure(&tells).await;
        ann.refused(request("e", json!(1)), "no_handler").await;
        gateway.reconfigure(&Manifest::unhurried()).await;
        ann.refused(request("e", json!(1)), "no_handler").await;
    });
}

/// Checks as a back end does; `body` is what was signed.
fn is_signed(received: &Received, key: &str) -> bool {
    use base64::Engine;
    use base64::engine::general_purpose::STANDARD;
    let key = STANDARD
        .decode(key.strip_prefix("whsec_").unwrap())
        .unwrap();
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, &key);
    let (id, time) = (
        received.header("webhook-id"),
        received.header("webhook-timestamp"),
    );
    let signed = format!("{id}.{time}.{}", received.body);
    let mut signatures = received.header("webhook-signature").split(' ');
    signatures.any(|signature| {
        let signature = signature.strip_prefix("v1,").unwrap();
        let signature = STANDARD.decode(signature).unwrap();
        ring::hmac::verify(&key, signed.as_bytes(), &signature).is_ok()
    })
}

#[test]
fn what_is_sent_is_signed_and_keys_are_rotated_while_it_runs() {
    scenario(120, async {
        let back_end = BackEnd::start(echoes).await;
        let secrets = Secrets::of(&[]);
        let signed = manifest(&back_end.url(), json!({"signingSecretName": SECRET}));
        let arguments = ["--secrets", secrets.path()];
        let gateway = Gateway::start_with(&signed, &arguments).await;
        let mut ann = gateway.client().await;
        ann.refused(request("e", json!(1)), "handler_failed").await;
        assert!(back_end.seen().is_empty(), "unsigned it is not sent");

        secrets.put("signing.1", &format!("{KEY}\n"));
        let asked = until("a signed one", || async {
            let (Ok(_) | Err(_)) = ann_asks(&gateway).await;
            back_end.seen().pop()
        })
        .await;
        assert!(is_signed(&asked, KEY) && !is_signed(&asked, OTHER_KEY));
        let time: u64 = asked.header("webhook-timestamp").parse().unwrap();
        assert!(time.abs_diff(linnet_tests::issuer::now()) < 120);

        secrets.put("signing.2", OTHER_KEY);
        until("both", || async {
            ann_asks(&gateway).await.unwrap();
            let asked = back_end.seen().pop().unwrap();
            assert!(is_signed(&asked, KEY), "the first is good all the time");
            is_signed(&asked, OTHER_KEY).then_some(())
        })
        .await;
        secrets.take("signing.1");
        until("the second alone", || async {
            ann_asks(&gateway).await.unwrap();
            let asked = back_end.seen().pop().unwrap();
            assert!(is_signed(&asked, OTHER_KEY));
            (!is_signed(&asked, KEY)).then_some(())
        })
        .await;
    });
}

async fn ann_asks(gateway: &Gateway) -> Result<Value, Value> {
    let mut ann = gateway.client().await;
    ann.request(request("e", json!(1))).await
}

#[test]
fn a_call_is_part_of_its_connection_s_trace_and_the_back_end_can_go_on_with_it() {
    scenario(60, async {
        let collector = Collector::start().await;
        let back_end = BackEnd::start(|asked: &Received| match asked.data()["data"] == 0 {
            true => Says::Status(503),
            false => echoes(asked),
        })
        .await;
        let manifest = manifest(&back_end.url(), json!({}));
        let manifest = manifest.traced(&collector.over_http(), 1_000_000);
        let soon = [linnet_tests::collector::SOON];
        let gateway = Gateway::start_in(&manifest, &[], &soon).await;
        let mut ann = gateway.client().await;
        ann.ack(request("e", json!(1))).await;
        ann.refused(request("e", json!(0)), "handler_failed").await;
        let spans = collector.awaited("handler", 2).await;
        let connection = collector.span("connection", |_| true).await;
        let seen = back_end.seen();
        for (asked, outcome) in seen.iter().zip(["answered", "failed"]) {
            let parent = asked.header("traceparent");
            assert_eq!(asked.event["traceparent"], parent);
            let hex = |bytes: &[u8]| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            let found = spans.iter().find(|span| {
                let (trace, id): (String, String) = (hex(&span.id().0), hex(&span.id().1));
                parent == format!("00-{trace}-{id}-01")
            });
            let span = found.unwrap_or_else(|| panic!("{parent} in {spans:?}"));
            assert!(span.is_in(&connection));
            assert_eq!(span.attribute("linnet.handler.event"), "request");
            assert_eq!(span.attribute("linnet.handler.outcome"), outcome);
        }
    });
}
