//! Events that plugins parse before fields are extracted.

use std::fs;
use std::path::{Path, PathBuf};

use crate::support::*;

/// Builds a plugin that parses events. It has a source if it has an id.
fn parser(name: &str, id: Option<u32>, types: &str, sources: Option<&str>) -> PathBuf {
    let mut flags = vec![format!("NAME=\"{name}\""), format!("PARSES={types}")];
    flags.push(id.map_or("NO_SOURCE".into(), |id| format!("ID={id}")));
    flags.extend(sources.map(|sources| format!("PARSE_SOURCES={sources:?}")));
    plugin(&flags.iter().map(String::as_str).collect::<Vec<_>>())
}

/// Runs the first plugin with the others. Returns the calls of parse_event, without the threads that made them.
fn calls(first: &Path, others: &[PathBuf], arguments: &[&str]) -> Vec<String> {
    let trace = temporary(&format!("trace-parse-{}", first.file_name().unwrap().to_string_lossy()));
    let _ = fs::remove_file(&trace);
    let mut command = host("run", first);
    for other in others {
        command.arg("--with").arg(other);
    }
    let output = command.args(arguments).env("TRACE", &trace).output().unwrap();
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
    let text = fs::read_to_string(&trace).unwrap_or_default();
    text.lines()
        .filter(|line| line.contains("parses"))
        .map(str::to_owned)
        .collect()
}

#[test]
fn events_are_parsed_by_each_plugin_in_load_order() {
    let others = [
        parser("second", None, "322", None),
        parser("third", None, "322, 402", Some(r#"["test"]"#)),
    ];
    let found = calls(&parser("first", Some(7), "322", None), &others, &["--params", "s2 s1"]);
    let expected: Vec<_> = (1..=3)
        .flat_map(|number| ["first", "second", "third"].map(|name| format!("{name} parses {number} of test: 322")))
        .collect();
    assert_eq!(found, expected);
}

#[test]
fn events_of_other_types_and_sources_are_not_parsed() {
    let others = [
        parser("types", None, "3, 293", None),
        parser("sources", None, "322", Some(r#"["other"]"#)),
        parser("none", None, "", None),
    ];
    let found = calls(&parser("own", Some(7), "402", None), &others, &["--params", "s1"]);
    assert_eq!(
        found,
        ["none parses 1 of test: 322"],
        "without types, events of plugins are parsed"
    );
}

#[test]
fn failure_to_parse_is_ignored_as_in_falco() {
    let library = parser("first", Some(7), "322", None);
    let found = calls(&library, &[], &["--params", "s2", "--config", "parse fails"]);
    assert_eq!(found.len(), 2);
}

#[test]
fn unknown_code_of_parse_event_is_an_error() {
    let library = parser("first", Some(7), "322", None);
    let output = host("run", &library)
        .args(["--params", "s1", "--config", "parse strange"])
        .output()
        .unwrap();
    assert!(
        stderr(&output).ends_with("falco-plugin-host: parse_event returned the unknown code 9\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn info_shows_the_sources_of_parsed_events() {
    for (sources, shown) in [(None, ""), (Some(r#"["test", "other"]"#), "test, other")] {
        let output = host("info", &parser("first", None, "322", sources)).output().unwrap();
        let text = stdout(&output);
        assert!(text.contains("capabilities:") && text.contains("parsing\n"), "{text}");
        let sources = text.lines().find_map(|line| line.strip_prefix("parse event sources:"));
        assert_eq!(sources.map(str::trim), (!shown.is_empty()).then_some(shown), "{text}");
    }
}

#[test]
fn plugin_that_reads_no_events_is_refused() {
    let output = host("run", &plugin(&[]))
        .arg("--with")
        .arg(plugin(&["NAME=\"other\"", "ID=5"]))
        .output()
        .unwrap();
    assert_eq!(
        stderr(&output),
        "falco-plugin-host: the plugin other neither has fields to extract nor parses events: leave it out\n"
    );
}
