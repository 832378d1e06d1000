//! What manifests and files get through, and what is said about the others.

mod bad;

use std::collections::BTreeSet;

use bad::BAD;
use proptest::prelude::*;
use serde_json::Value;

use super::*;
use crate::Toggle;

use crate::rooms::{Access, PresenceMode};

/// A manifest with `fields`, indented YAML, in a spec that is otherwise the smallest.
fn manifest(fields: &str) -> String {
    let authentication = if fields.contains("authentication:") {
        ""
    } else {
        "  authentication: {anonymous: Allow}\n"
    };
    format!(
        "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {{name: chat}}\n\
         spec:\n{authentication}{fields}\n"
    )
}

fn messages(yaml: &str) -> Vec<String> {
    match parse(yaml) {
        Ok(_) => Vec::new(),
        Err(problems) => problems.iter().map(ToString::to_string).collect(),
    }
}

#[test]
fn the_smallest_manifest_has_the_defaults() {
    let channel = parse(&manifest("")).unwrap();
    assert_eq!(channel.metadata.name.as_deref(), Some("chat"));
    let mut expected = crate::RealtimeChannelSpec::default();
    expected.authentication.anonymous = crate::Permission::Allow;
    assert_eq!(channel.spec, expected);
    assert_eq!(channel.spec.limits.send_queue_size.bytes(), 1 << 20);
}

#[test]
fn a_full_manifest_is_read_as_it_stands() {
    let channel = parse(&manifest(
        r#"
  history: {maxMessagesPerRoom: 7}
  rooms:
  - {match: "news.*", publish: Nobody, presence: {mode: Full}}
  - {match: "inbox.{user_id}", history: Disabled, presence: {mode: Off}}
  limits: {messageSize: 1024, queueMemory: 64Mi, bytesPerSecond: "1.5Ki"}
  console: Enabled"#,
    ))
    .unwrap();
    let spec = channel.spec;
    assert_eq!(spec.history.unwrap().max_messages_per_room, 7);
    assert_eq!(spec.rooms[0].pattern, "news.*");
    assert_eq!(spec.rooms[0].publish, Access::Nobody);
    assert_eq!(spec.rooms[0].presence.mode, PresenceMode::Full);
    assert_eq!(spec.rooms[1].history, Toggle::Disabled);
    assert_eq!(spec.rooms[1].presence.mode, PresenceMode::Off);
    assert_eq!(spec.limits.message_size.bytes(), 1024);
    assert_eq!(spec.limits.queue_memory.unwrap().bytes(), 64 << 20);
    assert_eq!(spec.limits.bytes_per_second.unwrap().bytes(), 1536);
    assert!(spec.console.is_enabled());
}

#[test]
fn what_is_written_out_again_reads_the_same() {
    let channel = parse(&manifest("  history: {}\n  rooms: [{match: a}]")).unwrap();
    let json = serde_json::to_string(&channel).unwrap();
    assert_eq!(parse(&json).unwrap(), channel);
}

