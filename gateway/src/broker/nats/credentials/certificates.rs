//! Certificates and keys of a Secret, in PEM form.

use async_nats::rustls::pki_types::pem::PemObject;
use async_nats::rustls::pki_types::{CertificateDer, PrivateKeyDer};

use super::source::Source;
use super::{CredentialsError, KEY};

/// A key's text and its certificates, at least one.
pub(super) fn read_certificates(
    source: &Source,
    key: &str,
) -> Result<(String, Vec<CertificateDer<'static>>), CredentialsError> {
    let text = source.read(key)?;
    let certificates: Result<Vec<_>, _> = CertificateDer::pem_slice_iter(text.as_bytes()).collect();
    match certificates {
        Ok(certificates) if !certificates.is_empty() => Ok((text, certificates)),
        _ => Err(CredentialsError::Malformed {
            path: source.path(key),
            expected: "a list of certificates in PEM form",
        }),
    }
}

/// The text of `tls.key`, and the key.
pub(super) fn read_key(
    source: &Source,
) -> Result<(String, PrivateKeyDer<'static>), CredentialsError> {
    let text = source.read(KEY)?;
    match PrivateKeyDer::from_pem_slice(text.as_bytes()) {
        Ok(key) => Ok((text, key)),
        Err(_) => Err(CredentialsError::Malformed {
            path: source.path(KEY),
            expected: "a private key in PEM form",
        }),
    }
}

pub(super) fn mismatch(source: &Source) -> CredentialsError {
    CredentialsError::Mismatch {
        folder: source.itself().to_owned(),
    }
}
