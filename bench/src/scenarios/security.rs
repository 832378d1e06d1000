//! What hostile clients cost: one report of several scenarios, a file each.

use anyhow::Result;

use super::{Settings, security_refusals};
use crate::report::Report;

/// Measures them all.
pub fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("security", "What hostile clients cost");
    security_refusals::measure(settings, &mut report)?;
    Ok(report)
}