#[test]
fn what_kubectl_prints_is_accepted() {
    let yaml = "apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata:
  name: chat
  namespace: default
  annotations: {realtime.linnet.dev/paused: \"true\"}
  creationTimestamp: \"2026-01-02T03:04:05Z\"
  generation: 3
  managedFields:
  - apiVersion: v1
    fieldsV1: {f:spec: {f:replicas: {}}}
spec: {authentication: {anonymous: Allow}}
status:
  observedGeneration: 3
  conditions:
  - {type: Ready, status: \"True\", reason: Serving, message: ok, lastTransitionTime: \"2026-01-02T03:04:05Z\"}
";
    let channel = parse(yaml).unwrap();
    assert_eq!(channel.status.unwrap().conditions[0].type_, "Ready");
}

#[test]
fn each_bad_manifest_has_its_one_problem() {
    for (fields, expected) in BAD {
        let found = messages(&manifest(fields));
        let [only] = found.as_slice() else {
            panic!("{fields}: expected one problem, found {found:#?}");
        };
        let (line, problem) = only.split_once(": ").unwrap();
        assert!(line.starts_with("line "), "{fields}: {only}");
        assert_eq!(problem, format!("spec.{expected}"), "{fields}");
    }
}

#[test]
fn every_rule_of_the_schema_compiles_and_is_broken_by_a_manifest_of_the_table() {
    fn visit(schema: &schema::Schema, look: &mut impl FnMut(&schema::Rule)) {
        schema.rules.iter().for_each(&mut *look);
        match &schema.kind {
            schema::Kind::Object { properties, .. } => {
                properties
                    .values()
                    .for_each(|property| visit(property, look));
            }
            schema::Kind::List(list) => visit(&list.items, look),
            schema::Kind::Map { values, .. } => visit(values, look),
            _ => {}
        }
    }
    let mut rules = BTreeSet::new();
    visit(&SCHEMA, &mut |rule| {
        assert!(!rule.program.has_errors(), "{}", rule.source);
        // Changes need an API server; the name is no part of the table.
        if !rule.source.contains("oldSelf") && !rule.source.contains("metadata.name") {
            rules.insert(rule.message.clone());
        }
    });
    for message in rules {
        assert!(
            BAD.iter().any(|(_, bad)| bad.ends_with(&message)),
            "not in the table: {message}"
        );
    }
}

#[test]
fn several_problems_come_at_once_with_their_lines() {
    let yaml = "apiVersion: realtime.linnet.dev/v1
kind: RealtimeChannel
metadata:
  name: Chat
  label: {a: b}
spec:
  authentication:
    anonymous: Alow
  rooms:
  - match: a
    subscribe: Some
  - {}
  limits:
    messageSize: 64Kx
    sendQueueSize: 1Ki
";
    assert_eq!(
        messages(yaml),
        [
            "line 1: apiVersion: \"realtime.linnet.dev/v1\": expected realtime.linnet.dev/v1alpha1",
            "line 4: metadata.name: must start with a letter, end with a letter or digit, hold only a-z, 0-9 and -, and be at most 50 characters long",
            "line 5: metadata.label: unknown field, did you mean labels?",
            "line 8: spec.authentication.anonymous: \"Alow\": expected one of Deny, Allow, did you mean Allow?",
            "line 11: spec.rooms[0].subscribe: \"Some\": expected one of Everyone, Authenticated, Claim, Nobody",
            "line 12: spec.rooms[1].match: required",
            "line 14: spec.limits.messageSize: \"64Kx\": expected a quantity such as 64Ki",
            "line 15: spec.limits.sendQueueSize: \"1Ki\": must be from 16Ki to 256Mi",
        ]
    );
}

#[test]
fn a_rule_does_not_judge_a_field_under_a_misspelt_name() {
    let found = messages(&manifest("  authentication: {anonymos: Allow}"));
    assert_eq!(
        found,
        ["line 5: spec.authentication.anonymos: unknown field, did you mean anonymous?"]
    );
}

#[test]
fn columns_are_counted_from_one() {
    let problems = parse(&manifest("  console: on")).unwrap_err();
    assert_eq!((problems[0].line, problems[0].column), (Some(6), Some(12)));
}

#[test]
fn a_file_that_is_no_manifest_is_told_so() {
    let second = format!("{}---\n{}", manifest(""), manifest(""));
    for (yaml, expected) in [
        ("", "the file holds no manifest"),
        ("# nothing\n---\n", "the file holds no manifest"),
        ("- 1", "line 1: expected an object, found a list"),
        (
            "a: b: c",
            "line 1: not valid YAML: mapping values are not allowed in this context",
        ),
        (
            "{apiVersion: apps/v1, kind: Deployment, spec: {replicas: 1, template: {}}}",
            "line 1: apiVersion: \"apps/v1\": expected realtime.linnet.dev/v1alpha1\n\
          line 1: kind: \"Deployment\": expected RealtimeChannel",
        ),
        (
            "a: &x [*x]",
            "line 1: a[0]: an alias inside the value that it stands for",
        ),
        (
            &second,
            "line 8: a second document begins here: one manifest a file",
        ),
    ] {
        assert_eq!(parse(yaml).unwrap_err().to_string(), expected, "{yaml}");
    }
}

#[test]
fn a_manifest_without_spec_or_name_lacks_them() {
    let yaml = "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {}\n";
    assert_eq!(
        messages(yaml),
        ["line 1: spec: required", "line 3: metadata.name: required"]
    );
}

#[test]
fn anchors_and_aliases_work() {
    let channel = parse(&manifest(
        "  rooms:\n  - {match: a, presence: &p {mode: Count}}\n  - {match: b, presence: *p}",
    ))
    .unwrap();
    assert_eq!(channel.spec.rooms[1].presence.mode, PresenceMode::Count);
}

#[test]
fn aliases_that_expand_without_end_are_refused() {
    let mut yaml = String::from("a0: &a0 [x, x, x, x, x, x, x, x, x, x]\n");
    for i in 1..20 {
        let alias = format!("*a{}", i - 1);
        yaml += &format!("a{i}: &a{i} [{}]\n", vec![alias; 10].join(", "));
    }
    let error = parse(&yaml).unwrap_err().to_string();
    assert!(
        error.ends_with("more than 100000 values, aliases expanded"),
        "{error}"
    );
}

#[test]
fn endless_nesting_is_refused() {
    for yaml in [
        "[".repeat(100_000),
        "a: ".to_owned() + &"{a: ".repeat(50_000),
        "- ".repeat(10_000),
    ] {
        let error = parse(&yaml).unwrap_err().to_string();
        assert!(
            error.contains("nested more than 64 deep") || error.contains("not valid YAML"),
            "{error}"
        );
    }
}

#[test]
fn a_file_larger_than_an_object_may_be_is_refused() {
    let error = parse(&"#".repeat(2_000_000)).unwrap_err().to_string();
    assert!(error.contains("larger than an object may be"), "{error}");
}

#[test]
fn leniently_read_an_unknown_field_is_only_told_about() {
    let yaml = manifest("  quantumLinks: Enabled\n  limits: {messagesPerSecond: 3}");
    let (channel, warnings) = parse_lenient(&yaml).unwrap();
    assert_eq!(channel.spec.limits.messages_per_second, 3);
    assert_eq!(warnings.len(), 1);
    assert_eq!(warnings[0].path, "spec.quantumLinks");
    assert!(parse_lenient(&manifest("  replicas: x")).is_err());
}

#[test]
fn what_comes_later_is_refused_by_check_with_its_line_and_taken_by_parse() {
    let yaml = manifest(
        "  replicas: 2\n  rooms:\n  - match: a\n    delivery: Worker\n  history: {}\n  handler: {natsSubject: b, events: [connect]}",
    );
    assert!(parse(&yaml).is_ok());
    let found: Vec<_> = check(&yaml)
        .unwrap_err()
        .iter()
        .map(ToString::to_string)
        .collect();
    assert_eq!(
        found,
        [
            "line 6: spec.replicas: not supported by a gateway on its own: the operator acts on it. Leave it out here",
            "line 9: spec.rooms[0].delivery: Worker needs spec.broker: the built-in broker has no workers",
            "line 11: spec.handler.natsSubject: natsSubject needs spec.broker: without NATS a handler is asked by url",
        ]
    );
}

#[test]
fn what_the_gateway_does_is_taken_by_check() {
    check(&manifest(
        r#"
  rollout: {drainSeconds: 5}
  expose: {path: /chat}
  transports: {webSocket: {compression: PerMessage}}
  history: {maxMessagesPerRoom: 5, maxAgeSeconds: 600, deduplicationSeconds: 60, storage: Memory}
  authentication: {anonymous: Allow, allowedOrigins: ["*", "https://a.example:8443"]}
  rooms: [{match: "*", subscribe: Everyone, publish: Nobody, presence: {mode: Count}, history: Disabled}]
  limits: {bytesPerSecond: 1Mi, subscribesPerSecond: 3, queueMemory: 1Gi, historyMemory: 1Gi}
  heartbeat: {intervalSeconds: 1, timeoutSeconds: 1}
  telemetry: {logLevel: debug}
  console: Enabled"#,
    ))
    .unwrap();
}

#[test]
fn every_default_may_be_written_out() {
    let mut json: Value = serde_json::to_value(parse(&manifest("")).unwrap()).unwrap();
    json["metadata"] = serde_json::json!({"name": "chat"});
    check(&json.to_string()).unwrap();
}

proptest! {
    #[test]
    fn no_text_makes_it_panic(text in "\\PC{0,200}") {
        let _ = check(&text);
    }

    #[test]
    fn no_yaml_like_text_makes_it_panic(text in "([a-z]{0,3}[-:?&*!|>'\"%@`{}\\[\\], #\n\t]{0,3}){0,40}") {
        let _ = check(&text);
    }

    #[test]
    fn no_broken_manifest_makes_it_panic(
        which in 0..BAD.len(),
        cut in any::<prop::sample::Index>(),
        insert in "[-:&*!|>'\"{}\\[\\],#\n 0-9a-z~]{0,6}",
        drop in 0usize..12,
    ) {
        let text: Vec<char> = manifest(BAD[which].0).chars().collect();
        let at = cut.index(text.len());
        let rest = text.iter().skip(at + drop);
        let mutated: String = text[..at].iter().copied().chain(insert.chars()).chain(rest.copied()).collect();
        if let Err(problems) = check(&mutated) {
            prop_assert!(!problems.is_empty());
        }
    }
}
