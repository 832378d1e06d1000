//! A storm inside the cluster's network: linnet-cluster-storm DOOR CLIENTS ROOMS RATE
//!
//! The cluster's tests start it by `tests/cluster/cluster exec`, and direct it by its standard input and output.

use std::env::args;

use anyhow::{Context, Result};
use linnet_cluster_tests::weather::{Size, blow};
use nix::sys::resource::{Resource, getrlimit, setrlimit};

#[tokio::main]
async fn main() -> Result<()> {
    let [door, clients, rooms, rate] = args()
        .skip(1)
        .collect::<Vec<_>>()
        .try_into()
        .ok()
        .context("linnet-cluster-storm DOOR CLIENTS ROOMS RATE")?;
    // Each client is an open file.
    let (_, most) = getrlimit(Resource::RLIMIT_NOFILE)?;
    setrlimit(Resource::RLIMIT_NOFILE, most, most)?;
    let size = Size {
        clients: clients.parse()?,
        rooms: rooms.parse()?,
        rate: rate.parse()?,
    };
    blow(door.parse()?, size).await;
    Ok(())
}
