//! The gateways' identity: theirs alone, so that policies can name it, and without a credential.

use k8s_openapi::api::core::v1::ServiceAccount;

use super::meta;
use crate::children::Child;
use crate::validate::Validated;

/// Builds the ServiceAccount.
#[must_use]
pub fn build(channel: &Validated) -> ServiceAccount {
    ServiceAccount {
        metadata: meta::of(Child::ServiceAccount, channel),
        automount_service_account_token: Some(false),
        ..ServiceAccount::default()
    }
}
