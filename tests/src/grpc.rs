//! A caller of the server APIs over gRPC.

use http::Uri;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use linnet_proto::v1::channel_client::ChannelClient;
use linnet_proto::v1::publish_request::Data;
use linnet_proto::v1::{PublishRequest, PublishStreamResponse};
use prost::Message;
use tonic::metadata::MetadataValue;
use tonic::{Code, Request, Status};
use tonic_types::StatusExt;

use crate::api::KEY;
use crate::gateway::Gateway;

/// A connection. Not tonic's own: that gives calls up by itself when their deadline is over, whatever the gateway says.
pub type Http = Client<HttpConnector, tonic::body::Body>;

/// Calls one gateway with one key or token.
#[derive(Debug, Clone)]
pub struct Grpc {
    http: Http,
    origin: Uri,
    key: String,
}

/// A connection, once it is needed.
#[must_use]
pub fn http() -> Http {
    Client::builder(TokioExecutor::new())
        .http2_only(true)
        .build_http()
}

/// Where a gateway's internal port is.
///
/// # Panics
/// Never: an address is one.
#[must_use]
pub fn origin(gateway: &Gateway) -> Uri {
    format!("http://{}", gateway.internal).parse().unwrap()
}

impl Grpc {
    /// A caller of `gateway` with [`KEY`].
    #[must_use]
    pub fn of(gateway: &Gateway) -> Self {
        Self::with(gateway, KEY)
    }

    /// A caller of `gateway` with another key, or a token.
    #[must_use]
    pub fn with(gateway: &Gateway, key: &str) -> Self {
        Self {
            http: http(),
            origin: origin(gateway),
            key: key.to_owned(),
        }
    }

    /// The generated client.
    #[must_use]
    pub fn client(&self) -> ChannelClient<Http> {
        ChannelClient::with_origin(self.http.clone(), self.origin.clone())
    }

    /// A call with the key.
    ///
    /// # Panics
    /// When the key can't stand in metadata.
    #[must_use]
    pub fn call<M>(&self, message: M) -> Request<M> {
        let mut request = Request::new(message);
        let key = format!("Bearer {}", self.key).parse().unwrap();
        request.metadata_mut().insert("authorization", key);
        request
    }

    /// [`Self::call`] with more metadata.
    ///
    /// # Panics
    /// When it can't stand there.
    #[must_use]
    pub fn call_with<M>(&self, message: M, more: &[(&'static str, &str)]) -> Request<M> {
        let mut request = self.call(message);
        for (name, value) in more {
            let value: MetadataValue<_> = value.parse().unwrap();
            request.metadata_mut().insert(*name, value);
        }
        request
    }
}

/// A message of JSON text.
#[must_use]
pub fn message(room: &str, json: &str) -> PublishRequest {
    PublishRequest {
        room: room.to_owned(),
        data: Some(Data::Json(json.to_owned())),
        ..PublishRequest::default()
    }
}

/// [`message`] that is known again.
#[must_use]
pub fn named(room: &str, json: &str, message_id: &str) -> PublishRequest {
    PublishRequest {
        message_id: Some(message_id.to_owned()),
        ..message(room, json)
    }
}

/// The codes of an error, gRPC's and ours, once it looks like one of ours.
///
/// # Panics
/// When it does not.
#[must_use]
pub fn codes(status: &Status) -> (Code, String) {
    let info = status.get_details_error_info();
    let info = info.unwrap_or_else(|| panic!("without ErrorInfo: {status:?}"));
    assert_eq!(info.domain, "linnet.dev");
    (status.code(), info.reason)
}

/// Which field an error says is wrong.
///
/// # Panics
/// When it says of none or of several.
#[must_use]
pub fn field(status: &Status) -> String {
    let bad = status.get_details_bad_request().unwrap();
    let [violation] = &bad.field_violations[..] else {
        panic!("{bad:?}");
    };
    violation.field.clone()
}

/// What came of a stream that an error has ended.
///
/// # Panics
/// When the error does not say.
#[must_use]
pub fn summary(status: &Status) -> PublishStreamResponse {
    let details = tonic_types::Status::decode(status.details()).unwrap();
    let told = details
        .details
        .iter()
        .find(|told| told.type_url.ends_with("/linnet.v1.PublishStreamResponse"));
    let told = told.unwrap_or_else(|| panic!("without a summary: {status:?}"));
    PublishStreamResponse::decode(&*told.value).unwrap()
}
