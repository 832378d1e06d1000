//! The API key that the relay shows to gateways.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, PoisonError};

use http::HeaderValue;

/// Where the key comes from, and the key.
#[derive(Debug)]
pub struct Key {
    file: PathBuf,
    header: Mutex<HeaderValue>,
}

/// There is no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// Make it readable.
    #[error("cannot read the API key in {0}: {1}")]
    Unreadable(PathBuf, std::io::Error),
    /// The first line is the key.
    #[error("{0} holds no API key: its first line is to be one")]
    NoKey(PathBuf),
}

impl Key {
    /// The key in the first line of `file`, as in the Secret that gateways read.
    ///
    /// # Errors
    /// When there is none.
    pub fn of(file: &Path) -> Result<Self, KeyError> {
        Ok(Self {
            header: Mutex::new(read(file)?),
            file: file.to_owned(),
        })
    }

    /// The value of `Authorization`.
    #[must_use]
    pub fn header(&self) -> HeaderValue {
        self.lock().clone()
    }

    /// Reads the file again: a gateway did not take the key, so there may be a new one.
    ///
    /// # Errors
    /// When there is none; the old one stays.
    pub fn renew(&self) -> Result<(), KeyError> {
        let new = read(&self.file)?;
        *self.lock() = new;
        Ok(())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, HeaderValue> {
        self.header.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read(file: &Path) -> Result<HeaderValue, KeyError> {
    let text = std::fs::read_to_string(file);
    let text = text.map_err(|error| KeyError::Unreadable(file.to_owned(), error))?;
    let key = text.lines().next().unwrap_or_default().trim();
    let header = (!key.is_empty()).then(|| HeaderValue::try_from(format!("Bearer {key}")));
    let Some(Ok(mut header)) = header else {
        return Err(KeyError::NoKey(file.to_owned()));
    };
    header.set_sensitive(true);
    Ok(header)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_line_is_the_key_and_a_new_one_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("api.outbox");
        assert!(matches!(Key::of(&file), Err(KeyError::Unreadable(..))));
        std::fs::write(&file, "\nscopes: publish\n").unwrap();
        assert!(matches!(Key::of(&file), Err(KeyError::NoKey(_))));
        std::fs::write(&file, "first-key\nscopes: publish history\n").unwrap();
        let key = Key::of(&file).unwrap();
        assert_eq!(key.header(), "Bearer first-key");
        assert!(
            !format!("{key:?}").contains("first-key"),
            "it is never logged"
        );
        std::fs::write(&file, "second-key").unwrap();
        key.renew().unwrap();
        assert_eq!(key.header(), "Bearer second-key");
        std::fs::remove_file(&file).unwrap();
        assert!(key.renew().is_err());
        assert_eq!(key.header(), "Bearer second-key");
    }
}
