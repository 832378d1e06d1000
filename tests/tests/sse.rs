//! Server-Sent Events: the same rooms as a stream, from where a client was, and messages published by POST.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::http;
use linnet_tests::prelude::*;
use linnet_tests::sse::{JSON, code, come_back, follow, manifest, post, refused};

#[test]
fn messages_of_all_publishers_come_in_order_with_the_frames_of_the_json_protocol() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut events = follow(&gateway, "room=lobby&room=live.a&name=Ann").await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        for n in 0..300 {
            client
                .publish("lobby", json!({"n": n, "text": "a\nb"}))
                .await;
            let frame = client.next_of("message").await;
            assert_eq!(events.next_of("message").await, frame);
        }
        let mut plain = gateway.plain("live.a").await;
        plain.say("hi").await;
        let message = events.next_of("message").await;
        assert_eq!(
            (&message["room"], &message["data"]),
            (&json!("live.a"), &json!("hi"))
        );
        assert!(message.get("offset").is_none());
        for (name, value) in [
            ("cache-control", "no-store"),
            ("x-accel-buffering", "no"),
            ("transfer-encoding", "chunked"),
        ] {
            assert_eq!(events.head.header(name), Some(value), "{name}");
        }
        let sse = gateway.metrics().await;
        let sse = sse.iter().find(|sample| {
            sample.name == "linnet_transport_connections" && sample.labels["transport"] == "sse"
        });
        assert_eq!(sse.unwrap().value, 1.0);
    });
}

#[test]
fn data_in_several_lines_and_binary_data_arrive() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut events = follow(&gateway, "room=a").await;
        let answer = post(
            &gateway,
            "room=a&event=chat",
            JSON,
            "{\n \"a\": [1,\r\n2]\n}\n",
        )
        .await;
        assert_eq!(answer.status, 200, "{answer:?}");
        let message = events.next_of("message").await;
        assert_eq!(
            (&message["data"], &message["event"]),
            (&json!({"a": [1, 2]}), &json!("chat"))
        );
        assert_eq!(message["offset"], answer.json()["offset"]);
        post(&gateway, "room=a", "Content-Type: text/plain\r\n", "\"hé\"").await;
        assert_eq!(events.next_of("message").await["data"], "\"hé\"");
        post(
            &gateway,
            "room=a",
            "Content-Type: application/octet-stream\r\n",
            "abc",
        )
        .await;
        let message = events.next_of("message").await;
        assert_eq!(
            (&message["data"], &message["encoding"]),
            (&json!("YWJj"), &json!("base64"))
        );
    });
}

#[test]
fn who_comes_back_gets_what_was_missed_of_all_rooms_merged_by_time() {
    scenario(120, async {
        let gateway = Gateway::start(&manifest()).await;
        let rooms: Vec<_> = (0..100).map(|n| format!("room={n}.")).collect();
        let query = rooms.join("&");
        let mut events = follow(&gateway, &query).await;
        let mut client = gateway.client().await;
        client.publish("7.", json!(0)).await;
        events.next_of("message").await;
        let before = events;
        for n in 1..=1000 {
            client.publish(&format!("{}.", n * 7 % 100), json!(n)).await;
        }
        let id = before.last_event_id.as_ref().unwrap();
        assert!(id.len() < 1200, "{} bytes", id.len());
        let mut events = come_back(&gateway, &query, &before).await;
        let mut last = 0;
        let mut seen = vec![false; 1001];
        for _ in 1..=1000 {
            let message = events.next_of("message").await;
            let at = message["timestamp"].as_u64().unwrap();
            assert!(at >= last, "by time");
            last = at;
            let n = message["data"].as_u64().unwrap() as usize;
            assert!(!std::mem::replace(&mut seen[n], true), "{n} twice");
            assert_eq!(message["room"], format!("{}.", n * 7 % 100));
        }
        client.publish("1.", json!("live")).await;
        assert_eq!(events.next_of("message").await["data"], "live");
    });
}

#[test]
fn a_long_absence_is_read_page_by_page_and_every_id_on_the_way_is_good() {
    scenario(120, async {
        let gateway = Gateway::start(&manifest()).await;
        let before = follow(&gateway, "room=a").await;
        let mut client = gateway.client().await;
        for n in 0..450 {
            client.publish("a", json!(n)).await;
        }
        let mut at = before;
        for part in 0..3 {
            let mut events = come_back(&gateway, "room=a", &at).await;
            for n in part * 150..(part + 1) * 150 {
                assert_eq!(events.next_of("message").await["data"], n);
            }
            at = events;
        }
    });
}

