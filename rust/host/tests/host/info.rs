//! `info`: the metadata of a plugin.

use serde_json::{Value, json};

use crate::support::*;

const FIELDS: &str = r#"FIELDS="[{\"name\":\"a.b\",\"type\":\"string\",\"isList\":true,\"arg\":{\"isKey\":true,\"isRequired\":true},\"desc\":\"One\"},{\"name\":\"a.long\",\"type\":\"uint64\",\"desc\":\"Two\",\"display\":\"Long\",\"addOutput\":true,\"properties\":[\"hidden\"]}]""#;

#[test]
fn info_does_not_call_init() {
    let trace = temporary("trace-info");
    let output = host("info", &plugin(&[])).env("TRACE", &trace).output().unwrap();
    assert_eq!(
        stdout(&output),
        "name:                  sample\nversion:               1.2.3\n\
         description:           Follows its open parameters\ncontact:               nobody\n\
         required API version:  3.0.0\ncapabilities:          sourcing\n\
         id:                    999\nevent source:          test\n"
    );
    assert!(!trace.exists());
}

#[test]
fn info_has_fields_and_schema() {
    let library = plugin(&[FIELDS, r#"SCHEMA="{\"type\":\"object\"}""#]);
    let text = stdout(&host("info", &library).output().unwrap());
    let table = "\nfields:\n  name    type      arg            properties          display  desc\n  a.b     string[]  \
                 key, required                               One\n  a.long  uint64                   \
                 add_output, hidden  Long     Two\n";
    assert!(text.contains(table), "{text}");
    assert!(text.ends_with("\nconfig:\n{\n  \"type\": \"object\"\n}\n"), "{text}");
    let output = host("info", &library).arg("--json").output().unwrap();
    assert_eq!(
        serde_json::from_str::<Value>(&stdout(&output)).unwrap(),
        json!({
            "name": "sample", "version": "1.2.3", "description": "Follows its open parameters", "contact": "nobody",
            "required_api_version": "3.0.0", "capabilities": ["sourcing", "extraction"], "id": 999,
            "event_source": "test", "extract_event_sources": ["test", "other"],
            "fields": [
                {"name": "a.b", "type": "string", "isList": true, "arg": {"isKey": true, "isRequired": true},
                 "desc": "One"},
                {"name": "a.long", "type": "uint64", "desc": "Two", "display": "Long", "addOutput": true,
                 "properties": ["hidden"]}
            ],
            "schema": {"type": "object"}
        })
    );
}

#[test]
fn null_in_an_entry_means_absent() {
    let field = json!({"name": "a.b", "type": "bool", "isList": null, "desc": "One", "display": null,
                       "arg": {"isRequired": false, "isIndex": false, "isKey": false}, "addOutput": null,
                       "properties": null});
    let fields = Value::String(Value::Array(vec![field]).to_string());
    let output = host("info", &plugin(&[&format!("FIELDS={fields}")])).output().unwrap();
    assert_eq!(
        output.status.code(),
        Some(0),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
}

#[test]
fn info_shows_the_keys_of_the_configuration() {
    let schema = json!({"required": ["b"], "properties": {
        "a": {"type": "object", "properties": {"port": {"type": "integer", "minimum": 1, "default": 7}}},
        "b": {"type": "string", "description": "The\nlast"}
    }});
    let library = plugin(&[&format!("SCHEMA={}", Value::String(schema.to_string()))]);
    let text = stdout(&host("info", &library).output().unwrap());
    assert!(
        text.ends_with(
            "\nconfig:\n  key     type     required  default  allowed     description\n  a       object\n  a.port  \
             integer            7        at least 1\n  b       string   yes                            The\\nlast\n"
        ),
        "{text}"
    );
}

#[test]
fn plugin_without_source_has_no_id() {
    let library = plugin(&[FIELDS, "NO_SOURCE"]);
    let output = host("info", &library).arg("--json").output().unwrap();
    let info: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!((&info["id"], &info["event_source"]), (&Value::Null, &Value::Null));
    let output = host("run", &library).output().unwrap();
    assert_eq!(
        stderr(&output),
        "falco-plugin-host: the plugin sample has no event source to run: run a plugin that has one, and add this one \
         by --with\n"
    );
    assert_eq!(output.status.code(), Some(1));
}

#[test]
fn plugins_that_break_a_rule_are_refused() {
    for (flag, message) in [
        (
            r#"API="3.13.0""#,
            "the plugin needs plugin API 3.13.0, but this host has 3.12.0",
        ),
        (
            r#"API="4.0.0""#,
            "the plugin needs plugin API 4.0.0, but this host has 3.12.0",
        ),
        (
            r#"API="new""#,
            "the plugin needs plugin API \"new\", which is not a version",
        ),
        (
            r#"NAME="My Plugin""#,
            "the plugin's name \"My Plugin\" must be a lower-case letter",
        ),
        (
            r#"SOURCE="my-source""#,
            "the event source \"my-source\" must be a lower-case letter",
        ),
        (r#"SOURCE="syscall""#, "the event source \"syscall\" is reserved"),
        (r#"SOURCE="""#, "the plugin has the id 999, but no event source"),
        ("ID=0", "the plugin has the event source \"test\", but no id"),
        (
            "NO_CLOSE",
            "the plugin defines plugin_open, plugin_next_batch, but not plugin_close",
        ),
        ("NO_SOURCE", "the plugin has no capability"),
        (
            r#"FIELDS="[{\"name\":\"a.b\",\"type\":\"bool\",\"desc\":\"x\",\"arg\":{\"isRequired\":true}}]""#,
            "the field a.b requires an argument that is neither index nor key",
        ),
        (
            r#"FIELDS="[]""#,
            "the plugin extracts fields, but its list of fields is empty",
        ),
        (
            r#"FIELDS="[{\"name\":\"a\",\"type\":\"int\",\"desc\":\"\"}]""#,
            "the field a has the unknown type \"int\"",
        ),
        (
            r#"FIELDS="[{\"name\":\"a.b\",\"type\":\"bool\",\"desc\":\"\"}]""#,
            "the field a.b has no desc",
        ),
        (
            r#"FIELDS="[{\"name\":\"\",\"type\":\"bool\",\"desc\":\"x\"}]""#,
            "field 0 of the plugin has no name",
        ),
        (r#"SCHEMA="{""#, "the plugin's config schema is invalid: EOF"),
    ] {
        for command in ["info", "run"] {
            let output = host(command, &plugin(&[flag])).output().unwrap();
            let error = stderr(&output);
            assert!(
                error.starts_with(&format!("falco-plugin-host: {message}")),
                "{flag}: {error}"
            );
            assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
        }
    }
}
