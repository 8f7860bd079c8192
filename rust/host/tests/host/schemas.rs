//! Config schemas of hostile plugins, which would keep their host busy.

use std::path::PathBuf;

use falco_plugin_host::config::{find_problems, list_keys};
use serde_json::{Value, json};

use crate::support::*;

/// Returns a schema in which each definition contains `refer` of a reference to the next one.
fn doubling(count: usize, refer: impl Fn(Value) -> Value) -> Value {
    let reference = |index: usize| json!({"$ref": format!("#/definitions/d{index}")});
    let mut definitions = serde_json::Map::new();
    for index in 0..count {
        definitions.insert(format!("d{index}"), refer(reference(index + 1)));
    }
    definitions.insert(
        format!("d{count}"),
        json!({"type": "object", "properties": {"a": {"type": "integer"}}}),
    );
    json!({"$ref": "#/definitions/d0", "definitions": definitions})
}

fn all_of(reference: Value) -> Value {
    json!({"allOf": [reference, reference]})
}

fn properties(reference: Value) -> Value {
    json!({"type": "object", "properties": {"x": reference, "y": reference}})
}

fn combined(reference: Value) -> Value {
    json!({"not": {"not": reference}, "anyOf": [reference], "if": reference})
}

fn items(reference: Value) -> Value {
    json!({"type": "array", "items": {"anyOf": [
        {"type": "array", "items": reference}, {"type": "array", "items": reference}, reference
    ]}})
}

/// Returns a document of `depth` levels whose members are `x` and `y`.
fn binary(depth: usize) -> Value {
    match depth {
        0 => json!({"a": "no integer"}),
        _ => json!({"x": binary(depth - 1), "y": binary(depth - 1)}),
    }
}

#[test]
fn multiplying_references_are_an_error() {
    for (name, refer) in [("allOf", all_of as fn(Value) -> Value), ("not, anyOf, if", combined)] {
        let error = find_problems(&doubling(30, refer), &json!({})).unwrap_err();
        assert_eq!(
            error, "checking takes too many steps: leave out references that multiply",
            "{name}"
        );
    }
}

#[test]
fn nested_references_are_an_error() {
    let mut schema = json!({"$ref": "#"});
    for _ in 0..100 {
        schema = json!({"allOf": [schema]});
    }
    let error = find_problems(&schema, &json!({})).unwrap_err();
    assert_eq!(error, "it nests deeper than 256 levels: leave out references that nest");
}

#[test]
fn schema_with_many_references_is_checked() {
    for (schema, document, count) in [
        (doubling(8, all_of), json!({"a": "no integer"}), 1),
        (doubling(8, properties), binary(8), 256),
        (doubling(8, properties), json!({"x": {"y": {}}}), 0),
    ] {
        assert_eq!(find_problems(&schema, &document).unwrap().len(), count);
    }
}

#[test]
fn keys_of_multiplying_references_are_cut() {
    for (refer, is_cut) in [(properties as fn(Value) -> Value, true), (items, true), (all_of, false)] {
        let listed = list_keys(&doubling(30, refer));
        assert_eq!(listed.is_cut, is_cut);
        assert!(listed.keys.len() <= 10_000);
    }
    let few = list_keys(&doubling(4, properties));
    assert_eq!((few.keys.len(), few.is_cut), (2 + 4 + 8 + 16 + 16, false));
}

#[test]
fn long_chain_of_references_is_cut() {
    let chain = doubling(
        100_000,
        |reference| json!({"type": "object", "properties": {"x": reference}}),
    );
    let listed = list_keys(&chain);
    assert_eq!((listed.keys.len(), listed.is_cut), (32, true));
}

/// Builds a plugin with this schema.
fn with_schema(schema: &Value) -> PathBuf {
    plugin(&[&format!("SCHEMA={}", Value::String(schema.to_string()))])
}

#[test]
fn run_refuses_schema_with_too_many_steps() {
    let library = with_schema(&doubling(30, all_of));
    let output = host("run", &library).args(["--config", "{}"]).output().unwrap();
    assert_eq!(
        stderr(&output),
        "falco-plugin-host: the plugin's config schema is invalid: checking takes too many steps: leave out \
         references that multiply\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn info_lists_part_of_too_many_keys() {
    let output = host("info", &with_schema(&doubling(30, properties))).output().unwrap();
    assert_eq!(output.status.code(), Some(0));
    let text = stdout(&output);
    assert!(text.ends_with("\n  … and more keys, too many to list: --json shows the schema\n"));
    assert!(text.lines().count() < 10_100);
}
