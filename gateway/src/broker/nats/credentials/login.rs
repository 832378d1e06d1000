//! The keys of a Secret that log in, and what they say to a server's greeting.

use async_nats::Auth;

use super::CredentialsError;
use super::source::Source;

const CREDS: &str = "nats.creds";
const TOKEN: &str = "token";
const USERNAME: &str = "username";
const PASSWORD: &str = "password";

/// One way to log in.
pub(super) enum Login {
    /// JWT and the seed of its nkey.
    Creds(String, Box<nkeys::KeyPair>),
    Token(String),
    Password(String, String),
}

impl Login {
    /// The answer to a server's greeting with this `nonce`.
    pub(super) fn auth(self, nonce: &[u8], source: &Source) -> Result<Auth, CredentialsError> {
        let mut auth = Auth::new();
        match self {
            Self::Creds(jwt, pair) => {
                let signature = pair.sign(nonce).map_err(|_| malformed_creds(source))?;
                auth.jwt = Some(jwt);
                auth.signature = Some(signature);
            }
            Self::Token(token) => auth.token = Some(token),
            Self::Password(username, password) => {
                auth.username = Some(username);
                auth.password = Some(password);
            }
        }
        Ok(auth)
    }
}

pub(super) fn read_login(source: &Source) -> Result<Login, CredentialsError> {
    let there = |key: &&str| source.has(key);
    // A half of a pair counts as the pair: what is missing of it is then named.
    let ways = [CREDS, TOKEN, USERNAME, PASSWORD];
    let mut found: Vec<&'static str> = ways.into_iter().filter(there).collect();
    if found.ends_with(&[USERNAME, PASSWORD]) {
        found.pop();
    }
    let folder = || source.itself().to_owned();
    match found[..] {
        [] => Err(CredentialsError::Nothing { folder: folder() }),
        [CREDS] => creds(&source.read(CREDS)?).ok_or_else(|| malformed_creds(source)),
        [TOKEN] => Ok(Login::Token(read_line(source, TOKEN)?)),
        [USERNAME | PASSWORD] => Ok(Login::Password(
            read_line(source, USERNAME)?,
            read_line(source, PASSWORD)?,
        )),
        [first, second, ..] => Err(CredentialsError::Ambiguous {
            folder: folder(),
            first,
            second,
        }),
        [_] => unreachable!("all ways are named above"),
    }
}

/// Reads the decorated form that `nsc` writes: the JWT, then the seed, each between two lines of dashes with words.
fn creds(text: &str) -> Option<Login> {
    let mut lines = text.lines().map(str::trim);
    let mut next = || {
        lines.find(|line| line.starts_with("---") && line.contains("BEGIN"))?;
        lines.find(|line| !line.is_empty())
    };
    let (jwt, seed) = (next()?, next()?);
    let is_jwt = jwt.split('.').count() == 3 && jwt.split('.').all(|part| !part.is_empty());
    let pair = nkeys::KeyPair::from_seed(seed).ok()?;
    is_jwt.then(|| Login::Creds(jwt.to_owned(), Box::new(pair)))
}

fn malformed_creds(source: &Source) -> CredentialsError {
    CredentialsError::Malformed {
        path: source.path(CREDS),
        expected: "a credentials file with a user's JWT and the seed of its nkey",
    }
}

/// A key's text without the line end that editors and `echo` leave; never empty.
fn read_line(source: &Source, key: &str) -> Result<String, CredentialsError> {
    let text = source.read(key)?;
    let line = text.trim_end_matches(['\r', '\n']);
    if line.is_empty() || line.contains(['\r', '\n']) {
        return Err(CredentialsError::Malformed {
            path: source.path(key),
            expected: "one line of text",
        });
    }
    Ok(line.to_owned())
}
