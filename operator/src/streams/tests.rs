use std::time::Duration;

use linnet_crds::RealtimeChannel;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::*;
use crate::assets::{BrokerError, Left};
use crate::settings::Settings;
use crate::status::Truth;

fn channel(spec: Value) -> RealtimeChannel {
    serde_json::from_value(json!({
        "apiVersion": "realtime.linnet.dev/v1alpha1", "kind": "RealtimeChannel",
        "metadata": {"name": "chat", "namespace": "talk"}, "spec": spec,
    }))
    .unwrap()
}

fn with_default_broker() -> Settings {
    Settings {
        default_broker: Some(
            serde_json::from_value(json!({"nats": {"urls": ["nats://default"]}})).unwrap(),
        ),
        ..Settings::plain()
    }
}

fn left() -> Vec<Left> {
    vec![Left {
        urls: vec!["nats://old".into()],
        streams: vec!["s".into()],
    }]
}

#[test]
fn a_broker_that_has_everything_is_ready() {
    let draft = condition(Ok(&[]), &[], false).unwrap();
    assert_eq!((draft.truth, draft.reason.as_str()), (Truth::True, "Ready"));
    assert_eq!(condition(Ok(&[]), &[], true), None, "there is none");
}

#[test]
fn what_was_left_behind_is_named_and_harms_nothing() {
    let draft = condition(Ok(&["o".to_owned()]), &left(), false).unwrap();
    assert_eq!(
        (draft.truth, draft.reason.as_str()),
        (Truth::True, "StreamsLeftBehind")
    );
    assert!(
        draft.message.ends_with("o on this broker; s on nats://old"),
        "{}",
        draft.message
    );
    let draft = condition(Ok(&[]), &left(), true).unwrap();
    assert!(draft.message.contains("its own broker"));
}

#[test]
fn what_nats_says_is_the_reason() {
    let problem = Problem::from(BrokerError::Unreachable {
        urls: "nats://a".into(),
        why: "refused".into(),
    });
    let draft = condition(Err(&problem), &left(), false).unwrap();
    assert_eq!(
        (draft.truth, draft.reason.as_str()),
        (Truth::False, "Unreachable")
    );
    assert_eq!(draft.message, "NATS can't be reached at nats://a: refused");
}

#[test]
fn only_a_channel_whose_streams_are_to_go_with_it_is_kept_for_them() {
    let wanted = |spec, broker| finalizer::is_wanted(&channel(spec), broker);
    assert!(wanted(
        json!({"history": {"deletionPolicy": "Delete"}}),
        true
    ));
    assert!(!wanted(
        json!({"history": {"deletionPolicy": "Delete"}}),
        false
    ));
    assert!(!wanted(json!({"history": {}}), true));
    assert!(!wanted(json!({}), true));
}

#[test]
fn a_channel_without_a_broker_of_its_own_has_the_installations() {
    let (nats, plan) = read::plan(&channel(json!({"history": {}})), &with_default_broker());
    assert_eq!(nats.unwrap().urls, ["nats://default"]);
    assert_eq!(plan.names()[0], "linnet_talk_chat");
    let (nats, plan) = read::plan(&channel(json!({"history": {}})), &Settings::plain());
    assert!(nats.is_none() && plan.assets.is_empty());
}

#[tokio::test(start_paused = true)]
async fn nats_is_asked_again_after_a_while_or_when_something_else_is_asked_for() {
    let streams = Streams::new(Duration::from_secs(600));
    let settings = with_default_broker();
    let plan = |spec| read::plan(&channel(spec), &settings).1;
    let urls = ["nats://default".to_owned()];
    let first = plan(json!({"history": {}}));
    let now = Instant::now();
    assert_eq!(streams.known("u", &urls, &first, now), None);
    streams.good("u", &urls, &first, vec!["o".into()], now);
    let again = plan(json!({"history": {}, "console": "Enabled"}));
    let known = streams.known("u", &urls, &again, now + Duration::from_secs(200));
    assert_eq!(known, Some(vec!["o".to_owned()]));
    assert_eq!(
        streams.known("u", &urls, &first, now + Duration::from_secs(300)),
        None
    );
    let more = plan(json!({"history": {"maxMessagesPerRoom": 3}}));
    assert_eq!(streams.known("u", &urls, &more, now), None);
    assert_eq!(
        streams.known("u", &["nats://b".to_owned()], &first, now),
        None
    );
    streams.bad("u");
    assert_eq!(streams.known("u", &urls, &first, now), None);
}

#[tokio::test(start_paused = true)]
async fn how_long_a_deletion_fails_is_counted_from_its_first_failure() {
    let streams = Streams::new(Duration::from_secs(600));
    let now = Instant::now();
    assert_eq!(streams.failed("u", now), Duration::ZERO);
    let later = now + Duration::from_secs(7);
    assert_eq!(streams.failed("u", later), Duration::from_secs(7));
    streams.forget("u");
    assert_eq!(streams.failed("u", later), Duration::ZERO);
}
