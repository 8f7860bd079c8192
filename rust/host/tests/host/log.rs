//! The log lines of plugins.

use serde_json::json;

use crate::support::*;

#[test]
fn text_log_goes_to_standard_error() {
    let output = host("run", &plugin(&[]))
        .args(["--config", "log", "--params", "s1:log"])
        .output()
        .unwrap();
    let lines = stderr(&output);
    let start = "[warning] first \"line\"\nsecond\n[info] hello\n[error] from next_batch\n1 event, ";
    assert!(lines.starts_with(start), "{lines}");
}

#[test]
fn json_log_is_between_the_events() {
    let (lines, output) = run_json(&[], &["--config", "log", "--params", "s1 s1:log"]);
    let log = of_kind(&lines, "log");
    assert_eq!(
        *log[0],
        json!({"kind": "log", "severity": "warning", "text": "first \"line\"\nsecond", "plugin": "sample"})
    );
    assert_eq!(
        *log[1],
        json!({"kind": "log", "severity": "info", "text": "hello", "plugin": "sample"})
    );
    assert_eq!(
        *log[2],
        json!({"kind": "log", "severity": "error", "text": "from next_batch", "plugin": "sample"})
    );
    let position = |kind: &str, text: &str| lines.iter().rposition(|l| l["kind"] == kind && l["text"] == text);
    assert!(
        position("log", "from next_batch") < position("event", "hello"),
        "the plugin logged it before the event"
    );
    assert_eq!(stderr(&output), "");
}

#[test]
fn log_has_lines_of_a_failed_open() {
    let (lines, _) = run_json(&[], &["--config", "log", "--params", "fail"]);
    assert_eq!(of_kind(&lines, "log").len(), 2);
}
