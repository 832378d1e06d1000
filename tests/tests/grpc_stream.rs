//! `PublishStream`: order, failures, and what a stream that an error has ended says.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use futures_util::stream;
use linnet_proto::v1::PublishRequest;
use linnet_tests::api::{KEY, gateway};
use linnet_tests::grpc::{Grpc, codes, message, named, summary};
use linnet_tests::issuer::{SECRET, Secrets, Signer, now};
use linnet_tests::prelude::*;
use tokio::sync::mpsc;
use tonic::Code;

fn manifest() -> Manifest {
    let jwt = json!({"keySecretName": SECRET});
    Manifest::unhurried()
        .history(1000)
        .spec(json!({"authentication": {"jwt": jwt, "apiKeySecretName": SECRET}}))
        .limits(json!({"messageSize": "1Ki"}))
        .room(json!({"match": "live.*", "history": "Disabled"}))
}

fn secrets(signers: &[&Signer]) -> Secrets {
    let secrets = Secrets::of(signers);
    secrets.put("api.test", KEY);
    secrets
}

/// A stream that is fed bit by bit.
fn fed() -> (
    mpsc::Sender<PublishRequest>,
    impl stream::Stream<Item = PublishRequest> + use<>,
) {
    let (sender, mut messages) = mpsc::channel(1);
    (
        sender,
        stream::poll_fn(move |context| messages.poll_recv(context)),
    )
}

#[test]
fn messages_of_a_stream_arrive_once_and_in_order_and_what_fails_is_told() {
    scenario(180, async {
        let server = NatsServer::jetstream().await;
        let secrets = secrets(&[]);
        let manifest = manifest().nats(&[server.url()]);
        let one = gateway(&manifest, &secrets, "g0").await;
        let two = gateway(&manifest, &secrets, "g1").await;
        let mut client = two.client().await;
        client.subscribe("lobby").await;
        let grpc = Grpc::of(&one);
        let messages: Vec<_> = (0..1000)
            .map(|n| match n {
                17 => message("", "17"),
                600 => message("lobby", "{"),
                n => named("lobby", &n.to_string(), &n.to_string()),
            })
            .collect();
        for duplicates in [0, 998] {
            let call = grpc.call(stream::iter(messages.clone()));
            let told = grpc
                .client()
                .publish_stream(call)
                .await
                .unwrap()
                .into_inner();
            let counts = (told.received, told.published, told.duplicates, told.failed);
            assert_eq!(counts, (1000, 998, duplicates, 2));
            let failures = told.failures.iter().map(|failure| {
                let error = failure.error.as_ref().unwrap();
                (failure.index, &*error.code, error.field.as_deref().unwrap())
            });
            let expected = [(17, "bad_room", "room"), (600, "bad_request", "json")];
            assert!(failures.eq(expected), "{:?}", told.failures);
        }
        for n in (0..1000).filter(|n| ![17, 600].contains(n)) {
            assert_eq!(client.next_of("message").await["data"], n);
        }
        let empty = stream::iter(Vec::new());
        let told = grpc
            .client()
            .publish_stream(grpc.call(empty))
            .await
            .unwrap();
        assert_eq!(told.into_inner().received, 0);
    });
}

#[test]
fn a_stream_over_its_rate_is_held_up_and_loses_nothing() {
    scenario(180, async {
        let secrets = secrets(&[]);
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let grpc = Grpc::of(&gateway);
        let started = std::time::Instant::now();
        let messages = stream::iter((0..15_000).map(|n: u32| message("live.a", &n.to_string())));
        let told = grpc
            .client()
            .publish_stream(grpc.call(messages))
            .await
            .unwrap();
        let told = told.into_inner();
        assert_eq!((told.published, told.failed), (15_000, 0));
        // 10,000 at once, 10,000 a second beyond.
        assert!(started.elapsed() >= std::time::Duration::from_millis(450));
    });
}

#[test]
fn a_stream_that_ends_with_an_error_says_how_far_it_has_come() {
    scenario(120, async {
        let signer = Signer::new("a");
        let secrets = secrets(&[&signer]);
        let mut gateway = gateway(&manifest(), &secrets, "g0").await;
        let mut client = gateway.client().await;
        client.subscribe("live.a").await;

        // A message that is too large for a frame.
        let grpc = Grpc::of(&gateway);
        let large = format!("\"{}\"", "x".repeat(100_000));
        let messages = vec![
            message("live.a", "1"),
            message("live.a", &large),
            message("live.a", "3"),
        ];
        let status = grpc
            .client()
            .publish_stream(grpc.call(stream::iter(messages)))
            .await;
        let status = status.unwrap_err();
        assert_eq!(
            codes(&status),
            (Code::InvalidArgument, "message_too_large".into())
        );
        assert_eq!(
            (summary(&status).received, summary(&status).published),
            (1, 1)
        );
        assert_eq!(client.next_of("message").await["data"], 1);

        // A deadline.
        let (sender, messages) = fed();
        sender.send(message("live.a", "2")).await.unwrap();
        let call = grpc.call(messages);
        let mut call = call;
        call.metadata_mut()
            .insert("grpc-timeout", "500m".parse().unwrap());
        let status = grpc.client().publish_stream(call).await.unwrap_err();
        assert_eq!(
            codes(&status),
            (Code::DeadlineExceeded, "deadline_exceeded".into())
        );
        assert_eq!(summary(&status).published, 1);
        assert_eq!(client.next_of("message").await["data"], 2);

        // A token whose time is over.
        let claims = json!({"scope": "linnet:publish", "exp": now() + 3});
        let ann = Grpc::with(&gateway, &signer.token("ann", &claims));
        let (sender, messages) = fed();
        let (mut caller, call) = (ann.client(), ann.call(messages));
        let ended = tokio::spawn(async move { caller.publish_stream(call).await });
        until("the end of the token", || async {
            let gone = sender.send(message("live.b", "3")).await.is_err();
            gone.then_some(())
        })
        .await;
        let status = ended.await.unwrap().unwrap_err();
        assert_eq!(
            codes(&status),
            (Code::Unauthenticated, "token_expired".into())
        );

        // The gateway goes away: what it has read is published, and it says how much that is.
        let (sender, messages) = fed();
        let (mut caller, call) = (grpc.client(), grpc.call(messages));
        let ended = tokio::spawn(async move { caller.publish_stream(call).await });
        sender.send(message("live.a", "4")).await.unwrap();
        assert_eq!(client.next_of("message").await["data"], 4);
        gateway.signal("TERM");
        let status = ended.await.unwrap().unwrap_err();
        assert_eq!(codes(&status), (Code::Unavailable, "draining".into()));
        assert_eq!(
            (summary(&status).received, summary(&status).published),
            (1, 1)
        );
        drop(client);
        assert!(gateway.exit(30).await.success());
    });
}
