//! Whether a JSON document fits a schema: draft 7 but for `format`, of which validators make different things. Each
//! problem has its path and never the value, which may be a secret.
//!
//! Our own: `boon` reads patterns as Rust's regular expressions, not as ECMAScript's, which Falco's validator does, and
//! does not tell where a key is wrong; `jsonschema` does, and makes the program several times as large.

use std::cell::Cell;
use std::fmt;

use serde_json::Value;

use crate::config::node::{Node, members, strings, type_of};
use crate::config::rules::{choice, equal, is_whole, limits, matches, sizes, types};

/// References that are followed for one place of the document; more are a circle.
const MOST_REFERENCES: usize = 32;
/// How often values are checked with a schema, in all and for each value of the document. References to references make
/// this number grow exponentially.
const MOST_STEPS: usize = 100_000;
const MOST_STEPS_A_VALUE: usize = 1_000;
/// How deep these checks nest: each takes some of the stack.
const MOST_LEVELS: usize = 256;
const REQUIRED: &str = "required";
pub const INTEGER: &str = "integer";

/// What is wrong with one place of the document.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Problem {
    /// As the document's author would write it: `listen.ports[0]`.
    path: String,
    words: String,
    /// If the type is wrong, what it may be.
    types: Vec<String>,
}

impl Problem {
    pub fn is_missing_key(&self) -> bool {
        self.words.starts_with(REQUIRED)
    }
}

impl fmt::Display for Problem {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let colon = if self.path.is_empty() { "" } else { ": " };
        write!(f, "{}{colon}{}", self.path, self.words)
    }
}

/// All problems of a document; an error where the schema itself is wrong, as far as it is needed.
pub fn problems(schema: &Value, document: &Value) -> Result<Vec<Problem>, String> {
    let place = Place {
        path: String::new(),
        references: 0,
    };
    let check = Check {
        root: schema,
        steps: Cell::new(
            count(document)
                .saturating_mul(MOST_STEPS_A_VALUE)
                .saturating_add(MOST_STEPS),
        ),
        level: Cell::new(0),
    };
    let mut problems = check.value(schema, document, &place)?;
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// A place of the document, and how many references have led to the schema that it is looked at with.
pub struct Place {
    path: String,
    references: usize,
}

impl Place {
    fn member(&self, name: &str) -> Self {
        let dot = if self.path.is_empty() { "" } else { "." };
        Self {
            path: format!("{}{dot}{name}", self.path),
            references: 0,
        }
    }

    fn item(&self, index: usize) -> Self {
        Self {
            path: format!("{}[{index}]", self.path),
            references: 0,
        }
    }

    pub fn wrong(&self, words: impl Into<String>) -> Problem {
        Problem {
            path: self.path.clone(),
            words: words.into(),
            types: Vec::new(),
        }
    }

    pub fn wrong_type(&self, types: Vec<String>, value: &Value) -> Problem {
        let mut expected = types.join(" or ");
        if is_whole(value) {
            let range = format!("{INTEGER} from {} to {} (all that Falco accepts)", i64::MIN, i64::MAX);
            expected = expected.replace(INTEGER, &range);
        }
        Problem {
            path: self.path.clone(),
            words: format!("expected {expected}, got {}", type_of(value)),
            types,
        }
    }
}

/// An error where the schema is wrong.
pub type Problems = Result<Vec<Problem>, String>;

/// Returns how many values a document has, itself included.
fn count(document: &Value) -> usize {
    let inner: usize = match document {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(object) => object.values().map(count).sum(),
        _ => 0,
    };
    inner + 1
}

struct Check<'s> {
    root: &'s Value,
    /// How many checks are left.
    steps: Cell<usize>,
    level: Cell<usize>,
}

