//! `bench`: measurements.

use std::fs;

use serde_json::{Value, json};

use crate::support::*;

fn bench(flags: &[&str], arguments: &[&str]) -> (Value, String) {
    let output = host("bench", &plugin(flags))
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    (serde_json::from_slice(&output.stdout).unwrap(), stderr(&output))
}

fn checksum(arguments: &[&str]) -> String {
    let (report, _) = bench(&[], arguments);
    report["events"]["checksum"].as_str().unwrap().to_owned()
}

fn fields() -> String {
    flag(&[
        "x.string string",
        "x.some string",
        "x.nothing string",
        "x.latin string key required",
    ])
}

#[test]
fn report_has_the_counts_of_the_source() {
    let (report, error) = bench(&[], &["--params", "t0 s3 s2:empty t0 t1 e4"]);
    assert_eq!(
        (&report["name"], &report["version"]),
        (&json!("sample"), &json!("1.2.3"))
    );
    assert_eq!(report["result"], "eof");
    let events = &report["events"];
    let counts = ["count", "bytes", "batches", "timeouts"].map(|name| events[name].as_u64().unwrap());
    assert_eq!(counts, [10, 40, 4, 2]);
    assert_eq!(events["per_event"]["slices"], 1);
    assert_eq!((&report["fields"], &report["live"]), (&Value::Null, &Value::Null));
    assert_eq!(error, "");
}

#[test]
fn report_omits_what_did_not_happen() {
    let (report, _) = bench(&[], &["--params", "s1:now"]);
    assert_eq!(report["latency"]["timeout"], Value::Null);
    assert_eq!(report["latency"]["age"], Value::Null, "the event has no timestamp");
    assert!(report["latency"]["batch"].is_object());
    let (report, _) = bench(&[&fields()], &["--params", "t0 s1", "--fields", "x.string"]);
    assert!(report["latency"]["timeout"].is_object());
    assert!(
        report["latency"]["age"]["p50_ns"].as_u64() > Some(0),
        "the event is old"
    );
    let (report, _) = bench(&[&fields()], &["--params", "t0", "--all-fields"]);
    assert_eq!(
        (&report["first_event_ns"], &report["events"]["per_event"]),
        (&Value::Null, &Value::Null)
    );
    assert_eq!(report["fields"], Value::Null);
}

#[test]
fn limit_time_and_signal_end_the_measurement() {
    for limit in [1u64, 99, 100, 101, 100_000] {
        let (report, _) = bench(&[], &["--params", "s100*", "--limit", &limit.to_string()]);
        assert_eq!(
            (&report["result"], &report["events"]["count"]),
            (&json!("limit"), &json!(limit))
        );
        assert_eq!(report["events"]["bytes"], 5 * limit);
    }
    for params in ["s1*", "t0*", "t0:sleep1*"] {
        let (report, _) = bench(&[], &["--params", params, "--seconds", "0.01"]);
        assert_eq!(report["result"], "time");
    }
    let long = ["--params", "s2*", "--seconds", "600", "--limit", "7", "--all-fields"];
    let (report, _) = bench(&[&fields()], &long);
    assert_eq!(report["result"], "limit", "fields do not take 600 seconds");
    let (report, _) = bench(&[&fields()], &["--params", "s1 t0:kill15*", "--all-fields"]);
    assert_eq!(
        (&report["result"], &report["events"]["count"]),
        (&json!("interrupted"), &json!(1))
    );
}

#[test]
fn checksum_depends_only_on_the_events() {
    for more in [&[][..], &["--checksum"]] {
        let of = |params, limit| checksum(&[&["--params", params, "--limit", limit], more].concat());
        let same = of("s3*", "10");
        for params in ["s1*", "s10*", "t0 s4 t0 s7", "s1:own*", "s9:now s1:now"] {
            assert_eq!(of(params, "10"), same, "{params}");
        }
        for (params, limit) in [
            ("s3*", "9"),
            ("s9 s1:bytes", "10"),
            ("s1:bytes s9", "10"),
            ("s9 s1:empty", "10"),
        ] {
            assert_ne!(of(params, limit), same, "{params}");
        }
    }
    let lines = ["--params", "s1:lines", "--limit", "1"];
    assert_ne!(checksum(&lines), checksum(&[&lines[..], &["--checksum"]].concat()));
}

