//! A report as an SVG: each row with a target as a bar against it, or distributions of delays.

use std::fmt::Write;

use super::{Curve, Report, Row};

const WIDTH: f64 = 820.0;
const LEFT: f64 = 340.0;
const RIGHT: f64 = 140.0;
const TOP: f64 = 56.0;
const COLOURS: [&str; 5] = ["#2f6f9f", "#c2562d", "#5a8a3a", "#7a5195", "#8a7a2f"];

/// The plot; rows without a target are left out where others have one.
pub(super) fn svg(report: &Report) -> String {
    if report.curves.is_empty() {
        bars(report)
    } else {
        curves(report)
    }
}

fn frame(title: &str, height: f64, body: &str) -> String {
    format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" role=\"img\" \
         font-family=\"system-ui, sans-serif\" font-size=\"12\">\n\
         <title>{title}</title>\n\
         <rect width=\"100%\" height=\"100%\" fill=\"#fff\"/>\n\
         <text x=\"12\" y=\"24\" font-size=\"15\" font-weight=\"600\">{title}</text>\n{body}</svg>\n",
        title = escape(title)
    )
}

fn text(out: &mut String, x: f64, y: f64, anchor: &str, what: &str) {
    let _ = writeln!(
        out,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{}</text>",
        escape(what)
    );
}

fn line(out: &mut String, from: (f64, f64), to: (f64, f64), style: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        out,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"#333\" {style}/>"
    );
}

fn bars(report: &Report) -> String {
    let rows: Vec<(&Row, f64)> = report
        .rows
        .iter()
        .filter_map(|row| Some((row, row.target.filter(|&target| target > 0.0)?)))
        .collect();
    let highest = rows
        .iter()
        .map(|(row, target)| row.value.high / target)
        .fold(1.2, f64::max);
    let x = |share: f64| LEFT + share.max(0.0) / highest * (WIDTH - LEFT - RIGHT);
    let mut out = String::new();
    for (index, (row, target)) in rows.iter().enumerate() {
        let y = TOP + 34.0 * index as f64;
        let middle = y + 12.0;
        let colour = if row.passed() == Some(true) {
            COLOURS[0]
        } else {
            COLOURS[1]
        };
        let (low, median, high) = (
            row.value.low / target,
            row.value.median / target,
            row.value.high / target,
        );
        text(&mut out, LEFT - 10.0, middle + 4.0, "end", &row.what);
        let width = x(median) - LEFT;
        let _ = writeln!(
            out,
            "<rect x=\"{LEFT}\" y=\"{y:.1}\" width=\"{width:.1}\" height=\"24\" fill=\"{colour}\" opacity=\"0.85\"/>"
        );
        line(
            &mut out,
            (x(low), middle),
            (x(high), middle),
            "stroke-width=\"1.5\"",
        );
        for end in [low, high] {
            line(
                &mut out,
                (x(end), middle - 5.0),
                (x(end), middle + 5.0),
                "stroke-width=\"1.5\"",
            );
        }
        let value = format!(
            "{} (≤ {})",
            row.unit.show(row.value.median),
            row.unit.show(*target)
        );
        text(&mut out, WIDTH - RIGHT + 6.0, middle + 4.0, "start", &value);
    }
    let bottom = TOP + 34.0 * rows.len() as f64;
    line(
        &mut out,
        (x(1.0), TOP - 12.0),
        (x(1.0), bottom),
        "stroke-dasharray=\"4 3\"",
    );
    text(&mut out, x(1.0), TOP - 16.0, "middle", "target");
    text(
        &mut out,
        12.0,
        bottom + 20.0,
        "start",
        "Bars: median as a share of the target; whiskers: all repetitions.",
    );
    frame(&report.title, bottom + 34.0, &out)
}

/// Quantiles on a scale that gives each further nine the same room, delays on a logarithmic one.
fn curves(report: &Report) -> String {
    let (left, height) = (70.0, 300.0);
    let values = || {
        report
            .curves
            .iter()
            .flat_map(|curve| curve.points.iter().map(|point| point.1.max(1.0)))
    };
    let low = 10_f64.powf(values().fold(f64::MAX, f64::min).log10().floor());
    let high = 10_f64
        .powf(values().fold(1.0, f64::max).log10().ceil())
        .max(low * 10.0);
    let x = |quantile: f64| {
        let nines = -(1.0 - quantile).max(1e-5).log10();
        left + nines / 5.0 * (WIDTH - left - RIGHT)
    };
    let y =
        |value: f64| TOP + height - (value.max(low) / low).log10() / (high / low).log10() * height;
    let mut out = String::new();
    let mut step = low;
    while step <= high * 1.001 {
        line(
            &mut out,
            (left, y(step)),
            (WIDTH - RIGHT, y(step)),
            "opacity=\"0.15\"",
        );
        text(
            &mut out,
            left - 6.0,
            y(step) + 4.0,
            "end",
            &super::Unit::Microseconds.show(step),
        );
        step *= 10.0;
    }
    for (quantile, name) in [
        (0.0, "0"),
        (0.9, "p90"),
        (0.99, "p99"),
        (0.999, "p99.9"),
        (0.9999, "p99.99"),
        (1.0, "max"),
    ] {
        line(
            &mut out,
            (x(quantile), TOP),
            (x(quantile), TOP + height),
            "opacity=\"0.15\"",
        );
        text(&mut out, x(quantile), TOP + height + 18.0, "middle", name);
    }
    for (index, curve) in report.curves.iter().enumerate() {
        let colour = COLOURS[index % COLOURS.len()];
        let _ = writeln!(
            out,
            "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\"/>",
            points(curve, x, y)
        );
        let at = TOP + 18.0 * index as f64;
        let _ = writeln!(
            out,
            "<rect x=\"{left:.1}\" y=\"{at:.1}\" width=\"10\" height=\"10\" fill=\"{colour}\"/>"
        );
        text(&mut out, left + 16.0, at + 9.0, "start", &curve.name);
    }
    frame(&report.title, TOP + height + 34.0, &out)
}

fn points(curve: &Curve, x: impl Fn(f64) -> f64, y: impl Fn(f64) -> f64) -> String {
    let points: Vec<String> = curve
        .points
        .iter()
        .map(|&(quantile, value)| format!("{:.1},{:.1}", x(quantile), y(value)))
        .collect();
    points.join(" ")
}

fn escape(text: &str) -> String {
    text.replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::Unit, stats::Summary};

    #[test]
    fn rows_without_a_target_are_not_drawn_and_names_are_escaped() {
        let mut report = Report::new("x", "a < b");
        let value = Summary::of([1.0, 2.0, 4.0]).unwrap();
        report
            .rows
            .push(Row::new("drawn & named", Unit::Ratio, value.clone()).at_most(2.0));
        report.rows.push(Row::new("hidden", Unit::Ratio, value));
        let svg = svg(&report);
        assert!(
            svg.contains("a &lt; b")
                && svg.contains("drawn &amp; named")
                && !svg.contains("hidden")
        );
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }

    #[test]
    fn distributions_are_drawn_as_one_line_each() {
        let mut report = Report::new("x", "delays");
        for name in ["alone", "beside"] {
            let points = vec![(0.0, 20.0), (0.5, 80.0), (0.99, 900.0), (1.0, 5_000.0)];
            report.curves.push(Curve {
                name: name.to_owned(),
                points,
            });
        }
        let svg = svg(&report);
        assert_eq!(svg.matches("<polyline").count(), 2);
        assert!(!svg.contains("NaN") && !svg.contains("inf"));
    }
}