impl Check<'_> {
    /// Checks a value with a schema, within the limits of both.
    fn value(&self, schema: &Value, value: &Value, place: &Place) -> Problems {
        let level = self.level.get() + 1;
        let Some(steps) = self.steps.get().checked_sub(1) else {
            return Err("checking takes too many steps: leave out references that multiply".into());
        };
        if level > MOST_LEVELS {
            return Err(format!(
                "it nests deeper than {MOST_LEVELS} levels: leave out references that nest"
            ));
        }
        self.steps.set(steps);
        self.level.set(level);
        let problems = self.checked(schema, value, place);
        self.level.set(level - 1);
        problems
    }

    fn checked(&self, schema: &Value, value: &Value, place: &Place) -> Problems {
        let schema = match schema {
            Value::Bool(true) => return Ok(Vec::new()),
            Value::Bool(false) => return Ok(vec![place.wrong("not allowed")]),
            Value::Object(schema) => schema,
            other => return Err(format!("{} stands where a schema must", type_of(other))),
        };
        // What stands beside a reference counts for nothing.
        if let Some(reference) = schema.get("$ref") {
            return self.referred(reference, value, place);
        }
        let mut found = types(schema, value, place)?;
        found.extend(choice(schema, value, place));
        found.extend(match value {
            Value::Number(number) => limits(schema, number, place)?,
            Value::String(text) => self.string(schema, text, place)?,
            Value::Array(items) => self.array(schema, items, place)?,
            Value::Object(object) => self.object(schema, object, place)?,
            Value::Null | Value::Bool(_) => Vec::new(),
        });
        found.extend(self.combined(schema, value, place)?);
        Ok(found)
    }

    fn referred(&self, reference: &Value, value: &Value, place: &Place) -> Problems {
        let pointer = reference.as_str().and_then(|reference| reference.strip_prefix('#'));
        let target = pointer.and_then(|pointer| self.root.pointer(pointer));
        let target = target.ok_or_else(|| format!("it has nothing at {reference}"))?;
        if place.references == MOST_REFERENCES {
            return Err(format!("{reference} refers to itself"));
        }
        let place = Place {
            path: place.path.clone(),
            references: place.references + 1,
        };
        self.value(target, value, &place)
    }

    fn string(&self, schema: &Node, text: &str, place: &Place) -> Problems {
        let mut found = sizes(
            schema,
            text.chars().count(),
            ["minLength", "maxLength"],
            "character",
            place,
        )?;
        if let Some(pattern) = schema.get("pattern") {
            let pattern = pattern.as_str().ok_or("a pattern of it is no text")?;
            if !matches(pattern, text)? {
                found.push(place.wrong(format!("expected text that matches {pattern}")));
            }
        }
        Ok(found)
    }

    fn array(&self, schema: &Node, items: &[Value], place: &Place) -> Problems {
        let mut found = sizes(schema, items.len(), ["minItems", "maxItems"], "item", place)?;
        let (first, others) = match schema.get("items") {
            Some(Value::Array(first)) => (first.as_slice(), schema.get("additionalItems")),
            all => (&[][..], all),
        };
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or(others) {
                found.extend(self.value(schema, item, &place.item(index))?);
            }
        }
        let again = |(index, item): (usize, &Value)| items[..index].iter().any(|other| equal(other, item));
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) && items.iter().enumerate().any(again) {
            found.push(place.wrong("expected items that differ"));
        }
        if let Some(schema) = schema.get("contains") {
            let fits = items
                .iter()
                .map(|item| self.value(schema, item, place).map(|found| found.is_empty()));
            if !fits.collect::<Result<Vec<_>, _>>()?.contains(&true) {
                found.push(place.wrong("none of its items is as one must be"));
            }
        }
        Ok(found)
    }

    fn object(&self, schema: &Node, object: &Node, place: &Place) -> Problems {
        let mut found = sizes(schema, object.len(), ["minProperties", "maxProperties"], "key", place)?;
        let missing = |names, why: &str| {
            let missing = strings(names).filter(|name| !object.contains_key(*name));
            missing.map(|name| place.member(name).wrong(why)).collect::<Vec<_>>()
        };
        found.extend(missing(schema.get("required"), REQUIRED));
        for (name, value) in object {
            found.extend(self.member(schema, name, value, &place.member(name))?);
        }
        for (name, needed) in members(schema, "dependencies").filter(|(name, _)| object.contains_key(*name)) {
            found.extend(match needed {
                Value::Array(_) => missing(Some(needed), &format!("{REQUIRED} beside {name}")),
                schema => self.value(schema, &Value::Object(object.clone()), place)?,
            });
        }
        Ok(found)
    }

    fn member(&self, schema: &Node, name: &str, value: &Value, place: &Place) -> Problems {
        let mut schemas: Vec<&Value> = members(schema, "properties")
            .filter(|(known, _)| *known == name)
            .map(|(_, schema)| schema)
            .collect();
        for (pattern, schema) in members(schema, "patternProperties") {
            if matches(pattern, name)? {
                schemas.push(schema);
            }
        }
        let mut found = Vec::new();
        match schema.get("additionalProperties").filter(|_| schemas.is_empty()) {
            Some(Value::Bool(false)) => {
                let known: Vec<_> = members(schema, "properties").map(|(name, _)| name.as_str()).collect();
                let known = if known.is_empty() {
                    "none".into()
                } else {
                    known.join(", ")
                };
                found.push(place.wrong(format!("unknown key (known: {known})")));
            }
            others => schemas.extend(others),
        }
        for schema in schemas {
            found.extend(self.value(schema, value, place)?);
        }
        if let Some(schema) = schema.get("propertyNames") {
            let problems = self.value(schema, &Value::String(name.to_owned()), place)?;
            found.extend(
                problems
                    .iter()
                    .map(|problem| place.wrong(format!("its key: {}", problem.words))),
            );
        }
        Ok(found)
    }

    fn combined(&self, schema: &Node, value: &Value, place: &Place) -> Problems {
        let each = |word| {
            let schemas = schema.get(word).and_then(Value::as_array).into_iter().flatten();
            let problems = schemas.map(|schema| self.value(schema, value, place));
            problems.collect::<Result<Vec<_>, _>>()
        };
        let mut found: Vec<Problem> = each("allOf")?.into_iter().flatten().collect();
        for word in ["anyOf", "oneOf"] {
            let alternatives = each(word)?;
            match alternatives.iter().filter(|problems| problems.is_empty()).count() {
                0 if !alternatives.is_empty() => found.extend(closest(alternatives, value, place)),
                2.. if word == "oneOf" => {
                    found.push(place.wrong("fits several alternatives, of which it must fit one"))
                }
                _ => {}
            }
        }
        if let Some(schema) = schema.get("not")
            && self.value(schema, value, place)?.is_empty()
        {
            found.push(place.wrong("is of a kind that is not allowed"));
        }
        if let Some(condition) = schema.get("if") {
            let fits = self.value(condition, value, place)?.is_empty();
            if let Some(schema) = schema.get(if fits { "then" } else { "else" }) {
                found.extend(self.value(schema, value, place)?);
            }
        }
        Ok(found)
    }
}

