//! One object of a JSON schema, and what is read from it alike, wherever a schema is read.

use serde_json::{Map, Value};

pub type Node = Map<String, Value>;

/// What stands under `word` by name, where that is an object.
pub fn members<'s>(node: &'s Node, word: &str) -> impl Iterator<Item = (&'s String, &'s Value)> {
    node.get(word).and_then(Value::as_object).into_iter().flatten()
}

/// The strings of a list.
pub fn strings(list: Option<&Value>) -> impl Iterator<Item = &str> {
    let list = list.and_then(Value::as_array).into_iter().flatten();
    list.filter_map(Value::as_str)
}

/// The type of a value, as schemas name it. They know integers as well, which are numbers here.
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
