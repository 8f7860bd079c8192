//! The real program, driven with small plugins written in C.

mod support;

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use serde_json::{Value, json};
use support::*;

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

mod events {
    use super::*;

    #[test]
    fn are_written_one_a_line() {
        let output = run("s2 t1:lines e1:bytes");
        let time = "2023-11-14T22:13:20.123456789Z";
        assert_eq!(
            stdout(&output),
            format!(
                "{time} hello\n{time} hello\n{time} a\\n\"b\"\\\\r\tc\\x00d\\x1b[m\n{time} ab\u{fffd}\u{fffd}\\x00c\n"
            )
        );
        let totals = stderr(&output);
        assert!(
            totals.starts_with("4 events, 30 bytes, ") && totals.ends_with(": the source ended\n"),
            "{totals}"
        );
        assert_eq!(output.status.code(), Some(0));
    }

    #[test]
    fn are_valid_json_whatever_they_hold() {
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
    fn without_a_timestamp_get_the_current_time() {
        let now = || u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_nanos()).unwrap();
        let before = now();
        let (lines, _) = run_json(&[], &["--params", "s1:now"]);
        assert!((before..=now()).contains(&lines[0]["timestamp"].as_u64().unwrap()));
    }

    #[test]
    fn may_carry_the_plugins_own_id() {
        assert_eq!(run("s1:own").status.code(), Some(0));
    }

    #[test]
    fn are_described_by_the_plugin_after_the_host_has_filled_them_in() {
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
    fn that_are_malformed_end_the_run_with_their_numbers() {
        for (fault, message) in [
            ("null", "its pointer is NULL"),
            ("type", "type 5, but a plugin's events have type 322"),
            ("count", "3 parameters, but a plugin's events have 2"),
            ("short", "length 30, but its parameters need 34"),
            ("length", "length 50, but its parameters need 60"),
            ("first", "parameter 1 has 5 bytes, but the plugin id has 4"),
            ("id", "plugin id 7, but the plugin's own is 999"),
        ] {
            assert_eq!(failure(&format!("s4 s3:{fault}")), (format!("event 7: {message}"), 6));
        }
    }
}

mod next_batch {
    use super::*;

    #[test]
    fn may_time_out_with_and_without_events() {
        let (lines, _) = run_json(&[], &["--params", "t0 t2 s1 t0 e0"]);
        let end = lines.last().unwrap();
        assert_eq!(
            (&end["events"], &end["timeouts"], &end["batches"]),
            (&json!(3), &json!(3), &json!(2))
        );
        assert_eq!(end["result"], "eof");
    }

    #[test]
    fn may_end_with_events() {
        let (lines, output) = run_json(&[], &["--params", "e3 s1"]);
        assert_eq!(of_kind(&lines, "event").len(), 3);
        assert_eq!(output.status.code(), Some(0));
    }

    #[test]
    fn is_acted_on_after_its_events() {
        assert_eq!(failure("s1 f2"), ("next_batch failed: it broke".into(), 3));
        assert_eq!(failure("f0"), ("next_batch failed: it broke".into(), 0));
        assert_eq!(failure("f0:silent"), ("next_batch failed without a message".into(), 0));
        assert_eq!(failure("x1"), ("next_batch returned the unknown code 7".into(), 1));
    }

    #[test]
    fn must_not_succeed_with_nothing() {
        assert_eq!(
            failure("s2 s0"),
            ("next_batch returned success with no event".into(), 2)
        );
    }

    #[test]
    fn must_set_what_it_returns() {
        assert_eq!(failure("s1:nevts").0, "next_batch left nevts unset");
        assert_eq!(failure("t0:nevts").0, "next_batch left nevts unset");
        assert_eq!(failure("f0:nevts").0, "next_batch failed: it broke");
        assert_eq!(failure("s1:evts").0, "next_batch left evts unset");
        assert_eq!(
            failure("s3:noarray").0,
            "next_batch says it has 3 events, but gave a NULL array"
        );
        assert_eq!(
            failure("s1048577").0,
            "next_batch says it has 1048577 events, more than the 1048576 this host takes"
        );
    }
}

mod init_and_open {
    use super::*;

