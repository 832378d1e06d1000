//! Tokens to identities, with the keys of the moment.

use std::sync::Arc;
use std::time::{Instant, SystemTime, UNIX_EPOCH};

use arc_swap::{ArcSwap, ArcSwapOption};
use jsonwebtoken::{Validation, decode, decode_header};

use super::claims::{Claims, ClaimsError, Identity};
use super::crypto;
use super::jwks::{Hope, Refetch};
use super::keyring::{Candidates, Keyring};
use super::policy::Policy;
use super::revocation::Revocations;
use crate::metrics::Counter;
use crate::protocol::ErrorCode;

/// Longest token, in bytes: what the headers of a handshake may have.
pub const LONGEST_TOKEN: usize = 16 * 1024;

/// What is wrong with a token. The texts are for whoever sent it, and hold nothing of it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum TokenError {
    /// The channel takes none.
    #[error("this channel takes no tokens")]
    NotTaken,
    /// Send less.
    #[error("it is over 16 KiB")]
    TooLong,
    /// Not a JWT.
    #[error("it is not a signed JWT, or its algorithm is not known")]
    Malformed,
    /// Its header asks for what is not understood (RFC 7515 §4.1.11).
    #[error("its header has `crit`, which is not understood here")]
    Critical,
    /// Another algorithm is wanted, or there is no key for this one.
    #[error("its algorithm is not taken here")]
    Algorithm,
    /// No key has the name.
    #[error("its `kid` is the name of no key")]
    UnknownKey,
    /// Signed by somebody else, or changed since.
    #[error("its signature is not right")]
    Signature,
    /// Its claims are not right.
    #[error("{0}")]
    Claims(#[from] ClaimsError),
    /// Sign in again.
    #[error("its user was signed out since it was issued")]
    Revoked,
    /// Keys are on their way: it may be right.
    #[error("its key is being fetched: try again in a moment")]
    Fetching,
    /// Keys are missing: it may be right.
    #[error("the keys to check it with can't be had now: try again later")]
    NoKeys,
}

impl TokenError {
    /// The protocol's word.
    #[must_use]
    pub fn code(self) -> ErrorCode {
        match self {
            Self::NoKeys | Self::Fetching => ErrorCode::KeysUnavailable,
            Self::Revoked => ErrorCode::Revoked,
            Self::Claims(ClaimsError::Expired) => ErrorCode::TokenExpired,
            _ => ErrorCode::InvalidToken,
        }
    }
}

/// Checks tokens. Shared by everything that gets some.
#[derive(Debug)]
pub struct Tokens {
    keys: ArcSwap<Keyring>,
    /// Asks for keys that are not known, where they can be fetched.
    refetch: ArcSwapOption<Refetch>,
    /// Whose tokens are worth nothing.
    revocations: Arc<Revocations>,
    metrics: TokenMetrics,
}

/// What happens to tokens and keys.
#[derive(Debug, Default)]
pub struct TokenMetrics {
    /// Tokens that were accepted.
    pub accepted: Counter,
    /// Tokens that were refused.
    pub refused: Counter,
    /// Sets of keys that were fetched.
    pub fetched: Counter,
    /// Fetches that brought nothing.
    pub fetch_failures: Counter,
}

impl Default for Tokens {
    fn default() -> Self {
        crypto::install();
        Self {
            keys: ArcSwap::from_pointee(Keyring::default()),
            refetch: ArcSwapOption::empty(),
            revocations: Arc::default(),
            metrics: TokenMetrics::default(),
        }
    }
}

impl Tokens {
    /// One that has these keys.
    #[must_use]
    pub fn with(keys: Keyring) -> Self {
        let tokens = Self::default();
        tokens.set_keys(keys);
        tokens
    }

    /// Checks with these keys from now on.
    pub fn set_keys(&self, keys: Keyring) {
        self.keys.store(Arc::new(keys));
    }

