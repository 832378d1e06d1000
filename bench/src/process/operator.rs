//! A `linnet-operator` under measurement.

use std::{
    fs::File,
    path::Path,
    process::{Child, Command, Stdio},
    time::Duration,
};

use anyhow::{Context, Result, ensure};
use nix::{
    sys::signal::{Signal, kill},
    unistd::Pid,
};

use crate::measure;

/// A running `linnet-operator`, which serves one namespace.
#[derive(Debug)]
pub struct Operator(Child);

impl Operator {
    /// Starts `binary` for the channels of `namespace`, as who `kubeconfig` says, with its log in the file `log`.
    pub fn start(
        binary: &Path,
        namespace: &str,
        image: &str,
        kubeconfig: &Path,
        log: &Path,
    ) -> Result<Self> {
        let child = Command::new(binary)
            .args([
                "run",
                "--listen=127.0.0.1:0",
                "--image-pull-policy=IfNotPresent",
            ])
            .arg(format!("--namespaces={namespace}"))
            .arg(format!("--pod-namespace={namespace}"))
            .arg(format!("--gateway-image={image}"))
            .env("KUBECONFIG", kubeconfig)
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(File::options().create(true).append(true).open(log)?)
            .spawn()
            .with_context(|| format!("cannot start {}", binary.display()))?;
        Ok(Self(child))
    }

    /// CPU time so far.
    pub fn cpu(&self) -> Result<Duration> {
        measure::cpu_time(self.0.id())
    }

    /// Resident memory in bytes.
    pub fn resident(&self) -> Result<u64> {
        measure::resident_bytes(self.0.id())
    }

    /// Has it hand over and end.
    pub fn stop(mut self) -> Result<()> {
        kill(Pid::from_raw(i32::try_from(self.0.id())?), Signal::SIGTERM)?;
        let status = self.0.wait()?;
        ensure!(status.success(), "the operator ended with {status}");
        Ok(())
    }
}

impl Drop for Operator {
    fn drop(&mut self) {
        // Both fail only where it has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
