//! Several plugins in one run.

use std::path::Path;
use std::process::Output;

use serde_json::Value;

use crate::support::*;

/// Builds a plugin with an event source and a field.
fn source(name: &str, id: u32) -> std::path::PathBuf {
    let (field, name, id) = (
        flag(&[&format!("{name}.args string")]),
        format!("NAME=\"{name}\""),
        format!("ID={id}"),
    );
    plugin(&[&field, &name, &id])
}

/// Builds a plugin without an event source, which extracts a field.
fn extractor(name: &str) -> std::path::PathBuf {
    let (field, name) = (flag(&[&format!("{name}.args string")]), format!("NAME=\"{name}\""));
    plugin(&[&field, &name, "NO_SOURCE"])
}

fn run_with(command: &str, first: &Path, others: &[&Path], arguments: &[&str]) -> Output {
    let mut host = host(command, first);
    for other in others {
        host.arg("--with").arg(other);
    }
    host.args(arguments).output().unwrap()
}

#[test]
fn two_plugins_with_one_id_are_refused_before_init() {
    let (first, second) = (source("first", 999), source("second", 999));
    for command in ["run", "bench"] {
        let trace = temporary("trace-id");
        let output = host(command, &first)
            .arg("--with")
            .arg(&second)
            .env("TRACE", &trace)
            .output()
            .unwrap();
        assert_eq!(
            stderr(&output),
            format!(
                "falco-plugin-host: the plugins first and second have the id 999, and Falco does not load two plugins with one id: give \
                 one of them another id, 1073741824 to 2147483647 for private use ({} and {})\n",
                first.display(),
                second.display()
            )
        );
        assert_eq!((output.status.code(), trace.exists()), (Some(1), false));
    }
}

#[test]
fn two_plugins_with_one_name_are_refused() {
    let sample = plugin(&[]);
    for other in [extractor("sample"), source("sample", 5), plugin(&["ID=5"])] {
        let output = run_with("run", &sample, &[&other], &[]);
        assert_eq!(
            stderr(&output),
            format!(
                "falco-plugin-host: two plugins have the name sample, and Falco does not load two plugins with one name: leave one out, or \
                 rename one ({} and {})\n",
                sample.display(),
                other.display()
            )
        );
    }
    let (one, other) = (extractor("one"), extractor("one"));
    let output = run_with("run", &sample, &[&one, &other], &[]);
    assert!(
        stderr(&output).contains("two plugins have the name one"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn messages_name_the_target_instead_of_the_library() {
    let arguments = ["--target", "first.py", "--with-target", "folder/second"];
    let output = run_with("run", &source("first", 7), &[&source("second", 7)], &arguments);
    assert!(
        stderr(&output).ends_with(" (first.py and folder/second)\n"),
        "{}",
        stderr(&output)
    );
}

#[test]
fn plugins_with_their_own_name_and_id_run_together() {
    let others = [source("second", 1_073_741_824), extractor("third")];
    let output = run_with(
        "run",
        &source("first", 999),
        &[&others[0], &others[1]],
        &["--params", "s1"],
    );
    assert_eq!(output.status.code(), Some(0), "{}", stderr(&output));
}

#[test]
fn log_lines_name_their_plugin() {
    let arguments = ["--params", "s1:log", "--with-config", "log"];
    let output = run_with("run", &plugin(&[]), &[&extractor("other")], &arguments);
    let expected = "[warning] other: first \"line\"\nsecond\n[info] other: hello\n[error] sample: from next_batch\n";
    assert!(stderr(&output).starts_with(expected), "{}", stderr(&output));

    let output = run_with(
        "run",
        &plugin(&[]),
        &[&extractor("other")],
        &["--params", "s1:log", "--with-config", "log", "--json"],
    );
    let text = stdout(&output);
    let lines: Vec<Value> = text.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let log = of_kind(&lines, "log");
    let plugins: Vec<_> = log.iter().map(|line| line["plugin"].as_str().unwrap()).collect();
    assert_eq!(plugins, ["other", "other", "sample"]);
}
