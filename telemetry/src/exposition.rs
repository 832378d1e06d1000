//! The answer to a scrape, in the format that is asked for.

use std::fmt::Write;

/// OpenMetrics 1.0, which every Prometheus since 2.5 reads, and which carries exemplars.
const OPEN_METRICS: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";
/// The older format, for who asks for nothing newer.
const OLDER: &str = "text/plain; version=0.0.4; charset=utf-8";

/// `text`, which is OpenMetrics, as the header `Accept` of a scrape asks for it, with its content type.
#[must_use]
pub fn answer(accept: Option<&str>, text: String) -> (&'static str, String) {
    match accept {
        Some(accept) if wants_older(accept) => (OLDER, older(&text)),
        _ => (OPEN_METRICS, text),
    }
}

fn wants_older(accept: &str) -> bool {
    accept.contains("text/plain") && !accept.contains("openmetrics")
}

/// OpenMetrics as the text format 0.0.4: a family bears the name of its samples, and what that format does not know goes.
fn older(text: &str) -> String {
    let mut out = String::with_capacity(text.len());
    let mut suffix = "";
    let lines: Vec<&str> = text.lines().collect();
    for (index, line) in lines.iter().enumerate() {
        let Some(comment) = line.strip_prefix("# ") else {
            let sample = line.split_once(" # ").map_or(*line, |(sample, _)| sample);
            out.push_str(sample);
            out.push('\n');
            continue;
        };
        let mut words = comment.splitn(3, ' ');
        let (word, name, rest) = (words.next(), words.next(), words.next());
        let (Some(word @ ("HELP" | "TYPE")), Some(name), Some(rest)) = (word, name, rest) else {
            continue;
        };
        if word == "HELP" {
            // The type stands in the next line.
            let kind = lines
                .get(index + 1)
                .and_then(|next| next.rsplit(' ').next());
            suffix = match kind {
                Some("counter") => "_total",
                Some("info") => "_info",
                _ => "",
            };
        }
        let rest = if rest == "info" && word == "TYPE" {
            "gauge"
        } else {
            rest
        };
        // Writing to a string can't fail.
        let _ = writeln!(out, "# {word} {name}{suffix} {rest}");
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    const NEWER: &str = "# HELP a_bytes A.\n# TYPE a_bytes counter\n# UNIT a_bytes bytes\na_bytes_total 3\n\
        # HELP build B.\n# TYPE build info\nbuild_info{version=\"1\"} 1\n\
        # HELP c C.\n# TYPE c histogram\nc_sum 1\nc_count 2\nc_bucket{le=\"1.0\"} 1 # {trace_id=\"ab\"} 0.5\n\
        c_bucket{le=\"+Inf\"} 2\n# EOF\n";

    #[test]
    fn who_asks_for_the_older_format_gets_it() {
        let prometheus =
            "application/openmetrics-text;version=1.0.0,text/plain;version=0.0.4;q=0.5,*/*;q=0.1";
        assert!(!wants_older(prometheus) && !wants_older("*/*"));
        assert!(wants_older("text/plain;version=0.0.4"));
        let expected = "# HELP a_bytes_total A.\n# TYPE a_bytes_total counter\na_bytes_total 3\n\
            # HELP build_info B.\n# TYPE build_info gauge\nbuild_info{version=\"1\"} 1\n\
            # HELP c C.\n# TYPE c histogram\nc_sum 1\nc_count 2\nc_bucket{le=\"1.0\"} 1\nc_bucket{le=\"+Inf\"} 2\n";
        assert_eq!(
            answer(Some("text/plain"), NEWER.to_owned()),
            (OLDER, expected.to_owned())
        );
        assert_eq!(answer(None, NEWER.to_owned()).0, OPEN_METRICS);
    }
}
