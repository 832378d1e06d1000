//! The metadata that all children share.

use std::fmt::Write;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde_json::Value;
use sha2::{Digest, Sha256};

use crate::children::Child;
use crate::names;
use crate::validate::Validated;

/// Metadata of a child.
#[must_use]
pub fn of(child: Child, channel: &Validated) -> ObjectMeta {
    ObjectMeta {
        name: Some(child.name(&channel.name)),
        namespace: Some(channel.namespace.clone()),
        labels: Some(names::labels(&channel.name)),
        owner_references: channel.owner.clone().map(|owner| vec![owner]),
        ..ObjectMeta::default()
    }
}

/// Writes the manifest's own hash into its annotations.
///
/// The API server drops a field that is applied no more, but only when something is applied: a live object that has all
/// that is wanted may still have what was wanted before. The hash tells.
pub fn stamp(manifest: &mut Value) {
    let hash = hash(&*manifest);
    manifest["metadata"]["annotations"][names::APPLIED] = hash.into();
}

/// 64 bits of the SHA-256 of a value's JSON, in hex.
#[must_use]
pub fn hash(value: &impl serde::Serialize) -> String {
    // What is hashed here comes from JSON, or is made of strings and numbers.
    let text = serde_json::to_vec(value).unwrap_or_default();
    let mut hash = String::with_capacity(16);
    for byte in &Sha256::digest(text)[..8] {
        // Writing to a string can't fail.
        let _ = write!(hash, "{byte:02x}");
    }
    hash
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_stamp_tells_what_was_applied_and_leaves_other_annotations() {
        let mut bare = json!({"metadata": {"name": "a"}});
        let mut annotated = json!({"metadata": {"name": "a", "annotations": {"x": "y"}}});
        stamp(&mut bare);
        stamp(&mut annotated);
        let hash = |manifest: &Value| manifest["metadata"]["annotations"][names::APPLIED].clone();
        assert!(hash(&bare).is_string());
        assert_ne!(hash(&bare), hash(&annotated));
        assert_eq!(annotated["metadata"]["annotations"]["x"], "y");
    }
}