#[test]
fn what_is_not_there_any_more_is_a_gap_and_the_stream_goes_on() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest().history(10)).await;
        let before = follow(&gateway, "room=a&room=b").await;
        let mut client = gateway.client().await;
        for n in 0..50 {
            client.publish("a", json!(n)).await;
        }
        client.publish("b", json!("kept")).await;
        let mut events = come_back(&gateway, "room=a&room=b", &before).await;
        let gap = events.next_of("gap").await;
        assert_eq!(
            (&gap["room"], &gap["recovered"]),
            (&json!("a"), &json!(false))
        );
        assert_eq!(events.next_of("message").await["data"], "kept");
        client.publish("a", json!("on")).await;
        assert_eq!(events.next_of("message").await["data"], "on");
    });
}

#[test]
fn a_cursor_of_another_store_is_a_gap_and_what_is_no_cursor_is_refused() {
    scenario(60, async {
        let (gateway, other) = (
            Gateway::start(&manifest()).await,
            Gateway::start(&manifest()).await,
        );
        let foreign = follow(&other, "room=a").await;
        let mut events = come_back(&gateway, "room=a", &foreign).await;
        assert_eq!(events.next_of("gap").await["recovered"], false);
        // Of other rooms: there is nothing to go on from.
        let elsewhere = follow(&gateway, "room=b").await;
        let mut events = come_back(&gateway, "room=a", &elsewhere).await;
        gateway.client().await.publish("a", json!(1)).await;
        assert_eq!(events.next_of("message").await["data"], 1);
        for id in ["nonsense!", "AQ", &"A".repeat(9000)] {
            let header = format!("Last-Event-ID: {id}\r\n");
            let bad = (400, "bad_cursor".to_owned());
            assert_eq!(refused(&gateway, "room=a", &header).await, bad, "{id}");
        }
        let query = "room=a&last_event_id=AQ";
        assert_eq!(refused(&gateway, query, "").await.1, "bad_cursor");
    });
}

#[test]
fn two_gateways_over_nats_one_killed_lose_and_double_nothing() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let mut fleet = Fleet::start(&manifest().nats(&[server.url()]), 2).await;
        let query = "room=a&room=b";
        let mut events = follow(&fleet[0], query).await;
        let mut publisher = fleet[1].client().await;
        let (mut got, mut n) = (Vec::new(), 0);
        for _ in 0..100 {
            publisher
                .publish(if n % 2 == 0 { "a" } else { "b" }, json!(n))
                .await;
            got.push(events.next_of("message").await["data"].as_u64().unwrap());
            n += 1;
        }
        for _ in 0..50 {
            publisher
                .publish(if n % 2 == 0 { "a" } else { "b" }, json!(n))
                .await;
            n += 1;
        }
        fleet[0].kill().await;
        while let Some(event) = events.try_next().await {
            got.push(event.data["data"].as_u64().unwrap()); // what was on its way
        }
        for _ in 0..50 {
            publisher
                .publish(if n % 2 == 0 { "a" } else { "b" }, json!(n))
                .await;
            n += 1;
        }
        let mut events = come_back(&fleet[1], query, &events).await;
        while got.len() < n {
            got.push(events.next_of("message").await["data"].as_u64().unwrap());
        }
        let expected: Vec<u64> = (0..n as u64).collect();
        got.sort_unstable();
        assert_eq!(got, expected);
        publisher.publish("a", json!("on")).await;
        assert_eq!(events.next_of("message").await["data"], "on");
    });
}

#[test]
fn a_reader_that_stops_is_closed_and_loses_nothing_when_it_is_back() {
    scenario(120, async {
        let manifest = manifest().limits(json!({"sendQueueSize": "64Ki"}));
        let gateway = Gateway::start(&manifest).await;
        let mut stuck = Events::narrow(gateway.public, "room=a").await;
        let mut client = gateway.client().await;
        let mut count = 0;
        while gateway.metric("linnet_slow_consumers_total").await < 1.0 {
            client.publish("a", json!([count, "x".repeat(8192)])).await;
            count += 1;
            assert!(count < 1000, "it is never found");
        }
        assert_eq!(stuck.next_of("connected").await["type"], "connected");
        let mut n = 0;
        while let Some(event) = stuck.try_next().await {
            if event.name == "close" {
                assert_eq!(event.data["code"], 4100);
                assert!(stuck.retry.unwrap() >= 5000);
                break;
            }
            assert_eq!(event.data["data"][0], n);
            n += 1;
        }
        let mut events = come_back(&gateway, "room=a", &stuck).await;
        for n in n..count {
            assert_eq!(events.next_of("message").await["data"][0], n);
        }
        gateway.metric_reaches("linnet_connections", 1.0).await;
    });
}