    /// Says whose token it is. Takes as long as a signature check: a tenth of a millisecond or so.
    ///
    /// # Errors
    /// Why it is nobody's.
    pub fn verify(&self, token: &str, policy: Option<&Policy>) -> Result<Identity, TokenError> {
        let policy = policy.ok_or(TokenError::NotTaken)?;
        let outcome = check(token, policy, &self.keys.load(), unix_seconds());
        let outcome = match outcome {
            Ok(identity) if self.revocations.covers(&identity) => Err(TokenError::Revoked),
            outcome => outcome,
        };
        let outcome = match outcome {
            Err(error @ (TokenError::UnknownKey | TokenError::NoKeys)) => {
                Err(self.hope(error, token))
            }
            outcome => outcome,
        };
        match outcome {
            Ok(_) => self.metrics.accepted.add_shared(1),
            Err(TokenError::Fetching) => {}
            Err(_) => self.metrics.refused.add_shared(1),
        }
        outcome
    }

    /// What it means that the key of a token is not known: where keys are fetched, it may be on its way.
    fn hope(&self, error: TokenError, token: &str) -> TokenError {
        let refetch = self.refetch.load();
        let Some(refetch) = refetch.as_ref() else {
            return error;
        };
        let name = match error {
            TokenError::UnknownKey => decode_header(token).ok().and_then(|header| header.kid),
            _ => None,
        };
        match refetch.want(name.as_deref(), Instant::now()) {
            Hope::Wait => TokenError::Fetching,
            Hope::Absent => error,
            Hope::Unavailable => TokenError::NoKeys,
        }
    }

    /// Waits for keys that are being fetched, for a few seconds at most.
    pub async fn fetched(&self) {
        if let Some(refetch) = self.refetch.load_full() {
            refetch.done().await;
        }
    }

    /// Whose tokens are worth nothing.
    #[must_use]
    pub fn revocations(&self) -> &Arc<Revocations> {
        &self.revocations
    }

    /// How many keys there are.
    #[must_use]
    pub fn keys(&self) -> usize {
        self.keys.load().len()
    }

    /// What it counts.
    #[must_use]
    pub fn metrics(&self) -> &TokenMetrics {
        &self.metrics
    }

    pub(super) fn refetch_by(&self, refetch: Option<Arc<Refetch>>) {
        self.refetch.store(refetch);
    }
}

/// The wall clock, in seconds since the Unix epoch.
#[must_use]
pub fn unix_seconds() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap_or_default().as_secs()
}

/// Checks a token at `now`, in seconds since the Unix epoch: its form, then its signature, and only then what it says.
///
/// # Errors
/// The first thing that is wrong.
pub fn check(
    token: &str,
    policy: &Policy,
    keys: &Keyring,
    now: u64,
) -> Result<Identity, TokenError> {
    if token.len() > LONGEST_TOKEN {
        return Err(TokenError::TooLong);
    }
    let header = decode_header(token).map_err(|_| TokenError::Malformed)?;
    if header.crit.is_some() {
        return Err(TokenError::Critical);
    }
    if !policy.takes(header.alg) {
        return Err(TokenError::Algorithm);
    }
    let keys = match keys.candidates(header.kid.as_deref(), header.alg) {
        Candidates::Keys(keys) => keys,
        Candidates::UnknownKid => return Err(TokenError::UnknownKey),
        Candidates::Unfit => return Err(TokenError::Algorithm),
        Candidates::Empty => return Err(TokenError::NoKeys),
    };
    let mut validation = Validation::new(header.alg);
    // Claims are checked after, by a clock that tests can set and to the letter of RFC 7519.
    validation.required_spec_claims.clear();
    validation.validate_exp = false;
    validation.validate_aud = false;
    let mut claims = None;
    for key in keys {
        use jsonwebtoken::errors::ErrorKind;
        match decode::<Claims>(token, &key.decoding, &validation) {
            Ok(decoded) => {
                claims = Some(decoded.claims);
                break;
            }
            // Only what is signed is read, so the signature was right.
            Err(error) if matches!(error.kind(), ErrorKind::Json(_) | ErrorKind::Utf8(_)) => {
                return Err(ClaimsError::Malformed.into());
            }
            Err(_) => {}
        }
    }
    let claims = claims.ok_or(TokenError::Signature)?;
    Ok(claims.check(policy, now)?)
}
