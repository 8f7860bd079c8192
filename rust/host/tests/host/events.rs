//! Events, and the calls of next_batch that return them.

use std::time::{SystemTime, UNIX_EPOCH};

use serde_json::json;

use crate::support::*;

/// Runs steps that end in an error; returns it, and the number of events before it.
fn failure(params: &str) -> (String, u64) {
    let (lines, output) = run_json(&[], &["--params", params]);
    let end = lines.last().unwrap();
    assert_eq!(end["kind"], "end");
    assert_eq!(end["result"], "failure");
    let error = end["error"].as_str().unwrap();
    assert_eq!(stderr(&output), format!("falco-plugin-host: {error}\n"));
    assert_eq!(output.status.code(), Some(1));
    assert_eq!(of_kind(&lines, "event").len() as u64, end["events"]);
    (error.to_owned(), end["events"].as_u64().unwrap())
}

#[test]
fn text_has_one_line_per_event() {
    let output = run("s2 t1:lines e1:bytes");
    let time = "2023-11-14T22:13:20.123456789Z";
    assert_eq!(
        stdout(&output),
        format!("{time} hello\n{time} hello\n{time} a\\n\"b\"\\\\r\tc\\x00d\\x1b[m\n{time} ab\u{fffd}\u{fffd}\\x00c\n")
    );
    let totals = stderr(&output);
    assert!(
        totals.starts_with("4 events, 30 bytes, ") && totals.ends_with(": the source ended\n"),
        "{totals}"
    );
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn json_is_valid_for_any_payload() {
    let (lines, output) = run_json(&[], &["--params", "s1:lines s1:bytes t1:empty e1:big"]);
    let text = "a\n\"b\"\\\r\tc\0d\u{1b}[m";
    let event = |number: u64, text: &str| json!({"kind": "event", "number": number, "timestamp": TIMESTAMP, "source": "test", "text": text, "data": text});
    assert_eq!(lines[0], event(1, text));
    assert_eq!(
        lines[1],
        json!({"kind": "event", "number": 2, "timestamp": TIMESTAMP, "source": "test",
               "text": "ab\u{fffd}\u{fffd}\0c", "data_base64": "YWL//gBj"})
    );
    assert_eq!(lines[2], event(3, ""));
    assert_eq!(lines[3]["data"].as_str().unwrap().len(), 300);
    let mut end = lines[4].clone();
    assert!(end["seconds"].take().as_f64().unwrap() < 10.0);
    assert_eq!(
        end,
        json!({"kind": "end", "result": "eof", "error": null, "events": 4, "bytes": 320, "batches": 4,
               "timeouts": 1, "seconds": null})
    );
    assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
}

#[test]
fn events_without_timestamp_get_the_current_time() {
    let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
    let before = now();
    let (lines, _) = run_json(&[], &["--params", "s1:now"]);
    assert!((before..=now()).contains(&lines[0]["timestamp"].as_u64().unwrap()));
}

#[test]
fn events_may_have_the_plugin_id() {
    assert_eq!(run("s1:own").status.code(), Some(0));
}

#[test]
fn event_to_string_gets_completed_events() {
    let (lines, _) = run_json(&["TO_STRING"], &["--params", "s2"]);
    let events = of_kind(&lines, "event");
    assert_eq!(events[0]["text"], "1 of test, tid -1, id 999");
    assert_eq!(events[1]["text"], "2 of test, tid -1, id 999");
    assert_eq!(events[1]["data"], "hello");
    assert_eq!(
        of_kind(&lines, "log").len(),
        2,
        "a log line from within event_to_string"
    );
}

#[test]
fn malformed_event_ends_the_run() {
    for (fault, message) in [
        ("null", "the pointer to the event is NULL"),
        ("type", "the event has type 5, but plugin events have type 322"),
        ("count", "the event has 3 parameters, but plugin events have 2"),
        ("short", "the event has 30 bytes, but its parameters need 34"),
        ("length", "the event has 50 bytes, but its parameters need 60"),
        ("first", "parameter 1, the plugin id, has 5 bytes instead of 4"),
        ("id", "the event has plugin id 7, but the plugin has id 999"),
    ] {
        assert_eq!(failure(&format!("s4 s3:{fault}")), (format!("event 7: {message}"), 6));
    }
}

#[test]
fn next_batch_may_time_out_with_and_without_events() {
    let (lines, _) = run_json(&[], &["--params", "t0 t2 s1 t0 e0"]);
    let end = lines.last().unwrap();
    assert_eq!(
        (&end["events"], &end["timeouts"], &end["batches"]),
        (&json!(3), &json!(3), &json!(2))
    );
    assert_eq!(end["result"], "eof");
}

#[test]
fn next_batch_may_return_eof_with_events() {
    let (lines, output) = run_json(&[], &["--params", "e3 s1"]);
    assert_eq!(of_kind(&lines, "event").len(), 3);
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn next_batch_failure_follows_its_events() {
    assert_eq!(failure("s1 f2"), ("next_batch failed: it broke".into(), 3));
    assert_eq!(failure("f0"), ("next_batch failed: it broke".into(), 0));
    assert_eq!(failure("f0:silent"), ("next_batch failed without a message".into(), 0));
    assert_eq!(failure("x1"), ("next_batch returned the unknown code 7".into(), 1));
}

#[test]
fn next_batch_must_not_succeed_without_events() {
    assert_eq!(
        failure("s2 s0"),
        ("next_batch returned success with no event".into(), 2)
    );
}

#[test]
fn next_batch_must_set_its_results() {
    assert_eq!(failure("s1:nevts").0, "next_batch did not set nevts");
    assert_eq!(failure("t0:nevts").0, "next_batch did not set nevts");
    assert_eq!(failure("f0:nevts").0, "next_batch failed: it broke");
    assert_eq!(failure("s1:evts").0, "next_batch did not set evts");
    assert_eq!(
        failure("s3:noarray").0,
        "next_batch returned 3 events, but a NULL array"
    );
    assert_eq!(
        failure("s1048577").0,
        "next_batch returned 1048577 events, but this host accepts at most 1048576"
    );
}
