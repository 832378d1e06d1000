//! Certificates for the way to a collector.

use std::path::Path;
use std::sync::Arc;

use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::{ClientConfig, RootCertStore};

use crate::settings::TlsFiles;

/// Why a collector can't be spoken to at all.
#[derive(Debug, thiserror::Error)]
pub enum TlsError {
    /// A file is missing or is not in PEM form.
    #[error("{path}: {error}; it is named by {variable}")]
    File {
        /// Which.
        path: String,
        /// What names it.
        variable: &'static str,
        /// What is wrong.
        error: rustls::pki_types::pem::Error,
    },
    /// The certificates don't fit together.
    #[error("the certificates for the collector: {0}")]
    Rustls(#[from] rustls::Error),
}

/// The settings for HTTP/1.1.
pub(crate) fn client(files: &TlsFiles) -> Result<ClientConfig, TlsError> {
    let mut roots = RootCertStore::empty();
    match &files.certificate {
        Some(file) => {
            for certificate in certificates(file, "OTEL_EXPORTER_OTLP_CERTIFICATE")? {
                roots.add(certificate)?;
            }
        }
        None => {
            // Where there are none, only encrypted collectors are out of reach, and say so.
            roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
        }
    }
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()?
        .with_root_certificates(roots);
    Ok(match (&files.client_certificate, &files.client_key) {
        (Some(certificate), Some(key)) => {
            let variable = "OTEL_EXPORTER_OTLP_CLIENT_CERTIFICATE";
            let chain = certificates(certificate, variable)?;
            let variable = "OTEL_EXPORTER_OTLP_CLIENT_KEY";
            let key = PrivateKeyDer::from_pem_file(key).map_err(of(key, variable))?;
            config.with_client_auth_cert(chain, key)?
        }
        _ => config.with_no_client_auth(),
    })
}

/// A file's text, for a library that reads it itself.
pub(crate) fn pem(file: &Path, variable: &'static str) -> Result<Vec<u8>, TlsError> {
    std::fs::read(file)
        .map_err(|error| of(file, variable)(rustls::pki_types::pem::Error::Io(error)))
}

fn certificates(
    file: &Path,
    variable: &'static str,
) -> Result<Vec<CertificateDer<'static>>, TlsError> {
    let certificates = CertificateDer::pem_file_iter(file).map_err(of(file, variable))?;
    certificates
        .collect::<Result<_, _>>()
        .map_err(of(file, variable))
}

fn of(
    file: &Path,
    variable: &'static str,
) -> impl Fn(rustls::pki_types::pem::Error) -> TlsError + use<> {
    let path = file.display().to_string();
    move |error| TlsError::File {
        path: path.clone(),
        variable,
        error,
    }
}
