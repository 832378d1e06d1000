//! The manifest changes while people are connected: what may change live does, and nobody is dropped for it.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::os::unix::fs::symlink;

use linnet_tests::prelude::*;
use tempfile::TempDir;

fn publish(room: &str, size: usize) -> Value {
    json!({"type": "publish", "room": room, "data": "x".repeat(size)})
}

fn sized(size: &str) -> Manifest {
    Manifest::unhurried().limits(json!({"messageSize": size}))
}

#[test]
fn a_limit_changes_on_open_connections() {
    scenario(60, async {
        let gateway = Gateway::start(&sized("1Ki")).await;
        let mut client = gateway.client().await;
        client
            .refused(publish("a", 2000), "message_too_large")
            .await;
        gateway.reconfigure(&sized("4Ki")).await;
        client.ack(publish("a", 2000)).await;
        gateway.reconfigure(&sized("1Ki")).await;
        client
            .refused(publish("a", 2000), "message_too_large")
            .await;
    });
}

#[test]
fn a_file_that_is_written_in_place_is_noticed_too() {
    scenario(60, async {
        let gateway = Gateway::start(&sized("1Ki")).await;
        let mut client = gateway.client().await;
        let before = gateway.status().await["configHash"].clone();
        std::fs::write(&gateway.file, sized("4Ki").yaml()).unwrap();
        until("another configHash", || async {
            (gateway.status().await["configHash"] != before).then_some(())
        })
        .await;
        client.ack(publish("a", 2000)).await;
    });
}

#[test]
fn a_kubernetes_symlink_swap_is_noticed() {
    scenario(60, async {
        // As the kubelet lays a ConfigMap out: channel.yaml → ..data/channel.yaml, ..data → ..<time>.
        let folder = TempDir::new().unwrap();
        let at = |name: &str| folder.path().join(name);
        let version = |name: &str, manifest: &Manifest| {
            std::fs::create_dir(at(name)).unwrap();
            std::fs::write(at(name).join("channel.yaml"), manifest.yaml()).unwrap();
        };
        version("..2026_01", &sized("1Ki"));
        symlink("..2026_01", at("..data")).unwrap();
        symlink("..data/channel.yaml", at("channel.yaml")).unwrap();
        let (data, tmp, old, file) = (
            at("..data"),
            at("..data_tmp"),
            at("..2026_01"),
            at("channel.yaml"),
        );
        version("..2026_02", &sized("4Ki"));
        version("..2026_03", &sized("8Ki"));
        let gateway = Gateway::start_file(folder, file, &[]).await;
        let mut client = gateway.client().await;
        client
            .refused(publish("a", 2000), "message_too_large")
            .await;

        for (target, size) in [("..2026_02", 2000), ("..2026_03", 6000)] {
            let before = gateway.status().await["configHash"].clone();
            symlink(target, &tmp).unwrap();
            std::fs::rename(&tmp, &data).unwrap();
            let _ = std::fs::remove_dir_all(&old);
            until(target, || async {
                (gateway.status().await["configHash"] != before).then_some(())
            })
            .await;
            client.ack(publish("a", size)).await;
        }
    });
}

#[test]
fn rates_and_rooms_per_connection_change_on_open_connections() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let mut client = gateway.client().await;
        for n in 0..50 {
            client.publish("a", json!(n)).await;
        }
        let tight = json!({"messagesPerSecond": 1, "messageBurst": 5, "roomsPerConnection": 1});
        gateway
            .reconfigure(&Manifest::unhurried().limits(tight))
            .await;
        client.subscribe("a").await;
        client
            .refused(json!({"type": "subscribe", "room": "b"}), "too_many_rooms")
            .await;
        let mut errors = 0;
        for n in 0..7 {
            let answer = client
                .request(json!({"type": "publish", "room": "b", "data": n}))
                .await;
            errors += usize::from(answer.is_err_and(|error| error["code"] == "rate_limited"));
        }
        assert!(errors > 0, "seven at once are over a burst of five");
    });
}

#[test]
fn a_permission_that_is_taken_away_ends_subscriptions_and_publishing() {
    scenario(60, async {
        let open = Manifest::unhurried();
        let gateway = Gateway::start(&open).await;
        let mut json = gateway.client().await;
        json.subscribe("shut.a").await;
        json.subscribe("open").await;
        let mut plain = gateway.plain("shut.b").await;
        plain.settle("ready").await;

        let nobody = json!({"match": "shut.*", "subscribe": "Nobody", "publish": "Nobody"});
        gateway.reconfigure(&open.clone().room(nobody)).await;
        let frame = json.next_of("unsubscribed").await;
        assert_eq!(
            (&frame["room"], &frame["code"]),
            (&json!("shut.a"), &json!("forbidden"))
        );
        assert!(frame["message"].is_string(), "{frame}");
        assert_eq!(plain.closed().await, (4003, "forbidden".to_owned()));
        json.refused(publish("shut.a", 1), "forbidden").await;
        json.publish("open", json!("unharmed")).await;
        assert_eq!(json.next_of("message").await["data"], "unharmed");

        gateway.reconfigure(&open).await;
        json.subscribe("shut.a").await;
        json.publish("shut.a", json!("again")).await;
        assert_eq!(json.next_of("message").await["data"], "again");
    });
}

