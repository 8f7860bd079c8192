//! The calls of init, open, close and destroy.

use std::fs;

use serde_json::json;

use crate::support::*;

fn error(config: &str, params: &str) -> String {
    let (lines, output) = run_json(&[], &["--config", config, "--params", params]);
    assert_eq!(output.status.code(), Some(1));
    let end = lines.last().unwrap();
    assert_eq!((&end["result"], &end["events"]), (&json!("failure"), &json!(0)));
    end["error"].as_str().unwrap().to_owned()
}

#[test]
fn failures_have_the_message_of_the_plugin() {
    assert_eq!(error("fail", ""), "init failed: no such thing\nat all");
    assert_eq!(error("null", ""), "init failed without a message");
    assert_eq!(error("silent", ""), "init failed without a message");
    assert_eq!(error("unset", ""), "init did not set rc");
    assert_eq!(error("", "fail"), "open failed: cannot open that");
    assert_eq!(error("", "unset"), "open did not set rc");
}

#[test]
fn long_messages_are_cut_as_in_falco() {
    assert_eq!(error("long", ""), format!("init failed: {}", "x".repeat(1023)));
    assert_eq!(error("", "long"), format!("open failed: {}", "x".repeat(255)));
}

#[test]
fn failure_is_one_line_on_standard_error() {
    let output = host("run", &plugin(&[])).args(["--config", "fail"]).output().unwrap();
    assert_eq!(
        stderr(&output),
        "falco-plugin-host: init failed: no such thing\\nat all\n"
    );
    assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
}

#[test]
fn teardown_is_in_order() {
    let calls = |name: &str, arguments: &[&str]| {
        let trace = temporary(name);
        let _ = host("run", &plugin(&[]))
            .args(arguments)
            .env("TRACE", &trace)
            .output()
            .unwrap();
        fs::read_to_string(trace)
            .unwrap()
            .lines()
            .collect::<Vec<_>>()
            .join(", ")
    };
    assert_eq!(
        calls("trace-eof", &["--params", "s1"]),
        "init, open, next_batch elsewhere, close, destroy"
    );
    assert_eq!(
        calls("trace-failure", &["--params", "f0"]),
        "init, open, next_batch elsewhere, close, destroy"
    );
    assert_eq!(calls("trace-open", &["--params", "fail"]), "init, open, close, destroy");
    assert_eq!(calls("trace-init", &["--config", "fail"]), "init, destroy");
    assert_eq!(calls("trace-null", &["--config", "null"]), "init");
}

#[test]
fn open_gets_trimmed_parameters() {
    assert_eq!(run(" \ts1\n").status.code(), Some(0));
}

#[test]
fn init_gets_an_empty_object_if_there_is_a_schema() {
    let flags = [r#"SCHEMA="{\"type\":\"object\"}""#];
    // The plugin reads its steps from the configuration, and `{` is not a step.
    let (lines, _) = run_json(&flags, &["--params", "config"]);
    assert_eq!(lines.last().unwrap()["error"], "next_batch returned the unknown code 7");
    let (lines, output) = run_json(&flags, &["--config", "no: json"]);
    assert!(lines.is_empty());
    assert!(
        stderr(&output).starts_with("falco-plugin-host: the configuration of the plugin sample is not JSON, "),
        "{}",
        stderr(&output)
    );
}

#[test]
fn init_is_not_called_if_the_configuration_does_not_match() {
    let flags =
        [r#"SCHEMA="{\"type\":\"object\",\"required\":[\"b\"],\"properties\":{\"a\":{\"type\":\"integer\"}}}""#];
    for (config, problems) in [
        (
            "{\"a\": \"SECRET\"}",
            Some("a: expected integer, got string; b: required (falco-plugin info shows the keys)"),
        ),
        ("", Some("b: required (falco-plugin info shows the keys)")),
        ("{\"b\": 1, \"a\": \"SECRET\"}", Some("a: expected integer, got string")),
        ("7", Some("expected object, got number")),
        ("{\"b\": 1, \"a\": 2}", None),
    ] {
        let trace = temporary("trace-config");
        let _ = fs::remove_file(&trace);
        let output = host("run", &plugin(&flags))
            .args(["--config", config])
            .env("TRACE", &trace)
            .output()
            .unwrap();
        assert_eq!(trace.exists(), problems.is_none(), "{config}");
        if let Some(problems) = problems {
            let message = format!("the configuration of the plugin sample does not match its schema: {problems}");
            assert_eq!(stderr(&output), format!("falco-plugin-host: {message}\n"));
            assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
        }
    }
}
