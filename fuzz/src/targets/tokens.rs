//! Tokens: their form, their header, and claims under a signature that is right.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD as BASE64;
use linnet_gateway::auth::claims::{LEEWAY, LONGEST_LIFE};
use linnet_gateway::auth::grants::MOST_PATTERNS;
use linnet_gateway::auth::key::Key;
use linnet_gateway::auth::keyring::Keyring;
use linnet_gateway::auth::policy::KeySource;
use linnet_gateway::auth::tokens::{TokenError, check};
use linnet_gateway::auth::{Identity, Policy, Verb, crypto};
use ring::hmac;

/// What tokens are signed with, and checked.
const SECRET: &[u8] = b"0123456789abcdef0123456789abcdef";

/// The time of every check, in seconds since the Unix epoch.
const NOW: u64 = 1_900_000_000;

static KEYS: LazyLock<Keyring> = LazyLock::new(|| {
    crypto::install();
    Keyring::new(Key::secret(None, SECRET).into_iter().collect())
});

static POLICY: LazyLock<Policy> = LazyLock::new(|| Policy {
    issuer: None,
    audiences: Vec::new(),
    algorithms: Vec::new(),
    user_claim: "sub".into(),
    rooms_claim: "rooms".into(),
    keys: KeySource::Secret("keys".into()),
});

/// The bytes as a token; and the first line as the header, the rest as the claims of one that is signed as it should be.
pub fn run(data: &[u8]) {
    if let Ok(token) = std::str::from_utf8(data) {
        promises(&look(token, NOW));
    }
    let mut lines = data.splitn(2, |byte| *byte == b'\n');
    let (header, claims) = (lines.next(), lines.next());
    let [header, claims] = [header, claims].map(|part| BASE64.encode(part.unwrap_or_default()));
    let message = format!("{header}.{claims}");
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET);
    let signature = BASE64.encode(hmac::sign(&key, message.as_bytes()));
    let token = format!("{message}.{signature}");
    let said = look(&token, NOW);
    promises(&said);
    if let Ok(identity) = said {
        let first = if signature.starts_with('A') { "B" } else { "A" };
        let forged = format!("{message}.{first}{}", &signature[1..]);
        assert_eq!(look(&forged, NOW), Err(TokenError::Signature));
        assert!(look(&token, identity.ends).is_err(), "it ends");
        assert_eq!(look(&token, NOW), Ok(identity), "as before");
    }
}

fn look(token: &str, now: u64) -> Result<Identity, TokenError> {
    check(token, &POLICY, &KEYS, now)
}

fn promises(said: &Result<Identity, TokenError>) {
    match said {
        Ok(identity) => {
            let user = identity.user.as_str();
            assert!((1..=256).contains(&user.len()) && !user.starts_with('~'));
            assert!(!user.chars().any(char::is_control));
            assert!(identity.ends > NOW && identity.ends <= NOW + LONGEST_LIFE + 2 * LEEWAY);
            assert!(identity.issued.is_none_or(|at| at <= NOW + LEEWAY));
            assert!(identity.grants.len() <= MOST_PATTERNS);
            for verb in [Verb::Subscribe, Verb::Publish] {
                let _ = identity.grants.allow(verb, "team.red", user);
            }
        }
        Err(error) => assert!(!error.to_string().is_empty()),
    }
}
