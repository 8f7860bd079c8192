//! The command line.

use std::os::unix::process::CommandExt;
use std::process::{Command, Output};

use crate::support::*;

fn call(arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_falco-plugin-host"))
        .args(arguments)
        .output()
        .unwrap()
}

#[test]
fn help_shows_the_usage() {
    let output = call(&["--help"]);
    assert!(stdout(&output).contains("falco-plugin-host run LIB"));
    assert_eq!(output.status.code(), Some(0));
}

#[test]
fn wrong_arguments_are_refused() {
    for arguments in [
        &[][..],
        &["walk", "x"],
        &["run"],
        &["run", "x", "--limit", "0"],
        &["info", "x", "--limit", "1"],
        &["info", "x", "--all-fields"],
        &["info", "x", "--with", "y"],
        &["info", "x", "--live"],
        &["run", "x", "--checksum"],
        &["bench"],
        &["bench", "x", "--live"],
        &["bench", "x", "--threads", "2"],
        &["bench", "x", "--all-fields", "--threads", "0"],
        &["bench", "x", "--all-fields", "--threads", "2", "--live"],
        &["run", "x", "--all-fields", "--threads", "2"],
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
fn library_without_a_slash_is_in_the_current_folder() {
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
