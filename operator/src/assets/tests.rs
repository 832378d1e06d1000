//! What is decided about streams.

use std::time::Duration;

use linnet_crds::RealtimeChannel;
use linnet_gateway::broker::nats::stream::EPOCH;
use linnet_gateway::config::Channel;
use serde_json::{Value, json};

use super::*;

fn channel(spec: Value) -> Channel {
    let mut manifest: Value = json!({
        "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
        "metadata": {"name": "chat", "namespace": "shop"},
        "spec": {"broker": {"nats": {"urls": ["nats://nats:4222"]}}},
    });
    for (key, value) in spec.as_object().unwrap() {
        manifest["spec"][key] = value.clone();
    }
    let manifest: RealtimeChannel = serde_json::from_value(manifest).unwrap();
    Channel::compile(&manifest)
}

fn plan(history: Value) -> Plan {
    Plan::of("linnet", &channel(json!({"history": history})))
}

/// The first stream of a plan, and what a server says of it once it is made.
fn made(history: Value) -> (Asset, Value) {
    let asset = plan(history).assets.remove(0);
    let mut live = serde_json::to_value(&asset.config).unwrap();
    // What a server fills in.
    live["max_msgs"] = json!(-1);
    live["max_bytes"] = json!(-1);
    live["max_consumers"] = json!(-1);
    live["metadata"]["_nats.level"] = json!("1");
    live["some_day"] = json!({"newer": true});
    (asset, live)
}

const OWNER: &str = "linnet/shop/chat";

fn updated(live: &Value, asset: &Asset) -> (Value, Vec<&'static str>) {
    match correct(live, asset, OWNER) {
        Ok(Correction::Update(config, changed)) => (config, changed),
        other => panic!("{other:?}"),
    }
}

#[test]
fn each_partition_has_a_stream_and_the_gateways_a_bucket() {
    let plan = plan(json!({"partitions": 2, "replicas": 3}));
    let names = [
        "linnet_shop_chat_0",
        "linnet_shop_chat_1",
        "KV_linnet_shop_chat_presence",
    ];
    assert_eq!(plan.names(), names);
    assert!(
        plan.assets
            .iter()
            .all(|asset| asset.config.num_replicas == 3)
    );
    assert_eq!(plan.owner, OWNER);
    assert_eq!(plan.subjects, "linnet.shop.chat.>");
    assert!(plan.has("linnet_shop_chat_1") && !plan.has("linnet_shop_chat"));
}

#[test]
fn without_history_there_is_the_bucket_and_without_a_broker_nothing() {
    let bucket = Plan::of("linnet", &channel(json!({})));
    assert_eq!(bucket.names(), ["KV_linnet_shop_chat_presence"]);
    let mut embedded = channel(json!({"history": {}}));
    embedded.nats = None;
    assert_eq!(Plan::of("linnet", &embedded).names(), [""; 0]);
}

#[test]
fn where_tokens_are_taken_there_is_a_bucket_of_revoked_users() {
    let mut taking = channel(json!({}));
    let jwt: linnet_crds::authentication::Jwt =
        serde_json::from_value(json!({"keySecretName": "k"})).unwrap();
    taking.tokens = linnet_gateway::auth::Policy::compile(&jwt);
    let plan = Plan::of("linnet", &taking);
    let names = [
        "KV_linnet_shop_chat_presence",
        "KV_linnet_shop_chat_revocations",
    ];
    assert_eq!(plan.names(), names);
}

#[test]
fn a_stream_that_is_as_it_was_made_is_left_alone_also_by_a_newer_server() {
    let (asset, live) = made(json!({}));
    assert_eq!(correct(&live, &asset, OWNER), Ok(Correction::None));
    let (again, _) = made(json!({}));
    assert_ne!(again.config, asset.config, "each plan draws an epoch");
    assert_eq!(correct(&live, &again, OWNER), Ok(Correction::None));
}

#[test]
fn what_the_spec_changes_is_updated_and_the_epoch_and_what_is_not_ours_stay() {
    let (_, mut live) = made(json!({}));
    live["placement"] = json!({"cluster": "east", "tags": ["ssd"]});
    live["max_bytes"] = json!(1_000_000);
    let (next, _) = made(
        json!({"maxMessagesPerRoom": 7, "maxAgeSeconds": 60, "deduplicationSeconds": 30, "replicas": 3}),
    );
    let (config, mut changed) = updated(&live, &next);
    changed.sort_unstable();
    assert_eq!(
        changed,
        [
            "duplicate_window",
            "max_age",
            "max_msgs_per_subject",
            "num_replicas"
        ]
    );
    assert_eq!(config["max_msgs_per_subject"], 7);
    assert_eq!(config["num_replicas"], 3);
    assert_eq!(config["max_age"], 60_000_000_000u64);
    for kept in ["placement", "max_bytes", "metadata", "some_day", "subjects"] {
        assert_eq!(config[kept], live[kept], "{kept}");
    }
    assert!(config.get("placement").is_some(), "sent as it came (10123)");
    assert_eq!(correct(&config, &next, OWNER), Ok(Correction::None));
}

