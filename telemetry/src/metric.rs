//! Metrics as data: read off a process's counters, sent to a collector.

/// One metric with all its series.
#[derive(Debug, Clone, PartialEq)]
pub struct Metric {
    /// Its name, with the suffixes of Prometheus: `linnet_connections`, `linnet_sent_bytes_total`.
    pub name: String,
    /// What it counts.
    pub help: String,
    /// How its values are to be taken.
    pub kind: MetricKind,
    /// One for each combination of labels.
    pub series: Vec<Series>,
}

/// How a metric's values are to be taken.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MetricKind {
    /// A total that only grows, since the start of the process.
    Counter,
    /// A number now.
    Gauge,
    /// A histogram since the start of the process.
    Histogram,
}

/// One series of a metric.
#[derive(Debug, Clone, PartialEq)]
pub struct Series {
    /// Its labels.
    pub labels: Vec<(String, String)>,
    /// Its value.
    pub value: Reading,
}

/// The value of a series.
#[derive(Debug, Clone, PartialEq)]
pub enum Reading {
    /// A number.
    Number(f64),
    /// Upper bounds without the infinite one, counts per bucket with it (not cumulative), and the sum of all observations.
    Histogram {
        /// Upper bounds.
        bounds: Vec<f64>,
        /// One more than bounds.
        counts: Vec<u64>,
        /// Of all observations.
        sum: f64,
    },
}

/// Reads an exposition in the OpenMetrics text format, as a process's own `/metrics` gives it. So a collector gets the
/// same as a scrape. What it does not understand it leaves out.
#[must_use]
pub fn read_exposition(text: &str) -> Vec<Metric> {
    let mut metrics: Vec<Metric> = Vec::new();
    for line in text.lines() {
        if let Some(comment) = line.strip_prefix("# ") {
            let mut words = comment.splitn(3, ' ');
            let (word, name, rest) = (words.next(), words.next(), words.next().unwrap_or_default());
            let Some(name) = name else { continue };
            match word {
                Some("HELP") => metric(&mut metrics, name).help = rest.trim_end_matches('.').into(),
                Some("TYPE") => {
                    metric(&mut metrics, name).kind = match rest {
                        "counter" => MetricKind::Counter,
                        "histogram" => MetricKind::Histogram,
                        _ => MetricKind::Gauge,
                    };
                }
                _ => {}
            }
        } else if let Some((name, labels, value)) = sample(line) {
            add(&mut metrics, name, labels, value);
        }
    }
    for metric in &mut metrics {
        if metric.kind == MetricKind::Counter {
            metric.name.push_str("_total");
        }
        for series in &mut metric.series {
            if let Reading::Histogram { bounds, counts, .. } = &mut series.value {
                bounds.retain(|bound| bound.is_finite());
                for at in (1..counts.len()).rev() {
                    counts[at] = counts[at].saturating_sub(counts[at - 1]);
                }
            }
        }
    }
    metrics.retain(|metric| !metric.series.is_empty());
    metrics
}

fn metric<'a>(metrics: &'a mut Vec<Metric>, name: &str) -> &'a mut Metric {
    // Families stand together, so it is the last one or a new one.
    if metrics.last().is_none_or(|last| last.name != name) {
        metrics.push(Metric {
            name: name.to_owned(),
            help: String::new(),
            kind: MetricKind::Gauge,
            series: Vec::new(),
        });
    }
    let last = metrics.len() - 1;
    &mut metrics[last]
}

