//! How a gateway shows NATS who it is, and how it knows that it speaks to NATS: files of the Secrets' folder. The
//! operator has the Secrets themselves: [`Credentials::held`].
//!
//! Every connection is made with what the files hold then: the library asks for the login after each server's greeting,
//! and opens the certificates' files for each TLS handshake. A change of the files is told by [`Credentials::watch`],
//! whose caller then reconnects. Files that can't be used leave the open connection alone.

mod certificates;
mod login;
mod source;
mod watch;

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::path::{Path, PathBuf};

use async_nats::rustls::{ClientConfig, RootCertStore};
use async_nats::{AuthError, ConnectOptions};
use linnet_crds::broker::Nats;
use sha2::{Digest, Sha256};

use self::certificates::{mismatch, read_certificates, read_key};
use self::login::{Login, read_login};
use self::source::Source;

const CA: &str = "ca.crt";
const CERTIFICATE: &str = "tls.crt";
const KEY: &str = "tls.key";

/// The folders of the Secrets that `spec.broker.nats` names.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Credentials {
    /// Holds `nats.creds`, `token`, or `username` and `password`.
    login: Option<Source>,
    /// Holds `ca.crt`.
    ca: Option<Source>,
    /// Holds `tls.crt` and `tls.key`.
    certificate: Option<Source>,
    /// Whether `spec.broker.nats.tls` is there.
    tls: bool,
}

/// What is wrong with the files. It names files and keys, never what they hold.
#[derive(Debug, thiserror::Error)]
pub enum CredentialsError {
    /// Start with `--secrets DIR`.
    #[error("{field} names a Secret: say with --secrets in which folder it is")]
    NoFolder {
        /// The field of the manifest.
        field: &'static str,
    },
    /// Put the key into the Secret, or make the file readable.
    #[error("{path} can't be read: {error}")]
    Read {
        /// The file, named after its key.
        path: PathBuf,
        /// Why.
        error: std::io::Error,
    },
    /// Put one of them into the Secret.
    #[error("{folder} holds none of nats.creds, token, username and password")]
    Nothing {
        /// The Secret's folder.
        folder: PathBuf,
    },
    /// Take all but one out of the Secret.
    #[error("{folder} holds both {first} and {second}: one way to log in is meant")]
    Ambiguous {
        /// The Secret's folder.
        folder: PathBuf,
        /// A key.
        first: &'static str,
        /// Another.
        second: &'static str,
    },
    /// Put into the file what is expected.
    #[error("{path} is not {expected}")]
    Malformed {
        /// The file, named after its key.
        path: PathBuf,
        /// What should be in it.
        expected: &'static str,
    },
    /// Put a certificate and its own key into the Secret.
    #[error("{folder}: tls.key is not the key of tls.crt, or is of a kind that TLS does not know")]
    Mismatch {
        /// The Secret's folder.
        folder: PathBuf,
    },
}

/// Tells one state of the files from another.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Fingerprint([u8; 32]);

impl Credentials {
    /// Where the Secrets of `nats` lie below the folder `secrets`. Reads nothing yet.
    ///
    /// # Errors
    /// When a Secret is named but there is no folder.
    pub fn new(nats: &Nats, secrets: Option<&Path>) -> Result<Self, CredentialsError> {
        Self::find(nats, |name, field| match secrets {
            Some(secrets) => Ok(Source::Folder(secrets.join(name))),
            None => Err(CredentialsError::NoFolder { field }),
        })
    }

    /// The Secrets of `nats` where the caller has read them, by name; one that is not among them has no keys. Options
    /// that are made from this are [`Self::held_options`].
    #[must_use]
    pub fn held(nats: &Nats, secrets: &BTreeMap<String, BTreeMap<String, Vec<u8>>>) -> Self {
        let Ok(held) = Self::find::<Infallible>(nats, |name, _| {
            let keys = secrets.get(name).cloned().unwrap_or_default();
            Ok(Source::held(name, keys))
        });
        held
    }

