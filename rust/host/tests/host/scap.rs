//! Capture files: their events, and damage.

use std::fs;
use std::io::Write;
use std::path::Path;

use falco_plugin_host::scap::Capture;
use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::captures::*;
use crate::support::*;

fn read(path: &Path) -> Result<Vec<Vec<u8>>, String> {
    let mut capture = Capture::open(path).map_err(|error| error.to_string())?;
    let mut events = Vec::new();
    while let Some(event) = capture.next_event().map_err(|error| error.to_string())? {
        events.push(event.to_vec());
    }
    Ok(events)
}

#[test]
fn events_of_each_kind_of_block_are_read() {
    let close: [&[u8]; 1] = [&[0; 8]];
    let whole = event(CLOSE, &close, true);
    let blocks = [
        section(),
        block(0x201, &[7; 40]),
        block(0x215, &[9; 13]),
        event_block(OLD, &event(CLOSE, &close, false)),
        event_block(OLD_WITH_FLAGS, &event(CLOSE, &close, false)),
        section(),
        event_block(CURRENT, &whole),
        event_block(WITH_FLAGS, &whole),
        event_block(LARGE, &whole),
        block(0x9999, b"unknown"),
    ];
    let path = write("kinds", &blocks);
    assert_eq!(read(&path).unwrap(), vec![whole; 5]);
    assert_eq!(read(&write("empty", &[section()])).unwrap(), [b""; 0]);
}

#[test]
fn old_events_get_the_number_of_their_parameters() {
    let all: Vec<Vec<u8>> = (0..5_u8).map(|number| vec![number; usize::from(number)]).collect();
    for count in 0..=5 {
        let params: Vec<&[u8]> = all[..count].iter().map(Vec::as_slice).collect();
        let path = write("count", &[section(), event_block(OLD, &event(EXECVE, &params, false))]);
        assert_eq!(read(&path).unwrap(), [event(EXECVE, &params, true)]);
    }
}

#[test]
fn compressed_files_are_read() {
    let whole = event(CLOSE, &[&[0; 8]], true);
    let content = [section(), event_block(CURRENT, &whole)].concat();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    encoder.write_all(&content).unwrap();
    let compressed = encoder.finish().unwrap();
    let path = temporary("scap-compressed");
    fs::write(&path, &compressed).unwrap();
    assert_eq!(read(&path).unwrap(), std::slice::from_ref(&whole));
    // Files can be concatenated.
    fs::write(&path, [&compressed[..], &compressed].concat()).unwrap();
    assert_eq!(read(&path).unwrap(), [whole.clone(), whole]);
    fs::write(&path, &compressed[..compressed.len() - 9]).unwrap();
    let error = read(&path).unwrap_err();
    assert!(
        error.contains("cannot read at offset ") || error.contains("ends within"),
        "{error}"
    );
}

#[test]
fn events_of_newer_types_are_passed_on_or_counted() {
    let newer = event(3000, &[b"one"], true);
    let path = write(
        "newer",
        &[
            section(),
            event_block(OLD, &event(3000, &[b"one"], false)),
            event_block(CURRENT, &newer),
        ],
    );
    let mut capture = Capture::open(&path).unwrap();
    assert_eq!(capture.next_event().unwrap(), Some(&newer[..]));
    assert_eq!(capture.next_event().unwrap(), None);
    assert_eq!(capture.skipped(), 1);
}