#[test]
fn a_drain_sends_streams_away_spread_and_new_ones_are_told_to_come_again() {
    scenario(60, async {
        let mut gateway = Gateway::start_with(&manifest(), &["--drain", "10"]).await;
        let mut events = follow(&gateway, "room=a").await;
        let mut others = Vec::new(); // the gateway stays for as long as it has somebody
        for _ in 0..20 {
            others.push(gateway.client().await);
        }
        gateway.signal("TERM");
        let answer = until("a refusal", || async {
            Events::open(gateway.public, "room=a", "").await.err()
        });
        let answer = answer.await;
        assert_eq!(code(&answer), (503, "draining".to_owned()));
        assert!(answer.header("retry-after").is_some());
        // An EventSource would never come back from that.
        let accepts = "Accept: text/event-stream\r\n";
        let later = Events::open(gateway.public, "room=a", accepts).await;
        let mut later = later.unwrap();
        assert_eq!(later.try_next().await, None);
        assert!(later.retry.unwrap() >= 1000);

        assert!(events.next_of("goaway").await["within_ms"].is_u64());
        assert_eq!(events.try_next().await, None);
        assert!(events.retry.unwrap() <= 1000, "{:?}", events.retry);
        drop(others);
        gateway.exit(20).await;
    });
}

#[test]
fn presence_goaways_and_direct_messages_are_events_by_their_names() {
    scenario(60, async {
        let manifest = manifest().room(json!({"match": "*", "presence": {"mode": "Full"}}));
        let gateway = Gateway::start(&manifest).await;
        let mut events = Events::open(gateway.public, "room=a&presence=true", "")
            .await
            .unwrap();
        let connected = events.next_of("connected").await;
        let joined = events.next_of("presence").await;
        assert_eq!(
            joined["join"][0]["connection_id"],
            connected["connection_id"]
        );
        let mut client = gateway.client().await;
        let to = connected["connection_id"].clone();
        client
            .ack(json!({"type": "send", "to": to, "data": "psst"}))
            .await;
        assert_eq!(events.next_of("direct").await["data"], "psst");
    });
}

#[test]
fn an_idle_stream_is_told_that_it_lives_and_a_client_that_leaves_is_forgotten() {
    scenario(60, async {
        let heartbeat = json!({"heartbeat": {"intervalSeconds": 1, "timeoutSeconds": 1}});
        let gateway = Gateway::start(&manifest().spec(heartbeat)).await;
        let mut events = follow(&gateway, "room=a").await;
        events
            .until("comments", |events| events.comments >= 4)
            .await;
        drop(events);
        until("no connection", || async {
            (gateway.metric("linnet_connections").await == 0.0).then_some(())
        })
        .await;
    });
}

#[test]
fn an_older_client_gets_a_stream_without_chunks_and_head_gets_the_head() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let stream = tokio::net::TcpStream::connect(gateway.public)
            .await
            .unwrap();
        let mut events = Events::ask(stream, "GET /sse?room=a HTTP/1.0\r\n\r\n")
            .await
            .unwrap();
        assert_eq!(events.head.header("transfer-encoding"), None);
        events.next_of("connected").await;
        post(&gateway, "room=a", JSON, "1").await;
        assert_eq!(events.next_of("message").await["data"], 1);
        let head = format!(
            "HEAD /sse?room=a HTTP/1.1\r\nHost: {}\r\n\r\n",
            gateway.public
        );
        let answer = http::send(gateway.public, head.as_bytes()).await;
        assert_eq!(
            (answer.status, answer.header("content-type")),
            (200, Some("text/event-stream"))
        );
    });
}

#[test]
fn it_is_served_where_the_manifest_says_so_and_an_edit_ends_what_is_open() {
    scenario(60, async {
        let gateway = Gateway::start(&manifest()).await;
        let mut events = follow(&gateway, "room=a").await;
        let off = json!({"transports": {"serverSentEvents": {"mode": "Disabled"}}});
        gateway.reconfigure(&manifest().spec(off)).await;
        let close = events.next_of("close").await;
        assert_eq!(
            (&close["code"], &close["reason"]),
            (&json!(4012), &json!("transport_disabled"))
        );
        assert_eq!(
            refused(&gateway, "room=a", "").await,
            (404, "transport_disabled".into())
        );
        gateway.reconfigure(&manifest()).await;
        follow(&gateway, "room=a").await;
    });
}

#[test]
fn the_example_s_page_is_let_in_and_hears_what_it_publishes() {
    scenario(60, async {
        let folder = tempfile::TempDir::new().unwrap();
        let file = folder.path().join("channel.yaml");
        let example = linnet_tests::gateway::workspace().join("examples/sse/channel.yaml");
        std::fs::copy(example, &file).unwrap();
        let gateway = Gateway::start_file(folder, file, &[]).await;
        let page = "Origin: http://localhost:8000\r\n";
        let mut events = Events::open(gateway.public, "room=lobby&room=news", page)
            .await
            .unwrap();
        events.next_of("connected").await;
        let headers = format!("Content-Type: text/plain\r\n{page}");
        assert_eq!(
            post(&gateway, "room=lobby", &headers, "hi").await.status,
            200
        );
        assert_eq!(events.next_of("message").await["data"], "hi");
    });
}
