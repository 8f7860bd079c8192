//! The keys of a configuration, from its schema, for users.

use std::cell::Cell;
use std::collections::HashSet;

use serde_json::Value;

use crate::config::node::{Node, members, resolve, strings, type_of};
use crate::text::count::format_count;

/// The most objects of a schema that are read. An object counts for each reference to it, so references to references can
/// make their number grow exponentially.
const MOST_STEPS: usize = 10_000;
/// The most levels of nested keys that are read.
const MOST_LEVELS: usize = 32;
/// The most levels of lists within lists that a type names, because a schema may contain itself.
const MOST_LISTS: usize = 8;

/// One key of a configuration.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Key {
    /// The key with the keys around it: `a.b` in a map, `a[].b` in the items of a list, `a.*.b` below any key of a map.
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
    /// Empty if the schema names no keys.
    pub keys: Vec<Key>,
    /// Whether the schema has more keys than were read.
    pub is_cut: bool,
}

/// Lists the keys that a schema names. Reads a limited number of objects, so that it ends soon for any schema.
pub fn list_keys(schema: &Value) -> Keys {
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
    /// Counts one object. Returns false if no more may be read.
    fn step(&self) -> bool {
        let may = self.steps.get() < MOST_STEPS;
        match may {
            true => self.steps.set(self.steps.get() + 1),
            false => self.is_cut.set(true),
        }
        may
    }

    /// Adds the keys within a node. `around` has the nodes that contain it, to notice a schema that contains itself.
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

    /// Describes one key.
    fn key(&self, node: &'s Value, path: &str, is_required: bool) -> Key {
        let nodes = self.resolved(node);
        let own = |word: &str| node.get(word).or_else(|| nodes.iter().find_map(|node| node.get(word)));
        // Use the description of the items if a list or a map has none.
        let item_description = || {
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
                .or_else(item_description)
                .and_then(Value::as_str)
                .unwrap_or_default()
                .to_owned(),
        }
    }

    /// Returns the nodes that a node refers to and its alternatives, or the node itself if there are none.
    fn resolved(&self, node: &'s Value) -> Vec<&'s Node> {
        let mut resolved = Vec::new();
        let mut visited: HashSet<*const Value> = HashSet::new();
        let mut waiting = vec![node];
        while let Some(value) = waiting.pop() {
            let Value::Object(node) = value else { continue };
            if !visited.insert(value) {
                continue;
            }
            if !self.step() {
                break;
            }
            let target = node
                .get("$ref")
                .and_then(Value::as_str)
                .and_then(|reference| resolve(self.root, reference));
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

    /// Returns the types that nodes allow.
    fn type_(&self, nodes: &[&'s Node], depth: usize) -> String {
        let mut types: Vec<String> = Vec::new();
        for node in nodes {
            let names: Vec<&str> = match node.get("type") {
                Some(Value::String(type_)) => vec![type_],
                several @ Some(Value::Array(_)) => strings(several).collect(),
                _ => {
                    let options = node.get("enum").and_then(Value::as_array);
                    options.into_iter().flatten().map(type_of).collect()
                }
            };
            for name in names {
                let items = node.get("items").filter(|_| name == "array" && depth < MOST_LISTS);
                let item_type = items.map(|items| self.type_(&self.resolved(items), depth + 1));
                let name = match item_type {
                    Some(item_type) if !item_type.is_empty() => format!("array of {item_type}"),
                    _ => name.to_owned(),
                };
                if !types.contains(&name) {
                    types.push(name);
                }
            }
        }
        types.join(" or ")
    }
}

/// Returns what a node allows, in words.
fn limits(node: &Node) -> Vec<String> {
    let mut limits = Vec::new();
    if let Some(options) = node.get("enum").and_then(Value::as_array) {
        limits.push(options.iter().map(Value::to_string).collect::<Vec<_>>().join(" | "));
    }
    let with_noun = |number: &Value, noun| match noun {
        "" => number.to_string(),
        noun => format_count(number, noun),
    };
    let mut in_range = Vec::new();
    for (least_word, most_word, noun) in [
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
            limits.push(range + &with_noun(most, noun));
            in_range.extend([least_word, most_word]);
        }
    }
    for (word, words, noun) in [
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
            limits.push(format!("{words} {}", with_noun(limit, noun)));
        }
    }
    if let Some(pattern) = node.get("pattern").and_then(Value::as_str) {
        limits.push(format!("matching {pattern}"));
    }
    limits
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn keys_are_listed_with_their_limits() {
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
        let listed = list_keys(&schema).keys;
        let row = |path: &str| {
            let key = listed.iter().find(|key| key.path == path).expect(path);
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
    fn limits_are_listed_from_the_lower_to_the_upper() {
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
    fn reference_of_the_root_is_followed() {
        let schema = json!({"$ref": "#/$defs/C", "$defs": {"C": {"properties": {"a": {"type": "string"}}}}});
        assert_eq!(list_keys(&schema).keys.len(), 1);
        for schema in [
            json!(true),
            json!({"type": "object"}),
            json!({"$ref": "#"}),
            json!({"$ref": "http://x"}),
            json!({"type": "array", "items": {"$ref": "#"}}),
        ] {
            assert_eq!(list_keys(&schema).keys, [], "{schema}");
        }
    }
}
