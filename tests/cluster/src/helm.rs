//! helm, as a person uses it.

use std::collections::BTreeSet;

use tokio::process::Command;

use crate::cluster;

/// Runs `helm ARGUMENTS…` and gives what it printed.
///
/// # Panics
/// When it fails, with what it said, or when there is no helm.
pub async fn helm(arguments: &[&str]) -> String {
    let mut command = Command::new("helm");
    let done = command
        .args(arguments)
        .kill_on_drop(true)
        .output()
        .await
        .expect("helm is on the PATH: eval \"$(tests/cluster/cluster env)\"");
    let said = String::from_utf8_lossy(&done.stderr);
    assert!(
        done.status.success(),
        "helm {}: {said}",
        arguments.join(" ")
    );
    String::from_utf8(done.stdout).unwrap()
}

/// The folder of the chart.
///
/// # Panics
/// When its path is not UTF-8.
#[must_use]
pub fn chart() -> String {
    let path = cluster::file("charts/linnet");
    path.to_str().expect("the path is UTF-8").to_owned()
}

/// What `helm template` makes of the chart for a release `other` with `settings`, such as `nats.enabled=true`.
pub async fn render(namespace: &str, settings: &[&str]) -> String {
    let chart = chart();
    let mut arguments = vec!["template", "other", &chart, "--namespace", namespace];
    for setting in settings {
        arguments.extend(["--set-json", setting]);
    }
    helm(&arguments).await
}

/// The objects of `manifests`, each as its text, without those that say the same.
#[must_use]
pub fn parts(manifests: &str) -> BTreeSet<String> {
    manifests
        .split("\n---\n")
        .map(|part| part.trim_start_matches("---\n").trim().to_owned())
        .filter(|part| !part.is_empty())
        .collect()
}
