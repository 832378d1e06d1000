//! The console: a page to watch and try the channel with, and what it loads.

use std::sync::Arc;

use arc_swap::ArcSwap;
use axum::Router;
use axum::extract::State;
use axum::response::{IntoResponse, Response};
use axum::routing::get;
use http::{HeaderMap, StatusCode};

use super::page::{Page, fill};
use super::policy::Policy;

const INDEX: &str = include_str!("../../console/index.html");
const STYLE: &str = include_str!("../../console/console.css");
const SCRIPT: &str = include_str!("../../console/console.js");
/// The project's JavaScript client, so that the page needs nothing from elsewhere.
const CLIENT: &str = include_str!("../../../../clients/js/src/linnet.js");

/// Everything that the public port answers besides handshakes. `base` is the channel's path with
/// its last slash; whether there is a console the configuration in force says.
pub(super) fn router(base: &str, channel: &str, live: Arc<ArcSwap<Policy>>) -> Router {
    let script = |text| Page::new("text/javascript; charset=utf-8", text);
    let index = fill(INDEX, &[("base", base), ("channel", channel)]);
    let index = Page::new("text/html; charset=utf-8", index);
    let files = [
        ("", index.clone()),
        ("console.css", Page::new("text/css; charset=utf-8", STYLE)),
        ("console.js", script(SCRIPT)),
        ("linnet.js", script(CLIENT)),
    ];
    let absent = Absent(format!("not found: clients connect to {base}ws\n").into());
    let mut router = Router::new();
    for (name, page) in files {
        router = router.route(&format!("{base}{name}"), file(page, &absent));
    }
    let bare = base.trim_end_matches('/');
    if !bare.is_empty() {
        router = router.route(bare, file(index, &absent));
    }
    router
        .fallback(move || std::future::ready(absent.into_response()))
        .with_state(live)
}

/// What is answered where nothing is.
#[derive(Clone)]
struct Absent(Arc<str>);

impl Absent {
    fn into_response(self) -> Response {
        (StatusCode::NOT_FOUND, self.0.to_string()).into_response()
    }
}

fn file(page: Page, absent: &Absent) -> axum::routing::MethodRouter<Arc<ArcSwap<Policy>>> {
    let absent = absent.clone();
    get(
        move |State(live): State<Arc<ArcSwap<Policy>>>, headers: HeaderMap| {
            let response = match live.load().channel.console {
                true => page.answer(&headers),
                false => absent.clone().into_response(),
            };
            std::future::ready(response)
        },
    )
}
