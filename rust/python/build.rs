//! Builds the files that the extension module embeds, the stub and the programs, by cargo in separate target folders.

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
    build_programs(&rust, &out);
}

/// The stub has no standard library and no start files, and is a separate workspace for its profile.
fn build_stub(rust: &Path, out: &Path) {
    for source in ["stub", "api", "bundle"] {
        println!("cargo::rerun-if-changed={}", rust.join(source).display());
    }
    let target = out.join("stub");
    run(cargo("rustc", &rust.join("stub"), &target)
        .args(["--lib", "--locked", "--", "-Clink-arg=-nostartfiles"])
        .arg("-Clink-arg=-Wl,-z,relro,-z,now")
        .envs(sanitizer().map(|flag| ("RUSTFLAGS", flag))));
    copy(&target, "libfalco_plugin_stub.so", &out.join("stub.so"));
}

/// The programs that only `falco-plugin` runs: the native host and the packer.
const PROGRAMS: [&str; 2] = ["falco-plugin-host", "falco-plugin-packer"];

fn build_programs(rust: &Path, out: &Path) {
    for source in [
        "host/src",
        "host/Cargo.toml",
        "packer/src",
        "packer/Cargo.toml",
        "bundle",
        "api",
        "schema",
        "../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", rust.join(source).display());
    }
    let target = out.join("programs");
    let mut cargo = cargo("build", &rust.join(".."), &target);
    for program in PROGRAMS {
        cargo.args(["--package", program, "--bin", program]);
    }
    run(cargo
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .envs(sanitizer().map(|flag| ("RUSTFLAGS", format!("{flag} -Clink-arg=-rdynamic")))));
    for program in PROGRAMS {
        copy(&target, program, &out.join(program));
    }
}

/// Returns a release build by cargo in a separate target folder.
///
/// A build for another system or for an older glibc sets the linker by an environment variable. Without it, the programs
/// would be linked for this system.
fn cargo(command: &str, workspace: &Path, target: &Path) -> Command {
    let mut cargo = Command::new(variable("CARGO"));
    // Only the network and the linker of the target are the same as in the current build.
    let triple = variable("TARGET").to_string_lossy().to_uppercase().replace('-', "_");
    let linker = format!("CARGO_TARGET_{triple}_LINKER");
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        let is_kept = name_text == "CARGO_HOME" || name_text.starts_with("CARGO_HTTP") || name_text == linker;
        if name_text.starts_with("CARGO_") && !is_kept || name_text == "RUSTFLAGS" {
            cargo.env_remove(&name);
        }
    }
    cargo
        .args([command, "--release", "--manifest-path"])
        .arg(workspace.join("Cargo.toml"))
        .arg("--target-dir")
        .arg(target)
        .arg("--target")
        .arg(variable("TARGET"));
    cargo
}

/// Copies a file that cargo has built.
fn copy(target: &Path, name: &str, to: &Path) {
    let built = target.join(variable("TARGET")).join("release").join(name);
    std::fs::copy(&built, to).unwrap_or_else(|error| panic!("cannot copy {}: {error}", built.display()));
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
