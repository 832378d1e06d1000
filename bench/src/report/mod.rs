//! What a scenario found, and how it is shown: a table for people, JSON for programs, a plot.

mod plot;
mod table;

use std::{fs, path::Path};

use anyhow::{Context, Result};
use serde::Serialize;

use crate::stats::Summary;

/// What a value counts.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Unit {
    /// Times the reference.
    #[serde(rename = "×")]
    Ratio,
    /// Millionths of a second.
    #[serde(rename = "µs")]
    Microseconds,
    /// 1024 bytes.
    #[serde(rename = "KB")]
    Kilobytes,
    /// Hundredths of a core.
    #[serde(rename = "% of a core")]
    PercentOfCore,
    /// Messages.
    #[serde(rename = "messages")]
    Messages,
    /// Things.
    #[serde(rename = "")]
    Count,
    /// Messages per second.
    #[serde(rename = "/s")]
    PerSecond,
    /// Pings per connection and interval.
    #[serde(rename = "pings")]
    Pings,
}

impl Unit {
    /// A value with its unit.
    pub fn show(self, value: f64) -> String {
        match self {
            Self::Ratio => format!("{value:.2}×"),
            Self::Microseconds if value.abs() >= 100_000.0 => format!("{:.0} ms", value / 1e3),
            Self::Microseconds if value.abs() >= 1_000.0 => format!("{:.2} ms", value / 1e3),
            Self::Microseconds if value.abs() >= 100.0 => format!("{value:.0} µs"),
            Self::Microseconds => format!("{value:.2} µs"),
            Self::Kilobytes => format!("{value:.2} KB"),
            Self::PercentOfCore => format!("{value:.2} %"),
            Self::Messages | Self::Count => format!("{value:.0}"),
            Self::PerSecond => format!("{value:.0}/s"),
            Self::Pings => format!("{value:.2}"),
        }
    }
}

/// One line of a result.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What was measured.
    pub what: String,
    /// In what.
    pub unit: Unit,
    /// The repetitions.
    pub value: Summary,
    /// The median must not exceed this.
    pub target: Option<f64>,
}

impl Row {
    /// A line without a target.
    pub fn new(what: impl Into<String>, unit: Unit, value: Summary) -> Self {
        Self {
            what: what.into(),
            unit,
            value,
            target: None,
        }
    }

    /// Sets the target.
    #[must_use]
    pub fn at_most(self, target: f64) -> Self {
        Self {
            target: Some(target),
            ..self
        }
    }

    /// Whether the target is met; `None` without one.
    pub fn passed(&self) -> Option<bool> {
        self.target.map(|target| self.value.median <= target)
    }
}

/// A distribution to plot: (quantile, microseconds).
#[derive(Debug, Clone, Serialize)]
pub struct Curve {
    /// Of what.
    pub name: String,
    /// Ascending.
    pub points: Vec<(f64, f64)>,
}

impl Curve {
    /// The median of like distributions, quantile by quantile.
    pub fn median(name: &str, repetitions: &[Vec<(f64, f64)>]) -> Self {
        let quantiles = repetitions.first().map(Vec::as_slice).unwrap_or_default();
        let points = quantiles
            .iter()
            .enumerate()
            .filter_map(|(index, &(quantile, _))| {
                let values: Vec<f64> = repetitions
                    .iter()
                    .filter_map(|curve| Some(curve.get(index)?.1))
                    .collect();
                Some((quantile, Summary::of(values)?.median))
            });
        Self {
            name: name.to_owned(),
            points: points.collect(),
        }
    }
}

/// What a scenario found.
#[derive(Debug, Clone, Serialize)]
pub struct Report {
    /// Names the files.
    pub name: String,
    /// Heading.
    pub title: String,
    /// How it was measured, in a paragraph.
    pub method: String,
    /// On what.
    pub machine: String,
    /// Whether these are the numbers of a quick run, which mean nothing.
    pub quick: bool,
    /// The results.
    pub rows: Vec<Row>,
    /// Distributions; plotted instead of the rows where there are any.
    pub curves: Vec<Curve>,
    /// What else a reader should know.
    pub notes: Vec<String>,
}

impl Report {
    /// An empty report.
    pub fn new(name: &str, title: &str) -> Self {
        Self {
            name: name.to_owned(),
            title: title.to_owned(),
            method: String::new(),
            machine: crate::measure::machine(),
            quick: false,
            rows: Vec::new(),
            curves: Vec::new(),
            notes: Vec::new(),
        }
    }

    /// The report as Markdown, which is also what the terminal shows.
    pub fn to_markdown(&self) -> String {
        table::markdown(self)
    }

    /// Writes `<name>.json`, `<name>.md` and `<name>.svg` into `folder`.
    pub fn write(&self, folder: &Path) -> Result<()> {
        fs::create_dir_all(folder)
            .with_context(|| format!("cannot create {}", folder.display()))?;
        let put = |extension: &str, text: String| {
            let path = folder.join(format!("{}.{extension}", self.name));
            fs::write(&path, text).with_context(|| format!("cannot write {}", path.display()))
        };
        put("json", serde_json::to_string_pretty(self)? + "\n")?;
        put("md", self.to_markdown())?;
        put("svg", plot::svg(self))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_median_of_distributions_is_taken_at_each_quantile() {
        let turns = [
            vec![(0.5, 1.0), (1.0, 9.0)],
            vec![(0.5, 2.0), (1.0, 8.0)],
            vec![(0.5, 3.0), (1.0, 7.0)],
        ];
        assert_eq!(Curve::median("x", &turns).points, [(0.5, 2.0), (1.0, 8.0)]);
        assert!(Curve::median("x", &[]).points.is_empty());
    }

    #[test]
    fn durations_are_shown_in_the_unit_that_fits() {
        let show = |value| Unit::Microseconds.show(value);
        assert_eq!(
            [show(8.5), show(512.4), show(2345.0), show(155_000.0)],
            ["8.50 µs", "512 µs", "2.35 ms", "155 ms"]
        );
    }
}
