//! One key that signatures are checked with.

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, KeyAlgorithm, PublicKeyUse};
use jsonwebtoken::{Algorithm, DecodingKey};

/// Shortest secret, in bytes (RFC 7518 §3.2: as long as the hash).
pub const SHORTEST_SECRET: usize = 32;
/// An RSA key of 2048 bits in DER (PKCS #1) has 270 bytes; ring takes no shorter one.
const SHORTEST_RSA: usize = 260;

/// One key, and what it may be used for.
#[derive(Clone)]
pub struct Key {
    /// Its name, which a token's `kid` repeats; `None` for the one that needs none.
    pub kid: Option<String>,
    /// Algorithms that fit its type.
    pub algorithms: Vec<Algorithm>,
    /// The key itself.
    pub decoding: DecodingKey,
}

/// A key that can't be used. It never says what the key is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// Write a longer secret, for example 32 bytes of `openssl rand`.
    #[error("a secret has at least 32 bytes (RFC 7518 section 3.2)")]
    ShortSecret,
    /// Name it as a public key, or take another secret.
    #[error("it is a key in PEM form, which others may know, and not a secret")]
    NoSecret,
    /// Write the public key, `openssl pkey -pubout`.
    #[error(
        "it holds a private key: gateways take only the public one (openssl pkey -in KEY -pubout)"
    )]
    Private,
    /// Write a key of a kind that is known.
    #[error(
        "it is not a public key in PEM form: RSA, P-256, P-384 or Ed25519, -----BEGIN PUBLIC KEY-----"
    )]
    Unknown,
    /// Make a longer one.
    #[error("an RSA key has at least 2048 bits")]
    ShortRsa,
    /// It is left out.
    #[error("it is not meant for signatures, or of a kind that is not known")]
    NotForSignatures,
}

impl Key {
    /// A secret that signer and gateway share.
    pub fn secret(kid: Option<&str>, secret: &[u8]) -> Result<Self, KeyError> {
        if secret.len() < SHORTEST_SECRET {
            return Err(KeyError::ShortSecret);
        }
        if secret.starts_with(b"-----BEGIN") {
            return Err(KeyError::NoSecret);
        }
        let fits = [
            (32, Algorithm::HS256),
            (48, Algorithm::HS384),
            (64, Algorithm::HS512),
        ];
        let fits = fits.into_iter().filter(|(least, _)| secret.len() >= *least);
        Ok(Self {
            kid: kid.map(Into::into),
            algorithms: fits.map(|(_, algorithm)| algorithm).collect(),
            decoding: DecodingKey::from_secret(secret),
        })
    }

    /// A public key in PEM form (RFC 7468).
    pub fn pem(kid: &str, pem: &[u8]) -> Result<Self, KeyError> {
        let label = |label: &[u8]| pem.windows(label.len()).any(|window| window == label);
        if label(b"PRIVATE KEY-----") {
            return Err(KeyError::Private);
        }
        if !label(b"-----BEGIN PUBLIC KEY-----") && !label(b"-----BEGIN RSA PUBLIC KEY-----") {
            return Err(KeyError::Unknown);
        }
        let (algorithms, decoding) = if let Ok(key) = DecodingKey::from_ec_pem(pem) {
            (of_point(&key).ok_or(KeyError::Unknown)?, key)
        } else if let Ok(key) = DecodingKey::from_ed_pem(pem) {
            (vec![Algorithm::EdDSA], key)
        } else if let Ok(key) = DecodingKey::from_rsa_pem(pem) {
            if key
                .try_get_as_bytes()
                .is_ok_and(|der| der.len() < SHORTEST_RSA)
            {
                return Err(KeyError::ShortRsa);
            }
            (of_rsa(), key)
        } else {
            return Err(KeyError::Unknown);
        };
        Ok(Self {
            kid: Some(kid.into()),
            algorithms,
            decoding,
        })
    }

    /// A published key (RFC 7517). One that says it is for one algorithm is for no other, and a secret is none: everybody
    /// could sign with it.
    pub fn jwk(jwk: &Jwk) -> Result<Self, KeyError> {
        let common = &jwk.common;
        if !matches!(common.public_key_use, None | Some(PublicKeyUse::Signature)) {
            return Err(KeyError::NotForSignatures);
        }
        let mut algorithms = match &jwk.algorithm {
            AlgorithmParameters::RSA(_) => of_rsa(),
            AlgorithmParameters::EllipticCurve(parameters) => match parameters.curve {
                EllipticCurve::P256 => vec![Algorithm::ES256],
                EllipticCurve::P384 => vec![Algorithm::ES384],
                _ => return Err(KeyError::NotForSignatures),
            },
            AlgorithmParameters::OctetKeyPair(parameters)
                if parameters.curve == EllipticCurve::Ed25519 =>
            {
                vec![Algorithm::EdDSA]
            }
            _ => return Err(KeyError::NotForSignatures),
        };
        if let Some(only) = common.key_algorithm {
            algorithms.retain(|algorithm| KeyAlgorithm::from(*algorithm) == only);
        }
        let decoding = DecodingKey::from_jwk(jwk).map_err(|_| KeyError::NotForSignatures)?;
        if algorithms.is_empty() {
            return Err(KeyError::NotForSignatures);
        }
        if let (AlgorithmParameters::EllipticCurve(_), true) = (
            &jwk.algorithm,
            of_point(&decoding) != Some(algorithms.clone()),
        ) {
            return Err(KeyError::NotForSignatures);
        }
        Ok(Self {
            kid: common.key_id.clone(),
            algorithms,
            decoding,
        })
    }
}

/// Shows its name only.
impl std::fmt::Debug for Key {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let mut out = f.debug_struct("Key");
        out.field("kid", &self.kid)
            .field("algorithms", &self.algorithms)
            .finish_non_exhaustive()
    }
}

fn of_rsa() -> Vec<Algorithm> {
    jsonwebtoken::AlgorithmFamily::Rsa.algorithms().to_vec()
}

/// An uncompressed point's curve shows in its length (SEC 1 §2.3.3).
fn of_point(key: &DecodingKey) -> Option<Vec<Algorithm>> {
    let point = key.try_get_as_bytes().ok()?;
    match (point.first(), point.len()) {
        (Some(4), 65) => Some(vec![Algorithm::ES256]),
        (Some(4), 97) => Some(vec![Algorithm::ES384]),
        _ => None,
    }
}
