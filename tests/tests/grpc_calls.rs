//! The calls of `linnet.v1.Channel` with one answer: what they do, and what they refuse.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use linnet_proto::v1::message::Data;
use linnet_proto::v1::presence_response::Members;
use linnet_proto::v1::publish_request::Data as Sent;
use linnet_proto::v1::{HistoryRequest, PresenceRequest, PublishRequest, history_request};
use linnet_tests::api::{Api, KEY, gateway};
use linnet_tests::grpc::{Grpc, codes, field, message, named, origin};
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;
use tonic::{Code, Request, Status};

fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .history(100)
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET}}))
        .limits(json!({"messageSize": "1Ki"}))
        .room(json!({"match": "live.*", "history": "Disabled"}))
        .room(json!({"match": "closed.*", "publish": "Nobody"}))
        .room(json!({"match": "people", "presence": {"mode": "Full"}}))
        .room(json!({"match": "crowd", "presence": {"mode": "Count"}}))
        .room(json!({"match": "numbers", "schema": {"type": "object", "properties": {"n": {"type": "number"}}}}))
}

fn secrets(signers: &[&Signer]) -> Secrets {
    let secrets = Secrets::of(signers);
    secrets.put("api.test", KEY);
    secrets
}

async fn scene() -> (Secrets, Gateway, Grpc) {
    let secrets = secrets(&[]);
    let gateway = gateway(&manifest(), &secrets, "g0").await;
    let grpc = Grpc::of(&gateway);
    (secrets, gateway, grpc)
}

fn newest(room: &str) -> HistoryRequest {
    HistoryRequest {
        room: room.to_owned(),
        ..HistoryRequest::default()
    }
}

async fn refused(grpc: &Grpc, request: PublishRequest) -> Status {
    let published = grpc.client().publish(grpc.call(request)).await;
    published.expect_err("it is refused")
}

