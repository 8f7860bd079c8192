//! Builds the two files that the extension module embeds: the stub, by one call of rustc, and the native host, by cargo
//! in a separate target folder.

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

/// The stub depends on the list of the plugin API's functions, which is compiled first, without the bindings.
fn build_stub(rust: &Path, out: &Path) {
    let (api, stub) = (rust.join("api/src"), rust.join("stub"));
    println!("cargo::rerun-if-changed={}", api.display());
    println!("cargo::rerun-if-changed={}", stub.display());
    let list = out.join("libfalco_plugin_api_table.rlib");
    run(rustc()
        .args(["--crate-type=rlib", "--crate-name=falco_plugin_api_table"])
        .arg("-o")
        .arg(&list)
        .arg(api.join("lib.rs")));
    let mut list_crate = OsString::from("falco_plugin_api_table=");
    list_crate.push(list);
    run(rustc()
        .args([
            "--crate-type=cdylib",
            "--crate-name=falco_plugin_stub",
            "-Cstrip=symbols",
        ])
        .args(["-Clink-arg=-nostartfiles", "-Clink-arg=-Wl,-z,relro,-z,now"])
        .arg("--extern")
        .arg(list_crate)
        .arg("-o")
        .arg(out.join("stub.so"))
        .arg(stub.join("stub.rs")));
}

fn rustc() -> Command {
    let mut rustc = Command::new(variable("RUSTC"));
    rustc
        .args(["--edition=2024", "-Copt-level=s", "-Cpanic=abort"])
        .args(["-Dwarnings", "-Dunsafe_op_in_unsafe_fn"])
        .args(sanitizer())
        .arg("--target")
        .arg(variable("TARGET"));
    rustc
}

fn build_host(rust: &Path, out: &Path) {
    for source in ["host/src", "host/Cargo.toml", "api", "../Cargo.lock"] {
        println!("cargo::rerun-if-changed={}", rust.join(source).display());
    }
    let target = out.join("host");
    let mut cargo = Command::new(variable("CARGO"));
    // The host is a separate program, so no setting of the current build may apply to its build.
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
    std::fs::copy(program, out.join("falco-plugin-host")).expect("cargo builds the host");
}

/// Returns the flag of the sanitizer of this build. All that one process loads must be built with it. Its runtime is in
/// the executable, which exports it to libraries.
fn sanitizer() -> Option<String> {
    let name = env::var("CARGO_CFG_SANITIZE").ok()?;
    Some(format!("-Zsanitizer={name}"))
}

fn variable(name: &str) -> OsString {
    env::var_os(name).unwrap_or_else(|| panic!("{name} is not set: run this script with cargo"))
}

fn run(command: &mut Command) {
    let status = command
        .status()
        .unwrap_or_else(|error| panic!("cannot run {command:?}: {error}"));
    assert!(status.success(), "{command:?} failed");
}
