//! What security costs: one report of several scenarios, a file each.

use anyhow::Result;

use super::{Settings, security_refusals, security_rules, security_tokens};
use crate::report::Report;

/// Measures them all.
pub fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("security", "What security costs");
    security_tokens::measure(settings, &mut report)?;
    security_refusals::measure(settings, &mut report)?;
    security_rules::measure(settings, &mut report)?;
    Ok(report)
}
