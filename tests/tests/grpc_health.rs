//! What gRPC clients ask without a key: how a gateway is, and what there is.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::collections::HashSet;

use linnet_proto::v1::CHANNEL;
use linnet_tests::api::{KEY, gateway};
use linnet_tests::grpc::{Http, http, origin};
use linnet_tests::issuer::{SECRET, Secrets};
use linnet_tests::prelude::*;
use prost::Message;
use prost_types::{FileDescriptorProto, FileDescriptorSet};
use protox::prost_reflect::{DescriptorPool, DynamicMessage, MethodDescriptor};
use tonic::Request;
use tonic::client::Grpc;
use tonic_health::pb::HealthCheckRequest;
use tonic_health::pb::health_check_response::ServingStatus;
use tonic_health::pb::health_client::HealthClient;
use tonic_reflection::pb::v1::ServerReflectionRequest;
use tonic_reflection::pb::v1::server_reflection_client::ServerReflectionClient;
use tonic_reflection::pb::v1::server_reflection_request::MessageRequest;
use tonic_reflection::pb::v1::server_reflection_response::MessageResponse;

fn manifest() -> Manifest {
    Manifest::unhurried()
        .history(10)
        .spec(json!({"authentication": {"apiKeySecretName": SECRET}}))
        .room(json!({"match": "*", "presence": {"mode": "Full"}}))
}

fn secrets() -> Secrets {
    let secrets = Secrets::of(&[]);
    secrets.put("api.test", KEY);
    secrets
}

fn asked(service: &str) -> HealthCheckRequest {
    let service = service.to_owned();
    HealthCheckRequest { service }
}

#[test]
fn health_is_readiness() {
    scenario(120, async {
        let mut server = NatsServer::jetstream().await;
        let url = server.url();
        server.stop().await;
        let secrets = secrets();
        let args = ["--secrets", secrets.path(), "--create-stream"];
        let mut gateway = Gateway::start_with(&manifest().nats(&[url]), &args).await;
        let mut health = HealthClient::with_origin(http(), origin(&gateway));
        let told = health.check(asked("")).await.unwrap().into_inner();
        assert_eq!(told.status(), ServingStatus::NotServing);
        let mut watch = health.watch(asked(CHANNEL)).await.unwrap().into_inner();
        let mut next = async || watch.message().await.unwrap().unwrap().status();
        assert_eq!(next().await, ServingStatus::NotServing);
        server.launch().await;
        gateway.ready().await;
        assert_eq!(next().await, ServingStatus::Serving);
        let mut client = gateway.client().await;
        client.subscribe("lobby").await;
        gateway.signal("TERM");
        assert_eq!(next().await, ServingStatus::NotServing);
        assert!(health.check(asked("nobody")).await.is_err());
        drop(client);
        gateway.exit(30).await;
    });
}

/// A client that knows nothing but an address.
struct Generic {
    caller: Grpc<Http>,
    pool: DescriptorPool,
}

impl Generic {
    async fn of(gateway: &Gateway) -> Self {
        let origin = origin(gateway);
        let ask = |request| {
            let host = String::new();
            let asked = ServerReflectionRequest {
                host,
                message_request: Some(request),
            };
            let mut client = ServerReflectionClient::with_origin(http(), origin.clone());
            async move {
                let asked = futures_util::stream::iter([asked]);
                let answers = client.server_reflection_info(Request::new(asked)).await;
                let answer = answers.unwrap().into_inner().message().await;
                answer.unwrap().unwrap().message_response.unwrap()
            }
        };
        let MessageResponse::ListServicesResponse(services) =
            ask(MessageRequest::ListServices(String::new())).await
        else {
            panic!("the services");
        };
        let names: HashSet<_> = services
            .service
            .iter()
            .map(|service| &*service.name)
            .collect();
        assert!(names.contains(CHANNEL), "{names:?}");
        let MessageResponse::FileDescriptorResponse(files) =
            ask(MessageRequest::FileContainingSymbol(CHANNEL.to_owned())).await
        else {
            panic!("the file");
        };
        let file = files.file_descriptor_proto.iter();
        let file = file.map(|file| FileDescriptorProto::decode(&**file).unwrap());
        let file = file.collect();
        let set = FileDescriptorSet { file };
        let pool = DescriptorPool::decode(&*set.encode_to_vec()).unwrap();
        let caller = Grpc::with_origin(http(), origin);
        Self { caller, pool }
    }

