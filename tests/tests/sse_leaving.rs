//! A stream of events ends with its client, without a heartbeat that would tell.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::prelude::*;

/// Reads presence frames until one says that this connection does `what`.
async fn told(client: &mut Client, what: &str, id: &Value) {
    loop {
        let frame = client.next_of("presence").await;
        let members = frame[what].as_array().map(Vec::as_slice);
        let mut members = members.unwrap_or_default().iter();
        if members.any(|member| member["connection_id"] == *id) {
            return;
        }
    }
}

#[test]
fn a_client_that_closes_has_left_the_room() {
    scenario(60, async {
        let manifest = Manifest::unhurried()
            .room(json!({"match": "*", "presence": {"mode": "Full"}}))
            .spec(json!({
                "transports": {"serverSentEvents": {"mode": "Enabled"}},
                "heartbeat": {"intervalSeconds": 300},
            }));
        let gateway = Gateway::start(&manifest).await;
        let mut ann = gateway.client().await;
        ann.ack(json!({"type": "subscribe", "room": "lobby", "presence": true}))
            .await;
        let events = Events::open(gateway.public, "room=lobby", "").await;
        let mut events = events.unwrap();
        let id = events.next_of("connected").await["connection_id"].clone();
        told(&mut ann, "join", &id).await;
        drop(events);
        told(&mut ann, "leave", &id).await;
    });
}