#[test]
fn fields_are_extracted_from_kept_events() {
    let (report, _) = bench(&[&fields()], &["--params", "s100*", "--limit", "1000", "--all-fields"]);
    let kept = &report["fields"];
    assert_eq!(kept["events"], 128);
    let columns = kept["columns"].as_array().unwrap();
    let present = columns.iter().map(|column| (&column["name"], &column["present"]));
    let expected =
        [("x.string", 128), ("x.some", 64), ("x.nothing", 0)].map(|(name, present)| (json!(name), json!(present)));
    assert_eq!(
        present.collect::<Vec<_>>(),
        expected
            .iter()
            .map(|(name, present)| (name, present))
            .collect::<Vec<_>>()
    );
    for cost in columns
        .iter()
        .flat_map(|column| [&column["first"], &column["again"]])
        .chain([&kept["together"]])
    {
        assert!(cost["slices"].as_u64() >= Some(3), "{cost}");
    }
    let (report, _) = bench(&[&fields()], &["--params", "s3 s1", "--all-fields"]);
    assert_eq!(report["fields"]["events"], 4);
    assert_eq!(report["events"]["count"], 4);
}

#[test]
fn live_fields_are_extracted_from_each_event() {
    let (report, _) = bench(
        &[&fields()],
        &["--params", "s100*", "--limit", "250", "--all-fields", "--live"],
    );
    assert_eq!(report["fields"], Value::Null);
    let live = report["live"].as_array().unwrap();
    let counts: Vec<_> = live
        .iter()
        .map(|calls| (calls["count"].as_u64(), calls["present"].as_u64()))
        .collect();
    assert_eq!(
        counts,
        [(Some(250), Some(250)), (Some(250), Some(125)), (Some(250), Some(0))]
    );
    assert!(live.iter().all(|calls| calls["latency"]["max_ns"].as_u64() > Some(0)));
}

#[test]
fn fields_of_other_plugins_are_measured() {
    let other = plugin(&[&flag(&["y.args string"]), "NO_SOURCE", r#"NAME="other""#]);
    for (more, member) in [(&[][..], "fields"), (&["--live"], "live")] {
        let with = [
            "--params",
            "s2",
            "--with",
            other.to_str().unwrap(),
            "--with-config",
            "c",
            "--fields",
            "y.args,x.some",
        ];
        let (report, _) = bench(&[&fields()], &[&with[..], more].concat());
        let columns = report[member].pointer("/columns").unwrap_or(&report[member]);
        let report = [0, 1].map(|at| (columns[at]["plugin"].as_str(), columns[at]["present"].as_u64()));
        assert_eq!(report, [(Some("other"), Some(2)), (Some("sample"), Some(1))]);
    }
}

#[test]
fn fields_are_extracted_on_threads_at_once() {
    let fields = flag(&["x.meets string", "x.some string"]);
    let source = ["--params", "s100*", "--limit", "100", "--seconds", "0.01"];
    let (report, _) = bench(&[&fields], &[&source[..], &["--all-fields", "--threads", "2"]].concat());
    assert_eq!((&report["fields"], &report["live"]), (&Value::Null, &Value::Null));
    assert_eq!(report["events"]["count"], 100);
    let columns = report["threads"].as_array().unwrap();
    let present = columns.iter().map(|column| (&column["name"], &column["present"]));
    let expected = [(json!("x.meets"), json!(200)), (json!("x.some"), json!(100))];
    assert!(present.eq(expected.iter().map(|(name, present)| (name, present))));
    for column in columns {
        let counts: Vec<_> = column["counts"].as_array().unwrap().iter().map(Value::as_u64).collect();
        assert!(counts.len() == 2 && counts.iter().all(|count| *count >= Some(100)));
        assert!(
            column["wall_ns"].as_u64() >= Some(5_000_000),
            "each field has half of the time"
        );
        assert!(column["cpu_ns"].as_u64() > Some(0));
    }
    let (report, _) = bench(
        &[&fields],
        &[&source[..], &["--fields", "x.some", "--threads", "1"]].concat(),
    );
    assert_eq!(report["threads"][0]["counts"].as_array().unwrap().len(), 1);
}

#[test]
fn each_thread_has_its_own_state_and_source() {
    let trace = temporary("trace-threads");
    let output = host("bench", &plugin(&[&fields()]))
        .args([
            "--params",
            "s1",
            "--fields",
            "x.string",
            "--threads",
            "2",
            "--seconds",
            "0.01",
        ])
        .env("TRACE", &trace)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(0));
    let calls = fs::read_to_string(&trace).unwrap();
    // The plugin writes only the first call of next_batch of the process.
    let expected = "init\nopen\nnext_batch\ninit\nopen\nclose\ndestroy\nclose\ndestroy\n";
    assert_eq!(calls, expected);
}

#[test]
fn fields_on_threads_need_an_event_of_each_source() {
    for (params, result) in [("t0", "eof"), ("s1 t0:kill15*", "interrupted")] {
        let (report, _) = bench(&[&fields()], &["--params", params, "--all-fields", "--threads", "2"]);
        assert_eq!((&report["result"], &report["threads"]), (&json!(result), &Value::Null));
    }
}

#[test]
fn failure_has_no_report() {
    for (flags, arguments, message) in [
        (&[][..], &["--params", "s2 f0"][..], "next_batch failed: it broke"),
        (&[], &["--params", "f2"], "next_batch failed: it broke"),
        (&[], &["--params", "s0"], "next_batch returned success with no event"),
        (
            &[],
            &["--params", "s2 s3:id"],
            "event 5: the event has plugin id 7, but the plugin has id 999",
        ),
        (&[], &["--params", "fail"], "open failed: cannot open that"),
        (&[], &["--config", "fail"], "init failed: no such thing\\nat all"),
        (
            &[],
            &["--fields", "x.string"],
            "no loaded plugin has the field x.string: falco-plugin info lists the fields",
        ),
        (
            &[&fields(), "NO_SOURCE"],
            &[],
            "the plugin sample has no event source to run: run a plugin that has one, and add this one by --with",
        ),
        (
            &[&fields()],
            &["--params", "s1", "--fields", "x.latin[a]"],
            "event 1: the field x.latin[a]: value 1 is not UTF-8",
        ),
        (
            &[&fields()],
            &["--params", "s1", "--fields", "x.latin[a]", "--threads", "2"],
            "event 1: the field x.latin[a]: value 1 is not UTF-8",
        ),
    ] {
        let output = host("bench", &plugin(flags)).args(arguments).output().unwrap();
        assert_eq!(stderr(&output), format!("falco-plugin-host: {message}\n"));
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
    }
}

#[test]
fn plugin_is_called_on_one_thread_and_in_order() {
    for (params, status) in [("s1", 0), ("f0", 1)] {
        let trace = temporary(&format!("trace-bench-{params}"));
        let output = host("bench", &plugin(&[]))
            .args(["--params", params])
            .env("TRACE", &trace)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(status));
        let calls = fs::read_to_string(&trace).unwrap();
        assert_eq!(calls, "init\nopen\nnext_batch\nclose\ndestroy\n");
    }
}

