//! `GET /v1/openapi.json`: what there is, generated from the code. `docs/openapi.json` is the same text.

use std::sync::LazyLock;

use axum::response::{IntoResponse, Response};
use http::header::CONTENT_TYPE;
use utoipa::openapi::security::{HttpAuthScheme, HttpBuilder, SecurityScheme};
use utoipa::{Modify, OpenApi};

use super::problem::Problem;
use super::{disconnect, history, presence, publish, revoke, rooms, send, stats, users};

/// The command that writes [`text`] to `docs/openapi.json`.
pub const GENERATE: &str = "make generate";

#[derive(OpenApi)]
#[openapi(
    info(
        title = "Linnet",
        version = "1",
        description = "What back ends ask of a RealtimeChannel, on the internal port of its gateways. See docs/http-api.md.",
        license(name = "Apache-2.0", identifier = "Apache-2.0")
    ),
    servers((url = "/", description = "the internal port")),
    tags(
        (name = "messages", description = "What is said"),
        (name = "users", description = "Who is there"),
        (name = "channel", description = "What is going on")
    ),
    paths(
        publish::publish, send::send, history::history, presence::presence, users::connections,
        disconnect::disconnect, revoke::revoke, rooms::rooms, stats::stats, document
    ),
    components(schemas(Problem)),
    modifiers(&Keys)
)]
struct Document;

/// How callers say who they are.
struct Keys;

impl Modify for Keys {
    fn modify(&self, document: &mut utoipa::openapi::OpenApi) {
        let bearer = || HttpBuilder::new().scheme(HttpAuthScheme::Bearer);
        let key = bearer().description(Some("An API key of the channel"));
        let token = bearer()
            .bearer_format("JWT")
            .description(Some("A token that the channel takes, with a `scope` claim"));
        let components = document.components.get_or_insert_default();
        components.add_security_scheme("key", SecurityScheme::Http(key.build()));
        components.add_security_scheme("token", SecurityScheme::Http(token.build()));
    }
}

/// The OpenAPI document, as JSON text that ends with a line break.
#[must_use]
pub fn text() -> String {
    let json = Document::openapi().to_pretty_json();
    json.unwrap_or_default() + "\n" // texts and numbers always serialize
}

/// The OpenAPI document; there is nothing in it of clients, so no key is asked for.
#[utoipa::path(
    get,
    path = "/v1/openapi.json",
    operation_id = "openapi",
    tag = "channel",
    responses((status = 200, description = "This document"))
)]
pub(super) async fn document() -> Response {
    static TEXT: LazyLock<String> = LazyLock::new(text);
    ([(CONTENT_TYPE, "application/json")], TEXT.as_str()).into_response()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GENERATED: &str = include_str!("../../../docs/openapi.json");

    #[test]
    fn the_generated_file_is_that_of_the_code() {
        assert!(
            GENERATED == text(),
            "docs/openapi.json is out of date; regenerate it with: {GENERATE}"
        );
    }
}
