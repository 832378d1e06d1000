//! Somebody who signs tokens, and the folder of Secrets that gateways check them with.

use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{SystemTime, UNIX_EPOCH};

use jsonwebtoken::{Algorithm, EncodingKey, Header, encode};
use rcgen::{KeyPair, PKCS_ECDSA_P256_SHA256};
use serde_json::{Value, json};
use tempfile::TempDir;

/// The Secret's name in manifests.
pub const SECRET: &str = "keys";

/// One key to sign with.
#[derive(Debug)]
pub struct Signer {
    kid: String,
    pair: KeyPair,
}

impl Signer {
    /// A new P-256 key of that name.
    ///
    /// # Panics
    /// When the system has no random bytes.
    #[must_use]
    pub fn new(kid: &str) -> Self {
        linnet_gateway::auth::crypto::install();
        Self {
            kid: kid.into(),
            pair: KeyPair::generate_for(&PKCS_ECDSA_P256_SHA256).unwrap(),
        }
    }

    /// Its entry in a Secret.
    fn file(&self) -> String {
        format!("jwt.{}.pem", self.kid)
    }

    /// Its public half in PEM form.
    #[must_use]
    pub fn pem(&self) -> String {
        self.pair.public_key_pem()
    }

    /// Its public half as issuers publish it.
    #[must_use]
    pub fn jwk(&self) -> Value {
        use base64::Engine;
        use base64::engine::general_purpose::URL_SAFE_NO_PAD as B64;
        let point = self.pair.public_key_raw(); // 4, x, y (SEC 1 section 2.3.3)
        json!({
            "kty": "EC", "crv": "P-256", "use": "sig", "alg": "ES256", "kid": self.kid,
            "x": B64.encode(&point[1..33]), "y": B64.encode(&point[33..65]),
        })
    }

    /// Signs these claims, by ES256.
    ///
    /// # Panics
    /// When they are no JSON.
    #[must_use]
    pub fn sign(&self, claims: &Value) -> String {
        let mut header = Header::new(Algorithm::ES256);
        header.kid = Some(self.kid.clone());
        let key = EncodingKey::from_ec_der(&self.pair.serialize_der());
        encode(&header, claims, &key).unwrap()
    }

    /// A token of `user` that is valid for ten minutes and has these further claims.
    ///
    /// # Panics
    /// When `more` is no object.
    #[must_use]
    pub fn token(&self, user: &str, more: &Value) -> String {
        let mut claims = json!({"sub": user, "exp": now() + 600, "iat": now()});
        for (name, value) in more.as_object().unwrap() {
            claims[name] = value.clone();
        }
        self.sign(&claims)
    }
}

/// A folder of Secrets with one that holds the signers' public keys.
#[derive(Debug)]
pub struct Secrets(TempDir);

impl Secrets {
    /// One that holds these.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn of(signers: &[&Signer]) -> Self {
        let secrets = Self(TempDir::new().unwrap());
        std::fs::create_dir(secrets.0.path().join(SECRET)).unwrap();
        for signer in signers {
            secrets.add(signer);
        }
        secrets
    }

    /// One that holds these as the kubelet lays a Secret out: `jwt.a.pem` → `..data/jwt.a.pem`, `..data` → `..1`.
    ///
    /// # Panics
    /// When it can't be written.
    #[must_use]
    pub fn mounted(signers: &[&Signer]) -> Self {
        let secrets = Self::of(&[]);
        secrets.swap(signers);
        secrets
    }

    /// Has a [`Self::mounted`] one hold these instead, in the steps of the kubelet (`AtomicWriter`): one link is swapped,
    /// names that are new get links, and then those that lead nowhere and the old folder go.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn swap(&self, signers: &[&Signer]) {
        let at = |name: &str| self.folder().join(name);
        let old = std::fs::read_link(at("..data")).ok();
        let new = tempfile::Builder::new().prefix("..").tempdir_in(at(""));
        let new = new.unwrap().keep();
        for signer in signers {
            std::fs::write(new.join(signer.file()), signer.pem()).unwrap();
        }
        symlink(new.file_name().unwrap(), at("..data_tmp")).unwrap();
        std::fs::rename(at("..data_tmp"), at("..data")).unwrap();
        for file in signers.iter().map(|signer| signer.file()) {
            if at(&file).symlink_metadata().is_err() {
                symlink(Path::new("..data").join(&file), at(&file)).unwrap();
            }
        }
        for entry in std::fs::read_dir(at("")).unwrap() {
            let link = entry.unwrap().path();
            if !link.exists() {
                std::fs::remove_file(link).unwrap();
            }
        }
        if let Some(old) = old {
            std::fs::remove_dir_all(self.folder().join(old)).unwrap();
        }
    }

    /// The folder, for `--secrets`.
    ///
    /// # Panics
    /// Never: temporary folders have names in UTF-8.
    #[must_use]
    pub fn path(&self) -> &str {
        self.0.path().to_str().unwrap()
    }

    /// Puts a key into the Secret.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn add(&self, signer: &Signer) {
        self.put(&signer.file(), &signer.pem());
    }

    /// Puts any entry into it.
    ///
    /// # Panics
    /// When it can't be written.
    pub fn put(&self, name: &str, content: &str) {
        let new = self.0.path().join("new");
        std::fs::write(&new, content).unwrap();
        std::fs::rename(&new, self.folder().join(name)).unwrap();
    }

    /// Takes any entry out of it.
    ///
    /// # Panics
    /// When it is not there.
    pub fn take(&self, name: &str) {
        std::fs::remove_file(self.folder().join(name)).unwrap();
    }

    fn folder(&self) -> std::path::PathBuf {
        Path::new(self.0.path()).join(SECRET)
    }
}

/// Seconds since the Unix epoch.
///
/// # Panics
/// Before 1970.
#[must_use]
pub fn now() -> u64 {
    let now = SystemTime::now().duration_since(UNIX_EPOCH);
    now.unwrap().as_secs()
}
