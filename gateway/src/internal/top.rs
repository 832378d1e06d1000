//! `/top`: the busiest rooms and users and the slowest clients of this gateway, now. Names are told here and not in metrics,
//! as clients choose them; and only to who has a key, or asks from the gateway's own machine or pod.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::sync::mpsc::channel;
use std::time::Duration;

use axum::Json;
use axum::extract::{ConnectInfo, Query, State};
use http::HeaderMap;
use serde::{Deserialize, Serialize};

use super::Internal;
use crate::api::Problem;
use crate::auth::api_keys::Scope;
use crate::hub::HubHandle;
use crate::hub::top::Top;
use crate::transport::shard::Shards;

/// Most of each that are told.
const MOST: usize = 1000;
/// How long a shard may take to answer; what it had to say is left out then.
const PATIENCE: Duration = Duration::from_secs(1);

/// Looks up the largest of each, that many.
pub type LookUp = Arc<dyn Fn(usize) -> Report + Send + Sync>;

/// What `/top` tells.
#[derive(Debug, Clone, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Report {
    /// Rooms and users.
    #[serde(flatten)]
    pub top: Top,
    /// Clients that something waits for, the most bytes first.
    pub slow: Vec<Slow>,
}

/// A client that something waits for.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Slow {
    /// Its connection.
    pub connection_id: String,
    /// Its user, if it has one.
    pub user_id: Option<String>,
    /// Bytes that wait.
    pub bytes: usize,
}

/// What `/top` may be asked for.
#[derive(Debug, Deserialize)]
pub(super) struct Asked {
    /// How many of each.
    limit: Option<usize>,
}

/// Of each the largest. From elsewhere than this machine it takes an API key with the scope `inspect`.
pub(super) async fn top(
    State(internal): State<Internal>,
    ConnectInfo(peer): ConnectInfo<SocketAddr>,
    headers: HeaderMap,
    Query(asked): Query<Asked>,
) -> Result<Json<Report>, Problem> {
    if !is_here(peer.ip()) {
        internal.api.admit(Scope::Inspect, &headers)?;
    }
    let most = asked.limit.unwrap_or(10).min(MOST);
    // It waits for shards, which are not to wait for this thread.
    let report = tokio::task::spawn_blocking(move || (internal.top.0)(most)).await;
    Ok(Json(report.unwrap_or_default()))
}

/// Whether a call comes from this machine: there it may as well read the process. Other addresses of the loopback network
/// are those of proxies that stand in for a caller.
fn is_here(peer: IpAddr) -> bool {
    let peer = peer.to_canonical();
    peer == Ipv4Addr::LOCALHOST || peer == Ipv6Addr::LOCALHOST
}

/// Asks hub and shards.
#[must_use]
pub fn look_up(hub: HubHandle, shards: Shards) -> LookUp {
    Arc::new(move |most| {
        let (answers, answered) = channel();
        for shard in shards.iter() {
            shard.ask_slow(most, answers.clone());
        }
        drop(answers);
        let mut slow = Vec::new();
        while let Ok(some) = answered.recv_timeout(PATIENCE) {
            slow.extend(some);
        }
        slow.sort_by_key(|client: &Slow| std::cmp::Reverse(client.bytes));
        slow.truncate(most);
        Report {
            top: hub.top(most),
            slow,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_machine_itself_is_here() {
        for here in ["127.0.0.1", "::1", "::ffff:127.0.0.1"] {
            assert!(is_here(here.parse().unwrap()), "{here}");
        }
        for elsewhere in ["127.0.0.6", "10.0.0.1", "::ffff:10.0.0.1", "fe80::1"] {
            assert!(!is_here(elsewhere.parse().unwrap()), "{elsewhere}");
        }
    }
}