    fn error(config: &str, params: &str) -> String {
        let (lines, output) = run_json(&[], &["--config", config, "--params", params]);
        assert_eq!(output.status.code(), Some(1));
        let end = lines.last().unwrap();
        assert_eq!((&end["result"], &end["events"]), (&json!("failure"), &json!(0)));
        end["error"].as_str().unwrap().to_owned()
    }

    #[test]
    fn tell_why_they_failed() {
        assert_eq!(error("fail", ""), "init failed: no such thing\nat all");
        assert_eq!(error("null", ""), "init failed without a message");
        assert_eq!(error("silent", ""), "init failed without a message");
        assert_eq!(error("unset", ""), "init left rc unset");
        assert_eq!(error("", "fail"), "open failed: cannot open that");
        assert_eq!(error("", "unset"), "open left rc unset");
    }

    #[test]
    fn cut_long_messages_where_the_host_does() {
        assert_eq!(error("long", ""), format!("init failed: {}", "x".repeat(1023)));
        assert_eq!(error("", "long"), format!("open failed: {}", "x".repeat(255)));
    }

    #[test]
    fn show_one_line_on_standard_error() {
        let output = host("run", &plugin(&[])).args(["--config", "fail"]).output().unwrap();
        assert_eq!(
            stderr(&output),
            "falco-plugin-host: init failed: no such thing\\nat all\n"
        );
        assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
    }

