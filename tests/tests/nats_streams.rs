//! A stream that changes under the gateways: deleted, created anew, rolled back, purged. Nobody stays deaf, and clients
//! are told.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::future::IntoFuture;
use std::time::Duration;

use async_nats::jetstream::stream::Config;
use linnet_tests::follower::Position;
use linnet_tests::prelude::*;

/// Within this time a message arrives once NATS and its stream are back: some seconds, and more on a machine that is busy
/// with other things.
const SOON: Duration = Duration::from_secs(40);

/// A server, a proxy before gateway 1, both gateways, and a subscriber of `lobby` on each.
struct Scene {
    server: NatsServer,
    proxy: Proxy,
    fleet: Fleet,
    watchers: Vec<Client>,
    publisher: Client,
    /// Where `lobby` stood after [`Self::talk`].
    position: Position,
}

impl Scene {
    async fn new() -> Self {
        let server = NatsServer::jetstream().await;
        let proxy = Proxy::to_nats(&server).await;
        let manifest = Manifest::unhurried().without_pings().history(1000);
        let beside = manifest.clone().nats(&[server.url()]);
        let behind = manifest.nats(&[proxy.nats_url()]);
        let fleet = Fleet::start_each(&[beside, behind]).await;
        let mut watchers = vec![fleet[0].client().await, fleet[1].client().await];
        for watcher in &mut watchers {
            watcher.subscribe("lobby").await;
        }
        let publisher = fleet[0].client().await;
        let nowhere = Position {
            epoch: String::new(),
            offset: 0,
        };
        let mut scene = Self {
            server,
            proxy,
            fleet,
            watchers,
            publisher,
            position: nowhere,
        };
        scene.talk().await;
        scene
    }

    /// Ten messages, which both watchers get.
    async fn talk(&mut self) {
        for n in 0..10 {
            let ack = self.publisher.publish_at_last("lobby", json!(n)).await;
            self.position = Position::of(&ack);
        }
        for watcher in &mut self.watchers {
            for n in 0..10 {
                assert_eq!(watcher.skip_to("message").await["data"], n);
            }
        }
    }

    /// The stream's name and configuration.
    async fn stream(&self) -> (String, Config) {
        let name = self.server.channel_stream().await;
        let streams = self.server.streams().await;
        let stream = streams.get_stream(&name).await.unwrap();
        (name, stream.cached_info().config.clone())
    }

    async fn delete_stream(&self) -> Config {
        let (name, config) = self.stream().await;
        let streams = self.server.streams().await;
        streams.delete_stream(&name).await.unwrap();
        config
    }

    async fn create_stream(&self, config: Config) {
        let streams = self.server.streams().await;
        // A gateway may have been first.
        streams.get_or_create_stream(config).await.unwrap();
    }

    /// Messages that are published from now on reach both watchers soon; gives all frames that each got before the
    /// first of them. The very first may lie before a gap, which covers it.
    async fn nobody_is_deaf(&mut self) -> Vec<Vec<Value>> {
        let mut told = vec![Vec::new(), Vec::new()];
        let mut hear = [false, false];
        let heard = async {
            while hear != [true, true] {
                self.publisher
                    .publish_at_last("lobby", json!("after"))
                    .await;
                for (number, watcher) in self.watchers.iter_mut().enumerate() {
                    let soon = Duration::from_millis(200);
                    while !hear[number] {
                        match tokio::time::timeout(soon, watcher.next()).await {
                            Ok(frame) if frame["data"] == "after" => hear[number] = true,
                            Ok(frame) => told[number].push(frame),
                            Err(_) => break,
                        }
                    }
                }
            }
        };
        let heard = tokio::time::timeout(SOON, heard).await;
        assert!(heard.is_ok(), "who hears: {hear:?}; they got {told:?}");
        told
    }

    /// What both watchers got tells of another epoch than before; gives it.
    fn tells_of_a_new_epoch(&self, told: &[Vec<Value>]) -> String {
        let epochs: Vec<&str> = told.iter().map(|frames| self.new_epoch(frames)).collect();
        assert_eq!(epochs[0], epochs[1], "both gateways agree");
        epochs[0].to_owned()
    }

    fn new_epoch<'a>(&self, frames: &'a [Value]) -> &'a str {
        let other =
            |frame: &&Value| frame["type"] == "gap" && frame["epoch"] != json!(self.position.epoch);
        let gap = frames.iter().rfind(other);
        let gap = gap.unwrap_or_else(|| panic!("no gap with a new epoch in {frames:?}"));
        gap["epoch"].as_str().unwrap()
    }

    /// Who comes with a position of the life before is not told that all is there.
    async fn the_old_position_is_not_recovered(&self, epoch: &str) {
        for number in 0..2 {
            let mut client = self.fleet[number].client().await;
            let since = self.position.since();
            let request = json!({"type": "subscribe", "room": "lobby", "since": since});
            let ack = client.ack(request).await;
            assert_eq!(
                (&ack["recovered"], &ack["epoch"]),
                (&json!(false), &json!(epoch)),
                "{ack}"
            );
        }
    }

    async fn is_told_as_a_new_life(&mut self) {
        let told = self.nobody_is_deaf().await;
        let epoch = self.tells_of_a_new_epoch(&told);
        self.the_old_position_is_not_recovered(&epoch).await;
    }
}

#[test]
fn a_stream_that_is_deleted_is_created_anew_with_a_new_epoch() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.delete_stream().await;
        scene.is_told_as_a_new_life().await;
    });
}

#[test]
fn a_stream_that_is_created_again_with_its_old_epoch_gets_a_new_one() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        let config = scene.delete_stream().await;
        scene.create_stream(config).await;
        scene.is_told_as_a_new_life().await;
    });
}

