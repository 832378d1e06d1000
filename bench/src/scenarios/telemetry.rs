//! What telemetry costs: one report of several scenarios, a file each.

use anyhow::Result;

use super::{Settings, telemetry_churn, telemetry_fan_out, telemetry_scrape};
use crate::report::Report;

/// Measures them all.
pub fn run(settings: &Settings) -> Result<Report> {
    let mut report = Report::new("telemetry", "What telemetry costs");
    telemetry_fan_out::measure(settings, &mut report)?;
    telemetry_scrape::measure(settings, &mut report)?;
    telemetry_churn::measure(settings, &mut report)?;
    Ok(report)
}
