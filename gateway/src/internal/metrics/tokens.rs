//! What becomes of tokens, and of the keys that they are checked with.

use std::fmt;

use super::page::Page;
use crate::auth::Tokens;

pub(super) fn write(tokens: &Tokens, page: &mut Page<'_>) -> fmt::Result {
    let metrics = tokens.metrics();
    page.gauge(
        "linnet_token_keys",
        "Keys that tokens are checked with",
        None,
        tokens.keys() as u64,
    )?;
    page.gauge(
        "linnet_revoked_users",
        "Users whose earlier tokens are refused",
        None,
        tokens.revocations().len() as u64,
    )?;
    let checked = [
        ("accepted", &metrics.accepted),
        ("refused", &metrics.refused),
    ];
    page.counters(
        "linnet_tokens",
        "Tokens that were checked, by outcome",
        checked.map(|(outcome, count)| ([("outcome", outcome)], count.get())),
    )?;
    let fetches = [
        ("fetched", &metrics.fetched),
        ("failed", &metrics.fetch_failures),
    ];
    page.counters(
        "linnet_key_fetches",
        "Fetches of the issuer's published keys, by outcome",
        fetches.map(|(outcome, count)| ([("outcome", outcome)], count.get())),
    )
}
