//! Schemas that may be used and those that may not, and data that fits or does not.

use serde_json::{Value, json};

use super::*;

fn compile(schema: &Value) -> Result<DataSchema, SchemaFault> {
    DataSchema::compile(schema.as_object().expect("a schema is an object here"))
}

fn schema(schema: &Value) -> DataSchema {
    compile(schema).unwrap_or_else(|fault| panic!("{schema}: {fault}"))
}

#[track_caller]
fn refused(of: &Value, pointer: &str, words: &str) {
    let fault = compile(of).expect_err("this schema must be refused");
    assert_eq!(fault.pointer, pointer, "{fault}");
    assert!(fault.message.contains(words), "{fault}");
}

fn chat() -> DataSchema {
    schema(&json!({
        "type": "object",
        "required": ["text"],
        "additionalProperties": false,
        "properties": {
            "text": {"type": "string", "minLength": 1, "maxLength": 20, "pattern": "^[^<>]*$"},
            "tags": {"type": "array", "maxItems": 3, "uniqueItems": true, "items": {"$ref": "#/$defs/tag"}},
        },
        "$defs": {"tag": {"enum": ["a", "b", "c"]}},
    }))
}

#[test]
fn what_fits_passes_and_what_does_not_is_told_with_its_place() {
    let schema = chat();
    for data in [r#"{"text":"hi"}"#, r#"{"text":"hi","tags":["a","b"]}"#] {
        assert_eq!(schema.check(data), Ok(()), "{data}");
    }
    for (data, pointer) in [
        ("7", ""),
        ("{}", ""),
        (r#"{"text":7}"#, "/text"),
        (r#"{"text":""}"#, "/text"),
        (r#"{"text":"<b>"}"#, "/text"),
        (r#"{"text":"hi","tags":["a","x"]}"#, "/tags/1"),
        (r#"{"text":"hi","tags":["a","a"]}"#, "/tags"),
        (r#"{"text":"hi","more":1}"#, ""),
        (r#"{"text":"hi","text":7}"#, "/text"),
        ("{", ""),
    ] {
        let fault = schema.check(data).expect_err(data);
        assert_eq!(fault.pointer, pointer, "{data}: {fault}");
        assert!(!fault.message.is_empty());
    }
}

#[test]
fn a_plain_text_is_a_string() {
    let text = schema(&json!({"type": "string", "maxLength": 3}));
    assert_eq!(text.check_string("abc"), Ok(()));
    assert_eq!(text.check_string("abcd").unwrap_err().pointer, "");
    assert!(chat().check_string("hi").is_err());
}

#[test]
fn a_fault_repeats_nothing_of_the_data_and_is_short() {
    let long = format!("{{\"text\":\"{}\"}}", "secret".repeat(200));
    let fault = chat().check(&long).unwrap_err();
    assert!(!fault.message.contains("secret"), "{fault}");
    let schema = schema(&json!({"enum": ["x".repeat(5000)]}));
    assert!(schema.check("1").unwrap_err().message.len() <= 300);
}

#[test]
fn only_references_into_the_schema_itself_are_taken() {
    let defs = json!({"t": {"type": "string", "$anchor": "t"}});
    for reference in ["#/$defs/t", "#t"] {
        let ok = schema(&json!({"$ref": reference, "$defs": defs}));
        assert!(ok.check("1").is_err() && ok.check("\"x\"").is_ok());
    }
    for reference in [
        "https://example.com/schema.json",
        "other.json",
        "file:///etc/passwd",
        "//host/x#/a",
    ] {
        let schema = json!({"properties": {"a": {"$ref": reference}}});
        refused(
            &schema,
            "/properties/a/$ref",
            "only references into this schema",
        );
    }
    refused(&json!({"$ref": "#/$defs/none"}), "/$ref", "no such schema");
    refused(&json!({"$ref": "#none"}), "/$ref", "no such schema");
}

#[test]
fn a_schema_that_refers_to_itself_is_refused_wherever_it_hides_it() {
    let words = "refers to itself";
    refused(&json!({"$ref": "#"}), "/$ref", words);
    let tree = json!({"properties": {"next": {"anyOf": [{"$ref": "#"}, {"$ref": "#"}]}}});
    refused(&tree, "/properties/next/anyOf/0/$ref", words);
    let ring = json!({
        "$ref": "#/$defs/a",
        "$defs": {"a": {"items": {"$ref": "#b"}}, "b": {"$anchor": "b", "not": {"$ref": "#/$defs/a"}}},
    });
    refused(&ring, "/$ref/items/$ref/not/$ref", words);
}

#[test]
fn references_that_multiply_are_counted_before_anything_is_checked() {
    let mut defs = json!({"d0": {"type": "string"}});
    for level in 1..40 {
        let below = json!({"$ref": format!("#/$defs/d{}", level - 1)});
        defs[format!("d{level}")] = json!({"anyOf": [below, below]});
    }
    refused(
        &json!({"$ref": "#/$defs/d39", "$defs": defs}),
        "",
        "take too long",
    );
}

#[test]
fn size_depth_draft_and_names_are_bounded() {
    refused(&json!({"title": "x".repeat(40_000)}), "", "bytes");
    let mut deep = json!({});
    for _ in 0..60 {
        deep = json!({"not": deep});
    }
    refused(&deep, "", "deeper");
    let old = json!({"$schema": "http://json-schema.org/draft-07/schema#"});
    refused(&old, "/$schema", "2020-12");
    schema(&json!({"$schema": "https://json-schema.org/draft/2020-12/schema"}));
    refused(
        &json!({"items": {"$id": "https://a/b"}}),
        "/items/$id",
        "not supported",
    );
    refused(
        &json!({"$dynamicRef": "#x"}),
        "/$dynamicRef",
        "not supported",
    );
    schema(&json!({"properties": {"$id": {"type": "string"}, "$ref": {}}}));
}

#[test]
fn what_is_no_schema_is_told_with_its_place() {
    refused(&json!({"type": "strin"}), "/type", "strin");
    refused(
        &json!({"properties": {"a": {"minLength": -1}}}),
        "/properties/a/minLength",
        "",
    );
    assert!(compile(&json!({"pattern": "("})).is_err());
}

#[test]
fn patterns_that_backtrack_or_grow_without_bound_are_refused() {
    for pattern in [r"(a)\1", "(?=a)b", "(?<!a)b", "(a{100}){100}{100}"] {
        assert!(compile(&json!({"pattern": pattern})).is_err(), "{pattern}");
    }
    let nested = schema(&json!({"pattern": "^(a+)+$"}));
    assert!(nested.check_string(&"a".repeat(60_000)).is_ok());
    assert!(
        nested
            .check_string(&format!("{}!", "a".repeat(60_000)))
            .is_err()
    );
}

#[test]
fn more_data_than_can_be_checked_in_time_is_refused_unread() {
    let parts: Vec<Value> = (0..1000).map(|i| json!({"const": i})).collect();
    let heavy = schema(&json!({"items": {"anyOf": parts}}));
    let few = format!("[{}]", vec!["-1"; 100].join(","));
    assert_eq!(heavy.check(&few).unwrap_err().pointer, "/0");
    let many = format!("[{}]", vec!["999"; 30_000].join(","));
    let fault = heavy.check(&many).unwrap_err();
    assert!(fault.message.contains("too many values"), "{fault}");
    let light = schema(&json!({"items": {"type": "integer"}}));
    assert_eq!(light.check(&many), Ok(()));
}
