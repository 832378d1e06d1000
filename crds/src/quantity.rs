//! Sizes in bytes, written as Kubernetes quantities.

use std::borrow::Cow;
use std::fmt;
use std::str::FromStr;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};
use serde::de::{self, Visitor};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::Value;

use crate::patterns::QUANTITY;
use crate::rules::invalid;

/// A size in bytes: a whole number, or a string such as `64Ki`, `1.5Mi`, `10M` or `1e6`.
///
/// Parsed once; written back as it was given. Two quantities are equal when they mean the same
/// number of bytes.
#[derive(Clone)]
pub struct Quantity {
    bytes: u64,
    given: Given,
}

#[derive(Clone)]
enum Given {
    Number,
    Text(String),
}

/// Text that is not a size.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// Not of the form number and suffix.
    #[error("expected a quantity such as 64Ki")]
    Malformed,
    /// More bytes than 64 bits count.
    #[error("the quantity is too large: at most 16Ei - 1 bytes can be counted")]
    TooLarge,
}

impl Quantity {
    /// The size in bytes. A fraction of a byte has been rounded up, as Kubernetes does.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.bytes
    }

    /// The size in bytes for memory, capped at what the machine addresses.
    #[must_use]
    pub fn as_usize(&self) -> usize {
        usize::try_from(self.bytes).unwrap_or(usize::MAX)
    }

    /// `count` times 1024 to the `power` (1 = Ki, 2 = Mi, 3 = Gi), for defaults.
    pub(crate) fn binary(count: u64, power: usize) -> Self {
        const SUFFIX: [&str; 4] = ["", "Ki", "Mi", "Gi"];
        Self {
            bytes: count << (10 * power),
            given: Given::Text(format!("{count}{}", SUFFIX[power])),
        }
    }
}

impl From<u64> for Quantity {
    fn from(bytes: u64) -> Self {
        Self {
            bytes,
            given: Given::Number,
        }
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        Ok(Self {
            bytes: parse(text)?,
            given: Given::Text(text.to_owned()),
        })
    }
}

/// Exact in integers: `digits × multiplier / 10^decimals`, rounded up.
fn parse(text: &str) -> Result<u64, QuantityError> {
    let end = text
        .find(|c: char| !c.is_ascii_digit() && c != '.')
        .unwrap_or(text.len());
    let (number, suffix) = text.split_at(end);
    let multiplier: u128 = match suffix {
        "" => 1,
        "Ki" => 1 << 10,
        "Mi" => 1 << 20,
        "Gi" => 1 << 30,
        "Ti" => 1 << 40,
        "Pi" => 1 << 50,
        "Ei" => 1 << 60,
        "k" => 1_000,
        "M" => 1_000_000,
        "G" => 1_000_000_000,
        "T" => 1_000_000_000_000,
        "P" => 1_000_000_000_000_000,
        "E" => 1_000_000_000_000_000_000,
        exponent => {
            let digits = exponent
                .strip_prefix(['e', 'E'])
                .filter(|d| (1..=2).contains(&d.len()) && d.bytes().all(|b| b.is_ascii_digit()))
                .ok_or(QuantityError::Malformed)?;
            let power = digits.parse().map_err(|_| QuantityError::Malformed)?;
            10u128.checked_pow(power).ok_or(QuantityError::TooLarge)?
        }
    };
    let (whole, decimals) = match number.split_once('.') {
        Some((whole, decimals)) if !decimals.is_empty() => (whole, decimals),
        Some(_) => return Err(QuantityError::Malformed),
        None => (number, ""),
    };
    if whole.is_empty() || decimals.contains('.') {
        return Err(QuantityError::Malformed);
    }
    let scaled = |digits: &str| -> Result<u128, QuantityError> {
        if digits.is_empty() {
            return Ok(0);
        }
        let number: u128 = digits.parse().map_err(|_| QuantityError::TooLarge)?;
        number
            .checked_mul(multiplier)
            .ok_or(QuantityError::TooLarge)
    };
    let power = u32::try_from(decimals.len()).map_err(|_| QuantityError::TooLarge)?;
    let divisor = 10u128.checked_pow(power).ok_or(QuantityError::TooLarge)?;
    let fraction = scaled(decimals)?.div_ceil(divisor);
    let bytes = scaled(whole)?
        .checked_add(fraction)
        .ok_or(QuantityError::TooLarge)?;
    u64::try_from(bytes).map_err(|_| QuantityError::TooLarge)
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for Quantity {}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.given {
            Given::Number => write!(f, "{}", self.bytes),
            Given::Text(text) => f.write_str(text),
        }
    }
}

