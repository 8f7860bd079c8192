//! The Python of this machine.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use serde_json::Value;

use crate::support::{extension, library};

/// Returns the values of Python's configuration.
pub fn configuration(names: &[&str]) -> Vec<String> {
    let program = std::env::var("PYTHON").unwrap_or_else(|_| "python3".to_owned());
    let code = "import sys, sysconfig; print(*map(sysconfig.get_config_var, sys.argv[1:]), sep='\\n')";
    let output = Command::new(program).args(["-c", code]).args(names).output().unwrap();
    assert!(output.status.success(), "python3 is needed");
    String::from_utf8(output.stdout)
        .unwrap()
        .lines()
        .map(str::to_owned)
        .collect()
}

pub fn libpython() -> Value {
    let values = configuration(&["LIBDIR", "INSTSONAME"]);
    library(&values[1], PathBuf::from(&values[0]).join(&values[1]))
}

/// Returns the extension modules of the standard library, without those whose libraries are often missing.
pub fn extensions() -> Vec<Value> {
    let folder = &configuration(&["DESTSHARED"])[0];
    let mut paths: Vec<_> = fs::read_dir(folder).unwrap().map(|file| file.unwrap().path()).collect();
    paths.sort();
    let name = |path: &PathBuf| {
        path.file_name()
            .unwrap()
            .to_str()
            .unwrap()
            .split('.')
            .next()
            .unwrap()
            .to_owned()
    };
    let is_packed = |path: &&PathBuf| path.extension().is_some_and(|suffix| suffix == "so") && name(path) != "_tkinter";
    paths
        .iter()
        .filter(is_packed)
        .map(|path| extension(&name(path), path))
        .collect()
}
