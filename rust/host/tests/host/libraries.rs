//! Files that are not plugin libraries.

use std::fs;
use std::path::Path;

use crate::support::*;

fn error(library: &Path) -> String {
    let run = host("run", library).output().unwrap();
    let info = host("info", library).output().unwrap();
    assert_eq!((run.status.code(), info.status.code()), (Some(1), Some(1)));
    assert_eq!(stderr(&run), stderr(&info));
    stderr(&run)
}

#[test]
fn missing_file_is_refused() {
    let path = temporary("missing.so");
    let start = format!("falco-plugin-host: cannot open {}: No such file", path.display());
    assert!(error(&path).starts_with(&start));
    assert!(error(path.parent().unwrap()).contains("is a directory"));
}

#[test]
fn other_file_is_refused() {
    for (name, bytes) in [
        ("empty.so", &b""[..]),
        ("text.so", b"#!/bin/sh\necho hello, this is not a library\n"),
    ] {
        let path = temporary(name);
        fs::write(&path, bytes).unwrap();
        assert_eq!(
            error(&path),
            format!("falco-plugin-host: {} is not a shared library\n", path.display())
        );
    }
}

#[test]
fn library_of_another_machine_is_refused() {
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
        "falco-plugin-host: {} was built for {name}, but this machine is {ours}\n",
        path.display()
    );
    assert_eq!(error(&path), message);
}

#[test]
fn truncated_library_is_refused() {
    let bytes = fs::read(plugin(&[])).unwrap();
    let path = temporary("cut.so");
    fs::write(&path, &bytes[..100]).unwrap();
    assert!(error(&path).starts_with(&format!("falco-plugin-host: cannot load {}", path.display())));
}

#[test]
fn library_that_is_not_a_plugin_is_refused() {
    let path = plugin(&["NO_NAME"]);
    let message = format!(
        "falco-plugin-host: {} is not a Falco plugin: it lacks plugin_get_name\n",
        path.display()
    );
    assert_eq!(error(&path), message);
}
