//! The keys in a Secret's folder: `jwt.secret`, `jwt.<kid>.secret` and `jwt.<kid>.pem`.

use std::io;
use std::path::{Path, PathBuf};

use super::key::{Key, KeyError};

/// Keys of one Secret that are looked at.
const MOST_KEYS: usize = 64;
/// Largest file, in bytes; the public half of a long RSA key has under 2 KiB.
const LARGEST: u64 = 64 * 1024;

/// What a folder holds.
#[derive(Debug, Default)]
pub struct Found {
    /// Keys that can be used.
    pub keys: Vec<Key>,
    /// What is wrong with the others, or why there is none.
    pub problems: Vec<SecretError>,
}

/// What is wrong with a Secret. It names files, never what they hold.
#[derive(Debug, thiserror::Error)]
pub enum SecretError {
    /// Start with `--secrets DIR`.
    #[error(
        "spec.authentication.jwt.keySecretName names a Secret: say with --secrets in which folder it is"
    )]
    NoFolder,
    /// Create the Secret, or make the file readable.
    #[error("{path} can't be read: {error}")]
    Read {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// Put a key into it.
    #[error("{folder} holds no key: jwt.secret, jwt.<kid>.secret or jwt.<kid>.pem")]
    Nothing {
        /// The Secret's folder.
        folder: PathBuf,
    },
    /// Put a better key into it.
    #[error("{path}: {error}")]
    Key {
        /// The file.
        path: PathBuf,
        /// Why it is none.
        error: KeyError,
    },
}

/// How a key of the Secret is to be read.
#[derive(Debug, PartialEq, Eq)]
enum Kind<'a> {
    Secret(Option<&'a str>),
    Pem(&'a str),
}

/// Reads all keys of a folder, in order of their names.
#[must_use]
pub fn read(folder: &Path) -> Found {
    let mut found = Found::default();
    let names = match names(folder) {
        Ok(names) => names,
        Err(error) => {
            let path = folder.to_owned();
            found.problems.push(SecretError::Read { path, error });
            return found;
        }
    };
    for name in names {
        let Some(kind) = kind(&name) else {
            continue;
        };
        let path = folder.join(&name);
        let key = match content(&path) {
            Ok(content) => match kind {
                Kind::Secret(kid) => Key::secret(kid, without_line_end(&content)),
                Kind::Pem(kid) => Key::pem(kid, &content),
            },
            Err(error) => {
                found.problems.push(SecretError::Read { path, error });
                continue;
            }
        };
        match key {
            Ok(key) => found.keys.push(key),
            Err(error) => found.problems.push(SecretError::Key { path, error }),
        }
    }
    if found.keys.is_empty() && found.problems.is_empty() {
        let folder = folder.to_owned();
        found.problems.push(SecretError::Nothing { folder });
    }
    found
}

fn names(folder: &Path) -> io::Result<Vec<String>> {
    let mut names = Vec::new();
    for entry in std::fs::read_dir(folder)? {
        if let Ok(name) = entry?.file_name().into_string()
            && kind(&name).is_some()
        {
            names.push(name);
        }
    }
    names.sort_unstable();
    names.truncate(MOST_KEYS);
    Ok(names)
}

fn kind(name: &str) -> Option<Kind<'_>> {
    if name == "jwt.secret" {
        return Some(Kind::Secret(None));
    }
    let rest = name.strip_prefix("jwt.")?;
    let (kid, secret) = match rest.strip_suffix(".secret") {
        Some(kid) => (kid, true),
        None => (rest.strip_suffix(".pem")?, false),
    };
    match (kid, secret) {
        ("", _) => None,
        (kid, true) => Some(Kind::Secret(Some(kid))),
        (kid, false) => Some(Kind::Pem(kid)),
    }
}

fn content(path: &Path) -> io::Result<Vec<u8>> {
    use std::io::Read;
    let mut content = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(LARGEST).read_to_end(&mut content)?;
    Ok(content)
}

/// Text without the line end that editors and `echo` leave. Random bytes are no text, and stay as they are.
fn without_line_end(content: &[u8]) -> &[u8] {
    match std::str::from_utf8(content) {
        Ok(text) => text.trim_end_matches(['\r', '\n']).as_bytes(),
        Err(_) => content,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_name_of_a_file_says_what_it_is() {
        for (name, expected) in [
            ("jwt.secret", Some(Kind::Secret(None))),
            ("jwt.a.secret", Some(Kind::Secret(Some("a")))),
            ("jwt.2026-01.pem", Some(Kind::Pem("2026-01"))),
            ("jwt.a.b.pem", Some(Kind::Pem("a.b"))),
            ("jwt..pem", None),
            ("jwt.pem", None),
            ("api.admin", None),
            ("..data", None),
        ] {
            assert_eq!(kind(name), expected, "{name}");
        }
    }

    #[test]
    fn good_keys_are_taken_and_each_bad_one_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let write = |name: &str, content: &[u8]| {
            std::fs::write(folder.path().join(name), content).unwrap();
        };
        write("jwt.secret", b"0123456789abcdef0123456789abcdef\n");
        write("jwt.short.secret", b"secret");
        write("jwt.bad.pem", b"hello");
        write(
            "jwt.mine.pem",
            b"-----BEGIN PRIVATE KEY-----\nAAAA\n-----END PRIVATE KEY-----\n",
        );
        write("api.admin", b"x");
        let found = read(folder.path());
        assert_eq!(found.keys.len(), 1);
        let mut problems = found.problems.iter().map(ToString::to_string);
        assert!(problems.next().unwrap().contains("jwt.bad.pem"));
        assert!(problems.next().unwrap().contains("private key"));
        assert!(problems.next().unwrap().contains("32 bytes"));
        assert!(problems.next().is_none());
    }

    #[test]
    fn a_folder_that_is_empty_or_not_there_is_a_problem() {
        let folder = tempfile::tempdir().unwrap();
        let problem = |path: &Path| read(path).problems.pop().unwrap().to_string();
        assert!(problem(folder.path()).contains("holds no key"));
        assert!(problem(&folder.path().join("none")).contains("can't be read"));
    }

    #[test]
    fn a_line_end_is_no_part_of_a_secret_and_random_bytes_stay() {
        assert_eq!(without_line_end(b"abc\r\n"), b"abc");
        assert_eq!(without_line_end(b"\xff\n"), b"\xff\n");
    }
}
