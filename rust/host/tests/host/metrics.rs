//! Metrics at the end of a run.

use std::fs;

use serde_json::{Value, json};

use crate::support::*;

#[test]
fn metrics_follow_the_events_under_the_names_of_falco() {
    let other = plugin(&["METRICS", "NAME=\"other\"", "NO_SOURCE", &flag(&["other.args string"])]);
    let run = |arguments: &[&str]| {
        let mut host = host("run", &plugin(&["METRICS"]));
        host.args(["--params", "s1", "--metrics", "--with"]).arg(&other);
        stdout(&host.args(arguments).output().unwrap())
    };
    let text = run(&[]);
    let (event, metrics) = text.split_once('\n').unwrap();
    assert!(event.ends_with(" hello"), "{event}");
    let expected = |name: &str| {
        format!(
            "{name}.u32 4294967295\n{name}.s32 -32\n{name}.u64 18446744073709551615\n{name}.s64 -9223372036854775808\n\
             {name}.d 0.25\n{name}.f 0.5\n{name}.i\\n -1\n"
        )
    };
    assert_eq!(metrics, expected("sample") + &expected("other"));

    let text = run(&["--json"]);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let kinds: Vec<_> = lines.iter().map(|line| line["kind"].as_str().unwrap()).collect();
    assert_eq!(kinds, ["event", "metrics", "end"]);
    let metrics = lines[1]["metrics"].as_array().unwrap();
    assert_eq!(metrics.len(), 14);
    assert_eq!(
        metrics[0],
        json!({"name": "sample.u32", "type": "counter", "value": 4_294_967_295_u32})
    );
    assert_eq!(
        metrics[9],
        json!({"name": "other.u64", "type": "counter", "value": u64::MAX})
    );
    assert_eq!(metrics[11], json!({"name": "other.d", "type": "gauge", "value": 0.25}));
}

#[test]
fn metrics_are_read_between_close_and_destroy_and_only_if_requested() {
    for (arguments, calls) in [
        (
            &["--metrics"][..],
            "init, open, next_batch elsewhere, close, get_metrics, destroy",
        ),
        (&[], "init, open, next_batch elsewhere, close, destroy"),
    ] {
        let trace = temporary("trace-metrics");
        let _ = fs::remove_file(&trace);
        let mut host = host("run", &plugin(&["METRICS"]));
        host.args(["--params", "f0"]).args(arguments).env("TRACE", &trace);
        assert_eq!(host.output().unwrap().status.code(), Some(1), "the source fails");
        let traced = fs::read_to_string(&trace).unwrap();
        assert_eq!(traced.lines().collect::<Vec<_>>().join(", "), calls);
    }
}

#[test]
fn plugin_without_metrics_has_none() {
    for (flags, config) in [(&[][..], ""), (&["METRICS"], "metrics none")] {
        let (lines, _) = run_json(flags, &["--metrics", "--config", config]);
        assert_eq!(of_kind(&lines, "metrics"), [&json!({"kind": "metrics", "metrics": []})]);
    }
}

#[test]
fn faulty_metrics_are_reported() {
    for (fault, message) in [
        ("unset", "get_metrics did not set num_metrics"),
        (
            "many",
            "get_metrics returned 100000 metrics, but this host accepts at most 65536",
        ),
        ("null", "get_metrics returned 7 metrics, but a NULL array"),
        ("unnamed", "get_metrics returned a metric whose name is NULL"),
        ("type", "the metric s32 has the unknown type 7"),
        ("value", "the metric s32 has the unknown type 8"),
    ] {
        let config = format!("metrics {fault}");
        let (lines, output) = run_json(&["METRICS"], &["--metrics", "--config", &config]);
        assert_eq!(
            (output.status.code(), &lines.last().unwrap()["error"]),
            (Some(1), &json!(message))
        );
    }
}

#[test]
fn bench_measures_metrics() {
    let bench = |flags: &[&str], format: &[&str]| {
        let mut host = host("bench", &plugin(flags));
        let output = host
            .args(["--params", "s1", "--limit", "1"])
            .args(format)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        stdout(&output)
    };
    let report = |flags| serde_json::from_str::<Value>(&bench(flags, &["--json"])).unwrap();
    let metrics = &report(&["METRICS"])["metrics"];
    assert_eq!(metrics["count"], 7);
    assert!(metrics["each"]["min_ns"].as_f64() > Some(0.0), "{metrics}");
    assert_eq!(report(&[])["metrics"], Value::Null);
    let has_line = |flags| bench(flags, &[]).lines().any(|line| line.starts_with("metrics  "));
    assert!(has_line(&["METRICS"]) && !has_line(&[]));
}
