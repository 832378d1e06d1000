//! `docs/asyncapi.yaml`, as schemas that real frames are held against.

use serde_json::{Value, json};

use crate::gateway::workspace;

/// The published contract.
#[derive(Debug)]
pub struct Contract(Value);

impl Contract {
    /// Reads `docs/asyncapi.yaml`.
    ///
    /// # Panics
    /// When it is missing or no YAML.
    #[must_use]
    pub fn read() -> Self {
        let text = std::fs::read_to_string(workspace().join("docs/asyncapi.yaml")).unwrap();
        Self(serde_norway::from_str(&text).unwrap())
    }

    /// Holds `frame` against the schema called `name`.
    ///
    /// # Panics
    /// When it does not fit, saying where.
    pub fn check(&self, name: &str, frame: &Value) {
        let schemas = &self.0["components"]["schemas"];
        assert!(
            schemas[name].is_object(),
            "docs/asyncapi.yaml has no schema {name}"
        );
        // The reference is resolved inside the document that is compiled, so it takes the components along.
        let schema = json!({
            "$ref": format!("#/components/schemas/{name}"),
            "components": {"schemas": schemas},
        });
        let validator = jsonschema::validator_for(&schema).unwrap();
        let faults: Vec<String> = validator
            .iter_errors(frame)
            .map(|fault| format!("{} at {}", fault, fault.instance_path()))
            .collect();
        assert!(
            faults.is_empty(),
            "{name} does not allow {frame}: {faults:?}"
        );
    }

    /// Holds a server frame against its own schema and against `ServerFrame`. `request` is the type of the request that
    /// an ack answers.
    ///
    /// # Panics
    /// When it does not fit, saying where.
    pub fn check_server(&self, request: &str, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        let name = match kind {
            "ack" => format!("ServerAck{}", pascal(request)),
            other => format!("Server{}", pascal(other)),
        };
        self.check(&name, frame);
        self.check("ServerFrame", frame);
    }

    /// Holds a request against its own schema and against `ClientFrame`.
    ///
    /// # Panics
    /// When it does not fit, saying where.
    pub fn check_client(&self, frame: &Value) {
        let kind = frame["type"].as_str().unwrap();
        self.check(&format!("Client{}", pascal(kind)), frame);
        self.check("ClientFrame", frame);
    }

    /// Every example of every message, with the name of its schema.
    ///
    /// # Panics
    /// When the document has no messages.
    #[must_use]
    pub fn examples(&self) -> Vec<(String, Value)> {
        let messages = self.0["components"]["messages"].as_object().unwrap();
        let examples = |(name, message): (&String, &Value)| {
            let examples = message["examples"].as_array().cloned().unwrap_or_default();
            let name = name.clone();
            examples
                .into_iter()
                .map(move |example| (name.clone(), example["payload"].clone()))
        };
        messages.iter().flat_map(examples).collect()
    }

    /// The error codes that the contract knows.
    ///
    /// # Panics
    /// When the document has none.
    #[must_use]
    pub fn error_codes(&self) -> Vec<String> {
        let codes = &self.0["components"]["schemas"]["ErrorCode"]["enum"];
        let codes = codes.as_array().unwrap().iter();
        codes
            .map(|code| code.as_str().unwrap().to_owned())
            .collect()
    }
}

/// `token_expiring` → `TokenExpiring`.
fn pascal(name: &str) -> String {
    let word = |word: &str| word[..1].to_uppercase() + &word[1..];
    name.split('_').map(word).collect()
}