#[test]
fn a_placement_that_is_not_there_is_not_sent() {
    let (_, live) = made(json!({}));
    let (next, _) = made(json!({"replicas": 3}));
    assert!(updated(&live, &next).0.get("placement").is_none());
}

#[test]
fn drift_is_put_right() {
    let (asset, live) = made(json!({}));
    for (field, drifted) in [
        (
            "subjects",
            json!(["linnet.shop.chat.history.0.*", "other.>"]),
        ),
        ("allow_direct", json!(false)),
        ("discard", json!("new")),
        ("max_age", json!(0)),
        ("max_msgs_per_subject", json!(-1)),
    ] {
        let mut other = live.clone();
        other[field] = drifted;
        let (config, changed) = updated(&other, &asset);
        assert_eq!(changed, [field]);
        assert_eq!(
            correct(&config, &asset, OWNER),
            Ok(Correction::None),
            "{field}"
        );
    }
    let mut other = live.clone();
    other.as_object_mut().unwrap().remove("allow_direct");
    assert_eq!(updated(&other, &asset).0["allow_direct"], true);
}

#[test]
fn a_stream_of_nobody_is_adopted_with_its_epoch_or_with_a_new_one() {
    let (asset, mut live) = made(json!({}));
    live["metadata"] = json!({EPOCH: "old"});
    let (config, changed) = updated(&live, &asset);
    assert_eq!(changed, ["linnet-owner"]);
    assert_eq!(
        config["metadata"],
        json!({EPOCH: "old", "linnet-owner": OWNER})
    );
    live["metadata"] = Value::Null;
    let (config, changed) = updated(&live, &asset);
    assert_eq!(changed, ["linnet-owner", EPOCH]);
    assert_eq!(config["metadata"][EPOCH], asset.config.metadata[EPOCH]);
}

#[test]
fn a_stream_of_another_owner_is_refused_whatever_it_is_like() {
    let (asset, live) = made(json!({}));
    let refusal = correct(&live, &asset, "east/shop/chat").unwrap_err();
    assert_eq!(
        refusal.to_string(),
        "the stream linnet_shop_chat belongs to linnet/shop/chat"
    );
}

#[test]
fn another_storage_can_not_be_had() {
    let (_, live) = made(json!({}));
    let (memory, _) = made(json!({"storage": "Memory"}));
    let refusal = correct(&live, &memory, OWNER).unwrap_err().to_string();
    assert!(
        refusal.contains("kept in file") && refusal.contains("asks for memory"),
        "{refusal}"
    );
}

#[test]
fn the_bucket_keeps_what_makes_leases_run_out() {
    let asset = plan(json!({})).assets.remove(1);
    let mut live = serde_json::to_value(&asset.config).unwrap();
    live["duplicate_window"] = json!(120_000_000_000u64);
    assert_eq!(correct(&live, &asset, OWNER), Ok(Correction::None));
    live.as_object_mut().unwrap().remove("allow_msg_ttl");
    live.as_object_mut().unwrap().remove("metadata");
    let (config, changed) = updated(&live, &asset);
    assert_eq!(changed, ["allow_msg_ttl", "linnet-owner"]);
    assert_eq!(config["allow_msg_ttl"], true);
    assert!(config["metadata"].get(EPOCH).is_none(), "leases have none");
}

#[test]
fn rooms_with_workers_have_a_work_queue_and_a_stream_of_dead_letters_which_keep_their_partitions() {
    let spec = |partitions: u32, replicas: u32| {
        json!({"history": {"replicas": replicas}, "workers": {"partitions": partitions},
            "rooms": [{"match": "*", "delivery": "Worker"}]})
    };
    let before = Plan::of("linnet", &channel(spec(4, 1)));
    assert_eq!(
        before.names()[2..],
        ["linnet_shop_chat_work", "linnet_shop_chat_dead"]
    );
    let live = serde_json::to_value(&before.assets[2].config).unwrap();
    let after = Plan::of("linnet", &channel(spec(8, 3)));
    let (config, changed) = updated(&live, &after.assets[2]);
    assert_eq!(changed, ["num_replicas"]);
    for kept in ["subject_transform", "metadata", "retention"] {
        assert_eq!(config[kept], live[kept], "{kept}");
    }
    let none = Plan::of("linnet", &channel(json!({"history": {}})));
    assert_eq!(none.assets.len(), 2);
}

fn urls(urls: &[&str]) -> Vec<String> {
    urls.iter().map(|url| (*url).to_owned()).collect()
}

