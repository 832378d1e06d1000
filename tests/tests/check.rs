//! `linnet-gateway check`: all that is wrong with a manifest, where, and what to write instead.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::path::Path;
use std::process::Command;

use linnet_tests::gateway::{binary, workspace};
use linnet_tests::prelude::*;

/// Runs `check` on a file; gives its exit code and all that it printed.
fn check_file(file: &Path) -> (i32, String) {
    let output = Command::new(binary())
        .arg("check")
        .arg(file)
        .output()
        .unwrap();
    let text = [output.stdout, output.stderr].concat();
    (
        output.status.code().unwrap(),
        String::from_utf8(text).unwrap(),
    )
}

fn check(text: &str) -> (i32, String) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("channel.yaml");
    std::fs::write(&file, text).unwrap();
    check_file(&file)
}

/// The output line that has `part`.
fn line_with<'a>(output: &'a str, part: &str) -> &'a str {
    let found = output.lines().find(|line| line.contains(part));
    found.unwrap_or_else(|| panic!("nothing about {part} in:\n{output}"))
}

const WRONG: &str = r#"apiVersion: realtime.linnet.dev/v1alpha1
kind: RealtimeChannel
metadata:
  name: wrong
spec:
  authentication:
    anonymous: Allow
  limits:
    messageSize: "64Kx"
    mesagesPerSecond: 20
    messageBurst: 0
    sendQueueSize: 1Ki
  rooms:
    - match: "a.*"
      presence: {mode: Sometimes}
    - match: ""
  heartbeat:
    intervalSeconds: ten
  handler:
    natsSubject: backend
    events: [request]
"#;

#[test]
fn all_problems_are_printed_with_their_path_and_line() {
    let (code, output) = check(WRONG);
    assert_eq!(code, 1, "{output}");
    for (path, field) in [
        ("spec.limits.messageSize", "messageSize"),
        ("spec.limits.mesagesPerSecond", "mesagesPerSecond"),
        ("spec.limits.messageBurst", "messageBurst"),
        ("spec.limits.sendQueueSize", "sendQueueSize"),
        ("spec.rooms[0].presence.mode", "Sometimes"),
        ("spec.rooms[1].match", "match: \"\""),
        ("spec.heartbeat.intervalSeconds", "intervalSeconds"),
        ("spec.handler.natsSubject", "natsSubject:"),
    ] {
        let told = line_with(&output, path);
        let number = 1 + WRONG.lines().position(|line| line.contains(field)).unwrap();
        assert!(
            told.contains(&number.to_string()),
            "line {number} expected: {told}"
        );
    }
}

#[test]
fn a_problem_names_the_value_and_what_is_allowed() {
    let (_, output) = check(WRONG);
    let size = line_with(&output, "spec.limits.messageSize");
    assert!(size.contains("64Kx") && size.contains("64Ki"), "{size}");
    let typo = line_with(&output, "mesagesPerSecond");
    assert!(
        typo.contains("messagesPerSecond"),
        "the nearest known name: {typo}"
    );
    let mode = line_with(&output, "presence.mode");
    assert!(
        ["Sometimes", "Off", "Full", "Count"]
            .iter()
            .all(|word| mode.contains(word)),
        "{mode}"
    );
}

#[test]
fn what_this_version_does_not_serve_is_refused_and_not_ignored() {
    let fields = [
        json!({"replicas": 2}),
        json!({"autoscaling": {"minReplicas": 1, "maxReplicas": 3, "targetConnections": 100}}),
        json!({"gateway": {"image": "x"}}),
        json!({"expose": {"hosts": ["chat.example.com"]}}),
    ];
    for field in fields {
        let (code, output) = check(&Manifest::open().spec(field.clone()).yaml());
        assert_eq!(code, 1, "{field} was accepted");
        let refused = output.contains("not yet supported") || output.contains("on its own");
        assert!(refused, "{field}: {output}");
    }
}

#[test]
fn a_room_with_a_worker_needs_history_and_a_broker() {
    let worker = json!({"rooms": [{"match": "a", "delivery": "Worker"}]});
    let alone = Manifest::open().spec(worker);
    let (code, output) = check(&alone.clone().yaml());
    assert_eq!(code, 1);
    assert!(output.contains("history"), "{output}");
    let (code, output) = check(&alone.spec(json!({"history": {}})).yaml());
    assert_eq!(code, 1);
    let line = line_with(&output, "spec.rooms[0].delivery");
    assert!(line.contains("spec.broker"), "{line}");
}

#[test]
fn a_channel_that_nobody_could_connect_to_is_refused() {
    let deny = Manifest::open().spec(json!({"authentication": {"anonymous": "Deny"}}));
    let (code, output) = check(&deny.yaml());
    assert_eq!(code, 1);
    assert!(output.contains("spec.authentication"), "{output}");
}

#[test]
fn what_is_no_manifest_at_all_is_said_so() {
    for (text, part) in [
        ("", ""),
        ("just words", ""),
        ("a: [1, 2", "line"),
        ("\tkey: value", "line"),
        (
            "apiVersion: v1\nkind: Pod\nmetadata: {name: x}\nspec: {}\n",
            "RealtimeChannel",
        ),
        (
            "apiVersion: realtime.linnet.dev/v1alpha1\nkind: RealtimeChannel\nmetadata: {name: UPPER}\nspec: {authentication: {anonymous: Allow}}\n",
            "metadata.name",
        ),
    ] {
        let (code, output) = check(text);
        assert_eq!(code, 1, "{text:?}: {output}");
        assert!(
            !output.trim().is_empty() && output.contains(part),
            "{text:?}: {output}"
        );
    }
    let (code, output) = check_file(Path::new("/nowhere/channel.yaml"));
    assert_ne!(code, 0);
    assert!(output.contains("/nowhere/channel.yaml"), "{output}");
}

#[test]
fn the_smallest_manifest_and_all_examples_pass_save_for_what_the_operator_acts_on() {
    let (code, output) = check(&Manifest::open().yaml());
    assert_eq!(code, 0, "{output}");
    let mut count = 0;
    for entry in std::fs::read_dir(workspace().join("examples")).unwrap() {
        let file = entry.unwrap().path();
        if file
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            let (code, output) = check_file(&file);
            // tests/cluster applies the examples that are for the operator.
            let for_operator = |line: &str| line.contains("the operator acts on it");
            let fine = code == 0 || output.lines().all(for_operator);
            assert!(fine, "{}: {output}", file.display());
            count += usize::from(code == 0);
        }
    }
    assert!(count >= 2);
}

#[test]
fn a_gateway_is_not_started_with_a_bad_manifest_and_says_all_that_is_wrong_with_it() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("channel.yaml");
    std::fs::write(&file, WRONG).unwrap();
    let anywhere = "127.0.0.1:0";
    let output = Command::new(binary())
        .arg(&file)
        .args(["--listen", anywhere, "--internal", anywhere])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    assert!(output.stdout.is_empty(), "it never listened");
    let told = String::from_utf8(output.stderr).unwrap();
    for part in ["messageSize", "mesagesPerSecond", "handler"] {
        line_with(&told, part);
    }
}
