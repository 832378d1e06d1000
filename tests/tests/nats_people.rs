//! Two gateways over NATS: direct messages and presence, and what clients say that NATS could take for its own.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use futures_util::StreamExt;
use linnet_tests::prelude::*;

async fn fleet() -> (NatsServer, Fleet) {
    let server = NatsServer::jetstream().await;
    let manifest = Manifest::unhurried()
        .history(100)
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .room(json!({"match": "full.*", "presence": {"mode": "Full"}}))
        .room(json!({"match": "count.*", "presence": {"mode": "Count"}}))
        .nats(&[server.url()]);
    let fleet = Fleet::start(&manifest, 2).await;
    (server, fleet)
}

/// Asks who is in `room` until exactly `expected` are.
async fn sees(client: &mut Client, room: &str, mut expected: Vec<String>) {
    expected.sort();
    let seen = async {
        loop {
            let page = client.ack(json!({"type": "presence", "room": room})).await;
            let members = page["members"].as_array().unwrap().iter();
            let ids: Vec<_> = members
                .map(|member| member["connection_id"].as_str().unwrap().to_owned())
                .collect();
            if ids == expected {
                return;
            }
        }
    };
    within(("these members:", room), 60, seen).await;
}

#[test]
fn a_direct_message_reaches_a_connection_of_the_other_gateway() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client_with("name=Ann").await;
        let mut there = fleet[1].client().await;
        let to = there.id();
        let request = json!({"type": "send", "to": to, "event": "nudge", "data": {"n": 1}});
        let ack = here.ack(request).await;
        assert_eq!(ack["connections"], 1, "{ack}");
        let frame = there.next_of("direct").await;
        assert_eq!(frame["from"], here.id(), "{frame}");
        assert_eq!(
            (&frame["event"], &frame["data"]),
            (&json!("nudge"), &json!({"n": 1}))
        );
        // Once: what comes next is the next.
        here.ack(json!({"type": "send", "to": to, "data": 2})).await;
        assert_eq!(there.next_of("direct").await["data"], 2);
    });
}

#[test]
fn a_direct_message_to_a_connection_that_closed_reaches_nobody() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client().await;
        let there = fleet[1].client().await;
        let to = there.id();
        there.close().await;
        let here = &mut here;
        let offline = async {
            let request = json!({"type": "send", "to": to, "data": 1});
            while here.ack(request.clone()).await["connections"] != 0 {}
        };
        within("nobody to be reached", 60, offline).await;
    });
}

#[test]
fn members_of_both_gateways_are_seen_on_both() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut here = fleet[0].client_with("name=Ann").await;
        let mut there = fleet[1].client_with("name=Bob").await;
        for client in [&mut here, &mut there] {
            let request = json!({"type": "subscribe", "room": "full.a", "presence": true});
            client.ack(request).await;
        }
        let (ann, bob) = (here.id(), there.id());
        sees(&mut here, "full.a", vec![ann.clone(), bob.clone()]).await;
        sees(&mut there, "full.a", vec![ann.clone(), bob.clone()]).await;
        there
            .ack(json!({"type": "unsubscribe", "room": "full.a"}))
            .await;
        sees(&mut here, "full.a", vec![ann]).await;
        loop {
            let frame = here.skip_to("presence").await;
            let leave = frame["leave"].as_array().cloned().unwrap_or_default();
            if leave.iter().any(|member| member["connection_id"] == bob) {
                return;
            }
        }
    });
}

#[test]
fn who_is_in_a_room_is_seen_on_a_gateway_that_nobody_is_in_it_on() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut asker = fleet[0].client().await;
        let mut members = Vec::new();
        for room in ["full.a", "count.a"] {
            for _ in 0..3 {
                let mut member = fleet[1].client().await;
                member.subscribe(room).await;
                members.push(member);
            }
        }
        let ids: Vec<String> = members[..3].iter().map(Client::id).collect();
        sees(&mut asker, "full.a", ids.clone()).await;
        let mut sorted = ids.clone();
        sorted.sort();
        let ask = json!({"type": "presence", "room": "full.a", "after": sorted[0]});
        let page = asker.ack(ask).await;
        let rest = page["members"].as_array().unwrap().iter();
        let rest: Vec<_> = rest.map(|one| one["connection_id"].clone()).collect();
        assert_eq!(json!(rest), json!(sorted[1..]), "{page}");
        let counted = async {
            let request = json!({"type": "presence", "room": "count.a"});
            while asker.ack(request.clone()).await["count"] != 3 {}
        };
        within("3 members", 60, counted).await;
        members.remove(0).close().await;
        sees(&mut asker, "full.a", ids[1..].to_vec()).await;
    });
}

