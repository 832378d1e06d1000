//! What the gateway really sends is what `docs/asyncapi.yaml` says it sends.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::BTreeSet;

use linnet_tests::contract::Contract;
use linnet_tests::prelude::*;

/// A client whose every frame, both ways, is held against the contract; it remembers which kinds it saw.
struct Watched<'a> {
    client: Client,
    contract: &'a Contract,
    seen: BTreeSet<String>,
}

impl<'a> Watched<'a> {
    async fn new(gateway: &Gateway, contract: &'a Contract, query: &str) -> Self {
        let client = gateway.client_with(query).await;
        contract.check_server("", &client.connected);
        let seen = BTreeSet::from(["connected".to_owned()]);
        Self {
            client,
            contract,
            seen,
        }
    }

    async fn ask(&mut self, request: Value) -> Value {
        self.contract.check_client(&request);
        self.ask_wrongly(request).await
    }

    /// A request that need not fit the contract; its answer must.
    async fn ask_wrongly(&mut self, request: Value) -> Value {
        let kind = request["type"].as_str().unwrap_or_default().to_owned();
        let (Ok(answer) | Err(answer)) = self.client.request(request).await;
        self.contract.check_server(&kind, &answer);
        let ack = answer["type"] == "ack";
        self.seen.insert(if ack {
            format!("ack {kind}")
        } else {
            "error".to_owned()
        });
        answer
    }

    /// Reads frames until one of type `kind` with a field called `field` came.
    async fn hear(&mut self, kind: &str, field: &str) -> Value {
        loop {
            let frame = self.client.next().await;
            self.contract.check_server("", &frame);
            self.seen.insert(frame["type"].as_str().unwrap().to_owned());
            if frame["type"] == kind && (field.is_empty() || frame.get(field).is_some()) {
                return frame;
            }
        }
    }
}

#[test]
fn frames_of_every_kind_fit_their_schema() {
    scenario(120, async {
        let contract = Contract::read();
        let manifest = Manifest::unhurried()
            .history(200)
            .room(json!({"match": "live.*", "history": "Disabled"}))
            .room(json!({"match": "full.*", "presence": {"mode": "Full"}}))
            .room(json!({"match": "count.*", "presence": {"mode": "Count"}}));
        let gateway = Gateway::start_with(&manifest, &["--drain", "3"]).await;
        let mut ann = Watched::new(&gateway, &contract, "name=Ann").await;
        let mut bob = Watched::new(&gateway, &contract, "").await;

        ann.ask(json!({"type": "connect", "info": {"name": "Ann"}}))
            .await;
        ann.ask_wrongly(json!({"type": "connect"})).await;
        let here = ann.ask(json!({"type": "subscribe", "room": "kept"})).await;
        ann.ask(json!({"type": "subscribe", "room": "live.a"}))
            .await;
        ann.ask(json!({"type": "subscribe", "room": "full.a", "presence": true}))
            .await;
        ann.ask(json!({"type": "subscribe", "room": "count.a", "presence": true}))
            .await;
        for room in ["kept", "live.a"] {
            let publish = json!({"type": "publish", "room": room, "event": "e", "data": {"a": [1]}, "message_id": "m"});
            ann.ask(publish.clone()).await;
            ann.ask(publish).await;
            ann.ask(json!({"type": "publish", "room": room, "data": "AAE=", "encoding": "base64"}))
                .await;
            ann.hear("message", "encoding").await;
            bob.ask(json!({"type": "publish", "room": room, "data": null}))
                .await;
            ann.hear("message", "").await;
        }
        // Every kind of resume: whole, in pages, lost, and where there is no history.
        for _ in 0..150 {
            bob.ask(json!({"type": "publish", "room": "book", "data": 1}))
                .await;
        }
        for (room, offset) in [
            ("kept", here["offset"].as_u64().unwrap()),
            ("book", 0),
            ("kept", 1 << 40),
            ("live.a", 1),
        ] {
            let since = json!({"epoch": here["epoch"], "offset": offset});
            bob.ask(json!({"type": "subscribe", "room": room, "since": since}))
                .await;
        }
        for page in [
            json!({}),
            json!({"limit": 1}),
            json!({"after": 1}),
            json!({"before": 3}),
        ] {
            let mut history = json!({"type": "history", "room": "kept"});
            history
                .as_object_mut()
                .unwrap()
                .extend(page.as_object().unwrap().clone());
            bob.ask(history).await;
        }
        for room in ["full.a", "count.a"] {
            bob.ask(json!({"type": "subscribe", "room": room})).await;
            if room == "full.a" {
                // Until Bob's join is told: a leave that comes sooner would cancel it.
                let bob = bob.client.id();
                while !ann.hear("presence", "join").await["join"]
                    .to_string()
                    .contains(&bob)
                {}
            } else {
                ann.hear("presence", "count").await;
            }
            bob.ask(json!({"type": "presence", "room": room})).await;
        }
        bob.ask(json!({"type": "unsubscribe", "room": "full.a"}))
            .await;
        ann.hear("presence", "leave").await;
        ann.ask(json!({"type": "send", "to": bob.client.id(), "event": "e", "data": [1]}))
            .await;
        bob.hear("direct", "").await;
        ann.client.send(json!({"type": "ping", "id": "p"})).await;
        ann.hear("pong", "id").await;
        ann.client.send(json!({"type": "ping"})).await;
        ann.hear("pong", "").await;

        // Errors of many kinds.
        for wrong in [
            json!({"type": "nothing"}),
            json!({"type": "subscribe", "room": ""}),
            json!({"type": "subscribe", "room": 1}),
            json!({"type": "publish", "room": "kept"}),
            json!({"type": "publish", "room": "kept", "data": "x".repeat(66_000)}),
            json!({"type": "history", "room": "live.a"}),
            json!({"type": "presence", "room": "kept"}),
            json!({"type": "request", "event": "e", "data": 1}),
            json!({"type": "refresh", "token": "t"}),
        ] {
            assert_eq!(ann.ask_wrongly(wrong).await["type"], "error");
        }
        ann.client.send_text("{").await;
        ann.hear("error", "").await;

        let shut = json!([{"match": "kept", "subscribe": "Nobody"}]);
        gateway
            .reconfigure(&manifest.clone().spec(json!({"rooms": shut})))
            .await;
        ann.hear("unsubscribed", "").await;
        gateway.signal("TERM");
        ann.hear("goaway", "").await;

        let mut seen = ann.seen;
        seen.extend(bob.seen);
        let expected = [
            "ack connect",
            "ack history",
            "ack presence",
            "ack publish",
            "ack send",
            "ack subscribe",
            "ack unsubscribe",
            "connected",
            "direct",
            "error",
            "gap", // the change makes `live.a` keep messages, so its offsets begin
            "goaway",
            "message",
            "pong",
            "presence",
            "unsubscribed",
        ];
        assert_eq!(
            seen.iter().map(String::as_str).collect::<Vec<_>>(),
            expected
        );
    });
}

#[test]
fn the_contracts_own_examples_fit_it() {
    let contract = Contract::read();
    let examples = contract.examples();
    assert!(examples.len() > 30);
    for (name, example) in examples {
        contract.check(&name, &example);
    }
}

#[test]
fn the_readable_protocol_lists_every_error_code_of_the_contract() {
    let text = std::fs::read_to_string(linnet_tests::gateway::workspace().join("docs/protocol.md"))
        .unwrap();
    for code in Contract::read().error_codes() {
        assert!(
            text.contains(&format!("| `{code}` |")),
            "docs/protocol.md lacks {code}"
        );
    }
}