#[test]
fn log_goes_to_standard_error() {
    let (_, error) = bench(&[], &["--config", "log", "--params", "s1:log"]);
    assert_eq!(error.lines().count(), 4, "{error}");
    assert!(error.ends_with("[error] from next_batch\n"), "{error}");
}

#[test]
fn report_as_text_has_all_rows() {
    let call = |arguments: &[&str]| {
        let output = host("bench", &plugin(&[&fields()])).args(arguments).output().unwrap();
        assert_eq!((stderr(&output).as_str(), output.status.code()), ("", Some(0)));
        stdout(&output)
    };
    let text = call(&["--params", "s100*", "--limit", "1234", "--all-fields"]);
    assert!(text.starts_with("sample 1.2.3: 1,234 events in "), "{text}");
    assert!(
        text.lines().next().unwrap().ends_with(", until the limit was reached"),
        "{text}"
    );
    let has = |text: &str, start: &str, end: &str| {
        let found = text
            .lines()
            .any(|line| line.trim_start().starts_with(start) && line.ends_with(end));
        assert!(found, "{start} … {end} is not in\n{text}");
    };
    for (start, end) in [
        ("speed ", "B/s"),
        ("wall ", "an event"),
        ("CPU ", " cores"),
        ("batches ", "13 of 94.9 events; 0 timeouts"),
        ("start ", " from init on"),
        ("memory ", " at most"),
        ("a batch ", "s"),
        ("age of an event ", "s"),
        ("fields of 128 events", ":"),
        ("x.some ", " 64"),
        ("all ", "s"),
    ] {
        has(&text, start, end);
    }
    let text = call(&["--params", "s4", "--live", "--fields", "x.some,x.nothing"]);
    has(&text, "fields of each event", ":");
    has(&text, "x.some ", " 2");
    has(&text, "x.nothing ", " 0");
    let text = call(&[
        "--params",
        "s4",
        "--threads",
        "2",
        "--fields",
        "x.some",
        "--seconds",
        "0.01",
    ]);
    has(&text, "fields on 2 threads at the same time", ":");
    has(&text, "x.some ", " 4");
    let text = call(&["--params", "t0", "--fields", "x.some"]);
    has(&text, "sample 1.2.3: 0 events in ", ", until the source ended");
}