#[test]
fn history_and_presence_change_live() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried().history(100)).await;
        let mut client = gateway.client().await;
        for n in 0..20 {
            client.publish("a", json!(n)).await;
        }
        let presence = json!({"match": "a", "presence": {"mode": "Full"}});
        gateway
            .reconfigure(&Manifest::unhurried().history(5).room(presence))
            .await;
        client.publish("a", json!(20)).await;
        let history = client.ack(json!({"type": "history", "room": "a"})).await;
        assert_eq!(
            history["messages"].as_array().unwrap().len(),
            5,
            "{history}"
        );
        let subscribe = json!({"type": "subscribe", "room": "a", "presence": true});
        client.ack(subscribe).await;
        let frame = client.skip_to("presence").await;
        assert_eq!(frame["join"][0]["connection_id"], client.id(), "{frame}");
        let request = json!({"type": "presence", "room": "a"});
        let members = gateway.client().await.ack(request).await;
        assert_eq!(members["members"], frame["join"], "{members}");
    });
}

#[test]
fn who_is_in_a_room_already_is_a_member_once_it_tells_of_members() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        let (mut ann, mut bob) = (gateway.client().await, gateway.client().await);
        for client in [&mut ann, &mut bob] {
            let subscribe = json!({"type": "subscribe", "room": "a", "presence": true});
            client.ack(subscribe).await;
        }
        let presence = json!({"match": "a", "presence": {"mode": "Full"}});
        gateway
            .reconfigure(&Manifest::unhurried().room(presence))
            .await;
        let mut expected = [ann.id(), bob.id()];
        expected.sort();
        for client in [&mut ann, &mut bob] {
            let mut joined = Vec::new();
            while joined.len() < 2 {
                let frame = client.next_of("presence").await;
                let ids = frame["join"].as_array().unwrap().iter();
                joined
                    .extend(ids.map(|member| member["connection_id"].as_str().unwrap().to_owned()));
            }
            joined.sort();
            assert_eq!(joined, expected);
        }
        bob.close().await;
        let frame = ann.next_of("presence").await;
        assert_eq!(frame["leave"].as_array().unwrap().len(), 1, "{frame}");
    });
}

#[test]
fn heartbeat_changes_on_open_connections() {
    scenario(60, async {
        let gateway = Gateway::start(&Manifest::unhurried()).await;
        // Never answers a ping; with the default of 25 + 10 s it would outlive this test.
        let mut silent = Raw::upgraded(gateway.public, "").await;
        silent.read_json().await;
        let beats = json!({"heartbeat": {"intervalSeconds": 1, "timeoutSeconds": 1}});
        gateway
            .reconfigure(&Manifest::unhurried().spec(beats))
            .await;
        assert_eq!(silent.closed().await, (4104, "ping_timeout".to_owned()));
    });
}

#[test]
fn a_broken_manifest_changes_nothing_and_is_logged_with_its_line() {
    scenario(60, async {
        let good = sized("1Ki");
        let gateway = Gateway::start(&good).await;
        let mut client = gateway.client().await;
        let before = gateway.status().await;
        assert!(before["configError"].is_null(), "{before}");

        let broken = sized("64Kx").yaml();
        let line = 1 + broken
            .lines()
            .position(|line| line.contains("64Kx"))
            .unwrap();
        for (text, part) in [
            (broken.as_str(), "spec.limits.messageSize"),
            ("spec: {rooms: [}", "line 1"),
            ("", ""),
        ] {
            gateway.replace(text);
            let error = until(("configError for", text), || async {
                let error = gateway.status().await["configError"].as_str()?.to_owned();
                (text.is_empty() || error.contains(part)).then_some(error)
            })
            .await;
            assert!(!error.is_empty());
            let status = gateway.status().await;
            assert_eq!(
                status["configHash"], before["configHash"],
                "the last good one stays"
            );
            client.ack(publish("a", 900)).await;
            client
                .refused(publish("a", 2000), "message_too_large")
                .await;
        }
        gateway
            .logged("the broken value with its line", |entry| {
                let text = entry.to_string();
                let told = text.contains("spec.limits.messageSize")
                    && text.contains(&format!("line {line}"));
                told.then_some(())
            })
            .await;
        assert_eq!(
            gateway.get("/readyz").await.status,
            200,
            "people are still served"
        );

        gateway.replace(&sized("4Ki").yaml());
        until("no configError", || async {
            gateway.status().await["configError"]
                .is_null()
                .then_some(())
        })
        .await;
        client.ack(publish("a", 2000)).await;
    });
}

#[test]
fn a_manifest_that_vanishes_for_a_moment_harms_nobody() {
    scenario(60, async {
        let gateway = Gateway::start(&sized("1Ki")).await;
        let mut client = gateway.client().await;
        std::fs::remove_file(&gateway.file).unwrap();
        client.publish("a", json!("without")).await;
        gateway.reconfigure(&sized("4Ki")).await;
        client.ack(publish("a", 2000)).await;
    });
}
