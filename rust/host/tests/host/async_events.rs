//! Async events, captures and states of plugins.

use std::fs;

use serde_json::{Value, json};

use crate::support::*;

/// The shown events, as kind and payload.
fn shown(lines: &[Value]) -> Vec<(&str, &str)> {
    let events = lines
        .iter()
        .filter(|line| line["kind"] == "event" || line["kind"] == "async_event");
    events
        .map(|line| (line["kind"].as_str().unwrap(), line["data"].as_str().unwrap()))
        .collect()
}

#[test]
fn async_events_come_before_events_of_a_later_time() {
    // The plugin sends during set_async_event_handler: one event without a time, one of the past, one of the present.
    let (lines, output) = run_json(&["ASYNC"], &["--params", "s1 t0 t0", "--config", "send"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        shown(&lines),
        [
            ("async_event", "now"),
            ("async_event", "past"),
            ("event", "hello"),
            ("async_event", "present"),
        ]
    );
    let numbers: Vec<_> = of_kind(&lines, "async_event")
        .iter()
        .map(|line| line["number"].clone())
        .collect();
    assert_eq!(numbers, [1, 2, 4]);
    let first = of_kind(&lines, "async_event")[0];
    assert_eq!((&first["name"], &first["source"]), (&json!("changed"), &json!("test")));
    let end = lines.last().unwrap();
    assert_eq!((&end["events"], &end["async_events"]), (&json!(1), &json!(3)));
}

#[test]
fn refused_events_have_falcos_reasons() {
    let (lines, _) = run_json(&["ASYNC"], &["--params", "s1", "--config", "refused"]);
    let logs: Vec<_> = of_kind(&lines, "log")
        .iter()
        .map(|line| line["text"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(
        logs,
        [
            "1 incompatible async event 'other' produced by plugin: sample",
            "1 malformed async event produced by plugin: sample: its type or its number of parameters is wrong",
            "1 async events of plugin 'sample' can have no thread associated with open event source 'test'",
            "1 without a buffer",
        ]
    );
}

#[test]
fn capture_begins_and_ends_in_falcos_order() {
    let trace = temporary("trace-capture");
    let _ = host("run", &plugin(&["ASYNC"]))
        .args(["--params", "s1", "--dump-state"])
        .env("TRACE", &trace)
        .output()
        .unwrap();
    let calls = fs::read_to_string(trace).unwrap();
    assert_eq!(
        calls.lines().collect::<Vec<_>>().join(", "),
        "init, open, handler, capture_open, next_batch elsewhere, dump_state, close, no handler, capture_close, destroy"
    );
}

#[test]
fn failures_end_the_run() {
    for (config, message) in [
        ("handler", "set_async_event_handler failed: no handler"),
        ("capture_open", "capture_open failed: no capture"),
        ("no handler", "set_async_event_handler failed: it stays"),
        ("capture_close", "capture_close failed: not yet"),
        ("dump", "dump_state failed: no state"),
    ] {
        let (lines, output) = run_json(&["ASYNC"], &["--params", "s1", "--config", config, "--dump-state"]);
        let end = lines.last().unwrap();
        assert_eq!((&end["result"], &end["error"]), (&json!("failure"), &json!(message)));
        assert_eq!(output.status.code(), Some(1));
    }
}

#[test]
fn dump_state_writes_the_events_of_a_state() {
    let (lines, _) = run_json(&["ASYNC"], &["--params", "s1", "--config", "state", "--dump-state"]);
    let state = of_kind(&lines, "state_event");
    assert_eq!(state.len(), 1);
    assert_eq!(
        (&state[0]["plugin"], &state[0]["name"], &state[0]["data"]),
        (&json!("sample"), &json!("changed"), &json!("state"))
    );
    let output = host("run", &plugin(&["ASYNC"]))
        .args(["--params", "s1", "--config", "state", "--dump-state"])
        .output()
        .unwrap();
    assert!(stdout(&output).ends_with("sample: [changed] state\n"));
}

#[test]
fn plugin_without_a_source_runs_beside_no_events() {
    let (lines, output) = run_json(&["ASYNC", "NO_SOURCE"], &["--config", "send", "--limit", "3"]);
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert_eq!(
        shown(&lines),
        [
            ("async_event", "now"),
            ("async_event", "past"),
            ("async_event", "present")
        ]
    );
    assert_eq!(lines[1]["source"], "syscall");
    let output = host("bench", &plugin(&["ASYNC", "NO_SOURCE"]))
        .args(["--config", "send", "--seconds", "0.01"])
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    assert!(stdout(&output).contains("async event"), "{}", stdout(&output));
}

#[test]
fn names_of_async_events_are_checked() {
    for (names, message) in [
        (
            r#"NAMES="[]""#,
            "the plugin sends async events, but its list of their names is empty",
        ),
        (r#"NAMES="{""#, "the plugin's list of async events is invalid: "),
    ] {
        let output = host("info", &plugin(&["ASYNC", names])).output().unwrap();
        assert!(stderr(&output).contains(message), "{}", stderr(&output));
    }
    let output = host("info", &plugin(&["ASYNC"])).arg("--json").output().unwrap();
    let info: Value = serde_json::from_str(&stdout(&output)).unwrap();
    assert_eq!(info["async_events"], json!(["changed"]));
    assert_eq!(info["capabilities"], json!(["sourcing", "async events", "listening"]));
}