#[test]
fn a_gateway_that_starts_later_knows_who_is_there() {
    scenario(120, async {
        let (_server, mut fleet) = fleet().await;
        let mut here = fleet[0].client_with("name=Ann").await;
        here.subscribe("full.a").await;
        fleet.restart(1).await;
        let mut there = fleet[1].client().await;
        there.subscribe("full.a").await;
        let both = vec![here.id(), there.id()];
        sees(&mut there, "full.a", both.clone()).await;
        let page = json!({"type": "presence", "room": "full.a"});
        let page = there.ack(page).await;
        let members = page["members"].as_array().unwrap();
        let ann = members
            .iter()
            .find(|member| member["connection_id"] == both[0])
            .unwrap();
        assert_eq!(ann["info"], json!({"name": "Ann"}));
    });
}

#[test]
fn a_counted_room_counts_both_gateways() {
    scenario(120, async {
        let (_server, fleet) = fleet().await;
        let mut clients = Vec::new();
        for n in 0..6 {
            let mut client = fleet[n % 2].client().await;
            client.subscribe("count.a").await;
            clients.push(client);
        }
        for client in &mut clients {
            let counted = async {
                let request = json!({"type": "presence", "room": "count.a"});
                while client.ack(request.clone()).await["count"] != 6 {}
            };
            within("6 members", 60, counted).await;
        }
    });
}

#[test]
fn what_a_client_says_does_not_become_a_header_of_nats() {
    scenario(120, async {
        let (server, fleet) = fleet().await;
        let observer = server.client().await;
        let mut wire = observer.subscribe("linnet.>").await.unwrap();
        observer.flush().await.unwrap();
        let mut there = fleet[1].client().await;
        there.subscribe("kept").await;
        there.subscribe("live.a").await;
        let mut here = fleet[0].client().await;
        let evil = "x\r\nNats-Msg-Id: evil\r\nNats-Rollup: all\r\n\r\n";
        here.ack(json!({"type": "connect", "info": {"name": evil}}))
            .await;
        for (n, room) in ["kept", "live.a", "kept", "live.a"].iter().enumerate() {
            let request = json!({
                "type": "publish", "room": room, "event": evil, "data": {"Nats-Msg-Id": evil, "n": n},
                "message_id": format!("Nats-{n}"), "Nats-Msg-Id": "evil", "headers": {"Nats-Rollup": "all"},
                "traceparent": "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01",
            });
            here.ack(request).await;
            if *room == "live.a" {
                continue; // it may come before the other gateway listens for it
            }
            loop {
                let frame = there.next_of("message").await;
                assert_eq!(frame["event"], evil, "{frame}");
                if frame["data"]["n"] == n {
                    break;
                }
            }
        }
        // What a gateway itself says to the stream: the id that it dedupes by, and what it expects.
        let own = ["Nats-Msg-Id", "Nats-Expected-Stream"];
        let mut seen = 0;
        while seen < 4 {
            let message = within("what was published", 60, wire.next()).await.unwrap();
            let headers = message.headers.unwrap_or_default();
            for (name, values) in headers.iter() {
                let name: &str = name.as_ref();
                let nats = name.to_ascii_lowercase().starts_with("nats-");
                assert!(
                    !nats || own.contains(&name),
                    "{name} on {}",
                    message.subject
                );
                for value in values {
                    assert!(
                        !value.as_str().contains("evil") || !nats,
                        "{name}: {value:?}"
                    );
                }
            }
            if message.subject.contains(".history.") || message.subject.contains(".live.") {
                seen += 1;
            }
        }
    });
}
