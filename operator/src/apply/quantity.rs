//! Whether two Kubernetes quantities mean the same: the API server writes `1024Mi` back as `1Gi`.

/// Whether both are quantities, and equal. What neither 128 bits nor nine decimals hold is equal to nothing.
#[must_use]
pub fn equal(a: &str, b: &str) -> bool {
    match (billionths(a), billionths(b)) {
        (Some(a), Some(b)) => a == b,
        _ => false,
    }
}

/// The value in billionths, the finest that the API server keeps.
fn billionths(text: &str) -> Option<i128> {
    let (sign, text) = match text.strip_prefix('-') {
        Some(rest) => (-1, rest),
        None => (1, text.strip_prefix('+').unwrap_or(text)),
    };
    let end = text.find(|c: char| !c.is_ascii_digit() && c != '.');
    let (number, suffix) = text.split_at(end.unwrap_or(text.len()));
    let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
    if whole.is_empty() && fraction.is_empty() {
        return None;
    }
    let digits: i128 = format!("{whole}{fraction}").parse().ok()?;
    let scale = i32::try_from(fraction.len()).ok()?;
    let (binary, decimal) = suffix_of(suffix)?;
    // digits × 2^binary × 10^(decimal − scale + 9)
    let exponent = decimal - scale + 9;
    let value = digits.checked_mul(1_i128.checked_shl(binary)?)?;
    let power = 10_i128.checked_pow(exponent.unsigned_abs())?;
    let value = match exponent >= 0 {
        true => value.checked_mul(power)?,
        false if value % power == 0 => value / power,
        false => return None,
    };
    Some(sign * value)
}

/// The powers of 2 and of 10 that a suffix stands for.
fn suffix_of(suffix: &str) -> Option<(u32, i32)> {
    Some(match suffix {
        "" => (0, 0),
        "Ki" => (10, 0),
        "Mi" => (20, 0),
        "Gi" => (30, 0),
        "Ti" => (40, 0),
        "Pi" => (50, 0),
        "Ei" => (60, 0),
        "n" => (0, -9),
        "u" => (0, -6),
        "m" => (0, -3),
        "k" => (0, 3),
        "M" => (0, 6),
        "G" => (0, 9),
        "T" => (0, 12),
        "P" => (0, 15),
        "E" => (0, 18),
        other => (0, other.strip_prefix(['e', 'E'])?.parse().ok()?),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_one_amount_are_equal() {
        for (a, b) in [
            ("1024Mi", "1Gi"),
            ("0.5", "500m"),
            ("1e3", "1k"),
            ("1.5Gi", "1536Mi"),
            ("2", "2000m"),
            ("100M", "100e6"),
            ("-1", "-1000m"),
            ("0", "0Gi"),
            (".5", "0.50"),
        ] {
            assert!(equal(a, b), "{a} {b}");
        }
    }

    #[test]
    fn other_amounts_and_other_words_are_not() {
        for (a, b) in [
            ("1G", "1Gi"),
            ("1", "1m"),
            ("x", "x"),
            ("", ""),
            ("1x", "1x"),
            ("1e999", "1e999"),
            (".", "0"),
            ("99999999999999999999999999999999999999999", "1"),
        ] {
            assert!(!equal(a, b), "{a} {b}");
        }
    }
}
