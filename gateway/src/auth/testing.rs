//! Keys and tokens of tests.

use std::sync::LazyLock;

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256, PKCS_ECDSA_P384_SHA384, PKCS_ED25519};
use serde_json::{Value, json};

use super::crypto;
use super::key::Key;
use super::policy::{KeySource, Policy};

/// The wall clock of all tests, in seconds since the Unix epoch.
pub const NOW: u64 = 1_900_000_000;
/// What an HS token is signed with.
pub const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef";
/// An RSA key that is used nowhere else.
pub const RSA: &[u8] = include_bytes!("testdata/rsa.pem");
/// Its public half.
pub const RSA_PUBLIC: &[u8] = include_bytes!("testdata/rsa.pub.pem");

static P256: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap());
static P384: LazyLock<KeyPair> =
    LazyLock::new(|| KeyPair::generate_for(&PKCS_ECDSA_P384_SHA384).unwrap());
static ED: LazyLock<KeyPair> = LazyLock::new(|| KeyPair::generate_for(&PKCS_ED25519).unwrap());

pub const ALGORITHMS: [Algorithm; 12] = [
    Algorithm::HS256,
    Algorithm::HS384,
    Algorithm::HS512,
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// A policy that takes everything.
pub fn policy() -> Policy {
    Policy {
        issuer: None,
        audiences: Vec::new(),
        algorithms: Vec::new(),
        user_claim: "sub".into(),
        rooms_claim: "rooms".into(),
        keys: KeySource::Secret("keys".into()),
    }
}

/// The key that checks tokens of an algorithm.
pub fn key(kid: &str, algorithm: Algorithm) -> Key {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => Key::secret(Some(kid), SECRET),
        Algorithm::ES256 => Key::pem(kid, P256.public_key_pem().as_bytes()),
        Algorithm::ES384 => Key::pem(kid, P384.public_key_pem().as_bytes()),
        Algorithm::EdDSA => Key::pem(kid, ED.public_key_pem().as_bytes()),
        _ => Key::pem(kid, RSA_PUBLIC),
    }
    .unwrap()
}

/// The key that signs them.
pub fn signing_key(algorithm: Algorithm) -> EncodingKey {
    match algorithm {
        Algorithm::HS256 | Algorithm::HS384 | Algorithm::HS512 => EncodingKey::from_secret(SECRET),
        Algorithm::ES256 => EncodingKey::from_ec_der(&P256.serialize_der()),
        Algorithm::ES384 => EncodingKey::from_ec_der(&P384.serialize_der()),
        Algorithm::EdDSA => EncodingKey::from_ed_der(&ED.serialize_der()),
        _ => EncodingKey::from_rsa_pem(RSA).unwrap(),
    }
}

/// Claims that are right.
pub fn claims() -> Value {
    json!({"sub": "ann", "exp": NOW + 3600})
}

/// Signs these claims.
pub fn sign(algorithm: Algorithm, kid: Option<&str>, claims: &Value) -> String {
    crypto::install();
    let mut header = Header::new(algorithm);
    header.kid = kid.map(Into::into);
    encode(&header, claims, &signing_key(algorithm)).unwrap()
}

/// Signs these texts by HS256, whatever they are.
pub fn sign_raw(header: &str, claims: &[u8]) -> String {
    use base64::Engine;
    use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
    let message = format!("{}.{}", B64.encode(header), B64.encode(claims));
    let key = ring::hmac::Key::new(ring::hmac::HMAC_SHA256, SECRET);
    let signature = ring::hmac::sign(&key, message.as_bytes());
    format!("{message}.{}", B64.encode(signature))
}
