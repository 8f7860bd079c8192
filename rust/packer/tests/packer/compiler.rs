//! Small shared libraries, made by the C compiler.

use std::path::PathBuf;
use std::process::Command;

use crate::support::Packer;

/// Compiles a shared library into the folder of a plan. Returns its path.
pub fn compile(packer: &Packer, name: &str, code: &str, arguments: &[&str]) -> PathBuf {
    let source = packer.write(&format!("{name}.c"), code.as_bytes());
    let output = packer.path(name);
    let status = Command::new("cc")
        .current_dir(packer.folder.path())
        .args(["-shared", "-fPIC", "-g", "-o"])
        .args([&output, &source])
        .args(arguments)
        .status()
        .unwrap();
    assert!(status.success());
    output
}
