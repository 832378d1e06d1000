//! Tokens: which are somebody's, and what is said of each that is nobody's.

mod claims;
mod keys;
mod matrix;
mod signatures;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use serde_json::{Value, json};

use super::api_keys::Scope;
use super::claims::{ClaimsError, LEEWAY, LONGEST_LIFE};
use super::grants::GrantsError;
use super::key::{Key, KeyError};
use super::keyring::{Keyring, SetError};
use super::policy::Policy;
use super::testing::{ALGORITHMS, NOW, RSA_PUBLIC, SECRET, claims, key, policy, sign, sign_raw};
use super::tokens::{TokenError, check};

fn ring(algorithm: Algorithm) -> Keyring {
    super::crypto::install();
    Keyring::new(vec![key("k", algorithm)])
}

fn hs(policy: &Policy, token: &str) -> Result<super::Identity, TokenError> {
    check(token, policy, &ring(Algorithm::HS256), NOW)
}

/// What is said of these claims, signed as they should be.
fn said(more: Value) -> Option<TokenError> {
    let mut claims = claims();
    for (name, value) in more.as_object().unwrap() {
        match value {
            Value::Null => claims.as_object_mut().unwrap().remove(name),
            value => claims
                .as_object_mut()
                .unwrap()
                .insert(name.clone(), value.clone()),
        };
    }
    hs(&policy(), &sign(Algorithm::HS256, Some("k"), &claims)).err()
}

/// Holds an answer against what is expected. The library that checks signatures reads registered claims as well: where one
/// is a list or an object it may find the whole malformed first.
#[track_caller]
fn same(said: Option<TokenError>, expected: Option<TokenError>, of: &Value) {
    let deep = of.is_array() || of.is_object();
    let malformed = said == Some(TokenError::Claims(ClaimsError::Malformed));
    assert!(
        said == expected || (deep && malformed && expected.is_some()),
        "{of}: {said:?}, not {expected:?}"
    );
}
