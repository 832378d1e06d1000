//! `Subscribe`: rooms as a stream, resumed by its cursor, whatever becomes of the gateway.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_proto::v1::message::Data;
use linnet_proto::v1::subscribe_response::Event;
use linnet_proto::v1::{SubscribeRequest, SubscribeResponse};
use linnet_tests::api::{Api, KEY, gateway};
use linnet_tests::grpc::{Grpc, codes, field};
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::prelude::*;
use tonic::{Code, Status, Streaming};
use tonic_types::StatusExt;

fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .history(1000)
        .spec(json!({"rollout": {"drainSeconds": 2}}))
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET}}))
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .room(json!({"match": "closed.*", "subscribe": "Nobody"}))
}

fn secrets(signers: &[&Signer]) -> Secrets {
    let secrets = Secrets::of(signers);
    secrets.put("api.test", KEY);
    secrets
}

fn asked(rooms: &[&str], cursor: &str) -> SubscribeRequest {
    SubscribeRequest {
        rooms: rooms.iter().map(|room| (*room).to_owned()).collect(),
        cursor: cursor.to_owned(),
        presence: false,
    }
}

/// A subscription, and where it is.
struct Following {
    stream: Streaming<SubscribeResponse>,
    cursor: String,
}

impl Following {
    async fn of(grpc: &Grpc, rooms: &[&str], cursor: &str) -> Self {
        let mut client = grpc.client();
        let stream = client.subscribe(grpc.call(asked(rooms, cursor)));
        Self {
            stream: stream.await.unwrap().into_inner(),
            cursor: cursor.to_owned(),
        }
    }

    /// The next event, or how the stream ended.
    async fn event(&mut self) -> Result<Event, Status> {
        loop {
            let told = self.stream.message().await?.unwrap();
            if !told.cursor.is_empty() {
                self.cursor = told.cursor;
            }
            if let Some(event) = told.event {
                return Ok(event);
            }
        }
    }

    /// The next message's room and data.
    async fn message(&mut self) -> (String, Value) {
        loop {
            match self.event().await.unwrap() {
                Event::Message(message) => {
                    let Some(Data::Json(text)) = message.data else {
                        panic!("{message:?}");
                    };
                    return (message.room, serde_json::from_str(&text).unwrap());
                }
                Event::Connected(_) => {}
                other => panic!("{other:?}"),
            }
        }
    }

    /// Waits until it is in a room with history.
    async fn is_there(&mut self) {
        while self.cursor.is_empty() {
            let told = self.stream.message().await.unwrap().unwrap();
            self.cursor = told.cursor;
        }
    }

    /// How it ends.
    async fn end(&mut self) -> Status {
        loop {
            if let Err(status) = self.event().await {
                return status;
            }
        }
    }
}

#[test]
fn messages_come_in_order_and_a_cursor_goes_on_where_a_stream_was() {
    scenario(60, async {
        let secrets = secrets(&[]);
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let (api, grpc) = (Api::of(&gateway), Grpc::of(&gateway));
        let mut following = Following::of(&grpc, &["lobby", "closed.a"], "").await;
        following.is_there().await;
        let publish = async |room: &str, n: u32| {
            api.done("/publish", &json!({"room": room, "data": n}))
                .await;
        };
        publish("lobby", 1).await;
        assert_eq!(following.message().await, ("lobby".into(), json!(1)));
        // A key is not bound by the rules of rooms.
        until("the other room", || async {
            let page = api.told("/rooms?prefix=closed").await;
            let rooms = page["rooms"].as_array().unwrap();
            rooms
                .iter()
                .any(|room| room["subscribers"] == 1)
                .then_some(())
        })
        .await;
        publish("closed.a", 2).await;
        assert_eq!(following.message().await, ("closed.a".into(), json!(2)));
        let cursor = following.cursor.clone();
        drop(following);
        for n in 3..303 {
            publish("lobby", n).await;
        }
        let mut following = Following::of(&grpc, &["lobby", "closed.a"], &cursor).await;
        for n in 3..303 {
            assert_eq!(following.message().await, ("lobby".into(), json!(n)));
        }
        publish("lobby", 303).await;
        assert_eq!(following.message().await, ("lobby".into(), json!(303)));
    });
}

#[test]
fn after_a_gateway_was_killed_the_stream_goes_on_at_another_without_a_miss() {
    scenario(180, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets(&[]);
        let manifest = manifest().nats(&[server.url()]);
        let mut one = gateway(&manifest, &secrets, "g0").await;
        let two = gateway(&manifest, &secrets, "g1").await;
        let api = Api::of(&two);
        let mut following = Following::of(&Grpc::of(&one), &["lobby"], "").await;
        following.is_there().await;
        let publisher = {
            let api = api.clone();
            tokio::spawn(async move {
                for n in 0..400 {
                    api.done("/publish", &json!({"room": "lobby", "data": n}))
                        .await;
                }
            })
        };
        let mut expected = 0;
        while expected < 50 {
            assert_eq!(following.message().await.1, expected);
            expected += 1;
        }
        one.kill().await;
        // What is in the air still may come, and then the end.
        let status = loop {
            match following.event().await {
                Ok(Event::Message(message)) => {
                    assert_eq!(message.data, Some(Data::Json(expected.to_string())));
                    expected += 1;
                }
                Ok(other) => panic!("{other:?}"),
                Err(status) => break status,
            }
        };
        assert!(
            matches!(
                status.code(),
                Code::Unavailable | Code::Unknown | Code::Internal
            ),
            "{status:?}"
        );
        let mut following = Following::of(&Grpc::of(&two), &["lobby"], &following.cursor).await;
        while expected < 400 {
            assert_eq!(following.message().await.1, expected);
            expected += 1;
        }
        publisher.await.unwrap();
    });
}

