//! Builds the files that the extension module embeds: the stub, by one call of rustc, and the programs, by cargo in a
//! separate target folder.

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
        "../Cargo.lock",
    ] {
        println!("cargo::rerun-if-changed={}", rust.join(source).display());
    }
    let target = out.join("programs");
    let mut cargo = Command::new(variable("CARGO"));
    // These are separate programs, so no setting of the current build may apply to their build.
    for (name, _) in env::vars_os() {
        let name_text = name.to_string_lossy();
        if name_text.starts_with("CARGO_") && name_text != "CARGO_HOME" && !name_text.starts_with("CARGO_HTTP")
            || name_text == "RUSTFLAGS"
        {
            cargo.env_remove(&name);
        }
    }
    cargo.args(["build", "--release"]);
    for program in PROGRAMS {
        cargo.args(["--package", program, "--bin", program]);
    }
    run(cargo
        .arg("--manifest-path")
        .arg(rust.join("../Cargo.toml"))
        .arg("--target-dir")
        .arg(&target)
        .arg("--target")
        .arg(variable("TARGET"))
        .env("CARGO_PROFILE_RELEASE_STRIP", "symbols")
        .envs(sanitizer().map(|flag| ("RUSTFLAGS", format!("{flag} -Clink-arg=-rdynamic")))));
    for program in PROGRAMS {
        let path = target.join(variable("TARGET")).join("release").join(program);
        std::fs::copy(path, out.join(program)).unwrap_or_else(|error| panic!("cargo did not build {program}: {error}"));
    }
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