#[test]
fn damage_is_reported_with_its_offset() {
    let whole = event_block(CURRENT, &event(CLOSE, &[&[0; 8]], true));
    let changed = |offset: usize, value: u32| {
        let mut block = whole.clone();
        block[offset..offset + 4].copy_from_slice(&value.to_le_bytes());
        block
    };
    let mut swapped = section();
    swapped[8..12].reverse();
    let mut version = section();
    version[12] = 2;
    let damaged_old = event_block(OLD, &event(CLOSE, &[&[0; 8], &[0; 8], b"x"], false));
    let cases: [(&[Vec<u8>], &str); 15] = [
        (&[], "this is not a capture file: it must begin with a section header"),
        (
            &[b"not a capture file at all".to_vec()],
            "this is not a capture file: it must begin with a section header",
        ),
        (
            std::slice::from_ref(&whole),
            "this is not a capture file: it must begin with a section header",
        ),
        (
            &[swapped],
            "the capture was written on a machine with another byte order",
        ),
        (
            &[version],
            "the capture has version 2 of the format, and this host reads version 1",
        ),
        (
            &[section(), whole[..20].to_vec()],
            "the file ends within the block at offset 28",
        ),
        (
            &[section(), whole.clone(), whole[..3].to_vec()],
            "the file ends within the block at offset 80",
        ),
        (
            &[section(), changed(4, 11)],
            "the block at offset 28 has the length 11, which is too small",
        ),
        (
            &[section(), changed(4, u32::MAX)],
            "the file ends within the block at offset 28",
        ),
        (
            &[section(), changed(48, 9)],
            "the block at offset 28 has the length 52 in front and 9 behind",
        ),
        (
            &[section(), changed(26, 100)],
            "the event in the block at offset 28 is damaged: its length is wrong",
        ),
        (
            &[section(), changed(32, 9)],
            "the event in the block at offset 28 is damaged: it has fewer parameters than its header names",
        ),
        (
            &[section(), changed(36, 9)],
            "the event in the block at offset 28 is damaged: a parameter is longer than the event",
        ),
        (
            &[section(), block(CURRENT, &[0; 4])],
            "the event in the block at offset 28 is damaged: the header is incomplete",
        ),
        (
            &[section(), damaged_old],
            "the event in the block at offset 28 is damaged: no number of parameters fits its length",
        ),
    ];
    for (blocks, expected) in cases {
        let path = write("damaged", blocks);
        assert_eq!(read(&path).unwrap_err(), format!("{}: {expected}", path.display()));
    }
    let missing = temporary("scap-missing");
    assert!(
        read(&missing)
            .unwrap_err()
            .starts_with(&format!("cannot open {}: ", missing.display()))
    );
}

proptest! {
    #[test]
    fn any_damage_is_an_error_or_an_event(at in 28_usize..124, value: u8, cut in 0_usize..124) {
        let mut content = [
            section(),
            event_block(CURRENT, &event(CLOSE, &[&[0; 8], &[1; 8]], true)),
            event_block(OLD, &event(CLOSE, &[&[0; 8]], false)),
        ].concat();
        let at = at.min(content.len() - 1);
        content[at] = value;
        content.truncate(content.len() - cut.min(40));
        let path = temporary("scap-any");
        fs::write(&path, content).unwrap();
        let _ = read(&path);
    }
}

/// Runs a plugin over a capture with two events.
fn run_scap(flags: &[&str], arguments: &[&str]) -> (Vec<Value>, String, String) {
    let path = write(
        "run",
        &[
            section(),
            event_block(CURRENT, &event(EXECVE, &[&[0; 8], b"/bin/ls\0", b"-l\0/a b\0"], true)),
            event_block(
                CURRENT,
                &event(CLOSE, &[&[254, 255, 255, 255, 255, 255, 255, 255]], true),
            ),
        ],
    );
    let run = |more: &[&str]| {
        let mut command = host("run", &plugin(flags));
        command
            .arg("--scap")
            .arg(&path)
            .args(arguments)
            .args(more)
            .output()
            .unwrap()
    };
    let lines = stdout(&run(&["--json"]))
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    let output = run(&[]);
    (lines, stdout(&output), stderr(&output))
}

#[test]
fn run_shows_names_and_parameters() {
    let field = flag(&["sample.args string", "sample.strings string list"]);
    let flags = [
        field.as_str(),
        "NO_SOURCE",
        "SOURCES=\"[\\\"syscall\\\"]\"",
        "EVENT_TYPES=293",
    ];
    let (lines, text, messages) = run_scap(&flags, &["--fields", "sample.strings"]);
    let events = of_kind(&lines, "event");
    assert_eq!(events.len(), 2);
    assert_eq!(events[0]["name"], "execve");
    assert_eq!(events[0]["type"], 293);
    assert_eq!(events[0]["thread_id"], 77);
    assert_eq!(events[0]["source"], "syscall");
    assert_eq!(
        events[0]["params"],
        json!({"res": 0, "exe": "/bin/ls", "args": ["-l", "/a b"]})
    );
    assert_eq!(
        events[0]["fields"],
        json!({"sample.strings": ["one", "t\two", "\"three\""]})
    );
    assert_eq!(events[1]["params"], json!({"res": -2}));
    assert_eq!(events[1]["fields"], json!({"sample.strings": null}), "another type");
    let lines: Vec<_> = text.lines().map(|line| line.split_once(' ').unwrap().1).collect();
    assert_eq!(
        lines,
        [
            "execve tid=77 res=0 exe=/bin/ls args=[-l, /a b]\tsample.strings=(one,t\\two,\"three\")",
            "close tid=77 res=-2\tsample.strings=<NA>",
        ]
    );
    assert!(messages.contains("2 events, "), "{messages}");
}

