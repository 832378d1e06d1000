//! A stream of events ends with its client, without a heartbeat that would tell.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;

#[test]
fn a_client_that_closes_has_left_the_room() {
    scenario(60, async {
        let manifest = Manifest::unhurried().spec(json!({
            "transports": {"serverSentEvents": {"mode": "Enabled"}},
            "heartbeat": {"intervalSeconds": 300},
        }));
        let gateway = Gateway::start(&manifest).await;
        let mut ann = gateway.client().await;
        ann.ack(json!({"type": "subscribe", "room": "lobby", "presence": true}))
            .await;
        let mut events = Events::open(gateway.public, "room=lobby", "")
            .await
            .unwrap();
        let id = events.next_of("connected").await["connection_id"].clone();
        let came = ann.next_of("presence").await;
        assert_eq!(came["join"][0]["connection_id"], id);
        drop(events);
        let left = ann.next_of("presence").await;
        assert_eq!(left["leave"][0]["connection_id"], id);
        gateway.knows(1).await;
    });
}