/// What to tell of alternatives that all do not fit: if the type is right for just one, what is wrong with that one.
fn closest(alternatives: Vec<Vec<Problem>>, value: &Value, place: &Place) -> Vec<Problem> {
    let count = alternatives.len();
    let of_type = |problem: &Problem| !problem.types.is_empty() && problem.path == place.path;
    let (wrong, mut right): (Vec<_>, Vec<_>) = alternatives
        .into_iter()
        .partition(|problems| problems.iter().any(of_type));
    match right.len() {
        0 => {
            let mut types: Vec<String> = Vec::new();
            for one in wrong.into_iter().flatten().flat_map(|problem| problem.types) {
                if !types.contains(&one) {
                    types.push(one);
                }
            }
            vec![place.wrong_type(types, value)]
        }
        1 => right.remove(0),
        _ => vec![place.wrong(format!("fits none of {count} alternatives"))],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn every_problem_is_told_with_its_path_and_without_the_value() {
        let schema = json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "$ref": "#/definitions/Root",
            "definitions": {
                "Root": {
                    "type": "object",
                    "required": ["token"],
                    "additionalProperties": false,
                    "properties": {
                        "token": {"type": "string", "minLength": 3, "pattern": "^[a-z]+$"},
                        "port": {"type": "integer", "minimum": 1, "maximum": 65535},
                        "mode": {"enum": ["a", "b"]},
                        "tls": {"anyOf": [{"$ref": "#/definitions/Tls"}, {"type": "null"}]},
                        "level": {"anyOf": [{"type": "integer"}, {"type": "null"}]},
                        "either": {"oneOf": [{"required": ["a"]}, {"required": ["b"]}]},
                        "many": {"type": "array", "items": {"$ref": "#/definitions/Tls"}, "maxItems": 2},
                        "labels": {"propertyNames": {"pattern": "^[a-z]+$"}},
                        "when": {"type": "string", "format": "date"},
                        "look": {"type": "string", "pattern": "^(?!x)"}
                    }
                },
                "Tls": {"type": "object", "required": ["key"], "properties": {"key": {"type": ["string", "null"]}}}
            }
        });
        for (config, expected) in [
            (
                json!({"token": "abc", "tls": null, "when": "SECRET", "look": "abc"}),
                vec![],
            ),
            (json!({}), vec!["token: required"]),
            (json!("SECRET"), vec!["expected object, got string"]),
            (json!(null), vec!["expected object, got null"]),
            (
                json!({"token": "S", "port": 0, "mode": "SECRET", "SECRTE": 1}),
                vec![
                    "SECRTE: unknown key (known: token, port, mode, tls, level, either, many, labels, when, look)",
                    "mode: expected one of \"a\", \"b\"",
                    "port: expected at least 1",
                    "token: expected at least 3 characters",
                    "token: expected text that matches ^[a-z]+$",
                ],
            ),
            (
                json!({"token": "abc", "tls": {"key": 5}}),
                vec!["tls.key: expected string or null, got number"],
            ),
            (json!({"token": "abc", "tls": {}}), vec!["tls.key: required"]),
            (
                json!({"token": "abc", "level": 1e20, "port": 9_223_372_036_854_775_808_u64}),
                vec![
                    "level: expected integer from -9223372036854775808 to 9223372036854775807 (all that Falco accepts) \
                     or null, got number",
                    "port: expected at most 65535",
                    "port: expected integer from -9223372036854775808 to 9223372036854775807 (all that Falco accepts), \
                     got number",
                ],
            ),
            (json!({"token": "abc", "level": -9_223_372_036_854_775_808.0}), vec![]),
            (
                json!({"token": "abc", "tls": 1.5}),
                vec!["tls: expected object or null, got number"],
            ),
            (
                json!({"token": "abc", "level": "SECRET"}),
                vec!["level: expected integer or null, got string"],
            ),
            (
                json!({"token": "abc", "either": {}}),
                vec!["either: fits none of 2 alternatives"],
            ),
            (
                json!({"token": "abc", "either": {"a": 1, "b": 2}}),
                vec!["either: fits several alternatives, of which it must fit one"],
            ),
            (
                json!({"token": "abc", "many": [{"key": "x"}, {"key": true}, 1]}),
                vec![
                    "many: expected at most 2 items",
                    "many[1].key: expected string or null, got boolean",
                    "many[2]: expected object, got number",
                ],
            ),
            (
                json!({"token": "abc", "labels": {"KEY": 1}, "look": "xSECRET"}),
                vec![
                    "labels.KEY: its key: expected text that matches ^[a-z]+$",
                    "look: expected text that matches ^(?!x)",
                ],
            ),
        ] {
            let told: Vec<_> = problems(&schema, &config)
                .unwrap()
                .iter()
                .map(Problem::to_string)
                .collect();
            assert_eq!(told, expected, "{config}");
            assert!(told.iter().all(|problem| !problem.contains("SECRET")), "{told:?}");
        }
    }

    #[test]
    fn a_schema_that_is_none_is_an_error() {
        for schema in [
            json!([]),
            json!({"type": "strange"}),
            json!({"$ref": "#/nowhere"}),
            json!({"$ref": "http://x/y"}),
        ] {
            assert!(problems(&schema, &json!({})).is_err(), "{schema}");
        }
    }
}
