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
