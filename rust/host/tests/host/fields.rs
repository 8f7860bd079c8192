//! The fields of a run.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::support::*;

const ALL: &[&str] = &[
    "x.string string",
    "x.strings string list",
    "x.some string",
    "x.nothing string",
    "x.fails string",
    "x.uint64 uint64",
    "x.abstime abstime hidden",
    "x.reltimes reltime list",
    "x.bools bool list",
    "x.ipaddr ipaddr",
    "x.ipnets ipnet list",
    "x.args string",
    "x.argslist string list",
    "x.index string index required",
    "x.key string key",
    "x.both string index key",
];

fn fields_of(line: &Value) -> &Value {
    &line["fields"]
}

#[test]
fn json_has_fields_in_each_event() {
    let (lines, output) = run_json(&[&flag(ALL)], &["--params", "s2", "--all-fields"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(lines[0]["kind"], "fields");
    let header = |at: usize| &lines[0]["fields"][at];
    assert_eq!(lines[0]["fields"].as_array().unwrap().len(), ALL.len() - 1);
    assert_eq!(
        *header(1),
        json!({"asked": "x.strings", "name": "x.strings", "argument": null, "type": "string", "is_list": true,
               "plugin": "sample"})
    );
    let mut fields = fields_of(&lines[2]).clone();
    fields
        .as_object_mut()
        .unwrap()
        .retain(|name, _| !["x.args", "x.argslist", "x.key", "x.both"].contains(&name.as_str()));
    assert_eq!(
        fields,
        json!({
            "x.string": "one", "x.strings": ["one", "t\two", "\"three\""], "x.some": "one", "x.nothing": null,
            "x.fails": null, "x.uint64": u64::MAX, "x.abstime": 1_700_000_000_123_456_789u64,
            "x.reltimes": [1_700_000_000_123_456_789u64, 7], "x.bools": [true, false], "x.ipaddr": "10.0.0.1",
            "x.ipnets": ["10.0.0.1", "2001:db8::1"]
        })
    );
    assert_eq!(fields_of(&lines[1])["x.some"], Value::Null);
    assert_eq!(lines.last().unwrap()["never_present"], json!(["x.nothing", "x.fails"]));
}

#[test]
fn text_has_fields_as_columns() {
    let output = host("run", &plugin(&[&flag(ALL)]))
        .args([
            "--params",
            "s2:lines",
            "--fields",
            "x.strings, x.some",
            "--fields",
            "x.ipnets,x.abstime,x.fails",
        ])
        .output()
        .unwrap();
    let text = stdout(&output);
    let line = text.lines().nth(1).unwrap();
    assert_eq!(
        line,
        "2023-11-14T22:13:20.123456789Z a\\n\"b\"\\\\r\tc\\x00d\\x1b[m\tx.strings=(one,t\\two,\"three\")\tx.some=one\t\
         x.ipnets=(<IPNET>,<IPNET>)\tx.abstime=1700000000123456789\tx.fails=<NA>"
    );
    assert!(text.lines().next().unwrap().contains("\tx.some=<NA>\t"));
    assert!(
        stderr(&output).ends_with(": the source ended\nnever present: x.fails\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn extraction_gets_the_arguments_of_falco() {
    let absent = "-1 0";
    for (field, arguments) in [
        ("x.args", format!("1 11 9 NULL {absent} 0 123 test hello")),
        ("x.argslist", format!("1 12 9 NULL {absent} 64 123 test hello")),
        ("x.index[7]", "1 13 9 NULL 7 1 0 123 test hello".to_owned()),
        ("x.key", format!("1 14 9 NULL {absent} 0 123 test hello")),
        ("x.key[7]", "1 14 9 7 -1 1 0 123 test hello".to_owned()),
        ("x.key['a ]']", "1 14 9 a ] -1 1 0 123 test hello".to_owned()),
        ("x.both[7]", "1 15 9 7 7 1 0 123 test hello".to_owned()),
        ("x.both[007]", "1 15 9 007 -1 1 0 123 test hello".to_owned()),
        ("x.both", format!("1 15 9 NULL {absent} 0 123 test hello")),
    ] {
        let options = ["--config", "{", "--params", "s1", "--fields", field];
        let (lines, output) = run_json(&[&flag(ALL)], &options);
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let expected = if field == "x.argslist" {
            json!([arguments])
        } else {
            json!(arguments)
        };
        assert_eq!(fields_of(&lines[1])[field], expected);
    }
}

#[test]
fn unknown_fields_are_refused_before_init() {
    let trace = temporary("trace-fields");
    for (list, message) in [
        (
            "x.strin",
            "no loaded plugin has the field x.strin: did you mean x.string?",
        ),
        (
            "y.z",
            "no loaded plugin has the field y.z: falco-plugin info lists the fields",
        ),
        ("some", "no loaded plugin has the field some: did you mean x.some?"),
        ("x.index", "the field x.index needs an argument: x.index[index]"),
        (
            "x.index[a]",
            "the argument of the field x.index must be an index, got \"a\": write a whole number from 0 to 2**64 - 1\n",
        ),
        (
            "x.index[18446744073709551616]",
            "the argument of the field x.index must be an index, got \"18446744073709551616\": write a whole number from 0 to \
             2**64 - 1\n",
        ),
        (
            "x.index[01]",
            "the argument of the field x.index must be an index, got \"01\": write it without leading zeros\n",
        ),
        ("x.string[a]", "the field x.string takes no argument"),
        ("x.key[", "x.key[…]: the argument is empty"),
        ("x.string,", "expected the name of a field, got \"\""),
    ] {
        let output = host("run", &plugin(&[&flag(ALL)]))
            .args(["--fields", list])
            .env("TRACE", &trace)
            .output()
            .unwrap();
        let error = stderr(&output);
        assert!(error.starts_with(&format!("falco-plugin-host: {message}")), "{error}");
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
        assert!(!trace.exists());
    }
}

#[test]
fn malformed_values_end_the_run() {
    for (field, message) in [
        ("x.strange string", "extract_fields returned the unknown code 9"),
        ("x.unset string", "extract_fields did not set res_len"),
        ("x.onlycount string", "extract_fields did not set res"),
        ("x.null string", "got 1 values, but the pointer to the values is NULL"),
        (
            "x.unaligned string",
            "the pointer to the values is not aligned for pointers",
        ),
        ("x.several string", "got 2 values, but the field is not a list"),
        (
            "x.toomany string list",
            "got 1099511627776 values, but this host accepts at most 16777216",
        ),
        ("x.nullstring string list", "value 4 is a NULL string"),
        ("x.latin string", "value 1 is not UTF-8"),
        ("x.bool2 bool", "value 1 is 2, but a bool is 0 or 1"),
        ("x.ip5 ipaddr", "value 1 has 5 bytes, but an address has 4 or 16"),
        ("x.ipnull ipnet", "value 1 is an address whose pointer is NULL"),
    ] {
        let (lines, output) = run_json(&[&flag(&[field])], &["--params", "s1", "--all-fields"]);
        let name = field.split(' ').next().unwrap();
        assert_eq!(
            lines.last().unwrap()["error"],
            format!("event 1: the field {name}: {message}")
        );
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn fields_of_other_plugins_apply_to_their_sources() {
    let other = |sources: &str, more: &[&str]| {
        let fields = flag(&["y.args string", "x.string uint64"]);
        let sources = format!("SOURCES={}", Value::String(sources.to_owned()));
        plugin(&[&[fields.as_str(), &sources, "NO_SOURCE", r#"NAME="other""#], more].concat())
    };
    let run = |library: &Path, list: &str| {
        let output = host("run", &plugin(&[&flag(&["x.string string"])]))
            .args(["--config", "{", "--params", "s1", "--json", "--fields", list, "--with"])
            .arg(library)
            .output()
            .unwrap();
        let lines: Vec<Value> = stdout(&output)
            .lines()
            .map(|line| serde_json::from_str(line).unwrap())
            .collect();
        (lines, stderr(&output))
    };
    for sources in ["[\"test\"]", "[]", "", "[\"\"]", "[\"more\", \"test\"]"] {
        let (lines, error) = run(&other(sources, &[]), "y.args,x.string");
        assert_eq!(error, "");
        assert_eq!(lines[0]["fields"][0]["plugin"], "other");
        assert_eq!(lines[0]["fields"][1]["plugin"], "sample");
        let expected = json!({"y.args": "1 0 9 NULL -1 0 0 0 test hello", "x.string": "one"});
        assert_eq!(*fields_of(&lines[1]), expected, "its configuration is empty");
    }
    let (_, error) = run(&other("[\"more\"]", &[]), "y.args");
    assert_eq!(
        error,
        "falco-plugin-host: the field y.args does not apply to events of the source test: the plugin other \
         extracts it only from more\n"
    );
    let (lines, _) = run(&other("[]", &["EVENT_TYPES=1,2"]), "y.args");
    assert_eq!(
        *fields_of(&lines[1]),
        json!({"y.args": null}),
        "it is for events of other types"
    );
    let (lines, _) = run(&other("[]", &["EVENT_TYPES=1,322"]), "y.args");
    assert_ne!(*fields_of(&lines[1]), json!({"y.args": null}));
    let (_, error) = run(&plugin(&[r#"NAME="bare""#, "ID=7"]), "x.string");
    assert!(
        error.contains("the plugin bare neither has fields to extract nor parses events: leave it out"),
        "{error}"
    );
    let schema = r#"SCHEMA="{\"required\":[\"b\"]}""#;
    let (_, error) = run(&other("[]", &[schema]), "y.args");
    assert!(
        error.contains("the configuration of the plugin other does not match its schema: b: required"),
        "{error}"
    );
}

#[test]
fn other_plugins_have_their_own_configuration() {
    const SCHEMA: &str = r#"SCHEMA="{\"properties\":{\"b\":{\"type\":\"integer\"}}}""#;
    let other = |name: &str| {
        let (fields, name) = (flag(&[&format!("{name}.args string")]), format!("NAME=\"{name}\""));
        plugin(&[&fields, "SOURCES=\"\"", "NO_SOURCE", &name, SCHEMA])
    };
    let (first, second) = (other("first"), other("second"));
    let run = |config: &str| {
        let output = host("run", &plugin(&[]))
            .args(["--params", "s1", "--json", "--all-fields", "--with"])
            .arg(&first)
            .arg("--with")
            .arg(&second)
            .args(["--with-config", config])
            .output()
            .unwrap();
        (stdout(&output), stderr(&output))
    };
    let (text, error) = run(r#"{"b": "SECRET"}"#);
    let message = "the configuration of the plugin second does not match its schema: b: expected integer, got string";
    assert_eq!((text.as_str(), error), ("", format!("falco-plugin-host: {message}\n")));
    let (text, error) = run(r#" {"b": 5}"#);
    assert_eq!(error, "");
    let event: Value = serde_json::from_str(text.lines().nth(1).unwrap()).unwrap();
    let fields = &event["fields"];
    // The code of the configuration's first character comes before the source.
    assert_eq!(fields["first.args"], "1 0 9 NULL -1 0 0 123 test hello");
    assert_eq!(fields["second.args"], "1 0 9 NULL -1 0 0 32 test hello");
}

#[test]
fn other_plugins_without_fields_for_the_source_cause_a_warning() {
    let sources = r#"SOURCES="[\"tset\",\"more\"]""#;
    let other = plugin(&[&flag(&["y.args string"]), sources, "NO_SOURCE", r#"NAME="other""#]);
    let run = |arguments: &[&str]| {
        let mut host = host("run", &plugin(&[]));
        host.args(["--params", "s1", "--with"]).arg(&other).args(arguments);
        let output = host.output().unwrap();
        (stdout(&output), stderr(&output))
    };
    let warning = "the plugin other has no fields for the source test: it names tset, more";
    assert!(run(&["--all-fields"]).1.starts_with(&format!("{warning}\n1 event, ")));
    assert!(run(&[]).1.starts_with("1 event, "));
    let (lines, error) = run(&["--all-fields", "--json"]);
    let log: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
    assert_eq!(log, json!({"kind": "log", "severity": "warning", "text": warning}));
    assert_eq!(error, "");
}

#[test]
fn other_plugins_are_destroyed_in_order() {
    let trace = temporary("trace-with");
    let other = plugin(&[&flag(&["y.args string"]), "NO_SOURCE", r#"NAME="other""#]);
    let output = host("run", &plugin(&[]))
        .args(["--params", "s1", "--with"])
        .arg(other)
        .env("TRACE", &trace)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let calls = fs::read_to_string(trace).unwrap();
    assert_eq!(
        calls.lines().collect::<Vec<_>>(),
        [
            "init",
            "init",
            "open",
            "next_batch elsewhere",
            "close",
            "destroy",
            "destroy"
        ]
    );
}
