//! The end of a run: by its limit, by signals, and by errors of the output.

use std::fs;
use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use serde_json::{Value, json};

use crate::support::*;

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
fn limit_is_exact() {
    for limit in [1u64, 99, 100, 101] {
        let (lines, output) = run_json(&[], &["--params", "s100*", "--limit", &limit.to_string()]);
        assert_eq!(of_kind(&lines, "event").len() as u64, limit);
        let end = lines.last().unwrap();
        assert_eq!((&end["result"], &end["events"]), (&json!("limit"), &json!(limit)));
        assert_eq!(output.status.code(), Some(0));
    }
}

#[test]
fn limit_comes_before_the_end_of_the_source() {
    let (lines, _) = run_json(&[], &["--params", "e2", "--limit", "2"]);
    assert_eq!(lines.last().unwrap()["result"], "limit");
}

#[test]
fn signal_closes_the_source() {
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
fn second_signal_ends_the_process() {
    let (mut child, mut stdout) = start("s1 t0:sleep20000");
    assert_eq!(line(&mut stdout)["kind"], "event");
    kill(&child, "-INT");
    // Two signals that are pending together arrive as one.
    while child.try_wait().unwrap().is_none() {
        std::thread::sleep(Duration::from_millis(20));
        kill(&child, "-INT");
    }
    assert_eq!(child.wait().unwrap().code(), Some(130));
}

#[test]
fn closed_output_ends_the_run_without_a_message() {
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
fn full_disk_is_an_error() {
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
fn events_are_written_while_the_plugin_blocks() {
    // The plugin returned success and now waits without returning.
    let (mut child, mut stdout) = start("s2 t0:sleep20000");
    assert_eq!(line(&mut stdout)["number"], 1);
    assert_eq!(line(&mut stdout)["number"], 2);
    child.kill().unwrap();
    child.wait().unwrap();
}
