//! What services do to users and see of them and of rooms, on one gateway and over NATS on two.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_tests::api::{Api, KEY, gateway, problem};
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::prelude::*;

fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .history(100)
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET, "trustedProxies": ["127.0.0.0/8"]}}))
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .room(json!({"match": "people.*", "presence": {"mode": "Full"}}))
        .room(json!({"match": "club.*", "subscribe": "Claim"}))
}

/// A Secret with the signer's key and the API key.
fn secrets(signer: &Signer) -> Secrets {
    let secrets = Secrets::of(&[signer]);
    secrets.put("api.test", KEY);
    secrets
}

/// Two gateways that know each other.
async fn two(server: &NatsServer, secrets: &Secrets) -> [Gateway; 2] {
    let manifest = manifest().nats(&[server.url()]);
    let both = [
        gateway(&manifest, secrets, "g0").await,
        gateway(&manifest, secrets, "g1").await,
    ];
    for gateway in &both {
        gateway.knows(2).await;
    }
    both
}

#[test]
fn a_message_to_a_user_reaches_all_connections_on_both_gateways() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let signer = Signer::new("a");
        let secrets = secrets(&signer);
        let [one, two] = two(&server, &secrets).await;
        let token = signer.token("ann", &json!({}));
        let mut ann = Vec::new();
        for gateway in [&one, &two, &two] {
            ann.push(Client::with_token(gateway.public, &token).await.unwrap());
        }
        let nobody = two.client().await;
        let api = Api::of(&one);
        let message = json!({"to": "ann", "event": "nudge", "data": {"n": 1}});
        until("three connections", || async {
            (api.done("/send", &message).await["connections"] == 3).then_some(())
        })
        .await;
        for client in &mut ann {
            let frame = client.skip_to("direct").await;
            assert_eq!(
                (&frame["event"], &frame["data"]["n"]),
                (&json!("nudge"), &json!(1))
            );
            assert!(frame.get("from").is_none(), "{frame}");
        }
        let to = json!({"to": nobody.id(), "data": 1});
        assert_eq!(api.done("/send", &to).await["connections"], 1);
        let known = until("all connections of ann", || async {
            let known = api.told("/users/connections?user=ann").await;
            (known["connections"].as_array().unwrap().len() == 3).then_some(known)
        })
        .await;
        for (client, here) in ann.iter().zip([true, false, false]) {
            let entry = json!({"connection_id": client.id(), "here": here});
            assert!(
                known["connections"].as_array().unwrap().contains(&entry),
                "{known}"
            );
        }
        let path = format!("/users/connections?user={}", nobody.id());
        assert_eq!(
            Api::of(&two).told(&path).await["connections"][0]["here"],
            true
        );
    });
}

#[test]
fn connections_are_closed_on_whichever_gateway_they_are_with_the_code_that_was_asked_for() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let signer = Signer::new("a");
        let secrets = secrets(&signer);
        let [one, two] = two(&server, &secrets).await;
        let (ann, bob) = (
            signer.token("ann", &json!({})),
            signer.token("bob", &json!({})),
        );
        let mut here = Client::with_token(one.public, &ann).await.unwrap();
        let mut there = Client::with_token(two.public, &ann).await.unwrap();
        let mut bob = Client::with_token(two.public, &bob).await.unwrap();
        let mut nobody = two.client().await;
        for client in [&mut here, &mut there, &mut bob] {
            client.settle().await; // by then its gateway knows its user
        }
        let api = Api::of(&one);
        let body = json!({"user": "ann", "code": 4321, "reason": "see you"});
        assert_eq!(api.done("/disconnect", &body).await["connections"], 2);
        for client in [&mut here, &mut there] {
            assert_eq!(client.closed().await, (4321, "see you".into()));
        }
        for client in [&mut bob, &mut nobody] {
            let body = json!({"connection": client.id()});
            assert_eq!(api.done("/disconnect", &body).await["connections"], 1);
            assert_eq!(client.closed().await, (4007, "disconnected".into()));
        }
        let again = Client::with_token(two.public, &ann).await;
        assert!(again.is_ok(), "nothing keeps a user out");
    });
}

#[test]
fn history_and_presence_are_those_of_all_gateways() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let signer = Signer::new("a");
        let secrets = secrets(&signer);
        let [one, two] = two(&server, &secrets).await;
        let (here, there) = (Api::of(&one), Api::of(&two));
        for n in 0..5 {
            here.done(
                "/publish",
                &json!({"room": "people.a", "event": "e", "data": n}),
            )
            .await;
        }
        let page = until("all messages on the other gateway", || async {
            let page = there.told("/history?room=people.a&limit=3").await;
            (page["messages"][2]["data"] == 4).then_some(page)
        })
        .await;
        assert_eq!(page["more"], true);
        let first = page["messages"][0]["offset"].as_u64().unwrap();
        let before = there
            .told(&format!("/history?room=people.a&before={first}"))
            .await;
        assert_eq!(before["messages"][1]["data"], 1);
        assert_eq!(
            (&before["more"], &before["epoch"]),
            (&json!(false), &page["epoch"])
        );
        let token = signer.token("ann", &json!({}));
        let mut ann = Client::with_token(two.public, &token).await.unwrap();
        ann.subscribe("people.a").await;
        until("ann in the room", || async {
            let page = here.told("/presence?room=people.a").await;
            let entry = json!({"connection_id": ann.id(), "user_id": "ann"});
            (page["members"] == json!([entry])).then_some(())
        })
        .await;
        let rooms = there.told("/rooms?prefix=people.").await;
        assert_eq!(
            (&rooms["gateway"], &rooms["rooms"][0]["subscribers"]),
            (&json!("g1"), &json!(1))
        );
        assert_eq!(there.told("/stats").await["connections"], 1);
    });
}

#[test]
fn a_token_reads_where_its_rules_let_it() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = secrets(&signer);
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let scope = "linnet:history linnet:presence";
        let token = signer.token("ann", &json!({"scope": scope, "rooms": ["club.a"]}));
        let ann = Api::with(&gateway, &token);
        assert_eq!(ann.get("/history?room=club.a").await.status, 200);
        for path in [
            "/history?room=club.b",
            "/presence?room=club.b",
            "/rooms",
            "/stats",
        ] {
            assert_eq!(
                problem(&ann.get(path).await),
                (403, "forbidden".into()),
                "{path}"
            );
        }
    });
}
