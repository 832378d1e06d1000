//! A `linnet-outbox`, and the Secret that holds its key.

use std::{net::SocketAddr, path::PathBuf, process::Command};

use anyhow::{Context, Result};

use super::{Postgres, Process, sibling};

const KEY: &str = "the-key-of-the-outbox-in-benchmarks";

/// A folder of Secrets with one, `keys`, that holds the key.
#[derive(Debug)]
pub struct Secrets(tempfile::TempDir);

impl Secrets {
    /// Writes it.
    pub fn write() -> Result<Self> {
        let secrets = Self(tempfile::tempdir().context("no place for a Secret")?);
        std::fs::create_dir(secrets.0.path().join("keys"))?;
        std::fs::write(secrets.key(), KEY)?;
        Ok(secrets)
    }

    /// The gateway's argument.
    pub fn argument(&self) -> String {
        format!("--secrets={}", self.0.path().display())
    }

    fn key(&self) -> PathBuf {
        self.0.path().join("keys/api.outbox")
    }
}

/// A running relay.
#[derive(Debug)]
pub struct Outbox {
    _process: Process,
}

impl Outbox {
    /// Starts it between a database and a gateway's internal port. It takes its partitions soon after.
    pub fn start(postgres: &Postgres, gateway: SocketAddr, secrets: &Secrets) -> Result<Self> {
        let mut command = Command::new(sibling("linnet-outbox")?);
        command
            .args(["run", "--listen", "127.0.0.1:0"])
            .arg(format!("--database-url={}", postgres.url()))
            .arg(format!("--gateway=http://{gateway}"))
            .arg("--api-key-file")
            .arg(secrets.key());
        let mut process = Process::start(command)?;
        process.line().context("the relay did not start")?;
        Ok(Self { _process: process })
    }
}
