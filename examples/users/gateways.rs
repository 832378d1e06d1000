//! Calls spread over all gateways that names stand for.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::time::Duration;

use tokio::net::lookup_host;
use tokio::sync::mpsc::Sender;
use tonic::transport::channel::Change;
use tonic::transport::{Channel, Endpoint};

/// How often names are looked up again.
const LOOK_AGAIN: Duration = Duration::from_secs(5);
/// What has not connected in this time is not there.
const CONNECT: Duration = Duration::from_secs(2);
/// Who has said nothing for so long is asked whether he is there, and has as long again to answer.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A channel to all addresses of `names`, each a HOST:PORT. tonic looks a name up only when it connects, and takes one
/// address: of a headless Service that would be one gateway, and never a new one.
pub fn balanced(names: Vec<String>) -> Channel {
    let (channel, changes) = Channel::balance_channel(16);
    tokio::spawn(follow(names, changes));
    channel
}

/// Tells the channel who comes and goes, for as long as there is one.
async fn follow(names: Vec<String>, changes: Sender<Change<SocketAddr, Endpoint>>) {
    let mut known = HashSet::new();
    loop {
        let mut found = HashSet::new();
        for name in &names {
            match lookup_host(name).await {
                Ok(addresses) => found.extend(addresses),
                Err(error) => {
                    tracing::warn!("{name} can't be looked up: {error}");
                    // Nobody has gone for that.
                    found.extend(&known);
                }
            }
        }
        for address in known.difference(&found) {
            if changes.send(Change::Remove(*address)).await.is_err() {
                return;
            }
        }
        for address in found.difference(&known) {
            let change = Change::Insert(*address, endpoint(*address));
            if changes.send(change).await.is_err() {
                return;
            }
        }
        known = found;
        tokio::time::sleep(LOOK_AGAIN).await;
    }
}

fn endpoint(address: SocketAddr) -> Endpoint {
    Endpoint::from_shared(format!("http://{address}"))
        .expect("an address can stand in a URL")
        .connect_timeout(CONNECT)
        .http2_keep_alive_interval(KEEP_ALIVE)
        .keep_alive_timeout(KEEP_ALIVE)
}
