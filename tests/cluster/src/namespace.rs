//! A namespace for one test.

use std::process::{Command, Stdio};
use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::kubectl::Kubectl;

/// A namespace in which Pod Security `restricted` is enforced. Its deletion begins when this is dropped.
#[derive(Debug)]
pub struct Namespace {
    name: String,
}

impl Namespace {
    /// Makes one; its name begins with `purpose`.
    pub async fn create(purpose: &str) -> Self {
        let now = SystemTime::now().duration_since(UNIX_EPOCH).unwrap();
        let name = format!("{purpose}-{:x}", now.as_millis() & 0xffff_ffff);
        // Not YAML that begins with a brace: kubectl may take it for JSON.
        let labels =
            json!({"linnet.dev/test": "", "pod-security.kubernetes.io/enforce": "restricted"});
        let manifest = json!({
            "apiVersion": "v1", "kind": "Namespace", "metadata": {"name": name, "labels": labels},
        });
        Kubectl::new("default").apply(&manifest.to_string()).await;
        Self { name }
    }

    /// Its name.
    #[must_use]
    pub fn name(&self) -> &str {
        &self.name
    }

    /// kubectl in it.
    #[must_use]
    pub fn kubectl(&self) -> Kubectl {
        Kubectl::new(&self.name)
    }
}

impl Drop for Namespace {
    fn drop(&mut self) {
        let _ = Command::new("kubectl")
            .args([
                "delete",
                "namespace",
                &self.name,
                "--wait=false",
                "--ignore-not-found",
            ])
            .stdout(Stdio::null())
            .status();
    }
}