    fn find<E>(
        nats: &Nats,
        find: impl Fn(&str, &'static str) -> Result<Source, E>,
    ) -> Result<Self, E> {
        let source = |name: Option<&String>, field| name.map(|name| find(name, field)).transpose();
        let tls = nats.tls.as_ref();
        Ok(Self {
            login: source(
                nats.credentials_secret_name.as_ref(),
                "spec.broker.nats.credentialsSecretName",
            )?,
            ca: source(
                tls.and_then(|tls| tls.ca_secret_name.as_ref()),
                "spec.broker.nats.tls.caSecretName",
            )?,
            certificate: source(
                tls.and_then(|tls| tls.cert_secret_name.as_ref()),
                "spec.broker.nats.tls.certSecretName",
            )?,
            tls: tls.is_some(),
        })
    }

    /// Options that log in and verify with what the files hold at each connection. Further options are the caller's; a
    /// certificate that it adds, or an `auth` method, would take their place.
    #[must_use]
    pub fn options(&self) -> ConnectOptions {
        let mut options = self.login_options();
        if let Some(folder) = self.ca.as_ref().and_then(Source::folder) {
            options = options.add_root_certificates(folder.join(CA));
        }
        if let Some(folder) = self.certificate.as_ref().and_then(Source::folder) {
            options = options.add_client_certificate(folder.join(CERTIFICATE), folder.join(KEY));
        }
        options
    }

    /// The same for Secrets that are held: the library takes certificates from files only, or a whole configuration of
    /// TLS.
    ///
    /// # Errors
    /// When a certificate or its key can't be used.
    pub fn held_options(&self) -> Result<ConnectOptions, CredentialsError> {
        let options = self.login_options();
        if self.ca.is_none() && self.certificate.is_none() {
            return Ok(options);
        }
        let mut roots = RootCertStore::empty();
        match &self.ca {
            Some(source) => {
                let (_, certificates) = read_certificates(source, CA)?;
                let (added, _) = roots.add_parsable_certificates(certificates);
                if added == 0 {
                    return Err(CredentialsError::Malformed {
                        path: source.path(CA),
                        expected: "a list of certificates in PEM form",
                    });
                }
            }
            None => {
                roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
            }
        }
        let builder = ClientConfig::builder().with_root_certificates(roots);
        let config = match &self.certificate {
            None => builder.with_no_client_auth(),
            Some(source) => {
                let (_, certificates) = read_certificates(source, CERTIFICATE)?;
                let (_, key) = read_key(source)?;
                builder
                    .with_client_auth_cert(certificates, key)
                    .map_err(|_| mismatch(source))?
            }
        };
        Ok(options.tls_client_config(config))
    }

    /// Options that log in, and ask for TLS where the manifest does.
    fn login_options(&self) -> ConnectOptions {
        let options = match self.login.clone() {
            None => ConnectOptions::new(),
            Some(source) => ConnectOptions::with_auth_callback(move |nonce| {
                let auth = read_login(&source).and_then(|login| login.auth(&nonce, &source));
                std::future::ready(auth.map_err(AuthError::new))
            }),
        };
        match self.tls {
            true => options.require_tls(true),
            false => options,
        }
    }

    /// Reads all files and says whether they can be used. The library's own errors do not name the file.
    ///
    /// # Errors
    /// The first thing that is wrong.
    pub fn check(&self) -> Result<Fingerprint, CredentialsError> {
        let mut hash = Sha256::new();
        let mut add = |part: &str| {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        };
        if let Some(source) = &self.login {
            match read_login(source)? {
                Login::Creds(jwt, pair) => {
                    add(&jwt);
                    add(&pair.seed().unwrap_or_default());
                }
                Login::Token(token) => add(&token),
                Login::Password(username, password) => {
                    add(&username);
                    add(&password);
                }
            }
        }
        if let Some(source) = &self.ca {
            add(&read_certificates(source, CA)?.0);
        }
        if let Some(source) = &self.certificate {
            let (text, certificates) = read_certificates(source, CERTIFICATE)?;
            add(&text);
            let (text, key) = read_key(source)?;
            add(&text);
            ClientConfig::builder()
                .with_root_certificates(RootCertStore::empty())
                .with_client_auth_cert(certificates, key)
                .map_err(|_| mismatch(source))?;
        }
        Ok(Fingerprint(hash.finalize().into()))
    }
}

#[cfg(test)]
mod tests;
