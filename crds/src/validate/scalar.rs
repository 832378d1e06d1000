//! What a plain scalar means (YAML 1.2 core schema).

use serde_json::{Number, Value};

use super::tree::Scalar;

/// A scalar with its meaning.
#[derive(Clone, Debug, PartialEq)]
pub(crate) enum Meaning {
    Text,
    Boolean(bool),
    Integer(i64),
    /// A number that is not a whole one of 64 bits, as it is written.
    Number,
}

impl Scalar {
    /// Reads the scalar. The empty one and `null` have been treated before.
    pub fn meaning(&self) -> Meaning {
        if self.quoted {
            return Meaning::Text;
        }
        match self.text.as_str() {
            "true" | "True" | "TRUE" => return Meaning::Boolean(true),
            "false" | "False" | "FALSE" => return Meaning::Boolean(false),
            ".nan" | ".NaN" | ".NAN" | ".inf" | ".Inf" | ".INF" | "-.inf" => {
                return Meaning::Number;
            }
            _ => {}
        }
        if let Some(integer) = integer(&self.text) {
            return integer;
        }
        if looks_like_number(&self.text) {
            return Meaning::Number;
        }
        Meaning::Text
    }

    /// The value in a part of the manifest that has no schema.
    pub fn to_json(&self) -> Value {
        match self.meaning() {
            Meaning::Text => Value::String(self.text.clone()),
            Meaning::Boolean(b) => Value::Bool(b),
            Meaning::Integer(i) => Value::Number(i.into()),
            Meaning::Number => self
                .text
                .parse()
                .ok()
                .and_then(Number::from_f64)
                .map_or(Value::Null, Value::Number),
        }
    }

    /// As it is shown in a message: a number as it is, text in quotes and cut if long.
    pub fn shown(&self) -> String {
        const LONGEST: usize = 60;
        if matches!(self.meaning(), Meaning::Integer(_)) {
            return self.text.clone();
        }
        match self.text.char_indices().nth(LONGEST) {
            Some((cut, _)) => format!("{:?}…", &self.text[..cut]),
            None => format!("{:?}", self.text),
        }
    }
}

/// `None`: no integer. A leading zero counts as a number that has no value here: YAML 1.1, which
/// kubectl reads, takes it for octal.
fn integer(text: &str) -> Option<Meaning> {
    let (radix, digits) = match text.get(..2) {
        Some("0x") => (16, &text[2..]),
        Some("0o") => (8, &text[2..]),
        _ => (10, text.strip_prefix(['-', '+']).unwrap_or(text)),
    };
    if digits.is_empty() || !digits.chars().all(|c| c.is_digit(radix)) {
        return None;
    }
    if radix == 10 && digits.len() > 1 && digits.starts_with('0') {
        return Some(Meaning::Number);
    }
    let digits = if radix == 10 { text } else { digits };
    Some(i64::from_str_radix(digits, radix).map_or(Meaning::Number, Meaning::Integer))
}

/// `[-+]? ( \. [0-9]+ | [0-9]+ ( \. [0-9]* )? ) ( [eE] [-+]? [0-9]+ )?`, YAML 1.2 section 10.3.2.
fn looks_like_number(text: &str) -> bool {
    let text = text.strip_prefix(['-', '+']).unwrap_or(text);
    let (mantissa, exponent) = match text.split_once(['e', 'E']) {
        Some((mantissa, exponent)) => (mantissa, Some(exponent)),
        None => (text, None),
    };
    let digits = |s: &str| s.bytes().all(|b| b.is_ascii_digit());
    let exponent = exponent.is_none_or(|e| {
        let e = e.strip_prefix(['-', '+']).unwrap_or(e);
        !e.is_empty() && digits(e)
    });
    let mantissa = match mantissa.split_once('.') {
        Some((whole, part)) => {
            digits(whole) && digits(part) && !(whole.is_empty() && part.is_empty())
        }
        None => !mantissa.is_empty() && digits(mantissa),
    };
    exponent && mantissa
}
