//! Several gateways of one channel, and where their clients find them.

use std::net::SocketAddr;
use std::ops::{Index, IndexMut};
use std::sync::{Arc, Mutex};

use rand::{Rng, RngExt};

use crate::gateway::Gateway;
use crate::manifest::Manifest;

/// Where the gateways of a channel are found, as a load balancer knows it. Clones are the same list.
#[derive(Debug, Clone)]
pub struct Doors(Arc<Mutex<Vec<SocketAddr>>>);

impl Doors {
    /// The doors of `gateways`.
    #[must_use]
    pub fn of<'a>(gateways: impl IntoIterator<Item = &'a Gateway>) -> Self {
        let doors = gateways.into_iter().map(|gateway| gateway.public).collect();
        Self(Arc::new(Mutex::new(doors)))
    }

    /// One door with all gateways behind it.
    #[must_use]
    pub fn one(door: SocketAddr) -> Self {
        Self(Arc::new(Mutex::new(vec![door])))
    }

    /// The door of gateway `number`.
    #[must_use]
    pub fn at(&self, number: usize) -> SocketAddr {
        self.0.lock().unwrap()[number]
    }

    /// Any door but `last`, unless there is no other.
    #[must_use]
    pub fn other(&self, last: Option<SocketAddr>, random: &mut impl Rng) -> SocketAddr {
        let doors = self.0.lock().unwrap();
        let others: Vec<_> = doors.iter().filter(|door| Some(**door) != last).collect();
        match others[..] {
            [] => doors[0],
            _ => *others[random.random_range(0..others.len())],
        }
    }

    fn set(&self, number: usize, door: SocketAddr) {
        self.0.lock().unwrap()[number] = door;
    }
}

/// Gateways `g0`, `g1`, … that create the streams they find missing.
#[derive(Debug)]
pub struct Fleet {
    manifests: Vec<Manifest>,
    gateways: Vec<Gateway>,
    doors: Doors,
}

impl Fleet {
    /// Starts `count` gateways that serve `manifest` and awaits that all are ready.
    pub async fn start(manifest: &Manifest, count: usize) -> Self {
        Self::start_each(&vec![manifest.clone(); count]).await
    }

    /// Starts one gateway for each of `manifests`, which differ in how NATS is reached, and awaits that all are ready
    /// and know each other.
    pub async fn start_each(manifests: &[Manifest]) -> Self {
        let mut gateways = Vec::new();
        for (number, manifest) in manifests.iter().enumerate() {
            gateways.push(launch(number, manifest).await);
        }
        Self::of(manifests, gateways).await
    }

    /// [`Self::start_each`], where the manifests differ in what the channel is: each gateway finds what those before it
    /// have made.
    pub async fn start_in_turn(manifests: &[Manifest]) -> Self {
        let mut gateways = Vec::new();
        for (number, manifest) in manifests.iter().enumerate() {
            let gateway = launch(number, manifest).await;
            gateway.ready().await;
            gateways.push(gateway);
        }
        Self::of(manifests, gateways).await
    }

    async fn of(manifests: &[Manifest], gateways: Vec<Gateway>) -> Self {
        for gateway in &gateways {
            gateway.ready().await;
            gateway.knows(gateways.len()).await;
        }
        Self {
            manifests: manifests.to_vec(),
            doors: Doors::of(&gateways),
            gateways,
        }
    }

    /// Where clients find the gateways, also after a restart.
    #[must_use]
    pub fn doors(&self) -> Doors {
        self.doors.clone()
    }

    /// Starts gateway `number` again, on other ports, and awaits that it is ready. What is left of the old process is
    /// killed.
    pub async fn restart(&mut self, number: usize) {
        let gateway = launch(number, &self.manifests[number]).await;
        gateway.ready().await;
        self.doors.set(number, gateway.public);
        self.gateways[number] = gateway;
    }

    /// The number of any gateway.
    #[must_use]
    pub fn pick(&self, random: &mut impl Rng) -> usize {
        random.random_range(0..self.gateways.len())
    }
}

impl Index<usize> for Fleet {
    type Output = Gateway;

    fn index(&self, number: usize) -> &Gateway {
        &self.gateways[number]
    }
}

impl IndexMut<usize> for Fleet {
    fn index_mut(&mut self, number: usize) -> &mut Gateway {
        &mut self.gateways[number]
    }
}

async fn launch(number: usize, manifest: &Manifest) -> Gateway {
    let name = format!("g{number}");
    Gateway::start_with(manifest, &["--create-stream", "--name", &name]).await
}
