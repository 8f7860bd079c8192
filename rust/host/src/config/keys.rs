//! The schema of a configuration as a list of keys, for people.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::Value;

use crate::config::node::{Node, members, strings, type_of};
use crate::text::count::counted;

/// Objects of the schema that are read at most, each counted as often as it is referred to. References to references
/// can make their number grow exponentially.
const MOST_STEPS: usize = 10_000;
/// The depth to which nested keys are read.
const MOST_LEVELS: usize = 32;
/// How many lists within lists a type is told of: a schema may contain itself.
const DEEPEST: usize = 8;

/// One key of the configuration; of an inner map with a dot, of the items of a list with `[]`.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Key {
    pub path: String,
    pub type_: String,
    pub is_required: bool,
    pub default: String,
    pub allowed: String,
    pub description: String,
}

/// The keys that a schema names.
#[derive(Debug, Default)]
pub struct Keys {
    /// None if the schema is not that of a map with named keys.
    pub keys: Vec<Key>,
    /// Whether the schema has more keys than were read.
    pub is_cut: bool,
}

/// Lists the keys that a schema names. Its time is bounded by a fixed number of objects, whatever they refer to.
pub fn keys(schema: &Value) -> Keys {
    let reader = Reader {
        root: schema,
        steps: Cell::new(0),
        is_cut: Cell::new(false),
    };
    let mut keys = Vec::new();
    reader.add_inner(schema, "", &mut keys, &mut Vec::new());
    Keys {
        keys,
        is_cut: reader.is_cut.get(),
    }
}

struct Reader<'s> {
    root: &'s Value,
    steps: Cell<usize>,
    is_cut: Cell<bool>,
}

impl<'s> Reader<'s> {
    /// Counts one object that is read. False if no more may be.
    fn step(&self) -> bool {
        let may = self.steps.get() < MOST_STEPS;
        match may {
            true => self.steps.set(self.steps.get() + 1),
            false => self.is_cut.set(true),
        }
        may
    }

    /// Adds the keys within a node; `around` has the nodes that contain it, so that a schema that contains itself is
    /// not followed again.
    fn add_inner(&self, node: &'s Value, path: &str, keys: &mut Vec<Key>, around: &mut Vec<&'s Node>) {
        if around.len() >= MOST_LEVELS {
            return self.is_cut.set(true);
        }
        for node in self.resolved(node) {
            if around.iter().any(|other| std::ptr::eq(*other, node)) {
                continue;
            }
            around.push(node);
            let dot = if path.is_empty() { "" } else { "." };
            for (name, inner) in members(node, "properties") {
                let path = format!("{path}{dot}{name}");
                let is_required = strings(node.get("required")).any(|required| required == name);
                if !self.step() {
                    return;
                }
                keys.push(self.key(inner, &path, is_required));
                self.add_inner(inner, &path, keys, around);
            }
            if let Some(inner) = node.get("additionalProperties").filter(|inner| inner.is_object()) {
                self.add_inner(inner, &format!("{path}{dot}*"), keys, around);
            }
            if let Some(inner) = node.get("items").filter(|inner| inner.is_object()) {
                self.add_inner(inner, &format!("{path}[]"), keys, around);
            }
            around.pop();
        }
    }

