//! Reading data no further than may be checked, and without what readers understand differently.

use std::cell::RefCell;
use std::collections::HashMap;
use std::collections::hash_map::Entry;

use serde::de::{DeserializeSeed, MapAccess, SeqAccess, Visitor};
use serde_json::{Map, Number, Value};

/// Bytes of text that weigh as much as a value.
const BYTES_PER_WEIGHT: usize = 16;

/// Why data can't be checked.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Unreadable {
    /// A key is there twice: readers disagree on which counts, so what was checked might not be what is read.
    Repeated { pointer: String },
    /// It weighs more than allowed.
    TooMuch,
    /// It is not JSON, or has a number beyond what can be checked.
    NotJson(String),
}

/// The weight of a string.
pub(super) fn weight_of_text(text: &str) -> usize {
    1 + text.len() / BYTES_PER_WEIGHT
}

/// Reads JSON text that weighs no more than `weight`: one for each value and each key, and one for each 16 bytes of text.
pub(super) fn read(json: &str, weight: usize) -> Result<Value, Unreadable> {
    let reading = Reading {
        left: RefCell::new(weight),
        path: RefCell::default(),
        fault: RefCell::default(),
    };
    let mut reader = serde_json::Deserializer::from_str(json);
    let value = Node(&reading).deserialize(&mut reader);
    match value.and_then(|value| reader.end().map(|()| value)) {
        Ok(value) => Ok(value),
        Err(error) => Err(reading
            .fault
            .into_inner()
            .unwrap_or_else(|| Unreadable::NotJson(error.to_string()))),
    }
}

struct Reading {
    left: RefCell<usize>,
    /// Where the reader is, as it stands in a pointer.
    path: RefCell<Vec<String>>,
    fault: RefCell<Option<Unreadable>>,
}

impl Reading {
    fn weigh<E: serde::de::Error>(&self, weight: usize) -> Result<(), E> {
        let mut left = self.left.borrow_mut();
        match left.checked_sub(weight) {
            Some(rest) => {
                *left = rest;
                Ok(())
            }
            None => Err(self.fail(Unreadable::TooMuch)),
        }
    }

    fn fail<E: serde::de::Error>(&self, fault: Unreadable) -> E {
        *self.fault.borrow_mut() = Some(fault);
        E::custom("it can't be checked")
    }

    /// The pointer to a member of where the reader is.
    fn pointer(&self, last: &str) -> String {
        let path = self.path.borrow();
        let segments = path.iter().map(String::as_str).chain([last]);
        segments.fold(String::new(), |mut pointer, segment| {
            pointer.push('/');
            pointer.push_str(&segment.replace('~', "~0").replace('/', "~1"));
            pointer
        })
    }
}

#[derive(Clone, Copy)]
struct Node<'a>(&'a Reading);

impl<'de> DeserializeSeed<'de> for Node<'_> {
    type Value = Value;

    fn deserialize<D: serde::Deserializer<'de>>(self, reader: D) -> Result<Value, D::Error> {
        self.0.weigh(1)?;
        reader.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Node<'_> {
    type Value = Value;

    fn expecting(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_unit<E>(self) -> Result<Value, E> {
        Ok(Value::Null)
    }

    fn visit_bool<E>(self, value: bool) -> Result<Value, E> {
        Ok(Value::Bool(value))
    }

    fn visit_u64<E>(self, value: u64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_i64<E>(self, value: i64) -> Result<Value, E> {
        Ok(Value::Number(value.into()))
    }

    fn visit_f64<E: serde::de::Error>(self, value: f64) -> Result<Value, E> {
        let number = Number::from_f64(value).ok_or_else(|| E::custom("not a number of JSON"))?;
        Ok(Value::Number(number))
    }

    fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Value, E> {
        self.0.weigh(text.len() / BYTES_PER_WEIGHT)?;
        Ok(Value::String(text.to_owned()))
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut items: A) -> Result<Value, A::Error> {
        let mut list = Vec::new();
        loop {
            self.0.path.borrow_mut().push(list.len().to_string());
            let Some(item) = items.next_element_seed(self)? else {
                break;
            };
            self.0.path.borrow_mut().pop();
            list.push(item);
        }
        self.0.path.borrow_mut().pop();
        Ok(Value::Array(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Value, A::Error> {
        let mut members: HashMap<String, Value> = HashMap::new();
        while let Some(key) = entries.next_key::<String>()? {
            self.0.weigh(weight_of_text(&key))?;
            match members.entry(key) {
                Entry::Occupied(entry) => {
                    let pointer = self.0.pointer(entry.key());
                    return Err(self.0.fail(Unreadable::Repeated { pointer }));
                }
                Entry::Vacant(entry) => {
                    self.0.path.borrow_mut().push(entry.key().clone());
                    entry.insert(entries.next_value_seed(self)?);
                    self.0.path.borrow_mut().pop();
                }
            }
        }
        Ok(Value::Object(members.into_iter().collect::<Map<_, _>>()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn data_is_read_as_it_is() {
        let text = r#"{"a":[1,-2,1.5,"x",null,true,{"b":{}}],"c":"ü"}"#;
        let expected: Value = serde_json::from_str(text).unwrap();
        assert_eq!(read(text, 1000).unwrap(), expected);
    }

    #[test]
    fn a_key_that_is_there_twice_is_named() {
        for (text, pointer) in [
            (r#"{"a":1,"a":2}"#, "/a"),
            (r#"{"x":[{},{"a/b":{"~":1,"~":2}}]}"#, "/x/1/a~1b/~0"),
            (r#"[{"a":[1,2],"b":1,"b":1}]"#, "/0/b"),
            ("{\"a\":1,\"\\u0061\":2}", "/a"),
        ] {
            let pointer = pointer.to_owned();
            assert_eq!(
                read(text, 1000),
                Err(Unreadable::Repeated { pointer }),
                "{text}"
            );
        }
    }

    #[test]
    fn reading_stops_where_the_weight_is_used_up() {
        assert!(read("[0,0,0]", 4).is_ok());
        assert_eq!(read("[0,0,0]", 3), Err(Unreadable::TooMuch));
        let text = format!("\"{}\"", "x".repeat(160));
        assert!(read(&text, 11).is_ok());
        assert_eq!(read(&text, 10), Err(Unreadable::TooMuch));
        assert_eq!(read(r#"{"k":1}"#, 2), Err(Unreadable::TooMuch));
        let endless = "[".repeat(1_000_000);
        assert_eq!(read(&endless, 50), Err(Unreadable::TooMuch));
    }

    #[test]
    fn what_is_no_json_is_told() {
        for text in ["", "{", "1e999", "[1,]", "1 2", "\u{0}"] {
            assert!(
                matches!(read(text, 100), Err(Unreadable::NotJson(_))),
                "{text}"
            );
        }
    }
}
