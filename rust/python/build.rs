//! Builds what the extension module embeds: the library in front, by one call of rustc, and the native host, by cargo
//! in a target folder of its own.

use std::env;
use std::ffi::OsString;
use std::path::{Path, PathBuf};
use std::process::Command;

fn main() {
    pyo3_build_config::use_pyo3_cfgs();
    let rust = PathBuf::from(variable("CARGO_MANIFEST_DIR")).join("..");
    let out = PathBuf::from(variable("OUT_DIR"));
    println!("cargo::rerun-if-changed=build.rs");
    build_stub(&rust, &out);
    build_host(&rust, &out);
}

fn build_stub(rust: &Path, out: &Path) {
    let stub = rust.join("stub");
    println!("cargo::rerun-if-changed={}", stub.display());
    println!("cargo::rerun-if-changed={}", rust.join("abi/src/table.rs").display());
    run(Command::new(variable("RUSTC"))
        .args([
            "--edition=2024",
            "--crate-type=cdylib",
            "--crate-name=falco_plugin_stub",
        ])
        .args([
            "-Copt-level=s",
            "-Cpanic=abort",
            "-Cstrip=symbols",
            "-Dwarnings",
            "-Dunsafe_op_in_unsafe_fn",
        ])
        .args(["-Clink-arg=-nostartfiles", "-Clink-arg=-Wl,-z,relro,-z,now"])
        .args(sanitizer())
        .arg("--target")
        .arg(variable("TARGET"))
        .arg("-o")
        .arg(out.join("stub.so"))
        .arg(stub.join("stub.rs")));
}

fn build_host(rust: &Path, out: &Path) {
    for source in ["host/src", "host/Cargo.toml", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", rust.join(source).display());
    }
    let target = out.join("host");
    let mut cargo = Command::new(variable("CARGO"));
    // Of the build that is under way nothing must leak into this one: it is a program of its own.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_") && name_text != "CARGO_HOME" && !name_text.starts_with("CARGO_HTTP")
            || name_text == "RUSTFLAGS"
        {
            cargo.env_remove(&name);
        }
    }
    run(cargo
        .args([
            "build",
            "--release",
            "--package",
            "falco-plugin-host",
            "--bin",
            "falco-plugin-host",
        ])
        .arg("--manifest-path")
        .arg(rust.join("host/Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .arg("--target")
        .arg(variable("TARGET"))
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .envs(sanitizer().map(|flag| ("RUSTFLAGS", format!("{flag} -Clink-arg=-rdynamic")))));
    let program = target.join(variable("TARGET")).join("release/falco-plugin-host");
    std::fs::copy(program, out.join("falco-plugin-host")).expect("cargo has built the host");
}

/// A sanitizer has to be in all that one process loads. Its runtime is in the program, which shows it to libraries.
fn sanitizer() -> Option<String> {
    let name = env::var("CARGO_CFG_SANITIZE").ok()?;
    Some(format!("-Zsanitizer={name}"))
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("cargo sets {name}"))
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("{command:?} cannot be run: {error}"));
    assert!(status.success(), "{command:?} fails");
}
