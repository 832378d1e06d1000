//! Schemas of rooms, and data that is held against them.

use linnet_crds::data::DataSchema;
use serde_json::Value;

/// A schema, a zero byte, and data; without one, the data is checked against a schema of ours.
pub fn run(data: &[u8]) {
    let Ok(text) = std::str::from_utf8(data) else {
        return;
    };
    let (schema, data) = text.split_once('\0').unwrap_or((OURS, text));
    let Ok(Value::Object(schema)) = serde_json::from_str(schema) else {
        return;
    };
    match DataSchema::compile(&schema) {
        Ok(schema) => {
            for outcome in [schema.check(data), schema.check_string(data)] {
                if let Err(fault) = outcome {
                    assert!(fault.message.len() <= 300);
                    assert!(fault.pointer.is_empty() || fault.pointer.starts_with('/'));
                }
            }
        }
        Err(fault) => assert!(!fault.to_string().is_empty()),
    }
}

const OURS: &str = r##"{"type":"object","required":["text"],"additionalProperties":false,"properties":{
    "text":{"type":"string","maxLength":20,"pattern":"^[^<>]*$"},
    "tags":{"type":"array","uniqueItems":true,"items":{"$ref":"#/$defs/tag"}},
    "n":{"multipleOf":0.01,"minimum":-5}},"$defs":{"tag":{"anyOf":[{"const":"a"},{"type":"integer"}]}}}"##;
