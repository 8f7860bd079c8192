//! Helpers to read an object of a JSON schema.

use serde_json::{Map, Value};

/// An object of a schema.
pub type Node = Map<String, Value>;

/// Returns the members of the object at `word`, if there is one.
pub fn members<'s>(node: &'s Node, word: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    node.get(word).and_then(Value::as_object).into_iter().flatten()
}

/// Returns the strings of a list.
pub fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
}

/// Returns the name of a value's type in schemas. An integer is a number here.
pub fn type_of(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(_) => "array",
        Value::Object(_) => "object",
    }
}

/// Returns whether a value is a number without a fraction.
pub fn is_whole(value: &Value) -> bool {
    value.as_f64().is_some_and(|number| number.fract() == 0.0)
}

/// Returns the value of a schema to which a reference points. Like Falco, it follows only JSON pointers into the schema.
pub fn resolve<'s>(root: &'s Value, reference: &str) -> Option<&'s Value> {
    let pointer = percent_decode(reference.strip_prefix('#')?)?;
    root.pointer(&pointer)
}

/// Decodes `%` and two hexadecimal digits, as in URIs. Returns `None` if the text or the result is malformed.
fn percent_decode(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        let digits = part
            .get(..2)
            .filter(|digits| digits.bytes().all(|digit| digit.is_ascii_hexdigit()))?;
        bytes.push(u8::from_str_radix(digits, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn resolve_follows_only_pointers_into_the_schema() {
        let schema = json!({"definitions": {"a%b": 1, "c\"d": 2, "e/f": 3}, "$id": "http://example.com/schema"});
        for (reference, expected) in [
            ("#", Some(&schema)),
            ("#/definitions/a%25b", Some(&json!(1))),
            ("#/definitions/c%22d", Some(&json!(2))),
            ("#/definitions/e~1f", Some(&json!(3))),
            ("#/definitions/a%b", None),
            ("#/definitions/a%+1b", None),
            ("#/definitions/%ff", None),
            ("#name", None),
            ("http://example.com/schema#/definitions", None),
            ("", None),
        ] {
            assert_eq!(resolve(&schema, reference), expected, "{reference}");
        }
    }
}
