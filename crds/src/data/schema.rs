//! A schema that was checked and compiled, and what does not fit it.

use std::fmt;

use serde_json::{Map, Value};

use super::cost;
use super::instance::{self, Unreadable};

/// Most bytes of a schema's JSON text.
pub(super) const SCHEMA_BYTES: usize = 32 * 1024;

/// Deepest nesting of a schema.
pub(super) const SCHEMA_DEPTH: usize = 48;

/// What one check may cost: the cost of the schema times the weight of the data. At some tens of nanoseconds each this
/// is a few tens of milliseconds in the worst case, and some microseconds for usual schemas and messages.
pub(super) const BUDGET: usize = 1_000_000;

/// Most bytes of one compiled regular expression, so that no pattern has more than some hundred states.
const REGEX_BYTES: usize = 64 * 1024;

/// Longest description of a fault, in bytes.
const MESSAGE_BYTES: usize = 300;

/// The only draft there is.
pub(super) const DRAFT: &str = "https://json-schema.org/draft/2020-12/schema";

/// A compiled schema.
pub struct DataSchema {
    validator: jsonschema::Validator,
    /// Weight of the heaviest data that may be checked.
    weight: usize,
    cost: usize,
}

/// Why a schema can't be used: correct it at `pointer`.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{}: {message}", if pointer.is_empty() { "the schema" } else { pointer })]
pub struct SchemaFault {
    /// JSON Pointer (RFC 6901) into the schema.
    pub pointer: String,
    /// What is wrong, and what to do.
    pub message: String,
}

/// What of some data does not fit.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("{message}")]
pub struct DataFault {
    /// JSON Pointer (RFC 6901) into the data; empty: the whole.
    pub pointer: String,
    /// What was expected. At most 300 bytes, and nothing of the data but names of properties.
    pub message: String,
}

impl DataSchema {
    /// Compiles a schema.
    ///
    /// # Errors
    /// The first thing that is wrong with it.
    pub fn compile(schema: &Map<String, Value>) -> Result<Self, SchemaFault> {
        let schema = Value::Object(schema.clone());
        let cost = cost::of(&schema)?;
        let patterns = jsonschema::PatternOptions::regex()
            .size_limit(REGEX_BYTES)
            .dfa_size_limit(REGEX_BYTES);
        let validator = jsonschema::options()
            .with_draft(jsonschema::Draft::Draft202012)
            .offline()
            .should_validate_formats(false)
            .with_pattern_options(patterns)
            .build(&schema)
            .map_err(|error| SchemaFault {
                pointer: error.instance_path().as_str().to_owned(),
                message: short(error.to_string()),
            })?;
        Ok(Self {
            validator,
            weight: BUDGET / cost,
            cost,
        })
    }

    /// What the schema does for each value of the data, in subschemas and the like.
    #[must_use]
    pub fn cost(&self) -> usize {
        self.cost
    }

    /// Checks JSON text.
    ///
    /// # Errors
    /// The first thing that does not fit; also text that repeats a key, that is no JSON, or that is too much to be
    /// checked against this schema.
    pub fn check(&self, json: &str) -> Result<(), DataFault> {
        let value = instance::read(json, self.weight).map_err(|unreadable| match unreadable {
            Unreadable::Repeated { pointer } => DataFault {
                pointer,
                message: "the key is there twice".into(),
            },
            Unreadable::TooMuch => DataFault::whole(
                "the data has too many values, or too much text, to be checked against this room's schema: send less",
            ),
            Unreadable::NotJson(error) => DataFault::whole(error),
        })?;
        self.fits(&value)
    }

    /// Checks a string, which is its own text.
    ///
    /// # Errors
    /// As [`Self::check`].
    pub fn check_string(&self, text: &str) -> Result<(), DataFault> {
        if instance::weight_of_text(text) > self.weight {
            return Err(DataFault::whole(
                "the text is too long to be checked against this room's schema: send less",
            ));
        }
        self.fits(&Value::String(text.to_owned()))
    }

    fn fits(&self, value: &Value) -> Result<(), DataFault> {
        self.validator.validate(value).map_err(|error| DataFault {
            pointer: error.instance_path().as_str().to_owned(),
            message: short(error.masked().to_string()),
        })
    }
}

impl fmt::Debug for DataSchema {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut out = f.debug_struct("DataSchema");
        out.field("cost", &self.cost).finish_non_exhaustive()
    }
}

impl DataFault {
    /// A fault of the data as a whole.
    pub fn whole(message: impl Into<String>) -> Self {
        Self {
            pointer: String::new(),
            message: short(message.into()),
        }
    }
}

fn short(mut message: String) -> String {
    if message.len() > MESSAGE_BYTES {
        message.truncate(message.floor_char_boundary(MESSAGE_BYTES - 3));
        message.push('…');
    }
    message
}