    fn methods(&self) -> Vec<MethodDescriptor> {
        let service = self.pool.get_service_by_name(CHANNEL).unwrap();
        service.methods().collect()
    }

    /// Calls a method that has one answer.
    async fn call(&mut self, method: &MethodDescriptor, request: &str) -> DynamicMessage {
        let message = DynamicMessage::parse_text_format(method.input(), request).unwrap();
        let path = format!("/{CHANNEL}/{}", method.name()).parse().unwrap();
        let codec = dynamic::Codec(method.output());
        self.caller.ready().await.unwrap();
        let mut request = Request::new(message);
        let key = format!("Bearer {KEY}").parse().unwrap();
        request.metadata_mut().insert("authorization", key);
        match method.is_client_streaming() {
            false => self.caller.unary(request, path, codec).await,
            true => {
                let request = request.map(|message| futures_util::stream::iter([message]));
                self.caller.client_streaming(request, path, codec).await
            }
        }
        .unwrap()
        .into_inner()
    }
}

mod dynamic {
    //! Messages of types that are known when the program runs.
    use prost::Message;
    use protox::prost_reflect::{DynamicMessage, MessageDescriptor};
    use tonic::Status;
    use tonic::codec::{Codec as TonicCodec, DecodeBuf, Decoder, EncodeBuf, Encoder};

    #[derive(Clone)]
    pub struct Codec(pub MessageDescriptor);

    impl TonicCodec for Codec {
        type Encode = DynamicMessage;
        type Decode = DynamicMessage;
        type Encoder = Self;
        type Decoder = Self;

        fn encoder(&mut self) -> Self {
            self.clone()
        }

        fn decoder(&mut self) -> Self {
            self.clone()
        }
    }

    impl Encoder for Codec {
        type Item = DynamicMessage;
        type Error = Status;

        fn encode(&mut self, item: DynamicMessage, to: &mut EncodeBuf<'_>) -> Result<(), Status> {
            item.encode(to)
                .map_err(|error| Status::internal(error.to_string()))
        }
    }

    impl Decoder for Codec {
        type Item = DynamicMessage;
        type Error = Status;

        fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<DynamicMessage>, Status> {
            let message = DynamicMessage::decode(self.0.clone(), from);
            message
                .map(Some)
                .map_err(|error| Status::internal(error.to_string()))
        }
    }
}

#[test]
fn a_client_that_knows_nothing_learns_every_method_by_reflection_and_calls_it() {
    scenario(60, async {
        let secrets = secrets();
        let gateway = gateway(&manifest(), &secrets, "g0").await;
        let mut generic = Generic::of(&gateway).await;
        let mut called = Vec::new();
        for method in generic.methods() {
            if method.is_server_streaming() {
                continue;
            }
            let (request, expected) = match method.name() {
                "Publish" => (r#"room: "a" json: "1""#, "position"),
                "PublishStream" => (r#"room: "a" json: "2""#, "published"),
                "History" => (r#"room: "a""#, "messages"),
                "Presence" => (r#"room: "a""#, "page"),
                other => panic!("no request for {other}"),
            };
            let answer = generic.call(&method, request).await;
            assert!(
                answer.has_field_by_name(expected),
                "{}: {answer:?}",
                method.name()
            );
            called.push(method.name().to_owned());
        }
        assert_eq!(called.len(), 4, "{called:?}");
    });
}
