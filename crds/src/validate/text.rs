//! What a text value must look like, and the words for it.

use super::schema::Text;
use super::tree::Scalar;
use crate::patterns;

impl Text {
    /// What is expected, for messages.
    pub fn described(&self) -> String {
        match (&self.allowed, &self.pattern) {
            (Some(allowed), _) => format!("one of {}", allowed.join(", ")),
            (None, Some(pattern)) => patterns::expectation(pattern.as_str())
                .unwrap_or("text")
                .to_owned(),
            (None, None) => "text".to_owned(),
        }
    }

    /// What is wrong with the text, if anything.
    pub fn fault(&self, scalar: &Scalar) -> Option<String> {
        let shown = scalar.shown();
        if let Some(allowed) = &self.allowed
            && !allowed.contains(&scalar.text)
        {
            if let [only] = allowed.as_slice() {
                return Some(format!("{shown}: expected {only}"));
            }
            let hint = nearest(&scalar.text, allowed.iter().map(String::as_str))
                .map(|name| format!(", did you mean {name}?"))
                .unwrap_or_default();
            return Some(format!("{shown}: expected {}{hint}", self.described()));
        }
        let length = scalar.text.chars().count();
        if self.min.is_some_and(|min| length < min) {
            return Some("must not be empty".into());
        }
        if let Some(max) = self.max.filter(|max| length > *max) {
            return Some(format!(
                "{shown}: {length} characters, at most {max} are allowed"
            ));
        }
        match &self.pattern {
            Some(pattern) if !pattern.is_match(&scalar.text) => {
                Some(match patterns::expectation(pattern.as_str()) {
                    Some(words) => format!("{shown}: expected {words}"),
                    None => format!("{shown}: must match {pattern}"),
                })
            }
            _ => None,
        }
    }
}

/// The candidate that `name` was probably meant to be.
pub(crate) fn nearest<'a>(
    name: &str,
    candidates: impl Iterator<Item = &'a str>,
) -> Option<&'a str> {
    const LONGEST: usize = 64;
    const ALIKE: f64 = 0.75;
    if name.len() > LONGEST {
        return None;
    }
    let name = name.to_ascii_lowercase();
    candidates
        .map(|c| {
            (
                strsim::normalized_damerau_levenshtein(&name, &c.to_ascii_lowercase()),
                c,
            )
        })
        .filter(|(alike, _)| *alike >= ALIKE)
        .max_by(|(a, _), (b, _)| a.total_cmp(b))
        .map(|(_, candidate)| candidate)
}
