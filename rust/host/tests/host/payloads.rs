//! The styles of values, and the report of payloads that are not valid JSON.

use serde_json::{Value, json};

use crate::support::*;

const FIELDS: &[&str] = &[
    "x.strings string list",
    "x.abstime abstime",
    "x.reltimes reltime list",
    "x.bools bool list",
    "x.ipaddr ipaddr",
    "x.ipnets ipnet list",
    "x.fails string",
];

fn columns() -> Vec<String> {
    let output = host("run", &plugin(&[&flag(FIELDS)]))
        .args(["--params", "s1", "--all-fields"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    stdout(&output)
        .trim_end()
        .split('\t')
        .skip(1)
        .map(str::to_owned)
        .collect()
}

#[test]
fn values_are_written_as_falco_prints_them() {
    assert_eq!(
        columns(),
        [
            "x.strings=(one,t\\two,\"three\")",
            "x.abstime=1700000000123456789",
            "x.reltimes=(1700000000123456789,7)",
            "x.bools=(true,false)",
            "x.ipaddr=10.0.0.1",
            "x.ipnets=(<IPNET>,<IPNET>)",
            "x.fails=<NA>",
        ]
    );
}

#[test]
fn values_are_readable_below_events_with_pretty() {
    let output = host("run", &plugin(&[&flag(FIELDS)]))
        .args(["--params", "s1", "--all-fields", "--pretty"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let shown = stdout(&output);
    assert_eq!(
        shown.lines().skip(1).collect::<Vec<_>>(),
        [
            "    x.strings   [one, t\\two, \"three\"]",
            "    x.abstime   2023-11-14 22:13:20.123456789Z",
            "    x.reltimes  [1700000000.123456789s, 7ns]",
            "    x.bools     [true, false]",
            "    x.ipaddr    10.0.0.1",
            "    x.ipnets    [10.0.0.1, 2001:db8::1]",
            "    x.fails     -",
        ]
    );
}

#[test]
fn pretty_is_refused_with_json_and_by_other_commands() {
    for (command, more, message) in [
        (
            "run",
            "--json",
            "--pretty applies to text: leave out --json or --pretty (see --help)\n",
        ),
        ("bench", "--live", "bench has no option --pretty (see --help)\n"),
        ("info", "--json", "info has no option --pretty (see --help)\n"),
    ] {
        let output = host(command, &plugin(&[])).args(["--pretty", more]).output().unwrap();
        assert_eq!(stderr(&output), format!("falco-plugin-host: {message}"));
        assert_eq!(output.status.code(), Some(1));
    }
}

/// Runs these steps. Returns the last line of standard error, and the summary in JSON.
fn reported(params: &str, arguments: &[&str]) -> (String, Value) {
    let flags = [flag(&["x.string string"])];
    let flags: Vec<&str> = flags.iter().map(String::as_str).collect();
    let arguments = [&["--params", params], arguments].concat();
    let output = host("run", &plugin(&flags)).args(&arguments).output().unwrap();
    let (lines, _) = run_json(&flags, &arguments);
    let last = stderr(&output).lines().last().unwrap().to_owned();
    (last, lines.last().unwrap()["invalid_json"].clone())
}

#[test]
fn payloads_that_are_not_valid_json_are_counted_at_the_end() {
    let (text, json) = reported("s2:json s1:utf8 s2:json s2:cut s1", &["--all-fields"]);
    assert_eq!(
        text,
        "4 of 8 payloads are not valid JSON, first in event 3 at byte 31: invalid UTF-8 \
         (fields beside the fault are still read)"
    );
    assert_eq!(
        json,
        json!({"payloads": 8, "invalid": 4, "event": 3, "byte": 31, "cause": "invalid UTF-8"})
    );
    let (text, json) = reported("s1:cut s1:json", &["--fields", "x.string"]);
    let expected = "1 of 2 payloads is not valid JSON, first in event 1 at byte 7: cut off";
    assert!(text.starts_with(expected), "{text}");
    assert_eq!(json["cause"], "cut off");
}

#[test]
fn payloads_are_not_reported_for_plain_text_and_without_fields() {
    for (params, arguments) in [
        ("s3", &["--all-fields"] as &[&str]),
        ("s3:json", &["--all-fields"]),
        ("s1:utf8 s1:cut", &[]),
        ("e0", &["--all-fields"]),
    ] {
        let (text, json) = reported(params, arguments);
        assert!(text.ends_with(": the source ended"), "{params}: {text}");
        assert_eq!(json, Value::Null, "{params}");
    }
}