#[test]
fn run_parses_events_of_system_calls() {
    let trace = temporary("trace-scap");
    let path = write(
        "parse",
        &[section(), event_block(CURRENT, &event(CLOSE, &[&[0; 8]], true))],
    );
    for (types, sources, expected) in [
        ("5", "[\\\"syscall\\\"]", "sample parses 1 of syscall: 5"),
        ("", "[\\\"syscall\\\"]", "sample parses 1 of syscall: 5"),
        ("293", "[\\\"syscall\\\"]", ""),
        ("5", "[\\\"other\\\"]", ""),
    ] {
        let _ = fs::remove_file(&trace);
        let flags = [
            format!("PARSES={types}"),
            format!("PARSE_SOURCES=\"{sources}\""),
            "NO_SOURCE".into(),
        ];
        let flags: Vec<_> = flags.iter().map(String::as_str).collect();
        let output = host("run", &plugin(&flags))
            .arg("--scap")
            .arg(&path)
            .env("TRACE", &trace)
            .output()
            .unwrap();
        assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
        let calls = fs::read_to_string(&trace).unwrap();
        let calls: Vec<_> = calls.lines().filter(|line| line.contains("parses")).collect();
        assert_eq!(calls.join(" "), expected);
    }
}

#[test]
fn damaged_capture_ends_the_run_with_its_offset() {
    let path = write(
        "broken",
        &[
            section(),
            event_block(CURRENT, &event(CLOSE, &[&[0; 8]], true)),
            vec![1; 5],
        ],
    );
    let output = host("run", &plugin(&["NO_SOURCE", "PARSES=5"]))
        .arg("--scap")
        .arg(&path)
        .output()
        .unwrap();
    assert_eq!(output.status.code(), Some(1));
    let expected = format!(
        "falco-plugin-host: {}: the file ends within the block at offset 80\n",
        path.display()
    );
    assert!(stderr(&output).ends_with(&expected), "{}", stderr(&output));
    assert_eq!(stdout(&output).lines().count(), 1, "the events before the damage");
}

#[test]
fn scap_refuses_open_parameters_and_plugins_that_read_nothing() {
    let path = write("refused", &[section()]);
    let output = host("run", &plugin(&[]))
        .arg("--scap")
        .arg(&path)
        .args(["--params", "s1"])
        .output()
        .unwrap();
    assert!(stderr(&output).contains("--scap replaces a source: leave out --params"));
    let output = host("run", &plugin(&[])).arg("--scap").arg(&path).output().unwrap();
    assert!(stderr(&output).contains("the plugin sample neither has fields to extract nor parses events"));
}

#[test]
fn bench_measures_parsing() {
    let path = write(
        "bench",
        &[section(), event_block(CURRENT, &event(CLOSE, &[&[0; 8]], true))],
    );
    let library = plugin(&["NO_SOURCE", "PARSES=5"]);
    let bench = |more: &[&str]| {
        let mut command = host("bench", &library);
        command
            .arg("--scap")
            .arg(&path)
            .args(["--seconds", "0.05"])
            .args(more)
            .output()
            .unwrap()
    };
    let report: Value = serde_json::from_str(&stdout(&bench(&["--json"]))).unwrap();
    assert_eq!((&report["name"], &report["events"]), (&json!("sample"), &json!(1)));
    assert!(report["parse"]["median_ns"].as_f64().unwrap() > 0.0);
    let text = stdout(&bench(&[]));
    assert!(text.starts_with("sample 1.2.3: 1 event\n\nparse    "), "{text}");
}
