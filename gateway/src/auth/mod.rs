//! Who somebody is, and what he may do: tokens to identities, identities to verdicts.
//!
//! `claims`, `grants`, `access` and `key` are pure. [`Tokens`] puts them together for the rest of the gateway, with keys
//! that change while it runs.

pub mod access;
pub mod api_access;
pub mod api_keys;
pub mod claims;
pub mod crypto;
pub mod fetch;
pub mod grants;
pub mod jwks;
pub mod key;
pub mod keyring;
pub mod policy;
pub mod revocation;
pub mod revoker;
pub mod secret;
pub mod source;
pub mod supply;
pub mod tokens;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

pub use access::{Verb, Verdicts};
pub use api_access::ApiAccess;
pub use claims::Identity;
pub use policy::Policy;
pub use revocation::Revocations;
pub use revoker::Revoker;
pub use source::Keys;
pub use tokens::{TokenError, Tokens};