    #[test]
    fn are_undone_in_order() {
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
    fn get_trimmed_parameters() {
        assert_eq!(run(" \ts1\n").status.code(), Some(0));
    }

    #[test]
    fn get_an_empty_object_where_the_configuration_is_json() {
        let flags = [r#"SCHEMA="{\"type\":\"object\"}""#];
        // The sample takes its steps from the configuration, and `{` is no step it knows.
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
    fn are_not_called_with_a_configuration_that_does_not_fit() {
        let flags =
            [r#"SCHEMA="{\"type\":\"object\",\"required\":[\"b\"],\"properties\":{\"a\":{\"type\":\"integer\"}}}""#];
        for (config, problems) in [
            (
                "{\"a\": \"SECRET\"}",
                Some("a: expected integer, got string; b: required (falco-plugin info shows its keys)"),
            ),
            ("", Some("b: required (falco-plugin info shows its keys)")),
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
                let message = format!("the configuration of the plugin sample does not fit its schema: {problems}");
                assert_eq!(stderr(&output), format!("falco-plugin-host: {message}\n"));
                assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
            }
        }
    }
}

mod fields {
    use super::*;

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
        "x.told string",
        "x.toldlist string list",
        "x.index string index required",
        "x.key string key",
        "x.both string index key",
    ];

    fn fields_of(line: &Value) -> &Value {
        &line["fields"]
    }

    #[test]
    fn are_members_of_each_event_in_json() {
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
            .retain(|name, _| !["x.told", "x.toldlist", "x.key", "x.both"].contains(&name.as_str()));
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
    fn are_columns_after_the_text() {
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
    fn are_asked_for_as_the_host_does() {
        let absent = "-1 0";
        for (field, told) in [
            ("x.told", format!("1 11 9 NULL {absent} 0 123 test hello")),
            ("x.toldlist", format!("1 12 9 NULL {absent} 64 123 test hello")),
            ("x.index[7]", "1 13 9 NULL 7 1 0 123 test hello".to_owned()),
            ("x.key", format!("1 14 9 NULL {absent} 0 123 test hello")),
            ("x.key[7]", "1 14 9 7 -1 1 0 123 test hello".to_owned()),
            ("x.key['a ]']", "1 14 9 a ] -1 1 0 123 test hello".to_owned()),
            ("x.both[7]", "1 15 9 7 7 1 0 123 test hello".to_owned()),
            ("x.both[007]", "1 15 9 007 -1 1 0 123 test hello".to_owned()),
            ("x.both", format!("1 15 9 NULL {absent} 0 123 test hello")),
        ] {
            let arguments = ["--config", "{", "--params", "s1", "--fields", field];
            let (lines, output) = run_json(&[&flag(ALL)], &arguments);
            assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
            let expected = if field == "x.toldlist" {
                json!([told])
            } else {
                json!(told)
            };
            assert_eq!(fields_of(&lines[1])[field], expected);
        }
    }

    #[test]
    fn that_cannot_be_asked_for_are_told_before_anything_runs() {
        let trace = temporary("trace-fields");
        for (list, message) in [
            (
                "x.strin",
                "no loaded plugin has the field x.strin: did you mean x.string?",
            ),
            (
                "y.z",
                "no loaded plugin has the field y.z: falco-plugin info lists them",
            ),
            ("some", "no loaded plugin has the field some: did you mean x.some?"),
            ("x.index", "the field x.index needs an argument: x.index[index]"),
            (
                "x.index[a]",
                "the field x.index takes an index, which \"a\" is not: give a whole number from 0 to 2**64 - 1\n",
            ),
            (
                "x.index[18446744073709551616]",
                "the field x.index takes an index, which \"18446744073709551616\" is not: give a whole number from 0 to \
                 2**64 - 1\n",
            ),
            (
                "x.index[01]",
                "the field x.index takes an index, which \"01\" is not: give it without leading zeros\n",
            ),
            ("x.string[a]", "the field x.string takes no argument"),
            ("x.key[", "x.key[…]: its argument is empty"),
            ("x.string,", "\"\" is no name of a field"),
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
    fn that_are_malformed_end_the_run_with_their_event() {
        for (field, message) in [
            ("x.strange string", "extract_fields returned the unknown code 9"),
            ("x.unset string", "extract_fields left res_len unset"),
            ("x.onlycount string", "extract_fields left res unset"),
            ("x.null string", "1 values, but the pointer to them is NULL"),
            (
                "x.unaligned string",
                "the pointer to its values is not aligned for pointers",
            ),
            ("x.several string", "2 values, but it is no list"),
            (
                "x.toomany string list",
                "1099511627776 values, more than the 16777216 this host takes",
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
    fn of_other_plugins_apply_where_their_sources_do() {
        let other = |sources: &str, more: &[&str]| {
            let fields = flag(&["y.told string", "x.string uint64"]);
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
            let (lines, error) = run(&other(sources, &[]), "y.told,x.string");
            assert_eq!(error, "");
            assert_eq!(lines[0]["fields"][0]["plugin"], "other");
            assert_eq!(lines[0]["fields"][1]["plugin"], "sample");
            let expected = json!({"y.told": "1 0 9 NULL -1 0 0 0 test hello", "x.string": "one"});
            assert_eq!(*fields_of(&lines[1]), expected, "its configuration is empty");
        }
        let (_, error) = run(&other("[\"more\"]", &[]), "y.told");
        assert_eq!(
            error,
            "falco-plugin-host: the field y.told is not for these events, of source test: the plugin other \
             extracts it from more only\n"
        );
        let (lines, _) = run(&other("[]", &["EVENT_TYPES=1,2"]), "y.told");
        assert_eq!(
            *fields_of(&lines[1]),
            json!({"y.told": null}),
            "it is for events of other types"
        );
        let (lines, _) = run(&other("[]", &["EVENT_TYPES=1,322"]), "y.told");
        assert_ne!(*fields_of(&lines[1]), json!({"y.told": null}));
        let (_, error) = run(&plugin(&[r#"NAME="bare""#, "ID=7"]), "x.string");
        assert!(
            error.contains("the plugin bare has no fields to extract: leave it out"),
            "{error}"
        );
        let schema = r#"SCHEMA="{\"required\":[\"b\"]}""#;
        let (_, error) = run(&other("[]", &[schema]), "y.told");
        assert!(
            error.contains("the configuration of the plugin other does not fit its schema: b: required"),
            "{error}"
        );
    }

    #[test]
    fn of_other_plugins_come_with_a_configuration_of_their_own() {
        const SCHEMA: &str = r#"SCHEMA="{\"properties\":{\"b\":{\"type\":\"integer\"}}}""#;
        let other = |name: &str| {
            let (fields, name) = (flag(&[&format!("{name}.told string")]), format!("NAME=\"{name}\""));
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
        let (told, error) = run(r#"{"b": "SECRET"}"#);
        let message = "the configuration of the plugin second does not fit its schema: b: expected integer, got string";
        assert_eq!((told.as_str(), error), ("", format!("falco-plugin-host: {message}\n")));
        let (told, error) = run(r#" {"b": 5}"#);
        assert_eq!(error, "");
        let event: Value = serde_json::from_str(told.lines().nth(1).unwrap()).unwrap();
        let fields = &event["fields"];
        // The first character of a configuration stands before the source.
        assert_eq!(fields["first.told"], "1 0 9 NULL -1 0 0 123 test hello");
        assert_eq!(fields["second.told"], "1 0 9 NULL -1 0 0 32 test hello");
    }

    #[test]
    fn of_other_plugins_that_are_not_for_the_source_are_missed() {
        let sources = r#"SOURCES="[\"tset\",\"more\"]""#;
        let other = plugin(&[&flag(&["y.told string"]), sources, "NO_SOURCE", r#"NAME="other""#]);
        let run = |arguments: &[&str]| {
            let mut host = host("run", &plugin(&[]));
            host.args(["--params", "s1", "--with"]).arg(&other).args(arguments);
            let output = host.output().unwrap();
            (stdout(&output), stderr(&output))
        };
        let told = "the plugin other has no fields for the source test: it names tset, more";
        assert!(run(&["--all-fields"]).1.starts_with(&format!("{told}\n1 event, ")));
        assert!(run(&[]).1.starts_with("1 event, "));
        let (lines, error) = run(&["--all-fields", "--json"]);
        let log: Value = serde_json::from_str(lines.lines().nth(1).unwrap()).unwrap();
        assert_eq!(log, json!({"kind": "log", "severity": "warning", "text": told}));
        assert_eq!(error, "");
    }

    #[test]
    fn of_other_plugins_are_undone_in_order() {
        let trace = temporary("trace-with");
        let other = plugin(&[&flag(&["y.told string"]), "NO_SOURCE", r#"NAME="other""#]);
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
}

mod log {
    use super::*;

    #[test]
    fn goes_to_standard_error_as_text() {
        let output = host("run", &plugin(&[]))
            .args(["--config", "log", "--params", "s1:log"])
            .output()
            .unwrap();
        let lines = stderr(&output);
        let start = "[warning] first \"line\"\nsecond\n[info] hello\n[error] from next_batch\n1 event, ";
        assert!(lines.starts_with(start), "{lines}");
    }

    #[test]
    fn goes_between_the_events_as_json() {
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
            "it came before its event"
        );
        assert_eq!(stderr(&output), "");
    }

    #[test]
    fn of_a_failed_init_is_heard() {
        let (lines, _) = run_json(&[], &["--config", "log", "--params", "fail"]);
        assert_eq!(of_kind(&lines, "log").len(), 2);
    }
}

mod ending {
    use super::*;

    fn start(params: &str) -> (Child, BufReader<impl Read>) {
        let mut child = host("run", &plugin(&[]))
            .args(["--params", params, "--json"])
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        (child, stdout)
    }

    fn line(stdout: &mut BufReader<impl Read>) -> Value {
        let mut line = String::new();
        stdout.read_line(&mut line).unwrap();
        serde_json::from_str(&line).expect(&line)
    }

    fn kill(child: &Child, signal: &str) {
        assert!(
            Command::new("kill")
                .args([signal, &child.id().to_string()])
                .status()
                .unwrap()
                .success()
        );
    }

    #[test]
    fn by_the_limit_is_exact() {
        for limit in [1u64, 99, 100, 101] {
            let (lines, output) = run_json(&[], &["--params", "s100*", "--limit", &limit.to_string()]);
            assert_eq!(of_kind(&lines, "event").len() as u64, limit);
            let end = lines.last().unwrap();
            assert_eq!((&end["result"], &end["events"]), (&json!("limit"), &json!(limit)));
            assert_eq!(output.status.code(), Some(0));
        }
    }

    #[test]
    fn by_the_limit_goes_before_the_end_of_the_source() {
        let (lines, _) = run_json(&[], &["--params", "e2", "--limit", "2"]);
        assert_eq!(lines.last().unwrap()["result"], "limit");
    }

    #[test]
    fn by_a_signal_is_orderly() {
        for signal in ["-INT", "-TERM"] {
            let (mut child, mut stdout) = start("s1 t0:sleep5*");
            assert_eq!(line(&mut stdout)["kind"], "event");
            kill(&child, signal);
            let end = line(&mut stdout);
            assert_eq!((&end["result"], &end["events"]), (&json!("interrupted"), &json!(1)));
            assert_eq!(child.wait().unwrap().code(), Some(0));
        }
    }

    #[test]
    fn by_a_second_signal_is_immediate() {
        let (mut child, mut stdout) = start("s1 t0:sleep20000");
        assert_eq!(line(&mut stdout)["kind"], "event");
        kill(&child, "-INT");
        // The same signal twice at once may come as one.
        while child.try_wait().unwrap().is_none() {
            std::thread::sleep(Duration::from_millis(20));
            kill(&child, "-INT");
        }
        assert_eq!(child.wait().unwrap().code(), Some(130));
    }

    #[test]
    fn because_nobody_reads_is_quiet() {
        for params in ["s1000*", "t1:sleep1*"] {
            let (mut child, mut stdout) = start(params);
            assert_eq!(line(&mut stdout)["kind"], "event");
            drop(stdout);
            assert_eq!(child.wait().unwrap().code(), Some(0));
            let mut stderr = String::new();
            child.stderr.take().unwrap().read_to_string(&mut stderr).unwrap();
            assert_eq!(stderr, "");
        }
    }

    #[test]
    fn because_the_disk_is_full_is_an_error() {
        let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
        let output = host("run", &plugin(&[]))
            .args(["--params", "s1"])
            .stdout(full)
            .output()
            .unwrap();
        assert!(
            stderr(&output).contains("cannot write to standard output: No space left"),
            "{}",
            stderr(&output)
        );
        assert_eq!(output.status.code(), Some(1));
    }

    #[test]
    fn is_not_needed_for_events_to_be_seen() {
        // The plugin returned success and now waits without returning.
        let (mut child, mut stdout) = start("s2 t0:sleep20000");
        assert_eq!(line(&mut stdout)["number"], 1);
        assert_eq!(line(&mut stdout)["number"], 2);
        child.kill().unwrap();
        child.wait().unwrap();
    }
}

mod info {
    use super::*;

    const FIELDS: &str = r#"FIELDS="[{\"name\":\"a.b\",\"type\":\"string\",\"isList\":true,\"arg\":{\"isKey\":true,\"isRequired\":true},\"desc\":\"One\"},{\"name\":\"a.long\",\"type\":\"uint64\",\"desc\":\"Two\",\"display\":\"Long\",\"addOutput\":true,\"properties\":[\"hidden\"]}]""#;

    #[test]
    fn is_read_without_init() {
        let trace = temporary("trace-info");
        let output = host("info", &plugin(&[])).env("TRACE", &trace).output().unwrap();
        assert_eq!(
            stdout(&output),
            "name:                  sample\nversion:               1.2.3\n\
             description:           Does what it is told\ncontact:               nobody\n\
             required API version:  3.0.0\ncapabilities:          sourcing\n\
             id:                    999\nevent source:          test\n"
        );
        assert!(!trace.exists());
    }

    #[test]
    fn has_fields_and_schema() {
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
                "name": "sample", "version": "1.2.3", "description": "Does what it is told", "contact": "nobody",
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
    fn takes_a_key_that_is_null_for_one_that_is_not_there() {
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
    fn shows_the_keys_of_the_configuration() {
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
    fn of_a_plugin_that_only_extracts_has_no_source() {
        let library = plugin(&[FIELDS, "NO_SOURCE"]);
        let output = host("info", &library).arg("--json").output().unwrap();
        let info: Value = serde_json::from_str(&stdout(&output)).unwrap();
        assert_eq!((&info["id"], &info["event_source"]), (&Value::Null, &Value::Null));
        let output = host("run", &library).output().unwrap();
        assert_eq!(
            stderr(&output),
            "falco-plugin-host: the plugin sample has no event source to run: run a source, and add this one by \
             --with\n"
        );
        assert_eq!(output.status.code(), Some(1));
    }

    #[test]
    fn that_breaks_a_rule_is_refused() {
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
                "the plugin needs plugin API \"new\", which is no version",
            ),
            (
                r#"NAME="My Plugin""#,
                "the plugin's name \"My Plugin\" is not lower-case",
            ),
            (
                r#"SOURCE="my-source""#,
                "the event source \"my-source\" is not lower-case",
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
            (r#"FIELDS="[]""#, "the plugin extracts, but its list of fields is empty"),
            (
                r#"FIELDS="[{\"name\":\"a\",\"type\":\"int\",\"desc\":\"\"}]""#,
                "the field a has the type \"int\"",
            ),
            (
                r#"FIELDS="[{\"name\":\"a.b\",\"type\":\"bool\",\"desc\":\"\"}]""#,
                "the field a.b has no desc",
            ),
            (
                r#"FIELDS="[{\"name\":\"\",\"type\":\"bool\",\"desc\":\"x\"}]""#,
                "field 0 of the plugin has no name",
            ),
            (r#"SCHEMA="{""#, "the plugin's config schema is wrong: EOF"),
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
}

mod bench {
    use super::*;

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
        let (told, _) = bench(&[], arguments);
        told["events"]["checksum"].as_str().unwrap().to_owned()
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
    fn counts_what_the_source_did() {
        let (told, error) = bench(&[], &["--params", "t0 s3 s2:empty t0 t1 e4"]);
        assert_eq!((&told["name"], &told["version"]), (&json!("sample"), &json!("1.2.3")));
        assert_eq!(told["result"], "eof");
        let events = &told["events"];
        let counts = ["count", "bytes", "batches", "timeouts"].map(|name| events[name].as_u64().unwrap());
        assert_eq!(counts, [10, 40, 4, 2]);
        assert_eq!(events["per_event"]["slices"], 1);
        assert_eq!((&told["fields"], &told["live"]), (&Value::Null, &Value::Null));
        assert_eq!(error, "");
    }

    #[test]
    fn measures_nothing_of_what_did_not_happen() {
        let (told, _) = bench(&[], &["--params", "s1:now"]);
        assert_eq!(told["latency"]["timeout"], Value::Null);
        assert_eq!(told["latency"]["age"], Value::Null, "the event says no time");
        assert!(told["latency"]["batch"].is_object());
        let (told, _) = bench(&[&fields()], &["--params", "t0 s1", "--fields", "x.string"]);
        assert!(told["latency"]["timeout"].is_object());
        assert!(told["latency"]["age"]["p50_ns"].as_u64() > Some(0), "the event is old");
        let (told, _) = bench(&[&fields()], &["--params", "t0", "--all-fields"]);
        assert_eq!(
            (&told["first_event_ns"], &told["events"]["per_event"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(told["fields"], Value::Null);
    }

    #[test]
    fn ends_by_limit_time_and_signal() {
        for limit in [1u64, 99, 100, 101, 100_000] {
            let (told, _) = bench(&[], &["--params", "s100*", "--limit", &limit.to_string()]);
            assert_eq!(
                (&told["result"], &told["events"]["count"]),
                (&json!("limit"), &json!(limit))
            );
            assert_eq!(told["events"]["bytes"], 5 * limit);
        }
        for params in ["s1*", "t0*", "t0:sleep1*"] {
            let (told, _) = bench(&[], &["--params", params, "--seconds", "0.01"]);
            assert_eq!(told["result"], "time");
        }
        let long = ["--params", "s2*", "--seconds", "600", "--limit", "7", "--all-fields"];
        let (told, _) = bench(&[&fields()], &long);
        assert_eq!(told["result"], "limit", "nor do fields take 600 seconds");
        let (told, _) = bench(&[&fields()], &["--params", "s1 t0:kill15*", "--all-fields"]);
        assert_eq!(
            (&told["result"], &told["events"]["count"]),
            (&json!("interrupted"), &json!(1))
        );
    }

    #[test]
    fn makes_a_checksum_that_depends_on_the_events_alone() {
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
    fn extracts_fields_from_events_that_were_kept() {
        let (told, _) = bench(&[&fields()], &["--params", "s100*", "--limit", "1000", "--all-fields"]);
        let told = &told["fields"];
        assert_eq!(told["events"], 128);
        let columns = told["columns"].as_array().unwrap();
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
            .chain([&told["together"]])
        {
            assert!(cost["slices"].as_u64() >= Some(3), "{cost}");
        }
        let (told, _) = bench(&[&fields()], &["--params", "s3 s1", "--all-fields"]);
        assert_eq!(told["fields"]["events"], 4);
        assert_eq!(told["events"]["count"], 4);
    }

    #[test]
    fn extracts_fields_live_from_each_event() {
        let (told, _) = bench(
            &[&fields()],
            &["--params", "s100*", "--limit", "250", "--all-fields", "--live"],
        );
        assert_eq!(told["fields"], Value::Null);
        let live = told["live"].as_array().unwrap();
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
    fn extracts_fields_of_other_plugins() {
        let other = plugin(&[&flag(&["y.told string"]), "NO_SOURCE", r#"NAME="other""#]);
        for (more, member) in [(&[][..], "fields"), (&["--live"], "live")] {
            let with = [
                "--params",
                "s2",
                "--with",
                other.to_str().unwrap(),
                "--with-config",
                "c",
                "--fields",
                "y.told,x.some",
            ];
            let (told, _) = bench(&[&fields()], &[&with[..], more].concat());
            let columns = told[member].pointer("/columns").unwrap_or(&told[member]);
            let told = [0, 1].map(|at| (columns[at]["plugin"].as_str(), columns[at]["present"].as_u64()));
            assert_eq!(told, [(Some("other"), Some(2)), (Some("sample"), Some(1))]);
        }
    }

    #[test]
    fn fails_with_the_cause_alone() {
        for (flags, arguments, told) in [
            (&[][..], &["--params", "s2 f0"][..], "next_batch failed: it broke"),
            (&[], &["--params", "f2"], "next_batch failed: it broke"),
            (&[], &["--params", "s0"], "next_batch returned success with no event"),
            (
                &[],
                &["--params", "s2 s3:id"],
                "event 5: plugin id 7, but the plugin's own is 999",
            ),
            (&[], &["--params", "fail"], "open failed: cannot open that"),
            (&[], &["--config", "fail"], "init failed: no such thing\\nat all"),
            (
                &[],
                &["--fields", "x.string"],
                "no loaded plugin has the field x.string: falco-plugin info lists them",
            ),
            (
                &[&fields(), "NO_SOURCE"],
                &[],
                "the plugin sample has no event source to run: run a source, and add this one by --with",
            ),
            (
                &[&fields()],
                &["--params", "s1", "--fields", "x.latin[a]"],
                "event 1: the field x.latin[a]: value 1 is not UTF-8",
            ),
        ] {
            let output = host("bench", &plugin(flags)).args(arguments).output().unwrap();
            assert_eq!(stderr(&output), format!("falco-plugin-host: {told}\n"));
            assert_eq!((stdout(&output).as_str(), output.status.code()), ("", Some(1)));
        }
    }

    #[test]
    fn drives_the_plugin_on_one_thread_and_in_order() {
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
    fn has_its_log_on_standard_error() {
        let (_, error) = bench(&[], &["--config", "log", "--params", "s1:log"]);
        assert_eq!(error.lines().count(), 4, "{error}");
        assert!(error.ends_with("[error] from next_batch\n"), "{error}");
    }

    #[test]
    fn is_told_in_words_too() {
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
        let text = call(&["--params", "t0", "--fields", "x.some"]);
        has(&text, "sample 1.2.3: 0 events in ", ", until the source ended");
    }
}

mod bad_files {
    use super::*;

    fn error(library: &Path) -> String {
        let run = host("run", library).output().unwrap();
        let info = host("info", library).output().unwrap();
        assert_eq!((run.status.code(), info.status.code()), (Some(1), Some(1)));
        assert_eq!(stderr(&run), stderr(&info));
        stderr(&run)
    }

    #[test]
    fn that_are_missing() {
        let path = temporary("missing.so");
        let start = format!("falco-plugin-host: cannot open {}: No such file", path.display());
        assert!(error(&path).starts_with(&start));
        assert!(error(path.parent().unwrap()).contains("is a directory"));
    }

    #[test]
    fn that_are_no_shared_libraries() {
        for (name, bytes) in [
            ("empty.so", &b""[..]),
            ("text.so", b"#!/bin/sh\necho hello, this is no library\n"),
        ] {
            let path = temporary(name);
            fs::write(&path, bytes).unwrap();
            assert_eq!(
                error(&path),
                format!("falco-plugin-host: {} is no shared library\n", path.display())
            );
        }
    }

    #[test]
    fn that_are_for_another_machine() {
        let mut bytes = fs::read(plugin(&[])).unwrap();
        let (theirs, name) = if cfg!(target_arch = "aarch64") {
            (62, "x86_64")
        } else {
            (183, "aarch64")
        };
        bytes[18] = theirs;
        let path = temporary("other.so");
        fs::write(&path, bytes).unwrap();
        let ours = std::env::consts::ARCH;
        let message = format!(
            "falco-plugin-host: {} was built for {name}, this is {ours}\n",
            path.display()
        );
        assert_eq!(error(&path), message);
    }

    #[test]
    fn that_are_cut_off() {
        let bytes = fs::read(plugin(&[])).unwrap();
        let path = temporary("cut.so");
        fs::write(&path, &bytes[..100]).unwrap();
        assert!(error(&path).starts_with(&format!("falco-plugin-host: cannot load {}", path.display())));
    }

    #[test]
    fn that_are_no_plugins() {
        let path = plugin(&["NO_NAME"]);
        let message = format!(
            "falco-plugin-host: {} is no Falco plugin: it lacks plugin_get_name\n",
            path.display()
        );
        assert_eq!(error(&path), message);
    }
}

mod command_line {
    use super::*;

    fn call(arguments: &[&str]) -> Output {
        Command::new(env!("CARGO_BIN_EXE_falco-plugin-host"))
            .args(arguments)
            .output()
            .unwrap()
    }

    #[test]
    fn has_help() {
        let output = call(&["--help"]);
        assert!(stdout(&output).contains("falco-plugin-host run LIB"));
        assert_eq!(output.status.code(), Some(0));
    }

    #[test]
    fn that_is_wrong_is_refused() {
        for arguments in [
            &[][..],
            &["walk", "x"],
            &["run"],
            &["run", "x", "--limit", "0"],
            &["info", "x", "--limit", "1"],
            &["info", "x", "--all-fields"],
            &["info", "x", "--with", "y"],
            &["info", "x", "--live"],
            &["run", "x", "--seconds", "1"],
            &["run", "x", "--checksum"],
            &["bench"],
            &["bench", "x", "--live"],
            &["bench", "x", "--seconds", "0"],
            &["bench", "x", "--seconds", "-1"],
            &["bench", "x", "--seconds", "inf"],
            &["bench", "x", "--seconds", "nan"],
            &["run", "x", "--with-config", "y"],
            &["run", "x", "--with", "y", "--with-config", "1", "--with-config", "2"],
        ] {
            let output = call(arguments);
            assert!(
                stderr(&output).ends_with("(see --help)\n"),
                "{arguments:?}: {}",
                stderr(&output)
            );
            assert_eq!(output.status.code(), Some(1));
        }
    }

    #[test]
    fn takes_a_library_without_a_slash() {
        let library = plugin(&[]);
        let output = Command::new(env!("CARGO_BIN_EXE_falco-plugin-host"))
            .arg0("host")
            .current_dir(library.parent().unwrap())
            .arg("info")
            .arg(library.file_name().unwrap())
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0));
    }
}
