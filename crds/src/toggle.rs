//! The two-valued enums that several sections share.
//!
//! Enums rather than booleans, as the Kubernetes API conventions ask: a third value can be added
//! later without a new field.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// Whether a feature is on.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Toggle {
    /// Off.
    #[default]
    Disabled,
    /// On.
    Enabled,
}

impl Toggle {
    /// True for `Enabled`.
    #[must_use]
    pub fn is_enabled(self) -> bool {
        self == Self::Enabled
    }
}

/// Whether something is let through.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub enum Permission {
    /// Refused.
    #[default]
    Deny,
    /// Let through.
    Allow,
}

impl Permission {
    /// True for `Allow`.
    #[must_use]
    pub fn is_allowed(self) -> bool {
        self == Self::Allow
    }
}
