//! kubectl in one namespace.

use std::{
    io::{BufRead, BufReader, Write},
    net::Ipv4Addr,
    path::Path,
    process::{Child, Command, Output, Stdio},
};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

/// What to do where there is no cluster.
const HOW: &str = "the benchmark needs a cluster, and runs in its network: tests/cluster/cluster up, \
                   tests/cluster/images gateway, eval \"$(tests/cluster/cluster env)\", tests/cluster/cluster exec -- \
                   bench/run operator";

/// kubectl in one namespace.
#[derive(Debug)]
pub struct Kubectl {
    namespace: String,
}

impl Kubectl {
    /// For what lies in `namespace`, on the cluster that `KUBECONFIG` names.
    pub fn new(namespace: &str) -> Result<Self> {
        ensure!(
            std::env::var_os("KUBECONFIG").is_some(),
            "KUBECONFIG is not set: {HOW}"
        );
        Ok(Self {
            namespace: namespace.to_owned(),
        })
    }

    /// Runs kubectl with `input` and gives what it printed.
    pub fn feed(&self, arguments: &[&str], input: &str) -> Result<String> {
        let mut child = self
            .command(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .with_context(|| format!("cannot start kubectl: {HOW}"))?;
        let mut stdin = child.stdin.take().context("a child without stdin")?;
        let input = input.to_owned();
        // Its answers may fill the pipe before it has read everything.
        let writer = std::thread::spawn(move || stdin.write_all(input.as_bytes()));
        let Output {
            status,
            stdout,
            stderr,
        } = child.wait_with_output()?;
        // kubectl says itself why it did not read on.
        let _ = writer.join();
        if !status.success() {
            bail!(
                "kubectl {}: {}",
                arguments.join(" "),
                String::from_utf8_lossy(&stderr).trim()
            );
        }
        Ok(String::from_utf8_lossy(&stdout).into_owned())
    }

    /// Runs kubectl and gives what it printed.
    pub fn run(&self, arguments: &[&str]) -> Result<String> {
        self.feed(arguments, "")
    }

    /// Applies objects.
    pub fn apply(&self, objects: &[Value]) -> Result<()> {
        let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "--filename",
            "-",
        ];
        self.feed(&apply, &list.to_string()).map(drop)
    }

    /// An object, or a list of them.
    pub fn get(&self, what: &[&str]) -> Result<Value> {
        let arguments = [&["get", "--output", "json"], what].concat();
        Ok(serde_json::from_str(&self.run(&arguments)?)?)
    }

    /// Watches for the Service `name`, which need not be there yet.
    pub fn address_of(&self, name: &str) -> Result<Address> {
        let selector = format!("--field-selector=metadata.name={name}");
        let path = "--output=jsonpath={.spec.clusterIP}{\"\\n\"}";
        let child = self
            .command(&["get", "services", &selector, "--watch", path])
            .stdout(Stdio::piped())
            .spawn()
            .context("cannot start kubectl")?;
        Ok(Address(child))
    }

    /// Writes to `path` how the ServiceAccount `account` of the namespace reaches the cluster.
    pub fn kubeconfig_of(&self, account: &str, path: &Path) -> Result<()> {
        let view = [
            "config",
            "view",
            "--raw",
            "--flatten",
            "--minify",
            "--output",
            "json",
        ];
        let mut config: Value = serde_json::from_str(&self.run(&view)?)?;
        let token = self.run(&["create", "token", account, "--duration", "8h"])?;
        for user in config["users"].as_array_mut().into_iter().flatten() {
            user["user"] = json!({"token": token.trim()});
        }
        std::fs::write(path, config.to_string())?;
        Ok(())
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new("kubectl");
        command
            .args(["--namespace", &self.namespace])
            .args(arguments);
        command
    }
}

/// The address that a Service is to get.
#[derive(Debug)]
pub struct Address(Child);

impl Address {
    /// Waits for it.
    pub fn get(mut self) -> Result<Ipv4Addr> {
        let output = self.0.stdout.take().context("a child without stdout")?;
        let mut line = String::new();
        BufReader::new(output).read_line(&mut line)?;
        let address = line.trim().parse();
        address.with_context(|| format!("no address of a Service: {line:?}"))
    }
}

impl Drop for Address {
    fn drop(&mut self) {
        // Both fail only where the child has ended already.
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}