#[test]
fn a_gateway_that_drains_ends_streams_with_unavailable_and_a_cursor() {
    scenario(120, async {
        let secrets = secrets(&[]);
        let mut gateway = gateway(&manifest(), &secrets, "g0").await;
        let mut following = Following::of(&Grpc::of(&gateway), &["lobby"], "").await;
        following.is_there().await;
        let told = Api::of(&gateway)
            .done("/publish", &json!({"room": "lobby", "data": 1}))
            .await;
        following.message().await;
        gateway.signal("TERM");
        let status = following.end().await;
        assert_eq!(codes(&status), (Code::Unavailable, "draining".into()));
        let info = status.get_details_error_info().unwrap();
        assert_eq!(info.metadata["cursor"], following.cursor);
        assert!(told["offset"].is_u64());
        assert!(gateway.exit(30).await.success());
    });
}

#[test]
fn what_may_not_be_had_is_refused_or_told() {
    scenario(120, async {
        let signer = Signer::new("a");
        let secrets = secrets(&[&signer]);
        let reader = "reader-0123456789abcdef0123456789";
        secrets.put("api.reader", &format!("{reader}\nscopes: history"));
        secrets.put("api.gone", "gone-0123456789abcdef0123456789abcd");
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let grpc = Grpc::of(&gateway);
        let refused = async |grpc: &Grpc, request: SubscribeRequest| {
            grpc.client()
                .subscribe(grpc.call(request))
                .await
                .unwrap_err()
        };
        let many: Vec<_> = (0..600).map(|n| format!("r{n}")).collect();
        let many: Vec<_> = many.iter().map(String::as_str).collect();
        for (request, code, place) in [
            (asked(&[], ""), "bad_request", "rooms"),
            (asked(&["a", ""], ""), "bad_room", "rooms"),
            (asked(&many, ""), "too_many_rooms", "rooms"),
            (asked(&["a"], "mine"), "bad_cursor", "cursor"),
        ] {
            let status = refused(&grpc, request).await;
            assert_eq!(codes(&status), (Code::InvalidArgument, code.into()));
            assert_eq!(field(&status), place);
        }
        let status = refused(&Grpc::with(&gateway, reader), asked(&["a"], "")).await;
        assert_eq!(codes(&status), (Code::PermissionDenied, "forbidden".into()));
        // Of a user the rules hold.
        let token = signer.token("ann", &json!({"scope": "linnet:subscribe"}));
        let ann = Grpc::with(&gateway, &token);
        let mut following = Following::of(&ann, &["closed.a", "lobby"], "").await;
        let mut told = Vec::new();
        while told.len() < 2 {
            told.push(following.event().await.unwrap());
        }
        let connected = told.iter().any(|event| match event {
            Event::Connected(connected) => connected.user_id.as_deref() == Some("ann"),
            _ => false,
        });
        let ended = told.iter().any(|event| match event {
            Event::Unsubscribed(ended) => ended.error.as_ref().unwrap().code == "forbidden",
            _ => false,
        });
        assert!(connected && ended, "{told:?}");
        let mut following = Following::of(&ann, &["closed.a"], "").await;
        let status = following.end().await;
        assert_eq!(codes(&status), (Code::PermissionDenied, "forbidden".into()));
        // A deadline, and a key that is taken away.
        let late = grpc.call_with(asked(&["lobby"], ""), &[("grpc-timeout", "400m")]);
        let mut stream = grpc.client().subscribe(late).await.unwrap().into_inner();
        let status = loop {
            if let Err(status) = stream.message().await {
                break status;
            }
        };
        assert_eq!(
            codes(&status),
            (Code::DeadlineExceeded, "deadline_exceeded".into())
        );
        let gone = Grpc::with(&gateway, "gone-0123456789abcdef0123456789abcd");
        let mut following = Following::of(&gone, &["lobby"], "").await;
        following.is_there().await;
        secrets.put("api.gone", "other-0123456789abcdef0123456789abc");
        let status = following.end().await;
        assert_eq!(
            codes(&status),
            (Code::Unauthenticated, "unauthenticated".into())
        );
    });
}

#[test]
fn a_reader_that_is_too_slow_is_told_so_and_can_go_on() {
    scenario(120, async {
        let secrets = secrets(&[]);
        let manifest = manifest().limits(json!({"sendQueueSize": "64Ki"}));
        let gateway = gateway(&manifest, &secrets, "g0").await;
        let (api, grpc) = (Api::of(&gateway), Grpc::of(&gateway));
        let mut following = Following::of(&grpc, &["lobby"], "").await;
        following.is_there().await;
        let text = "x".repeat(60_000);
        let mut sent = 0;
        until("the end of the connection", || {
            sent += 1;
            let (api, body) = (&api, json!({"room": "lobby", "data": [sent, text]}));
            let gateway = &gateway;
            async move {
                api.done("/publish", &body).await;
                let closed = gateway.metric("linnet_slow_consumers_total").await;
                (closed >= 1.0).then_some(())
            }
        })
        .await;
        let mut got = 0;
        let status = loop {
            match following.event().await {
                Ok(Event::Message(_)) => got += 1,
                Ok(_) => {}
                Err(status) => break status,
            }
        };
        assert_eq!(codes(&status), (Code::Unavailable, "slow_consumer".into()));
        assert!(got < sent);
        let mut following = Following::of(&grpc, &["lobby"], &following.cursor).await;
        while got < sent {
            got += 1;
            assert_eq!(following.message().await.1[0], got);
        }
    });
}