impl fmt::Debug for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "Quantity({self})")
    }
}

impl Serialize for Quantity {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        match &self.given {
            Given::Number => serializer.serialize_u64(self.bytes),
            Given::Text(text) => serializer.serialize_str(text),
        }
    }
}

impl<'de> Deserialize<'de> for Quantity {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(QuantityVisitor)
    }
}

struct QuantityVisitor;

impl Visitor<'_> for QuantityVisitor {
    type Value = Quantity;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a quantity such as 64Ki")
    }

    fn visit_u64<E: de::Error>(self, bytes: u64) -> Result<Quantity, E> {
        Ok(Quantity::from(bytes))
    }

    fn visit_i64<E: de::Error>(self, bytes: i64) -> Result<Quantity, E> {
        u64::try_from(bytes)
            .map(Quantity::from)
            .map_err(|_| E::custom(QuantityError::Malformed))
    }

    fn visit_str<E: de::Error>(self, text: &str) -> Result<Quantity, E> {
        text.parse().map_err(E::custom)
    }
}

impl JsonSchema for Quantity {
    fn schema_name() -> Cow<'static, str> {
        "Quantity".into()
    }

    fn inline_schema() -> bool {
        true
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({
            "x-kubernetes-int-or-string": true,
            "pattern": QUANTITY,
            "maxLength": 24,
        })
    }
}

/// The CEL rule for a size from `min` to `max`, both included.
///
/// A size may be a number or text; `string` makes one kind of both.
pub(crate) fn between(min: &str, max: &str) -> Value {
    let rule = format!(
        "isQuantity(string(self)) && \
         quantity(string(self)).compareTo(quantity('{min}')) >= 0 && \
         quantity(string(self)).compareTo(quantity('{max}')) <= 0"
    );
    invalid(&rule, format_args!("must be from {min} to {max}"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use super::*;

    fn bytes(text: &str) -> Result<u64, QuantityError> {
        text.parse().map(|q: Quantity| q.bytes())
    }

    #[test]
    fn every_suffix_has_its_multiplier() {
        for (text, expected) in [
            ("0", 0),
            ("1", 1),
            ("1k", 1_000),
            ("1Ki", 1 << 10),
            ("3M", 3_000_000),
            ("64Mi", 64 << 20),
            ("1G", 1_000_000_000),
            ("1Gi", 1 << 30),
            ("1T", 1_000_000_000_000),
            ("1Ti", 1 << 40),
            ("1P", 1_000_000_000_000_000),
            ("1Pi", 1 << 50),
            ("1E", 1_000_000_000_000_000_000),
            ("15Ei", 15 << 60),
            ("5e3", 5_000),
            ("5E3", 5_000),
        ] {
            assert_eq!(bytes(text), Ok(expected), "{text}");
        }
    }

    #[test]
    fn fractions_are_exact_and_a_fraction_of_a_byte_rounds_up() {
        assert_eq!(bytes("1.5Ki"), Ok(1536));
        assert_eq!(bytes("0.1k"), Ok(100));
        assert_eq!(bytes("0.0001Ki"), Ok(1));
        assert_eq!(bytes("2.5"), Ok(3));
    }

    #[test]
    fn text_of_another_form_is_malformed() {
        for text in [
            "", "Ki", "-1", "+1", "1m", "1kb", "1 Ki", "1.", ".5", "1.5.5", "1e", "1e100", "１",
        ] {
            assert_eq!(bytes(text), Err(QuantityError::Malformed), "{text:?}");
        }
    }

    #[test]
    fn more_than_64_bits_is_too_large() {
        for text in [
            "16Ei",
            "19E",
            "1e99",
            "99999999999999999999999999999999999999999Ei",
        ] {
            assert_eq!(bytes(text), Err(QuantityError::TooLarge), "{text}");
        }
    }

    #[test]
    fn it_is_written_back_as_it_was_given() {
        for given in [json!("1024Ki"), json!(1_048_576), json!("1Mi")] {
            let quantity: Quantity = serde_json::from_value(given.clone()).unwrap();
            assert_eq!(quantity.bytes(), 1 << 20);
            assert_eq!(serde_json::to_value(&quantity).unwrap(), given);
        }
    }

    proptest! {
        #[test]
        fn what_parses_fits_the_schemas_pattern_and_the_other_way_round(text in "[0-9]{0,3}[.]?[0-9]{0,2}[KMkmei]?[i0-9]?") {
            let pattern = regex::Regex::new(QUANTITY).unwrap();
            prop_assert_eq!(bytes(&text) != Err(QuantityError::Malformed), pattern.is_match(&text));
        }
    }
}
