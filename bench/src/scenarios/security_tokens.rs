//! CPU time per handshake with a token, against the signature check by itself plus a handshake without one.

use std::hint::black_box;

use anyhow::{Context, Result};
use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use linnet_gateway::auth::{Tokens, key::Key, keyring::Keyring};
use linnet_gateway::config::Channel as ManifestChannel;
use nix::time::{ClockId, clock_gettime};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use ring::signature::{ECDSA_P256_SHA256_FIXED, UnparsedPublicKey};
use serde_json::json;
use tempfile::TempDir;

use super::{Settings, manifest::Channel, progress};
use crate::{
    load::{Plan, Protocol},
    process::{Load, Target},
    report::{Report, Row, Unit},
    stats::Summary,
};

/// Users that come: ten connections of each are within `connectionsPerUser`.
const USERS: usize = 400;

/// The key, the users' tokens and the gateway's Secret.
struct Issuer {
    pair: KeyPair,
    tokens: Vec<String>,
    secrets: TempDir,
}

impl Issuer {
    fn new() -> Result<Self> {
        linnet_gateway::auth::crypto::install();
        let pair = KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256)?;
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some("bench".into());
        let expires = linnet_gateway::auth::tokens::unix_seconds() + 24 * 3600;
        let key = EncodingKey::from_ec_der(&pair.serialize_der());
        let tokens = (0..USERS).map(|user| {
            let claims = json!({
                "iss": "https://id.example", "aud": "bench", "sub": format!("user-{user}"), "exp": expires,
                "iat": expires - 24 * 3600, "rooms": ["lobby", "team.*"],
            });
            encode(&header, &claims, &key)
        });
        let tokens = tokens.collect::<Result<_, _>>()?;
        let secrets = TempDir::new()?;
        let folder = secrets.path().join("keys");
        std::fs::create_dir(&folder)?;
        std::fs::write(folder.join("jwt.bench.pem"), pair.public_key_pem())?;
        Ok(Self {
            pair,
            tokens,
            secrets,
        })
    }

    /// CPU time of a whole check as the gateway makes it, in microseconds.
    fn whole_check_us(&self, manifest: &str, times: u32) -> Result<f64> {
        let key = Key::pem("bench", self.pair.public_key_pem().as_bytes())?;
        let tokens = Tokens::with(Keyring::new(vec![key]));
        let manifest =
            linnet_crds::check(manifest).map_err(|problems| anyhow::anyhow!("{problems:?}"))?;
        let channel = ManifestChannel::compile(&manifest);
        let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(std::time::Duration::from);
        let before = now()?;
        for token in self.tokens.iter().cycle().take(times as usize) {
            black_box(tokens.verify(black_box(token), channel.tokens.as_ref()))?;
        }
        Ok((now()? - before).as_secs_f64() * 1e6 / f64::from(times))
    }

    /// CPU time of a signature check by ring, in microseconds.
    fn check_us(&self, times: u32) -> Result<f64> {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD;
        let (message, signature) = self.tokens[0]
            .rsplit_once('.')
            .context("a token has dots")?;
        let signature = URL_SAFE_NO_PAD.decode(signature)?;
        let point = self.pair.public_key_raw();
        let now = || clock_gettime(ClockId::CLOCK_THREAD_CPUTIME_ID).map(std::time::Duration::from);
        let before = now()?;
        for _ in 0..times {
            let key = UnparsedPublicKey::new(&ECDSA_P256_SHA256_FIXED, point);
            let verdict = key.verify(black_box(message.as_bytes()), black_box(&signature));
            verdict.map_err(|_| anyhow::anyhow!("the signature is right"))?;
        }
        Ok((now()? - before).as_secs_f64() * 1e6 / f64::from(times))
    }
}

/// Adds the rows on handshakes with tokens.
pub fn measure(settings: &Settings, report: &mut Report) -> Result<()> {
    let (connections, per_second) = (settings.pick(4000, 100), settings.pick(500.0, 500.0));
    let issuer = Issuer::new()?;
    let manifest = Channel::default()
        .to_yaml()
        .replace(
            "{anonymous: Allow}",
            "{anonymous: Allow, jwt: {keySecretName: keys, issuer: \"https://id.example\", audiences: [bench]}}",
        );
    let mut settings = settings.clone();
    let secrets = issuer.secrets.path().display();
    settings
        .gateway_arguments
        .push(format!("--secrets={secrets}"));
    let [mut with, mut without, mut alone, mut whole] = [const { Vec::new() }; 4];
    for pair in 0..settings.pairs {
        progress(&format!("tokens: pair {} of {}", pair + 1, settings.pairs));
        for token in if pair % 2 == 0 {
            [true, false]
        } else {
            [false, true]
        } {
            let server = settings.start_gateway(&manifest)?;
            let (samples, tokens) = match token {
                true => (&mut with, issuer.tokens.clone()),
                false => (&mut without, Vec::new()),
            };
            samples.push(window(server.target, tokens, connections, per_second)?);
        }
        let times = settings.pick(5000, 100);
        alone.push(issuer.check_us(times)?);
        whole.push(issuer.whole_check_us(&manifest, times)?);
    }
    let sums: Vec<f64> = without
        .iter()
        .zip(&alone)
        .map(|(one, other)| one + other)
        .collect();
    let ratio = Summary::of_ratios(&with, &sums);
    let what = "handshake with an ES256 token / signature check + anonymous handshake";
    report
        .rows
        .extend(ratio.map(|value| Row::new(what, Unit::Ratio, value).at_most(1.15)));
    for (what, values) in [
        ("handshake with an ES256 token: CPU", with),
        ("anonymous handshake: CPU", without),
        ("signature check by ring: CPU", alone),
        ("whole check of a token, without a connection: CPU", whole),
    ] {
        let row = Summary::of(values).map(|value| Row::new(what, Unit::Microseconds, value));
        report.rows.extend(row);
    }
    report.notes.push(format!(
        "{connections} connects at {per_second} per second, each TCP, upgrade, greeting, one subscribe and its ack; of \
         {USERS} users in turn, whose tokens are checked anew each time."
    ));
    Ok(())
}

fn window(target: Target, tokens: Vec<String>, connections: usize, per_second: f64) -> Result<f64> {
    let mut load = Load::start()?;
    let plan = |connections| Plan {
        per_second,
        verify_every: 0,
        in_flight: 256,
        tokens: tokens.clone(),
        ..Plan::new(target.address, Protocol::Json, "lobby", connections)
    };
    let warm_up = load.open(plan(connections / 10))?.group;
    load.close(warm_up)?;
    let before = target.cpu()?;
    load.open(plan(connections))?;
    Ok((target.cpu()? - before).as_secs_f64() * 1e6 / connections as f64)
}