/// Adds a sample to the family that its line stands in.
fn add(metrics: &mut [Metric], name: &str, mut labels: Vec<(String, String)>, value: f64) {
    let Some(family) = metrics.last_mut() else {
        return;
    };
    let Some(suffix) = name.strip_prefix(family.name.as_str()) else {
        return;
    };
    if family.kind != MetricKind::Histogram {
        let value = Reading::Number(value);
        return family.series.push(Series { labels, value });
    }
    let bound = labels.iter().position(|(name, _)| name == "le");
    let bound = bound.map(|at| labels.remove(at).1);
    if family
        .series
        .last()
        .is_none_or(|last| last.labels != labels)
    {
        let value = Reading::Histogram {
            bounds: Vec::new(),
            counts: Vec::new(),
            sum: 0.0,
        };
        family.series.push(Series { labels, value });
    }
    let Some(Series {
        value:
            Reading::Histogram {
                bounds,
                counts,
                sum,
            },
        ..
    }) = family.series.last_mut()
    else {
        return;
    };
    match suffix {
        "_sum" => *sum = value,
        "_bucket" => {
            let bound = bound
                .and_then(|bound| bound.parse().ok())
                .unwrap_or(f64::INFINITY);
            bounds.push(bound);
            #[expect(
                clippy::cast_possible_truncation,
                clippy::cast_sign_loss,
                reason = "counts are whole numbers from zero on"
            )]
            counts.push(value as u64);
        }
        _ => {}
    }
}

/// Names and values.
type Labels = Vec<(String, String)>;

/// `name{label="value",…} number …`; label values of ours have no escapes but these.
fn sample(line: &str) -> Option<(&str, Labels, f64)> {
    let end = line.find(['{', ' '])?;
    let (name, mut rest) = line.split_at(end);
    let mut labels = Vec::new();
    if let Some(inner) = rest.strip_prefix('{') {
        rest = inner;
        while !rest.starts_with('}') {
            let (label, after) = rest.split_once("=\"")?;
            let close = after
                .char_indices()
                .scan(false, |escaped, (at, c)| {
                    let quote = c == '"' && !*escaped;
                    *escaped = c == '\\' && !*escaped;
                    Some((at, quote))
                })
                .find_map(|(at, quote)| quote.then_some(at))?;
            let text = after[..close]
                .replace("\\\"", "\"")
                .replace("\\n", "\n")
                .replace("\\\\", "\\");
            labels.push((label.trim_start_matches(',').to_owned(), text));
            rest = &after[close + 1..];
            rest = rest.strip_prefix(',').unwrap_or(rest);
        }
        rest = &rest[1..];
    }
    let value = rest.split_whitespace().next()?.parse().ok()?;
    Some((name, labels, value))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = "# HELP a_bytes What it is.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\n\
        a_bytes_total{code=\"x\"} 3\na_bytes_total{code=\"y \\\"z\\\"\"} 4\n\
        # HELP b B.\n# TYPE b gauge\nb -1\n\
        # HELP c_seconds C.\n# TYPE c_seconds histogram\nc_seconds_sum 9.5\nc_seconds_count 5\n\
        c_seconds_bucket{le=\"1.0\"} 2 # {trace_id=\"ab\"} 0.5\nc_seconds_bucket{le=\"+Inf\"} 5\n# EOF\n";

    #[test]
    fn an_exposition_is_read_as_it_was_meant() {
        let metrics = read_exposition(TEXT);
        let names: Vec<_> = metrics.iter().map(|m| (m.name.as_str(), m.kind)).collect();
        let expected = [
            ("a_bytes_total", MetricKind::Counter),
            ("b", MetricKind::Gauge),
            ("c_seconds", MetricKind::Histogram),
        ];
        assert_eq!(names, expected);
        assert_eq!(metrics[0].help, "What it is");
        assert_eq!(
            metrics[0].series[1].labels,
            [("code".into(), "y \"z\"".into())]
        );
        assert_eq!(metrics[1].series[0].value, Reading::Number(-1.0));
        let histogram = Reading::Histogram {
            bounds: vec![1.0],
            counts: vec![2, 3],
            sum: 9.5,
        };
        assert_eq!(metrics[2].series[0].value, histogram);
    }

    #[test]
    fn what_is_not_understood_is_left_out() {
        assert!(read_exposition("").is_empty());
        assert!(read_exposition("a 1\n{\n# TYPE\n# TYPE x gauge\nx y\n").is_empty());
    }
}
