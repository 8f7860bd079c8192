//! The check of a configuration with a JSON schema of draft 7, except `format`, which validators interpret differently.
//!
//! The validator is as strict as Falco's: patterns are ECMAScript's, integers have 64 bits, and a reference must be a JSON
//! pointer into the schema itself. It rejects the cases of the official test suite that have other references, and
//! answers all others correctly (`tests/host/suite.rs`). The crate `jsonschema` accepts more than Falco: larger integers, and references
//! by URI. It takes 7.0 MB, and this whole program 1.8 MB. The crate `boon` does not name the key that is wrong.

use std::cell::Cell;

use serde_json::Value;

use crate::config::node::{Node, members, resolve, strings, type_of};
use crate::config::problem::{Position, Problem, REQUIRED};
use crate::config::rules::{Problems, check_choice, check_limits, check_sizes, check_types, is_equal, is_match};

/// The most references that are followed for one value. More are a reference to itself.
const MOST_REFERENCES: usize = 32;
/// The most checks of a value with a schema: this number, and more for each value of the document. References to references
/// can make their number grow exponentially.
const MOST_STEPS: usize = 100_000;
const MOST_STEPS_PER_VALUE: usize = 1_000;
/// The most levels of nested checks, because each uses some of the stack.
const MOST_LEVELS: usize = 256;

/// Returns all problems of a document. Fails if the schema is invalid; only the parts that are needed are checked.
pub fn find_problems(schema: &Value, document: &Value) -> Result<Vec<Problem>, String> {
    let check = Check {
        root: schema,
        steps: Cell::new(
            count(document)
                .saturating_mul(MOST_STEPS_PER_VALUE)
                .saturating_add(MOST_STEPS),
        ),
        level: Cell::new(0),
    };
    let mut problems = check.value(schema, document, &Position::root())?;
    problems.sort();
    problems.dedup();
    Ok(problems)
}

/// Returns how many values a document has, itself included.
fn count(document: &Value) -> usize {
    let inner: usize = match document {
        Value::Array(items) => items.iter().map(count).sum(),
        Value::Object(object) => object.values().map(count).sum(),
        _ => 0,
    };
    inner + 1
}

/// One check of a document.
struct Check<'s> {
    root: &'s Value,
    /// The number of checks that are left.
    steps: Cell<usize>,
    /// The number of checks around the current one.
    level: Cell<usize>,
}

