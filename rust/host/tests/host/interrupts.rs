//! SIGINT and SIGTERM from a terminal, the parent process or another process.

use std::io::{BufRead, BufReader, Read};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, Stdio};

use serde_json::Value;

use crate::support::*;

/// Starts a run in its own process group, as a terminal does. Returns it, its standard output and its standard error.
fn start(params: &str) -> (Child, BufReader<impl Read>, BufReader<impl Read>) {
    let mut child = host("run", &plugin(&[]))
        .args(["--params", params, "--json"])
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .process_group(0)
        .spawn()
        .unwrap();
    let stdout = BufReader::new(child.stdout.take().unwrap());
    let stderr = BufReader::new(child.stderr.take().unwrap());
    (child, stdout, stderr)
}

fn line(stdout: &mut BufReader<impl Read>) -> Value {
    let mut line = String::new();
    stdout.read_line(&mut line).unwrap();
    serde_json::from_str(&line).expect(&line)
}

/// Sends a signal from this process, which is the parent.
fn kill_as_parent(child: &Child, signal: libc::c_int) {
    let pid = libc::pid_t::try_from(child.id()).unwrap();
    // SAFETY: takes two numbers and accesses no memory. The child was not waited for yet, so the pid is still its own.
    assert_eq!(unsafe { libc::kill(pid, signal) }, 0);
}

/// Sends a signal from another process.
fn kill_as_other(child: &Child, signal: libc::c_int) {
    let arguments = [format!("-{signal}"), child.id().to_string()];
    assert!(Command::new("kill").args(arguments).status().unwrap().success());
}

type Kill = fn(&Child, libc::c_int);

#[test]
fn signal_that_arrives_twice_closes_the_source() {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        let (mut child, mut stdout, _) = start("s1 t0:sleep300*");
        assert_eq!(line(&mut stdout)["kind"], "event");
        kill_as_other(&child, signal);
        kill_as_parent(&child, signal);
        let end = line(&mut stdout);
        assert_eq!((&end["result"], &end["events"]), (&"interrupted".into(), &1.into()));
        assert_eq!(child.wait().unwrap().code(), Some(0));
    }
}

#[test]
fn second_signal_of_one_sender_ends_the_process() {
    for (params, kill, signal) in [
        ("t0:hang", kill_as_parent as Kill, libc::SIGINT),
        ("hang", kill_as_other, libc::SIGINT),
        ("t0:hang", kill_as_other, libc::SIGTERM),
    ] {
        let (mut child, mut stdout, _) = start(params);
        assert_eq!(line(&mut stdout)["text"], "hanging");
        kill(&child, signal);
        // The report comes after the first signal was handled, so the second does not merge with it.
        let report = line(&mut stdout);
        assert_eq!(
            (&report["kind"], &report["severity"]),
            (&"log".into(), &"warning".into())
        );
        assert_eq!(
            report["text"],
            "interrupted, but the plugin has not returned: wait for it to close its source, or interrupt again \
             (Ctrl-C) to end it immediately"
        );
        kill(&child, signal);
        assert_eq!(child.wait().unwrap().code(), Some(128 + signal));
    }
}