#[test]
fn another_broker_leaves_the_streams_of_the_one_before_and_they_are_remembered() {
    let streams = urls(&["linnet_shop_chat"]);
    let first = Record::default().next(urls(&["nats://a"]), streams.clone());
    assert!(first.left.is_empty());
    let second = first.clone().next(urls(&["nats://b"]), streams.clone());
    assert_eq!(second.left[0].to_string(), "linnet_shop_chat on nats://a");
    let third = second.clone().next(urls(&["nats://b"]), streams.clone());
    assert_eq!(third, second, "said for as long as it is so, and once");
    let embedded = third.next(Vec::new(), Vec::new());
    assert_eq!(embedded.left.len(), 2);
    let back = embedded.next(urls(&["nats://a"]), streams);
    assert_eq!(back.left.len(), 1, "they are in use again");
    assert_eq!(back.left[0].urls, ["nats://b"]);
}

#[test]
fn one_server_more_or_less_is_the_same_broker() {
    let streams = urls(&["linnet_shop_chat"]);
    let record = Record::default()
        .next(urls(&["nats://b", "nats://a"]), streams.clone())
        .next(urls(&["nats://a", "nats://c"]), streams.clone());
    assert!(record.left.is_empty());
    let order = Record::default().next(urls(&["nats://c", "nats://a"]), streams);
    assert_eq!(record, order, "their order says nothing");
}

#[test]
fn a_channel_without_history_leaves_nothing() {
    let record = Record::default()
        .next(urls(&["nats://a"]), Vec::new())
        .next(urls(&["nats://b"]), Vec::new());
    assert!(record.left.is_empty());
}

#[test]
fn a_record_does_not_grow_for_ever_and_is_read_back() {
    let mut record = Record::default();
    for number in 0..100 {
        record = record.next(urls(&[&format!("nats://{number}")]), urls(&["s"]));
    }
    assert_eq!(record.left.len(), 8);
    assert_eq!(record.left[7].urls, ["nats://98"]);
    let text = serde_json::to_string(&record).unwrap();
    assert_eq!(serde_json::from_str::<Record>(&text).unwrap(), record);
    assert_eq!(
        serde_json::from_str::<Record>("{}").unwrap(),
        Record::default()
    );
}

fn situation(streams: &[String]) -> Situation<'_> {
    Situation {
        delete: true,
        abandon: false,
        broker: true,
        missing_secret: None,
        gateways: 0,
        streams,
    }
}

#[test]
fn streams_are_deleted_once_the_gateways_are_gone() {
    let streams = urls(&["s"]);
    let mut now = situation(&streams);
    now.gateways = 2;
    assert_eq!(before(&now), Before::StopGateways);
    now.gateways = 0;
    assert_eq!(before(&now), Before::Delete);
}

#[test]
fn what_is_to_stay_is_not_asked_for() {
    let streams = urls(&["s"]);
    for change in [
        (|now| now.delete = false) as fn(&mut Situation<'_>),
        |now| now.broker = false,
        |now| now.streams = &[],
    ] {
        let mut now = situation(&streams);
        now.gateways = 2;
        change(&mut now);
        assert_eq!(before(&now), Before::Release(None));
    }
}

#[test]
fn what_can_not_be_deleted_is_named_and_holds_nothing_up() {
    let streams = urls(&["s", "t"]);
    let mut now = situation(&streams);
    now.gateways = 2;
    now.missing_secret = Some("login");
    let Before::Release(Some(warning)) = before(&now) else {
        panic!("it waits");
    };
    assert_eq!(warning.streams, streams);
    assert!(
        warning
            .to_string()
            .contains("s, t (the Secret login is not there)")
    );
    now.abandon = true;
    let Before::Release(Some(warning)) = before(&now) else {
        panic!("it waits");
    };
    assert!(warning.why.contains("annotation"));
}

#[test]
fn a_broker_that_is_away_is_waited_for_and_not_for_ever() {
    let streams = urls(&["s"]);
    let limit = Duration::from_secs(600);
    let at = |seconds| {
        after(
            Err("no answer"),
            &streams,
            Duration::from_secs(seconds),
            limit,
        )
    };
    assert_eq!(at(0), After::Again);
    assert_eq!(at(599), After::Again);
    let After::Release(Some(warning)) = at(600) else {
        panic!("it waits");
    };
    assert_eq!(warning.streams, streams);
    assert_eq!(warning.why, "for 600 s: no answer");
}

#[test]
fn what_is_absent_needs_no_warning_and_what_is_anothers_does() {
    let streams = urls(&["s"]);
    let zero = Duration::ZERO;
    assert_eq!(after(Ok(&[]), &streams, zero, zero), After::Release(None));
    let others = [("s".to_owned(), "east/shop/chat".to_owned())];
    let After::Release(Some(warning)) = after(Ok(&others), &streams, zero, zero) else {
        panic!("it waits");
    };
    assert_eq!(warning.why, "s belongs to east/shop/chat");
}
