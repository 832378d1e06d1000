//! Signature checks of tokens by ring, which TLS has brought already: `jsonwebtoken` takes any provider, and its own two
//! would bring a second implementation of everything.
//!
//! Gateways check signatures and never make any. The signer is here for tests and tools.

use jsonwebtoken::crypto::{CryptoProvider, JwtSigner, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::{ErrorKind, Result, new_error};
use jsonwebtoken::signature::{Error, Signer, Verifier};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, DecodingKeyKind, EncodingKey};
use ring::rand::SystemRandom;
use ring::signature::{self as ring_signature, UnparsedPublicKey, VerificationAlgorithm};
use ring::{hmac, rsa};

static PROVIDER: CryptoProvider = CryptoProvider {
    signer_factory: signer,
    verifier_factory: verifier,
    // Of what turns keys into JWKs again, which nothing here does.
    key_utils: KeyUtils::new_unimplemented(),
};

/// Makes `jsonwebtoken` use ring. Every call but the first does nothing.
pub fn install() {
    let _ = PROVIDER.install_default(); // an error says that it is installed
}

/// How one algorithm works in ring.
enum Scheme {
    Hmac(hmac::Algorithm),
    Rsa(&'static ring_signature::RsaParameters),
    Other(&'static dyn VerificationAlgorithm),
}

fn scheme(algorithm: Algorithm) -> Result<Scheme> {
    use ring_signature as r;
    Ok(match algorithm {
        Algorithm::HS256 => Scheme::Hmac(hmac::HMAC_SHA256),
        Algorithm::HS384 => Scheme::Hmac(hmac::HMAC_SHA384),
        Algorithm::HS512 => Scheme::Hmac(hmac::HMAC_SHA512),
        Algorithm::RS256 => Scheme::Rsa(&r::RSA_PKCS1_2048_8192_SHA256),
        Algorithm::RS384 => Scheme::Rsa(&r::RSA_PKCS1_2048_8192_SHA384),
        Algorithm::RS512 => Scheme::Rsa(&r::RSA_PKCS1_2048_8192_SHA512),
        Algorithm::PS256 => Scheme::Rsa(&r::RSA_PSS_2048_8192_SHA256),
        Algorithm::PS384 => Scheme::Rsa(&r::RSA_PSS_2048_8192_SHA384),
        Algorithm::PS512 => Scheme::Rsa(&r::RSA_PSS_2048_8192_SHA512),
        Algorithm::ES256 => Scheme::Other(&r::ECDSA_P256_SHA256_FIXED),
        Algorithm::ES384 => Scheme::Other(&r::ECDSA_P384_SHA384_FIXED),
        Algorithm::EdDSA => Scheme::Other(&r::ED25519),
        _ => return Err(new_error(ErrorKind::InvalidAlgorithm)),
    })
}

/// A key that is used with one algorithm of its own family: an HMAC with a public key is none.
struct RingVerifier {
    algorithm: Algorithm,
    scheme: Scheme,
    key: DecodingKey,
}

fn verifier(algorithm: &Algorithm, key: &DecodingKey) -> Result<Box<dyn JwtVerifier>> {
    if key.family() != algorithm.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    Ok(Box::new(RingVerifier {
        algorithm: *algorithm,
        scheme: scheme(*algorithm)?,
        key: key.clone(),
    }))
}

impl Verifier<Vec<u8>> for RingVerifier {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> std::result::Result<(), Error> {
        let outcome = match (&self.scheme, self.key.kind()) {
            (Scheme::Hmac(algorithm), DecodingKeyKind::SecretOrDer(secret)) => {
                hmac::verify(&hmac::Key::new(*algorithm, secret), message, signature)
            }
            (Scheme::Rsa(parameters), DecodingKeyKind::SecretOrDer(der)) => {
                UnparsedPublicKey::new(*parameters, der).verify(message, signature)
            }
            (Scheme::Rsa(parameters), DecodingKeyKind::RsaModulusExponent { n, e }) => {
                rsa::PublicKeyComponents { n, e }.verify(parameters, message, signature)
            }
            (Scheme::Other(algorithm), DecodingKeyKind::SecretOrDer(point)) => {
                UnparsedPublicKey::new(*algorithm, point).verify(message, signature)
            }
            (_, DecodingKeyKind::RsaModulusExponent { .. }) => Err(ring::error::Unspecified),
        };
        outcome.map_err(|_| Error::new())
    }
}

impl JwtVerifier for RingVerifier {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

struct RingSigner {
    algorithm: Algorithm,
    key: EncodingKey,
}

fn signer(algorithm: &Algorithm, key: &EncodingKey) -> Result<Box<dyn JwtSigner>> {
    if key.family() != algorithm.family() {
        return Err(new_error(ErrorKind::InvalidKeyFormat));
    }
    Ok(Box::new(RingSigner {
        algorithm: *algorithm,
        key: key.clone(),
    }))
}

impl Signer<Vec<u8>> for RingSigner {
    fn try_sign(&self, message: &[u8]) -> std::result::Result<Vec<u8>, Error> {
        use ring_signature as r;
        let bytes = self.key.as_bytes();
        let random = SystemRandom::new();
        if self.algorithm.family() == AlgorithmFamily::Rsa {
            let encoding: &dyn r::RsaEncoding = match self.algorithm {
                Algorithm::RS256 => &r::RSA_PKCS1_SHA256,
                Algorithm::RS384 => &r::RSA_PKCS1_SHA384,
                Algorithm::RS512 => &r::RSA_PKCS1_SHA512,
                Algorithm::PS256 => &r::RSA_PSS_SHA256,
                Algorithm::PS384 => &r::RSA_PSS_SHA384,
                _ => &r::RSA_PSS_SHA512,
            };
            let pair = r::RsaKeyPair::from_der(bytes).map_err(|_| Error::new())?;
            let mut signature = vec![0; pair.public().modulus_len()];
            pair.sign(encoding, &random, message, &mut signature)
                .map_err(|_| Error::new())?;
            return Ok(signature);
        }
        let ecdsa = |scheme: &'static r::EcdsaSigningAlgorithm| {
            let pair = r::EcdsaKeyPair::from_pkcs8(scheme, bytes, &random);
            let pair = pair.map_err(|_| Error::new())?;
            let signature = pair.sign(&random, message).map_err(|_| Error::new())?;
            Ok(signature.as_ref().to_vec())
        };
        match self.algorithm {
            Algorithm::ES256 => ecdsa(&r::ECDSA_P256_SHA256_FIXED_SIGNING),
            Algorithm::ES384 => ecdsa(&r::ECDSA_P384_SHA384_FIXED_SIGNING),
            Algorithm::EdDSA => {
                let pair = r::Ed25519KeyPair::from_pkcs8_maybe_unchecked(bytes);
                Ok(pair
                    .map_err(|_| Error::new())?
                    .sign(message)
                    .as_ref()
                    .to_vec())
            }
            algorithm => match scheme(algorithm) {
                Ok(Scheme::Hmac(algorithm)) => {
                    let key = hmac::Key::new(algorithm, bytes);
                    Ok(hmac::sign(&key, message).as_ref().to_vec())
                }
                _ => Err(Error::new()),
            },
        }
    }
}

impl JwtSigner for RingSigner {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}
