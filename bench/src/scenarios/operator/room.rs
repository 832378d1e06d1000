//! The namespace in which the operator is measured, and who it is there.

use std::{env, path::Path};

use anyhow::{Result, bail};
use serde_json::{Value, json};

use super::NAMESPACE;
use crate::{cluster::Kubectl, process::Operator};

/// The definition of channels.
const DEFINITION: &str = include_str!("../../../../crds/realtimechannels.yaml");

/// The namespace, which goes when this does.
pub(super) struct Room<'a> {
    kubectl: &'a Kubectl,
    folder: tempfile::TempDir,
    image: String,
}

impl<'a> Room<'a> {
    /// Makes it.
    pub(super) fn make(kubectl: &'a Kubectl) -> Result<Self> {
        let others = [
            "deployments",
            "--all-namespaces",
            "--selector=app.kubernetes.io/name=linnet-operator",
        ];
        let others = kubectl.get(&others)?;
        let runs = |one: &Value| one["spec"]["replicas"] != 0;
        if others["items"].as_array().into_iter().flatten().any(runs) {
            bail!(
                "an operator serves this cluster, which would do the work too: scale its Deployment to 0 first"
            );
        }
        // One that is there is its installer's.
        let definition = "crd/realtimechannels.realtime.linnet.dev";
        let there = kubectl.run(&["get", definition, "--ignore-not-found", "--output=name"])?;
        if there.is_empty() {
            kubectl.feed(&["apply", "--server-side", "--filename", "-"], DEFINITION)?;
        }
        kubectl.run(&[
            "wait",
            "--for=condition=Established",
            "crd/realtimechannels.realtime.linnet.dev",
        ])?;
        kubectl.run(&["delete", "namespace", NAMESPACE, "--ignore-not-found"])?;
        let account = json!({"kind": "ServiceAccount", "name": "operator", "namespace": NAMESPACE});
        kubectl.apply(&[
            json!({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": NAMESPACE}}),
            json!({"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": "operator", "namespace": NAMESPACE}}),
            json!({"apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding",
                "metadata": {"name": "operator", "namespace": NAMESPACE}, "subjects": [account],
                "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"}}),
        ])?;
        let tag = env::var("LINNET_IMAGE_TAG").unwrap_or_else(|_| "dev".to_owned());
        let folder = tempfile::tempdir()?;
        kubectl.kubeconfig_of("operator", &folder.path().join("kubeconfig"))?;
        Ok(Self {
            kubectl,
            folder,
            image: format!("linnet-gateway:{tag}"),
        })
    }

    /// Starts an operator that serves it.
    pub(super) fn start(&self, binary: &Path) -> Result<Operator> {
        let (kubeconfig, log) = (
            self.folder.path().join("kubeconfig"),
            self.folder.path().join("log"),
        );
        Operator::start(binary, NAMESPACE, &self.image, &kubeconfig, &log)
    }
}

impl Drop for Room<'_> {
    fn drop(&mut self) {
        // The measurement is over: what is left shows at the next one.
        let _ = self
            .kubectl
            .run(&["delete", "namespace", NAMESPACE, "--wait=false"]);
    }
}
