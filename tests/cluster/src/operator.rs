//! The operators that the chart installed.

use std::path::Path;
use std::process::Command;

use linnet_tests::until;
use serde_json::Value;

use crate::kubectl::Kubectl;

/// Namespace of the release.
pub const SYSTEM: &str = "linnet-system";

/// Name of the operators' Deployment, ServiceAccount, role and Lease.
pub const OPERATOR: &str = "linnet-operator";

/// kubectl where the release is.
#[must_use]
pub fn system() -> Kubectl {
    Kubectl::new(SYSTEM)
}

/// Name of the pod that leads.
pub async fn leader() -> String {
    until("an operator that leads", || async {
        let lease = system().get(&format!("lease/{OPERATOR}")).await;
        let holder = lease["spec"]["holderIdentity"].as_str().unwrap_or_default();
        // An identity may have more than the pod's name.
        let pods = system().get("pods").await;
        let mut pods = pods["items"]
            .as_array()
            .cloned()
            .unwrap_or_default()
            .into_iter();
        pods.find_map(|pod| {
            let name = pod["metadata"]["name"]
                .as_str()
                .unwrap_or_default()
                .to_owned();
            (!holder.is_empty() && holder.starts_with(&name)).then_some(name)
        })
    })
    .await
}

/// Kills the operator that leads, as a crash does. Gives its pod as it was.
///
/// # Panics
/// When it does not run on this machine.
pub async fn kill_leader() -> Value {
    let leader = system().get(&format!("pod/{}", leader().await)).await;
    crash(&leader);
    leader
}

/// Waits until all operators are ready.
///
/// # Panics
/// When they are not in time.
pub async fn all_ready() {
    let operators = format!("deployment/{OPERATOR}");
    system()
        .run(&["rollout", "status", &operators, "--timeout=120s"])
        .await;
}

/// Kills the processes of a pod's containers, as a crash does. A deletion is none: the kubelet gives the pod its grace.
///
/// # Panics
/// When there are none on this machine.
pub fn crash(pod: &Value) {
    let processes = processes(pod);
    assert!(
        !processes.is_empty(),
        "no process of the pod {} runs on this machine",
        pod["metadata"]["uid"]
    );
    for pid in processes {
        // One that has just ended by itself is none to kill.
        let _ = Command::new("kill").args(["-KILL", &pid]).status();
    }
}

/// The processes of a pod's containers that run on this machine, by their ids.
///
/// # Panics
/// When `pod` is none.
#[must_use]
pub fn processes(pod: &Value) -> Vec<String> {
    let uid = pod["metadata"]["uid"].as_str().unwrap();
    let names = [uid.to_owned(), uid.replace('-', "_")];
    let mut found = Vec::new();
    for entry in std::fs::read_dir("/proc").unwrap().flatten() {
        let Ok(group) = std::fs::read_to_string(entry.path().join("cgroup")) else {
            continue;
        };
        let of_pod = names.iter().any(|name| group.contains(name));
        let pid = entry.file_name().into_string().unwrap();
        if of_pod && !is_pause(&entry.path()) && pid.parse::<u32>().is_ok() {
            found.push(pid);
        }
    }
    found
}

/// The process that holds the pod's namespaces: not one of its containers.
fn is_pause(process: &Path) -> bool {
    let name = std::fs::read_to_string(process.join("comm")).unwrap_or_default();
    name.trim() == "pause"
}
