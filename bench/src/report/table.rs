//! A report as a Markdown table, padded so that it reads well in a terminal too.

use super::{Report, Row};

pub(super) fn markdown(report: &Report) -> String {
    let mut lines: Vec<[String; 5]> =
        vec![["what", "median", "spread", "target", ""].map(str::to_owned)];
    lines.extend(report.rows.iter().map(cells));
    let widths: Vec<usize> = (0..5)
        .map(|column| {
            lines
                .iter()
                .map(|line| line[column].chars().count())
                .max()
                .unwrap_or(0)
        })
        .collect();
    let mut out = format!("## {}\n\n", report.title);
    if report.quick {
        out.push_str(
            "A quick run: it shows that the benchmark works; its numbers mean nothing.\n\n",
        );
    }
    for (index, line) in lines.iter().enumerate() {
        out.push_str(&row(line, &widths));
        if index == 0 {
            let rule: Vec<String> = widths
                .iter()
                .map(|&width| "-".repeat(width.max(3)))
                .collect();
            out.push_str(&format!("|-{}-|\n", rule.join("-|-")));
        }
    }
    out.push_str(&format!("\n{}\n", report.method));
    for note in &report.notes {
        out.push_str(&format!("\n- {note}"));
    }
    out.push_str(&format!("\n- Measured on {}.\n", report.machine));
    out
}

fn cells(row: &Row) -> [String; 5] {
    let show = |value| row.unit.show(value);
    let spread = match row.value.samples.len() {
        0 | 1 => String::new(),
        count => format!(
            "{} … {} ({count})",
            show(row.value.low),
            show(row.value.high)
        ),
    };
    let verdict = match row.passed() {
        Some(true) => "pass",
        Some(false) => "MISS",
        None => "",
    };
    let target = row
        .target
        .map(|target| format!("≤ {}", show(target)))
        .unwrap_or_default();
    [
        row.what.clone(),
        show(row.value.median),
        spread,
        target,
        verdict.to_owned(),
    ]
}

fn row(cells: &[String], widths: &[usize]) -> String {
    let padded: Vec<String> = cells
        .iter()
        .zip(widths)
        .map(|(cell, width)| {
            format!(
                "{cell}{}",
                " ".repeat(width.max(&3) - cell.chars().count().min(*width.max(&3)))
            )
        })
        .collect();
    format!("| {} |\n", padded.join(" | "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{report::Unit, stats::Summary};

    #[test]
    fn a_row_shows_its_spread_its_target_and_whether_it_is_met() {
        let mut report = Report::new("x", "Title");
        let value = Summary::of([1.0, 1.1, 1.3]).unwrap();
        report
            .rows
            .push(Row::new("good", Unit::Ratio, value.clone()).at_most(1.15));
        report
            .rows
            .push(Row::new("bad", Unit::Ratio, value.clone()).at_most(1.05));
        report
            .rows
            .push(Row::new("known", Unit::Microseconds, value));
        let text = markdown(&report);
        assert!(
            text.contains("| good  | 1.10×   | 1.00× … 1.30× (3)     | ≤ 1.15× | pass |"),
            "{text}"
        );
        assert!(text.contains("| ≤ 1.05× | MISS |"), "{text}");
        assert!(
            text.lines()
                .filter(|line| line.starts_with('|'))
                .all(|line| line.matches('|').count() == 6)
        );
    }
}