impl Check<'_> {
    /// Checks a value with a schema, within the limits.
    fn value(&self, schema: &Value, value: &Value, position: &Position) -> Problems {
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
        let problems = self.checked(schema, value, position);
        self.level.set(level - 1);
        problems
    }

    fn checked(&self, schema: &Value, value: &Value, position: &Position) -> Problems {
        let schema = match schema {
            Value::Bool(true) => return Ok(Vec::new()),
            Value::Bool(false) => return Ok(vec![position.problem("not allowed")]),
            Value::Object(schema) => schema,
            other => return Err(format!("expected a schema, got {}", type_of(other))),
        };
        // Draft 7 ignores everything beside a reference.
        if let Some(reference) = schema.get("$ref") {
            return self.referred(reference, value, position);
        }
        let mut found = check_types(schema, value, position)?;
        found.extend(check_choice(schema, value, position));
        found.extend(match value {
            Value::Number(number) => check_limits(schema, number, position)?,
            Value::String(text) => self.string(schema, text, position)?,
            Value::Array(items) => self.array(schema, items, position)?,
            Value::Object(object) => self.object(schema, object, position)?,
            Value::Null | Value::Bool(_) => Vec::new(),
        });
        found.extend(self.combined(schema, value, position)?);
        Ok(found)
    }

    fn referred(&self, reference: &Value, value: &Value, position: &Position) -> Problems {
        let target = reference.as_str().and_then(|reference| resolve(self.root, reference));
        let target = target.ok_or_else(|| format!("it has no schema at {reference}"))?;
        if position.references == MOST_REFERENCES {
            return Err(format!("{reference} refers to itself"));
        }
        let position = Position {
            path: position.path.clone(),
            references: position.references + 1,
        };
        self.value(target, value, &position)
    }

    fn string(&self, schema: &Node, text: &str, position: &Position) -> Problems {
        let mut found = check_sizes(
            schema,
            text.chars().count(),
            ["minLength", "maxLength"],
            "character",
            position,
        )?;
        if let Some(pattern) = schema.get("pattern") {
            let pattern = pattern.as_str().ok_or("its pattern is not a string")?;
            if !is_match(pattern, text)? {
                found.push(position.problem(format!("expected text that matches {pattern}")));
            }
        }
        Ok(found)
    }

    fn array(&self, schema: &Node, items: &[Value], position: &Position) -> Problems {
        let mut found = check_sizes(schema, items.len(), ["minItems", "maxItems"], "item", position)?;
        let (first, others) = match schema.get("items") {
            Some(Value::Array(first)) => (first.as_slice(), schema.get("additionalItems")),
            all => (&[][..], all),
        };
        for (index, item) in items.iter().enumerate() {
            if let Some(schema) = first.get(index).or(others) {
                found.extend(self.value(schema, item, &position.item(index))?);
            }
        }
        let again = |(index, item): (usize, &Value)| items[..index].iter().any(|other| is_equal(other, item));
        if schema.get("uniqueItems") == Some(&Value::Bool(true)) && items.iter().enumerate().any(again) {
            found.push(position.problem("expected items that differ"));
        }
        if let Some(schema) = schema.get("contains") {
            let fits = items
                .iter()
                .map(|item| self.value(schema, item, position).map(|found| found.is_empty()));
            if !fits.collect::<Result<Vec<_>, _>>()?.contains(&true) {
                found.push(position.problem("none of the items matches what one item must match"));
            }
        }
        Ok(found)
    }

    fn object(&self, schema: &Node, object: &Node, position: &Position) -> Problems {
        let mut found = check_sizes(
            schema,
            object.len(),
            ["minProperties", "maxProperties"],
            "key",
            position,
        )?;
        let missing = |names, why: &str| {
            let missing = strings(names).filter(|name| !object.contains_key(*name));
            missing
                .map(|name| position.member(name).problem(why))
                .collect::<Vec<_>>()
        };
        found.extend(missing(schema.get("required"), REQUIRED));
        for (name, value) in object {
            found.extend(self.member(schema, name, value, &position.member(name))?);
        }
        for (name, needed) in members(schema, "dependencies").filter(|(name, _)| object.contains_key(*name)) {
            found.extend(match needed {
                Value::Array(_) => missing(Some(needed), &format!("{REQUIRED} beside {name}")),
                schema => self.value(schema, &Value::Object(object.clone()), position)?,
            });
        }
        Ok(found)
    }

    fn member(&self, schema: &Node, name: &str, value: &Value, position: &Position) -> Problems {
        let mut schemas: Vec<&Value> = members(schema, "properties")
            .filter(|(known, _)| *known == name)
            .map(|(_, schema)| schema)
            .collect();
        for (pattern, schema) in members(schema, "patternProperties") {
            if is_match(pattern, name)? {
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
                found.push(position.problem(format!("unknown key (known: {known})")));
            }
            others => schemas.extend(others),
        }
        for schema in schemas {
            found.extend(self.value(schema, value, position)?);
        }
        if let Some(schema) = schema.get("propertyNames") {
            let problems = self.value(schema, &Value::String(name.to_owned()), position)?;
            found.extend(
                problems
                    .iter()
                    .map(|problem| position.problem(format!("its key: {}", problem.message))),
            );
        }
        Ok(found)
    }

    fn combined(&self, schema: &Node, value: &Value, position: &Position) -> Problems {
        let each = |word| {
            let schemas = schema.get(word).and_then(Value::as_array).into_iter().flatten();
            let problems = schemas.map(|schema| self.value(schema, value, position));
            problems.collect::<Result<Vec<_>, _>>()
        };
        let mut found: Vec<Problem> = each("allOf")?.into_iter().flatten().collect();
        for word in ["anyOf", "oneOf"] {
            let alternatives = each(word)?;
            match alternatives.iter().filter(|problems| problems.is_empty()).count() {
                0 if !alternatives.is_empty() => found.extend(closest(alternatives, value, position)),
                2.. if word == "oneOf" => {
                    found.push(position.problem("matches several alternatives, but must match exactly one"))
                }
                _ => {}
            }
        }
        if let Some(schema) = schema.get("not")
            && self.value(schema, value, position)?.is_empty()
        {
            found.push(position.problem("has a form that is not allowed"));
        }
        if let Some(condition) = schema.get("if") {
            let fits = self.value(condition, value, position)?.is_empty();
            if let Some(schema) = schema.get(if fits { "then" } else { "else" }) {
                found.extend(self.value(schema, value, position)?);
            }
        }
        Ok(found)
    }
}

/// Returns the problem of a value that matches no alternative. If the type is right for exactly one alternative, these are
/// the problems with that one.
fn closest(alternatives: Vec<Vec<Problem>>, value: &Value, position: &Position) -> Vec<Problem> {
    let count = alternatives.len();
    let of_type = |problem: &Problem| !problem.types.is_empty() && problem.path == position.path;
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
            vec![position.type_problem(types, value)]
        }
        1 => right.remove(0),
        _ => vec![position.problem(format!("matches none of {count} alternatives"))],
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn problems_have_the_path_but_not_the_value() {
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
                vec!["either: matches none of 2 alternatives"],
            ),
            (
                json!({"token": "abc", "either": {"a": 1, "b": 2}}),
                vec!["either: matches several alternatives, but must match exactly one"],
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
            let messages: Vec<_> = find_problems(&schema, &config)
                .unwrap()
                .iter()
                .map(Problem::to_string)
                .collect();
            assert_eq!(messages, expected, "{config}");
            assert!(
                messages.iter().all(|message| !message.contains("SECRET")),
                "{messages:?}"
            );
        }
    }

    #[test]
    fn invalid_schema_is_an_error() {
        for schema in [
            json!([]),
            json!({"type": "strange"}),
            json!({"$ref": "#/nowhere"}),
            json!({"$ref": "http://x/y"}),
        ] {
            assert!(find_problems(&schema, &json!({})).is_err(), "{schema}");
        }
    }
}