#[test]
fn a_stream_that_is_created_again_while_a_gateway_is_away_is_told_there_too() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.proxy.cut().await;
        let config = scene.delete_stream().await;
        scene.create_stream(config).await;
        // As many as before, and more: the new store's positions reach beyond the old ones.
        for n in 0..20 {
            scene.publisher.publish_at_last("lobby", json!(n)).await;
        }
        scene.proxy.pass().await;
        scene.fleet[1].is_well().await;
        scene.is_told_as_a_new_life().await;
    });
}

#[test]
fn a_stream_that_is_rolled_back_has_a_new_epoch() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.server.stop().await;
        let snapshot = scene.server.snapshot();
        scene.server.launch().await;
        scene.talk().await;
        scene.server.stop().await;
        scene.server.restore(&snapshot);
        scene.server.launch().await;
        scene.is_told_as_a_new_life().await;
    });
}

#[test]
fn a_restart_that_loses_nothing_keeps_the_epoch_and_tells_nobody() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.server.restart().await;
        let told = scene.nobody_is_deaf().await;
        assert!(told.iter().all(Vec::is_empty), "{told:?}");
        let ack = scene.watchers[0].subscribe("lobby").await;
        assert_eq!(ack["epoch"], json!(scene.position.epoch));
    });
}

#[test]
fn a_purge_deafens_nobody_and_keeps_the_epoch() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        let (name, _) = scene.stream().await;
        let streams = scene.server.streams().await;
        let stream = streams.get_stream(&name).await.unwrap();
        stream.purge().into_future().await.unwrap();
        scene.nobody_is_deaf().await;
        let ack = scene.watchers[0].subscribe("lobby").await;
        assert_eq!(ack["epoch"], json!(scene.position.epoch));
        assert!(ack["offset"].as_u64() > Some(scene.position.offset));
    });
}

#[test]
fn what_was_purged_unread_while_a_gateway_was_away_is_told_there() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        scene.proxy.cut().await;
        scene.publisher.publish("lobby", json!("unread")).await;
        assert_eq!(scene.watchers[0].skip_to("message").await["data"], "unread");
        let (name, _) = scene.stream().await;
        let streams = scene.server.streams().await;
        let stream = streams.get_stream(&name).await.unwrap();
        stream.purge().into_future().await.unwrap();
        scene.proxy.pass().await;
        scene.fleet[1].is_well().await;
        let told = scene.nobody_is_deaf().await;
        let gap = |frame: &Value| frame["type"] == "gap" && frame["room"] == "lobby";
        assert!(told[1].iter().any(gap), "{told:?}");
        // Gateway 0 read it before.
        assert!(!told[0].iter().any(gap), "{told:?}");
    });
}

/// A purge looks like messages that have aged: positions stay what they are. With a new epoch everybody would be told of a
/// loss, also who has missed nothing.
#[test]
fn after_a_purge_who_had_read_all_goes_on_and_who_had_not_is_told() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        let before = scene.position.clone();
        scene.proxy.cut().await;
        let unread = scene.publisher.publish("lobby", json!("unread")).await;
        let (name, _) = scene.stream().await;
        let streams = scene.server.streams().await;
        let stream = streams.get_stream(&name).await.unwrap();
        stream.purge().into_future().await.unwrap();
        scene.proxy.pass().await;
        scene.fleet[1].is_well().await;
        let mut back = scene.fleet[1].client().await;
        for (since, recovered) in [(Position::of(&unread), true), (before, false)] {
            let ask = json!({"type": "subscribe", "room": "lobby", "since": since.since()});
            let ack = back.ack(ask).await;
            assert_eq!(ack["recovered"], recovered, "since {since:?}: {ack}");
            assert_eq!(ack["messages"], json!([]), "{ack}");
        }
    });
}

/// As `nats stream edit --metadata` does it after a backup was restored.
#[test]
fn a_stream_that_was_given_another_epoch_by_hand_proves_nothing_of_before() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        let before = scene.position.clone();
        for number in 0..2 {
            scene.fleet[number].kill().await;
        }
        let (name, mut config) = scene.stream().await;
        let another = "538fab4f1d55594d816ef0";
        config
            .metadata
            .insert("linnet-epoch".into(), another.into());
        let streams = scene.server.streams().await;
        streams.update_stream(&config).await.unwrap();
        scene.fleet.restart(0).await;
        let mut back = scene.fleet[0].client().await;
        let ask = json!({"type": "subscribe", "room": "lobby", "since": before.since()});
        let ack = back.ack(ask).await;
        assert_eq!(ack["recovered"], false, "{ack}");
        assert_eq!(ack["epoch"], another, "{ack}");
        assert_eq!(ack["offset"].as_u64(), Some(before.offset), "in {name}");
    });
}

#[test]
fn an_ack_of_a_stream_that_was_made_anew_names_a_position_of_its_new_epoch() {
    scenario(180, async {
        let mut scene = Scene::new().await;
        let config = scene.delete_stream().await;
        scene.create_stream(config).await;
        let ack = scene.publisher.publish_at_last("lobby", json!(1)).await;
        let first = Position::of(&ack);
        assert_ne!(first.epoch, scene.position.epoch, "{ack}");
        for number in 0..2 {
            let mut client = scene.fleet[number].client().await;
            let ask = json!({"type": "subscribe", "room": "lobby", "since": first.since()});
            let resumed = async {
                loop {
                    let ack = client.ack(ask.clone()).await;
                    if ack["epoch"] == json!(first.epoch) {
                        return ack;
                    }
                }
            };
            let ack = within("the new epoch on both gateways", 60, resumed).await;
            assert_eq!(ack["recovered"], true, "{ack}");
        }
    });
}