#[test]
fn what_a_service_publishes_reaches_clients_and_is_kept_as_it_was_written() {
    scenario(60, async {
        let (_secrets, gateway, grpc) = scene().await;
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        let text = r#"{"n": 9007199254740993, "x":1.0}"#;
        let request = PublishRequest {
            event: Some("price".into()),
            ..named("lobby", text, "m")
        };
        let first = grpc.client().publish(grpc.call(request.clone())).await;
        let first = first.unwrap().into_inner();
        let frame = client.next_text().await;
        assert!(frame.contains(&format!(r#""data":{text}"#)), "{frame}");
        let frame: Value = serde_json::from_str(&frame).unwrap();
        let position = first.position.clone().unwrap();
        assert_eq!(frame["offset"], position.offset);
        assert_eq!((&frame["event"], first.duplicate), (&json!("price"), false));
        let again = grpc.client().publish(grpc.call(request)).await;
        let again = again.unwrap().into_inner();
        assert_eq!(
            (again.position.as_ref(), again.duplicate),
            (Some(&position), true)
        );
        // The same caller over HTTP sends the same message.
        let http = json!({"room": "lobby", "data": 1, "message_id": "m"});
        assert_eq!(
            Api::of(&gateway).done("/publish", &http).await["duplicate"],
            true
        );
        let bytes = PublishRequest {
            data: Some(Sent::Binary(vec![0, 1, 2])),
            ..message("lobby", "")
        };
        grpc.client().publish(grpc.call(bytes)).await.unwrap();
        let frame = client.next_of("message").await;
        assert_eq!(
            (&frame["data"], &frame["encoding"]),
            (&json!("AAEC"), &json!("base64"))
        );
        let page = grpc.client().history(grpc.call(newest("lobby"))).await;
        let page = page.unwrap().into_inner();
        assert_eq!((page.epoch, page.more), (position.epoch, false));
        let [kept, bytes] = &page.messages[..] else {
            panic!("{:?}", page.messages);
        };
        assert_eq!(kept.data, Some(Data::Json(text.into())));
        assert_eq!(
            (kept.offset, kept.from.as_ref()),
            (Some(position.offset), None)
        );
        assert_eq!(
            (&*kept.room, kept.event.as_deref()),
            ("lobby", Some("price"))
        );
        assert_eq!(Some(kept.timestamp), first.timestamp);
        assert_eq!(bytes.data, Some(Data::Binary(vec![0, 1, 2])));
        let after = HistoryRequest {
            range: Some(history_request::Range::After(position.offset)),
            limit: Some(1),
            ..newest("lobby")
        };
        let page = grpc.client().history(grpc.call(after)).await.unwrap();
        assert_eq!(page.into_inner().messages, std::slice::from_ref(bytes));
        let live = grpc
            .client()
            .publish(grpc.call(named("live.a", "1", "m")))
            .await;
        let live = live.unwrap().into_inner();
        assert!(live.position.is_none() && live.not_deduplicated, "{live:?}");
    });
}

#[test]
fn who_is_in_a_room_is_told_or_how_many() {
    scenario(60, async {
        let (_secrets, gateway, grpc) = scene().await;
        let mut client = gateway.client().await;
        client.subscribe("people").await;
        client.subscribe("crowd").await;
        let ask = |room: &str, after: Option<String>| {
            let room = room.to_owned();
            grpc.call(PresenceRequest { room, after })
        };
        let member = until("the client's being known", || async {
            let told = grpc.client().presence(ask("people", None)).await.unwrap();
            match told.into_inner().members {
                Some(Members::Page(page)) => page.members.first().cloned(),
                other => panic!("{other:?}"),
            }
        })
        .await;
        assert!(member.connection_id.starts_with('~') && member.user_id.is_none());
        let after = Some(member.connection_id.clone());
        let told = grpc.client().presence(ask("people", after)).await.unwrap();
        let Some(Members::Page(page)) = told.into_inner().members else {
            panic!("the members");
        };
        assert!(page.members.is_empty());
        let told = grpc.client().presence(ask("crowd", None)).await.unwrap();
        assert_eq!(told.into_inner().members, Some(Members::Count(1)));
        let wrong = grpc
            .client()
            .presence(ask("people", Some("~x".into())))
            .await;
        let wrong = wrong.unwrap_err();
        assert_eq!(codes(&wrong), (Code::InvalidArgument, "bad_request".into()));
        assert_eq!(field(&wrong), "after");
        let none = grpc
            .client()
            .presence(ask("lobby", None))
            .await
            .unwrap_err();
        assert_eq!(codes(&none), (Code::NotFound, "no_presence".into()));
    });
}

#[test]
fn a_message_that_is_wrong_is_refused_with_what_is_wrong() {
    scenario(60, async {
        let (_secrets, _gateway, grpc) = scene().await;
        let bad = || (Code::InvalidArgument, "bad_request".to_owned());
        for (request, expected, place) in [
            (
                message("", "1"),
                (Code::InvalidArgument, "bad_room".into()),
                "room",
            ),
            (
                message(&"x".repeat(257), "1"),
                (Code::InvalidArgument, "bad_room".into()),
                "room",
            ),
            (message("lobby", "{"), bad(), "json"),
            (
                PublishRequest {
                    data: None,
                    ..message("lobby", "")
                },
                bad(),
                "data",
            ),
            (named("lobby", "1", &"x".repeat(65)), bad(), "message_id"),
            (message("numbers", r#"{"n": "one"}"#), bad(), "data/n"),
        ] {
            let status = refused(&grpc, request.clone()).await;
            assert_eq!(codes(&status), expected, "{request:?}");
            assert_eq!(field(&status), place, "{request:?}");
        }
        let large = format!("\"{}\"", "x".repeat(1100));
        for size in [large.clone(), large.repeat(60)] {
            let request = PublishRequest {
                data: Some(Sent::Binary(size.into_bytes())),
                ..message("lobby", "")
            };
            let status = refused(&grpc, request).await;
            let expected = (Code::InvalidArgument, "message_too_large".to_owned());
            assert_eq!(codes(&status), expected);
        }
        let page = |range, limit| HistoryRequest {
            range,
            limit,
            ..newest("lobby")
        };
        let after = Some(history_request::Range::After(1 << 53));
        for (request, place) in [
            (page(after, None), "after"),
            (page(None, Some(101)), "limit"),
        ] {
            let status = grpc.client().history(grpc.call(request)).await.unwrap_err();
            assert_eq!((codes(&status), field(&status)), (bad(), place.into()));
        }
        let status = grpc
            .client()
            .history(grpc.call(newest("live.a")))
            .await
            .unwrap_err();
        assert_eq!(codes(&status), (Code::NotFound, "no_history".into()));
    });
}

#[test]
fn a_call_needs_a_key_or_a_token_with_the_scope() {
    scenario(60, async {
        let signer = Signer::new("a");
        let secrets = secrets(&[&signer]);
        let reader = "reader-0123456789abcdef0123456789";
        secrets.put("api.reader", &format!("{reader}\nscopes: history"));
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let anybody = Grpc::of(&gateway);
        let status = anybody
            .client()
            .publish(Request::new(message("lobby", "1")))
            .await;
        let unauthenticated = (Code::Unauthenticated, "unauthenticated".to_owned());
        assert_eq!(codes(&status.unwrap_err()), unauthenticated);
        let scope = json!({"scope": "linnet:publish linnet:history"});
        let past = json!({"exp": now() - 60, "scope": "linnet:publish"});
        for (key, room, expected) in [
            (
                "nobodys-0123456789abcdef".to_owned(),
                "lobby",
                unauthenticated,
            ),
            (
                reader.to_owned(),
                "lobby",
                (Code::PermissionDenied, "forbidden".into()),
            ),
            (
                signer.token("ann", &json!({})),
                "lobby",
                (Code::PermissionDenied, "forbidden".into()),
            ),
            (
                signer.token("ann", &past),
                "lobby",
                (Code::Unauthenticated, "token_expired".into()),
            ),
            (
                Signer::new("a").token("ann", &scope),
                "lobby",
                (Code::Unauthenticated, "invalid_token".into()),
            ),
            (
                signer.token("ann", &scope),
                "closed.a",
                (Code::PermissionDenied, "forbidden".into()),
            ),
        ] {
            let grpc = Grpc::with(&gateway, &key);
            assert_eq!(codes(&refused(&grpc, message(room, "1")).await), expected);
        }
        let ann = Grpc::with(&gateway, &signer.token("ann", &scope));
        ann.client()
            .publish(ann.call(message("lobby", "1")))
            .await
            .unwrap();
        let reader = Grpc::with(&gateway, reader);
        let page = reader
            .client()
            .history(reader.call(newest("lobby")))
            .await
            .unwrap();
        assert_eq!(page.into_inner().messages[0].from.as_deref(), Some("ann"));
        // A key that is taken away is good for nothing from then on.
        secrets.put("api.reader", "another-0123456789abcdef0123456789");
        until("the key's being gone", || async {
            let page = reader.client().history(reader.call(newest("lobby"))).await;
            page.err()
                .map(|status| assert_eq!(status.code(), Code::Unauthenticated))
        })
        .await;
    });
}

#[test]
fn a_call_with_an_idempotency_key_is_done_once() {
    scenario(60, async {
        let (_secrets, _gateway, grpc) = scene().await;
        let key = [("idempotency-key", "k1")];
        let call = |json: &str| grpc.call_with(message("live.a", json), &key);
        let first = grpc.client().publish(call("1")).await.unwrap();
        assert!(first.metadata().get("idempotency-replayed").is_none());
        let again = grpc.client().publish(call("1")).await.unwrap();
        assert_eq!(
            again.metadata().get("idempotency-replayed").unwrap(),
            "true"
        );
        assert_eq!(again.into_inner(), first.into_inner());
        let other = grpc.client().publish(call("2")).await.unwrap_err();
        let expected = (Code::InvalidArgument, "idempotency_mismatch".to_owned());
        assert_eq!(codes(&other), expected);
    });
}

#[test]
fn what_is_not_there_and_what_is_no_grpc_is_refused() {
    scenario(60, async {
        let (_secrets, gateway, grpc) = scene().await;
        let bad = grpc.call_with(message("lobby", "1"), &[("grpc-timeout", "soon")]);
        let status = grpc.client().publish(bad).await.unwrap_err();
        assert_eq!(
            codes(&status),
            (Code::InvalidArgument, "bad_request".into())
        );
        let mut caller =
            tonic::client::Grpc::with_origin(linnet_tests::grpc::http(), origin(&gateway));
        caller.ready().await.unwrap();
        let path = "/linnet.v1.Channel/Nothing".parse().unwrap();
        let codec = tonic_prost::ProstCodec::<PublishRequest, PublishRequest>::default();
        let status = caller
            .unary(grpc.call(message("lobby", "1")), path, codec)
            .await;
        assert_eq!(status.unwrap_err().code(), Code::Unimplemented);
        let path = "/linnet.v1.Channel/Publish";
        let headers = "Content-Type: application/json\r\n";
        let answer = linnet_tests::http::post(gateway.internal, path, headers, "{}").await;
        assert_eq!(answer.status, 415, "{answer:?}");
    });
}

#[test]
fn a_call_whose_deadline_is_over_says_so() {
    scenario(120, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets(&[]);
        let gateway = gateway(&manifest().nats(&[server.url()]), &secrets, "g0").await;
        let grpc = Grpc::of(&gateway);
        grpc.client()
            .publish(grpc.call(message("lobby", "1")))
            .await
            .unwrap();
        server.pause();
        // The gateway's word, not the client's: that waits for longer.
        let late = grpc.call_with(message("lobby", "2"), &[("grpc-timeout", "300m")]);
        let status = grpc.client().publish(late).await.unwrap_err();
        assert_eq!(
            codes(&status),
            (Code::DeadlineExceeded, "deadline_exceeded".into())
        );
        let status = refused(&grpc, message("lobby", "3")).await;
        assert_eq!(
            codes(&status),
            (Code::DeadlineExceeded, "outcome_unknown".into())
        );
        server.resume();
    });
}
