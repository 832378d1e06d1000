//! A span as a test looks at it.

use opentelemetry_proto::tonic::common::v1::{KeyValue, any_value::Value as Any};
use opentelemetry_proto::tonic::trace::v1::Span;

/// A span as it came, with the process that sent it.
#[derive(Debug, Clone)]
pub struct Seen {
    /// The span.
    pub span: Span,
    /// The process's attributes.
    pub process: Vec<KeyValue>,
}

impl Seen {
    /// The trace and the span, as a link names them.
    #[must_use]
    pub fn id(&self) -> (Vec<u8>, Vec<u8>) {
        (self.span.trace_id.clone(), self.span.span_id.clone())
    }

    /// Whether it is part of `other`.
    #[must_use]
    pub fn is_in(&self, other: &Self) -> bool {
        self.span.trace_id == other.span.trace_id && self.span.parent_span_id == other.span.span_id
    }

    /// The traces and spans that it is linked to.
    #[must_use]
    pub fn links(&self) -> Vec<(Vec<u8>, Vec<u8>)> {
        let links = self.span.links.iter();
        links
            .map(|link| (link.trace_id.clone(), link.span_id.clone()))
            .collect()
    }

    /// The text of an attribute, numbers and flags written out; empty where there is none.
    #[must_use]
    pub fn attribute(&self, name: &str) -> String {
        text(&self.span.attributes, name)
    }

    /// The text of an attribute of the process.
    #[must_use]
    pub fn process(&self, name: &str) -> String {
        text(&self.process, name)
    }
}

fn text(attributes: &[KeyValue], name: &str) -> String {
    let found = attributes.iter().find(|pair| pair.key == name);
    match found.and_then(|pair| pair.value.as_ref()?.value.as_ref()) {
        Some(Any::StringValue(text)) => text.clone(),
        Some(Any::IntValue(number)) => number.to_string(),
        Some(Any::DoubleValue(number)) => number.to_string(),
        Some(Any::BoolValue(flag)) => flag.to_string(),
        _ => String::new(),
    }
}
