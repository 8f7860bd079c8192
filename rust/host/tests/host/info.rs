//! `info`: the metadata of a plugin.

use std::path::PathBuf;

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
            "schema": {"type": "object"}, "contents": null
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
        "falco-plugin-host: the plugin sample has no event source to run: give it events by --events, or run a plugin \
         that has a source, and add this one by --with\n"
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

/// Returns a copy of the sample plugin with a manifest as in libraries of the Python SDK, of which `cut` bytes are missing.
fn with_manifest(test: &str, pairs: &[(&str, &str)], cut: usize) -> PathBuf {
    let manifest: String = pairs.iter().map(|(name, value)| format!("{name}\0{value}\0")).collect();
    let mut library = std::fs::read(plugin(&[])).unwrap();
    library.extend(b"\x7ffalco.appended!");
    let numbers = 6 * size_of::<u64>();
    for number in [library.len() + numbers, manifest.len(), 0, 0, 0, 0] {
        library.extend((number as u64).to_le_bytes());
    }
    library.extend(manifest.as_bytes());
    library.truncate(library.len() - cut);
    let path = temporary(&format!("{test}.so"));
    std::fs::write(&path, library).unwrap();
    path
}

const CONTENTS: &str = r#"{"kind": "self-contained", "python": {"version": "3.11.7"}, "glibc": "2.34", "size": 27300000,
    "stored": 8000000, "packages": [{"name": "httpx", "version": "0.28.1", "licence": "BSD-3-Clause", "size": 400000,
    "stored": 100000}], "libraries": [{"name": "libssl.so.3", "size": 700000, "stored": 240000}], "real_files": ["a/", "b/"]}"#;

#[test]
fn info_shows_contents_of_self_contained_library() {
    let library = with_manifest("self-contained", &[("contents", CONTENTS)], 0);
    let text = stdout(&host("info", &library).output().unwrap());
    let expected = "\nPython:                3.11.7, self-contained, needs glibc 2.34, 27.30 MB (8.00 MB compressed)\n\
                    real files:            a/, b/\n\n\
                    packages:\n  name   version  licence       size     compressed\n  \
                    httpx  0.28.1   BSD-3-Clause  0.40 MB  0.10 MB\n\n\
                    libraries:\n  name         size     compressed\n  libssl.so.3  0.70 MB  0.24 MB\n";
    assert!(text.ends_with(expected), "{text}");
    let output = host("info", &library).arg("--json").output().unwrap();
    let info: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(info["contents"], serde_json::from_str::<Value>(CONTENTS).unwrap());
}

#[test]
fn info_shows_environment_of_linked_library() {
    let pairs = [("python_version", "3.11"), ("python", "/opt/python\n")];
    let library = with_manifest("linked", &pairs, 0);
    let text = stdout(&host("info", &library).output().unwrap());
    let expected = "\nPython:                3.11, linked to the environment of /opt/python\\n\n";
    assert!(text.ends_with(expected), "{text}");
    let output = host("info", &library).arg("--json").output().unwrap();
    let info: Value = serde_json::from_str(&stdout(&output)).unwrap();
    let python = json!({"version": "3.11", "executable": "/opt/python\n"});
    assert_eq!(info["contents"], json!({"kind": "linked", "python": python}));
}

#[test]
fn info_reports_damaged_manifest() {
    let damaged = [
        with_manifest("cut", &[("contents", CONTENTS)], 1),
        with_manifest("no-json", &[("contents", "{")], 0),
        with_manifest("other-json", &[("contents", r#"{"python": 3}"#)], 0),
        with_manifest("odd", &[("name", "a\0b")], 0),
    ];
    for library in damaged {
        let output = host("info", &library).output().unwrap();
        assert_eq!(output.status.code(), Some(1));
        let message = "was cut, stripped or changed after it was built: build it again with 'falco-plugin build'\n";
        assert!(stderr(&output).ends_with(message), "{}", stderr(&output));
    }
}
