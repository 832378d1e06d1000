//! Keys that are rotated while a crowd comes in: nobody with a right one is refused, and nobody with a wrong one let in.
#![allow(clippy::unwrap_used, reason = "a test ends where it can't go on")]

use std::time::Duration;

use futures_util::future::join_all;
use linnet_tests::issuer::{SECRET, Secrets, Signer};
use linnet_tests::prelude::*;
use tokio::sync::{RwLock, watch};

/// Clients that come, all at once.
const CROWD: usize = 1000;

/// How many of them the gateway lets in within a second, so that the crowd is at the door during all rotations.
const PACE: u64 = 200;

/// A client is there, at the end of so many tries that came too early.
struct Arrived {
    client: Client,
    kid: usize,
    early: usize,
}

/// What the door is like for the crowd.
struct Door {
    gateway: Gateway,
    signers: Vec<Signer>,
    /// Which signer's key is there. Whoever holds it while he comes in is right to the end.
    right: RwLock<usize>,
    /// How many are in.
    arrived: watch::Sender<usize>,
}

impl Door {
    async fn start(signers: Vec<Signer>, secrets: &Secrets) -> Self {
        let manifest = Manifest::unhurried()
            .without_pings()
            .limits(json!({"connectsPerSecond": PACE}))
            .spec(json!({"authentication": {
                "jwt": {"keySecretName": SECRET}, "trustedProxies": ["127.0.0.0/8"],
            }}));
        Self {
            gateway: Gateway::start_with(&manifest, &["--secrets", secrets.path()]).await,
            signers,
            right: RwLock::new(0),
            arrived: watch::channel(0).0,
        }
    }

    async fn try_as(&self, user: &str, kid: usize) -> Result<Client, Refusal> {
        let token = self.signers[kid].token(user, &json!({}));
        Client::with_token(self.gateway.public, &token).await
    }

    /// Comes in with the key of the moment, as soon as admission lets it.
    async fn enter(&self, user: String) -> Arrived {
        let mut early = 0;
        loop {
            let kid = self.right.read().await;
            let refusal = match self.try_as(&user, *kid).await {
                Ok(client) => {
                    self.arrived.send_modify(|arrived| *arrived += 1);
                    assert_eq!(client.connected["user_id"], user);
                    let kid = *kid;
                    return Arrived { client, kid, early };
                }
                Err(refusal) => refusal,
            };
            drop(kid);
            assert!(is_admission(&refusal), "{user}: {refusal:?}");
            early += 1;
            let wait = refusal.header("retry-after").unwrap().parse().unwrap();
            tokio::time::sleep(Duration::from_secs(wait)).await;
        }
    }

    /// Awaits that `count` are in.
    async fn has(&self, count: usize) {
        let mut arrived = self.arrived.subscribe();
        let reached = arrived.wait_for(|arrived| *arrived >= count);
        within(("clients that are in:", count), 120, reached)
            .await
            .unwrap();
    }

    /// Awaits that a token of `kid` is taken, or is not. Gives how many tries the gateway refused for the token, and how
    /// many for their number.
    async fn takes(&self, kid: usize, taken: bool) -> [usize; 2] {
        let mut refused = [0; 2];
        loop {
            let answer = self.try_as("probe", kid).await;
            match &answer {
                Ok(_) => {}
                Err(refusal) if is_admission(refusal) => refused[1] += 1,
                Err(refusal) => {
                    assert_eq!(refusal.status, 401, "{refusal:?}");
                    refused[0] += 1;
                }
            }
            match answer {
                Ok(_) if taken => return refused,
                Err(refusal) if !taken && refusal.status == 401 => return refused,
                // The kubelet's swap is told by the system, and is looked at some 50 ms later.
                _ => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }

    /// Handshakes that the gateway says it refused for this reason.
    async fn refused(&self, reason: &str) -> usize {
        let samples = self.gateway.metrics().await;
        let sample = samples.iter().find(|sample| {
            sample.name == "linnet_handshakes_refused_total" && sample.labels["reason"] == reason
        });
        sample.unwrap().value as usize
    }
}

fn is_admission(refusal: &Refusal) -> bool {
    refusal.status == 503 && refusal.body.starts_with("too many clients connect")
}

#[test]
fn a_secret_is_rotated_while_a_thousand_clients_connect_and_nobody_with_a_right_key_is_refused() {
    scenario(120, async {
        let signers = ["first", "second", "third"].map(Signer::new);
        let secrets = Secrets::mounted(&[&signers[0]]);
        let door = &Door::start(signers.into(), &secrets).await;
        let crowd = join_all((0..CROWD).map(|number| door.enter(format!("user-{number}"))));
        let rotations = async {
            let mut refused = [0; 2];
            let mut probed = |more: [usize; 2]| {
                refused = [refused[0] + more[0], refused[1] + more[1]];
            };
            for new in 1..door.signers.len() {
                let (old, mark) = (new - 1, (new - 1) * CROWD / 2);
                let [before, now] = [&door.signers[old], &door.signers[new]];
                door.has(mark + 100).await;
                secrets.swap(&[before, now]);
                probed(door.takes(new, true).await);
                // Those who show the old key meanwhile are in before it goes.
                *door.right.write().await = new;
                door.has(mark + 200).await;
                secrets.swap(&[now]);
                assert!(*door.arrived.borrow() < CROWD, "all are in already");
                probed(door.takes(old, false).await);
            }
            refused
        };
        let (mut crowd, mut refused) = tokio::join!(crowd, rotations);

        let with = |kid| crowd.iter().filter(|arrived| arrived.kid == kid).count();
        let with = [with(0), with(1), with(2)];
        println!("came in with each key: {with:?}; refused, tried again: {refused:?}");
        assert_eq!(with.iter().sum::<usize>(), CROWD);
        assert!(with.iter().all(|count| *count >= 100), "{with:?}");
        // Keys that are gone stay gone, and who came in with one stays.
        for kid in [0, 1] {
            let [token, early] = door.takes(kid, false).await;
            refused = [refused[0] + token, refused[1] + early];
        }
        let pings = crowd.iter_mut().map(|arrived| arrived.client.settle());
        join_all(pings).await;
        until("only the crowd", || async {
            (door.gateway.status().await["connections"] == CROWD).then_some(())
        })
        .await;
        let early: usize = crowd.iter().map(|arrived| arrived.early).sum();
        assert!(early > 0, "the crowd was not kept at the door");
        assert_eq!(door.refused("invalid_token").await, refused[0]);
        assert_eq!(door.refused("rate").await, refused[1] + early);
        assert_eq!(door.refused("keys_unavailable").await, 0);
        assert_eq!(door.refused("backoff").await, 0);
    });
}
