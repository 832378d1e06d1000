//! From the claims of a token whose signature is right to who it is, or why not (RFC 7519 §4.1).

use std::collections::HashMap;
use std::fmt;
use std::sync::Arc;

use serde::Deserialize;
use serde::de::{MapAccess, Visitor};
use serde_json::value::RawValue;

use super::api_keys::Scopes;
use super::grants::{Grants, GrantsError};
use super::policy::Policy;
use crate::names::UserId;

/// How far the clocks of the issuer and of a gateway may differ, in seconds.
pub const LEEWAY: u64 = 30;

/// Tokens that are valid for longer from now on are refused, in seconds: a revocation outlives every token, and is kept
/// for so long.
pub const LONGEST_LIFE: u64 = 366 * 24 * 3600;

/// Who a token says somebody is, and what that one may do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The user.
    pub user: UserId,
    /// The rooms of the token.
    pub grants: Arc<Grants>,
    /// What the token is good for at the server APIs.
    pub scopes: Scopes,
    /// When the identity ends, in seconds since the Unix epoch, leeway included.
    pub ends: u64,
    /// When the token was issued, in seconds since the Unix epoch, where it says so.
    pub issued: Option<u64>,
}

/// What is wrong with the claims. The texts are for whoever sent the token: they name claims, never values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ClaimsError {
    /// Not an object, or a claim twice: which of two counts, nobody could tell.
    #[error("its claims are not one JSON object in which each claim stands once")]
    Malformed,
    /// It must end.
    #[error("it has no `exp`, or one that is not a number of seconds")]
    NoExpiry,
    /// Get a new one.
    #[error("it has expired")]
    Expired,
    /// It ends too late.
    #[error("its `exp` is over 366 days ahead: tokens must be shorter-lived")]
    TooLong,
    /// `nbf` is no number.
    #[error("its `nbf` is not a number of seconds")]
    BadNotBefore,
    /// `nbf` is ahead.
    #[error("it is not valid yet")]
    NotYet,
    /// `iat` is no number.
    #[error("its `iat` is not a number of seconds")]
    BadIssuedAt,
    /// `iat` is ahead.
    #[error("its `iat` is in the future")]
    IssuedAhead,
    /// Another issuer's.
    #[error("its `iss` is not the channel's issuer")]
    Issuer,
    /// For somebody else.
    #[error("its `aud` holds none of the channel's audiences")]
    Audience,
    /// Nobody's.
    #[error(
        "the claim that names the user must be text of 1 to 256 bytes without control characters, and not begin with ~"
    )]
    User,
    /// The rooms can't be read.
    #[error("its claim of rooms can't be used: {0}")]
    Rooms(GrantsError),
}

/// A token's claims, each once.
pub struct Claims(HashMap<String, Box<RawValue>>);

impl<'de> Deserialize<'de> for Claims {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Once;
        impl<'de> Visitor<'de> for Once {
            type Value = Claims;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("an object")
            }

            fn visit_map<M: MapAccess<'de>>(self, mut map: M) -> Result<Claims, M::Error> {
                let mut claims = HashMap::new();
                while let Some((name, value)) = map.next_entry::<String, Box<RawValue>>()? {
                    if claims.insert(name, value).is_some() {
                        return Err(serde::de::Error::custom("a claim stands twice"));
                    }
                }
                Ok(Claims(claims))
            }
        }
        deserializer.deserialize_map(Once)
    }
}

impl Claims {
    /// Checks them at `now`, in seconds since the Unix epoch.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self, policy: &Policy, now: u64) -> Result<Identity, ClaimsError> {
        let expires = self.seconds("exp").map_err(|()| ClaimsError::NoExpiry)?;
        let expires = expires.ok_or(ClaimsError::NoExpiry)?;
        let ends = expires.saturating_add(LEEWAY);
        if ends <= now {
            return Err(ClaimsError::Expired);
        }
        if expires > now + LONGEST_LIFE + LEEWAY {
            return Err(ClaimsError::TooLong);
        }
        let not_before = self
            .seconds("nbf")
            .map_err(|()| ClaimsError::BadNotBefore)?;
        if not_before.is_some_and(|at| at > now + LEEWAY) {
            return Err(ClaimsError::NotYet);
        }
        let issued = self.seconds("iat").map_err(|()| ClaimsError::BadIssuedAt)?;
        // One from the future would outlive a revocation.
        if issued.is_some_and(|at| at > now + LEEWAY) {
            return Err(ClaimsError::IssuedAhead);
        }
        // Revocations are kept for so long: what lives longer would outlive one.
        if issued.is_some_and(|at| expires > at.saturating_add(LONGEST_LIFE + LEEWAY)) {
            return Err(ClaimsError::TooLong);
        }
        if let Some(issuer) = &policy.issuer
            && self.text("iss").as_ref() != Some(issuer)
        {
            return Err(ClaimsError::Issuer);
        }
        if !policy.audiences.is_empty() && !self.is_for(&policy.audiences) {
            return Err(ClaimsError::Audience);
        }
        let user = self.text(&policy.user_claim);
        let user = user.and_then(|user| UserId::from_token(&user));
        let grants = match self.0.get(&policy.rooms_claim) {
            None => Grants::default(),
            Some(rooms) => Grants::parse(rooms.get()).map_err(ClaimsError::Rooms)?,
        };
        Ok(Identity {
            user: user.ok_or(ClaimsError::User)?,
            grants: Arc::new(grants),
            scopes: self
                .text("scope")
                .map_or(Scopes::NONE, |claim| Scopes::of_claim(&claim)),
            ends,
            issued,
        })
    }

    /// A time in whole seconds, rounded down; `Err` where it is none.
    fn seconds(&self, claim: &str) -> Result<Option<u64>, ()> {
        let Some(value) = self.0.get(claim) else {
            return Ok(None);
        };
        if let Ok(whole) = value.get().parse::<u64>() {
            return Ok(Some(whole));
        }
        // RFC 7519 §2, NumericDate: fractions are allowed. 2^53: what a number keeps exactly.
        match serde_json::from_str::<f64>(value.get()) {
            Ok(seconds) if (0.0..9_007_199_254_740_992.0).contains(&seconds) => {
                Ok(Some(seconds as u64))
            }
            _ => Err(()),
        }
    }

    fn text(&self, claim: &str) -> Option<String> {
        serde_json::from_str(self.0.get(claim)?.get()).ok()
    }

    /// `aud` is a text or a list of texts (RFC 7519 §4.1.3).
    fn is_for(&self, audiences: &[String]) -> bool {
        let Some(value) = self.0.get("aud") else {
            return false;
        };
        let list: Vec<String> = match serde_json::from_str(value.get()) {
            Ok(one) => vec![one],
            Err(_) => serde_json::from_str(value.get()).unwrap_or_default(),
        };
        list.iter().any(|audience| audiences.contains(audience))
    }
}