    fn key(&self, node: &'s Value, path: &str, is_required: bool) -> Key {
        let nodes = self.resolved(node);
        let own = |word: &str| node.get(word).or_else(|| nodes.iter().find_map(|node| node.get(word)));
        // A list or a map without its own description may hold items that have one.
        let of_items = || {
            let words = ["items", "additionalProperties"];
            let items = nodes
                .iter()
                .flat_map(|node| words.iter().filter_map(|word| node.get(*word)));
            items
                .flat_map(|items| self.resolved(items))
                .find_map(|node| node.get("description"))
        };
        let mut allowed: Vec<String> = Vec::new();
        for node in &nodes {
            allowed.extend(limits(node));
        }
        Key {
            path: path.to_owned(),
            type_: self.type_(&nodes, 0),
            is_required,
            default: own("default").map(Value::to_string).unwrap_or_default(),
            allowed: allowed.join(", "),
            description: own("description")
                .or_else(of_items)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// Returns the nodes that a node refers to, and its alternatives, in place of the node.
    fn resolved(&self, node: &'s Value) -> Vec<&'s Node> {
        let mut resolved = Vec::new();
        let mut met: HashSet<*const Value> = HashSet::new();
        let mut waiting = vec![node];
        while let Some(value) = waiting.pop() {
            let Value::Object(node) = value else { continue };
            if !met.insert(value) {
                continue;
            }
            if !self.step() {
                break;
            }
            let target = node
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|target| self.root.pointer(target.strip_prefix('#')?));
            let parts = ["anyOf", "oneOf", "allOf"]
                .iter()
                .filter_map(|word| node.get(*word)?.as_array())
                .flatten();
            let inner: Vec<_> = target.into_iter().chain(parts).collect();
            if inner.is_empty() {
                resolved.push(node);
            }
            waiting.extend(inner.into_iter().rev());
        }
        resolved
    }

    fn type_(&self, nodes: &[&'s Node], depth: usize) -> String {
        let mut types: Vec<String> = Vec::new();
        for node in nodes {
            let told: Vec<&str> = match node.get("type") {
                Some(Value::String(type_)) => vec![type_],
                several @ Some(Value::Array(_)) => strings(several).collect(),
                _ => {
                    let options = node.get("enum").and_then(Value::as_array);
                    options.into_iter().flatten().map(type_of).collect()
                }
            };
            for told in told {
                let items = node.get("items").filter(|_| told == "array" && depth < DEEPEST);
                let of = items.map(|items| self.type_(&self.resolved(items), depth + 1));
                let told = match of {
                    Some(of) if !of.is_empty() => format!("array of {of}"),
                    _ => told.to_owned(),
                };
                if !types.contains(&told) {
                    types.push(told);
                }
            }
        }
        types.join(" or ")
    }
}

fn limits(node: &Node) -> Vec<String> {
    let mut told = Vec::new();
    if let Some(options) = node.get("enum").and_then(Value::as_array) {
        told.push(options.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "));
    }
    let with_noun = |number: &Value, of| match of {
        "" => number.to_string(),
        of => counted(number, of),
    };
    let mut in_range = Vec::new();
    for (least_word, most_word, of) in [
        ("minimum", "maximum", ""),
        ("minLength", "maxLength", "character"),
        ("minItems", "maxItems", "item"),
        ("minProperties", "maxProperties", "key"),
    ] {
        if let (Some(least), Some(most)) = (node.get(least_word), node.get(most_word)) {
            let range = if least == most {
                String::new()
            } else {
                format!("{least} to ")
            };
            told.push(range + &with_noun(most, of));
            in_range.extend([least_word, most_word]);
        }
    }
    for (word, words, of) in [
        ("minimum", "at least", ""),
        ("exclusiveMinimum", "more than", ""),
        ("maximum", "at most", ""),
        ("exclusiveMaximum", "less than", ""),
        ("minLength", "at least", "character"),
        ("maxLength", "at most", "character"),
        ("minItems", "at least", "item"),
        ("maxItems", "at most", "item"),
        ("minProperties", "at least", "key"),
        ("maxProperties", "at most", "key"),
        ("multipleOf", "a multiple of", ""),
        ("const", "only", ""),
    ] {
        if let Some(limit) = node.get(word).filter(|_| !in_range.contains(&word)) {
            told.push(format!("{words} {}", with_noun(limit, of)));
        }
    }
    if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
        told.push(format!("matching {pattern}"));
    }
    told
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn nested_keys_are_listed_with_what_is_allowed() {
        let schema = json!({
            "type": "object",
            "required": ["token"],
            "properties": {
                "port": {"type": "integer", "minimum": 1, "maximum": 65535, "default": 8080, "description": "The port"},
                "token": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$"},
                "mode": {"enum": ["a", "b"], "default": "a"},
                "tls": {"anyOf": [{"$ref": "#/definitions/Tls"}, {"type": "null"}], "default": null},
                "many": {"type": "array", "items": {"$ref": "#/definitions/Tls"}, "minItems": 1},
                "named": {"type": "object", "additionalProperties": {"$ref": "#/definitions/Tls"}},
                "names": {"type": "array", "items": {"type": "string"}},
                "none": {"type": "array", "items": {"type": "string"}, "default": []},
                "self": {"$ref": "#"}
            },
            "definitions": {
                "Tls": {
                    "type": "object",
                    "description": "How to encrypt",
                    "required": ["key"],
                    "properties": {"key": {"type": ["string", "null"]}}
                }
            }
        });
        let told = keys(&schema).keys;
        let row = |path: &str| {
            let key = told.iter().find(|key| key.path == path).expect(path);
            let required = if key.is_required { "required" } else { "" };
            [
                key.type_.as_str(),
                required,
                &key.default,
                &key.allowed,
                &key.description,
            ]
            .map(str::to_owned)
        };
        for (path, expected) in [
            ("port", ["integer", "", "8080", "1 to 65535", "The port"]),
            (
                "token",
                ["string", "required", "", "at least 3 characters, matching ^[a-z]+$", ""],
            ),
            ("mode", ["string", "", "\"a\"", "\"a\" | \"b\"", ""]),
            ("tls", ["object or null", "", "null", "", "How to encrypt"]),
            ("tls.key", ["string or null", "required", "", "", ""]),
            ("many", ["array of object", "", "", "at least 1 item", "How to encrypt"]),
            ("many[].key", ["string or null", "required", "", "", ""]),
            ("named.*.key", ["string or null", "required", "", "", ""]),
            ("named", ["object", "", "", "", "How to encrypt"]),
            ("none", ["array of string", "", "[]", "", ""]),
            ("names", ["array of string", "", "", "", ""]),
            ("self", ["object", "", "", "", ""]),
        ] {
            assert_eq!(row(path), expected, "{path}");
        }
    }

    #[test]
    fn limits_are_told_from_the_lower_to_the_upper() {
        for (schema, expected) in [
            (json!({"minimum": 1, "maximum": 9}), "1 to 9"),
            (json!({"minimum": 2, "maximum": 2}), "2"),
            (json!({"maximum": 60, "exclusiveMinimum": 0}), "more than 0, at most 60"),
            (
                json!({"exclusiveMaximum": 1.5, "minimum": 0}),
                "at least 0, less than 1.5",
            ),
            (json!({"minLength": 1}), "at least 1 character"),
            (json!({"minLength": 1, "maxLength": 5}), "1 to 5 characters"),
            (json!({"minItems": 2, "maxItems": 2}), "2 items"),
            (json!({"maxProperties": 1}), "at most 1 key"),
            (json!({"multipleOf": 5, "minimum": 5}), "at least 5, a multiple of 5"),
        ] {
            assert_eq!(limits(schema.as_object().unwrap()).join(", "), expected, "{schema}");
        }
    }

    #[test]
    fn a_schema_behind_a_reference_is_found_and_one_without_keys_has_none() {
        let schema = json!({"$ref": "#/$defs/C", "$defs": {"C": {"properties": {"a": {"type": "string"}}}}});
        assert_eq!(keys(&schema).keys.len(), 1);
        for schema in [
            json!(true),
            json!({"type": "object"}),
            json!({"$ref": "#"}),
            json!({"$ref": "http://x"}),
            json!({"type": "array", "items": {"$ref": "#"}}),
        ] {
            assert_eq!(keys(&schema).keys, [], "{schema}");
        }
    }
}
