//! `spec.authentication.jwt`, compiled: which tokens are taken, and where the keys are.

use jsonwebtoken::Algorithm;
use linnet_crds::authentication::{Algorithm as Named, Jwt};

/// Which tokens a channel takes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Policy {
    /// Required `iss`; `None`: any.
    pub issuer: Option<String>,
    /// `aud` must hold one of these; empty: any.
    pub audiences: Vec<String>,
    /// Algorithms that are taken; empty: all that fit the key.
    pub algorithms: Vec<Algorithm>,
    /// The claim that is the user.
    pub user_claim: String,
    /// The claim that lists rooms.
    pub rooms_claim: String,
    /// Where the keys are.
    pub keys: KeySource,
}

/// Where a channel's keys are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum KeySource {
    /// In the Secret of this name.
    Secret(String),
    /// Where the issuer publishes them.
    Jwks(String),
}

impl Policy {
    /// Compiles a valid section; `None` where it names no keys, which the schema does not let through.
    #[must_use]
    pub fn compile(jwt: &Jwt) -> Option<Self> {
        let keys = match (&jwt.key_secret_name, &jwt.jwks_uri) {
            (Some(name), _) => KeySource::Secret(name.clone()),
            (None, Some(uri)) => KeySource::Jwks(uri.clone()),
            (None, None) => return None,
        };
        Some(Self {
            issuer: jwt.issuer.clone(),
            audiences: jwt.audiences.clone(),
            algorithms: jwt.algorithms.iter().copied().map(algorithm).collect(),
            user_claim: jwt.user_claim.clone(),
            rooms_claim: jwt.rooms_claim.clone(),
            keys,
        })
    }

    /// Whether tokens with this algorithm are taken at all.
    #[must_use]
    pub fn takes(&self, algorithm: Algorithm) -> bool {
        self.algorithms.is_empty() || self.algorithms.contains(&algorithm)
    }
}

fn algorithm(named: Named) -> Algorithm {
    match named {
        Named::RS256 => Algorithm::RS256,
        Named::RS384 => Algorithm::RS384,
        Named::RS512 => Algorithm::RS512,
        Named::PS256 => Algorithm::PS256,
        Named::PS384 => Algorithm::PS384,
        Named::PS512 => Algorithm::PS512,
        Named::ES256 => Algorithm::ES256,
        Named::ES384 => Algorithm::ES384,
        Named::EdDSA => Algorithm::EdDSA,
        Named::HS256 => Algorithm::HS256,
        Named::HS384 => Algorithm::HS384,
        Named::HS512 => Algorithm::HS512,
    }
}
