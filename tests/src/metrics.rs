//! A strict reader of the Prometheus text format, so that a malformed line fails a test and not a dashboard.

use std::collections::BTreeMap;

/// One sample line.
#[derive(Debug, Clone, PartialEq)]
pub struct Sample {
    /// The metric's name, with its suffix (`_total`, `_bucket`).
    pub name: String,
    /// Its labels.
    pub labels: BTreeMap<String, String>,
    /// Its value.
    pub value: f64,
}

/// Reads a whole exposition.
///
/// # Errors
/// Names the first line that is not in the format.
pub fn parse(text: &str) -> Result<Vec<Sample>, String> {
    let lines = text.lines().filter(|line| !line.trim().is_empty());
    lines
        .filter_map(|line| match line.strip_prefix('#') {
            Some(comment) => check_comment(comment).err().map(Err),
            None => Some(sample(line)),
        })
        .map(|result| result.map_err(|(why, line)| format!("{why}: {line}")))
        .collect()
}

type Fault = (&'static str, String);

fn check_comment(comment: &str) -> Result<(), Fault> {
    let words: Vec<&str> = comment.split_whitespace().collect();
    match words.as_slice() {
        ["EOF"] => Ok(()),
        ["HELP" | "UNIT", name, ..] | ["TYPE", name, _] if is_name(name) => Ok(()),
        ["HELP" | "UNIT" | "TYPE", ..] => Err(("malformed comment", comment.to_owned())),
        _ => Ok(()),
    }
}

fn sample(line: &str) -> Result<Sample, Fault> {
    let fault = |why| (why, line.to_owned());
    let end = line
        .find(['{', ' '])
        .ok_or_else(|| fault("a sample without a value"))?;
    let (name, mut rest) = line.split_at(end);
    if !is_name(name) {
        return Err(fault("not a metric name"));
    }
    let mut labels = BTreeMap::new();
    if let Some(inner) = rest.strip_prefix('{') {
        let (found, after) = read_labels(inner).ok_or_else(|| fault("malformed labels"))?;
        (labels, rest) = (found, after);
    }
    let value = rest
        .split_whitespace()
        .next()
        .and_then(|word| word.parse().ok())
        .ok_or_else(|| fault("not a number"))?;
    Ok(Sample {
        name: name.to_owned(),
        labels,
        value,
    })
}

/// Reads `a="b",c="d"}` and gives what follows the brace.
fn read_labels(mut text: &str) -> Option<(BTreeMap<String, String>, &str)> {
    let mut labels = BTreeMap::new();
    loop {
        if let Some(rest) = text.strip_prefix('}') {
            return Some((labels, rest));
        }
        let (name, rest) = text.split_once("=\"")?;
        if !is_name(name) {
            return None;
        }
        let mut value = String::new();
        let mut chars = rest.char_indices();
        let end = loop {
            match chars.next()? {
                (_, '\\') => value.push(match chars.next()?.1 {
                    'n' => '\n',
                    other => other,
                }),
                (at, '"') => break at,
                (_, other) => value.push(other),
            }
        };
        labels.insert(name.to_owned(), value);
        text = &rest[end + 1..];
        text = text.strip_prefix(',').unwrap_or(text);
    }
}

fn is_name(name: &str) -> bool {
    let mut chars = name.chars();
    let first = |c: char| c.is_ascii_alphabetic() || c == '_' || c == ':';
    chars.next().is_some_and(first) && chars.all(|c| first(c) || c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn samples_have_names_labels_and_values() {
        let text = "# TYPE a counter\na_total{room=\"x \\\"y\\\"\",b=\"c\"} 3\nb 1.5\n# EOF\n";
        let samples = parse(text).unwrap();
        assert_eq!(samples[0].labels["room"], "x \"y\"");
        assert_eq!(samples[1].value, 1.5);
    }

    #[test]
    fn a_malformed_line_is_named() {
        assert!(parse("1abc 3").unwrap_err().contains("1abc 3"));
        assert!(parse("abc{a=b} 3").is_err());
        assert!(parse("abc three").is_err());
    }
}
