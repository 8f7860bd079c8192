//! Helpers: run the program, and build small plugins written in C.

use std::collections::HashMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::{Command, Output, Stdio};
use std::sync::{LazyLock, Mutex, PoisonError};

use serde_json::{Value, json};

pub const TIMESTAMP: u64 = 1_700_000_000_123_456_789;

/// Returns the library of `plugin.c` with these flags. Compiles it once.
pub fn plugin(flags: &[&str]) -> PathBuf {
    static BUILT: LazyLock<Mutex<HashMap<Vec<String>, PathBuf>>> = LazyLock::new(Mutex::default);
    let mut built = BUILT.lock().unwrap_or_else(PoisonError::into_inner);
    let key: Vec<String> = flags.iter().map(|flag| (*flag).to_owned()).collect();
    if let Some(path) = built.get(&key) {
        return path.clone();
    }
    let path = temporary(&format!("plugin-{}.so", built.len()));
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/host/plugin.c");
    let status = Command::new("cc")
        .args(["-w", "-shared", "-fPIC", "-o"])
        .arg(&path)
        .arg(source)
        .args(flags.iter().map(|flag| format!("-D{flag}")))
        .arg("-pthread")
        .status();
    assert!(status.expect("tests need a C compiler named cc").success());
    built.insert(key, path.clone());
    path
}

/// Returns a path in a folder of this process. Removes the folders of processes that have ended.
pub fn temporary(name: &str) -> PathBuf {
    static FOLDER: LazyLock<PathBuf> = LazyLock::new(|| {
        let parent = Path::new(env!("CARGO_TARGET_TMPDIR")).join("host");
        for old in fs::read_dir(&parent).into_iter().flatten().flatten() {
            if !Path::new("/proc").join(old.file_name()).exists() {
                let _ = fs::remove_dir_all(old.path());
            }
        }
        let folder = parent.join(std::process::id().to_string());
        fs::create_dir_all(&folder).unwrap();
        folder
    });
    FOLDER.join(name)
}

/// Prepares a command of the program.
pub fn host(command: &str, library: &Path) -> Command {
    let mut host = Command::new(env!("CARGO_BIN_EXE_falco-plugin-host"));
    host.arg(command).arg(library).stdin(Stdio::null());
    host
}

/// Runs the plugin without flags.
pub fn run(params: &str) -> Output {
    host("run", &plugin(&[])).args(["--params", params]).output().unwrap()
}

pub fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

pub fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

/// Runs a plugin with `--json`. Returns its lines, and the result of the process.
pub fn run_json(flags: &[&str], arguments: &[&str]) -> (Vec<Value>, Output) {
    let output = host("run", &plugin(flags))
        .args(arguments)
        .arg("--json")
        .output()
        .unwrap();
    let lines = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).expect(line))
        .collect();
    (lines, output)
}

/// Returns the lines of one kind.
pub fn of_kind<'a>(lines: &'a [Value], kind: &str) -> Vec<&'a Value> {
    lines.iter().filter(|line| line["kind"] == kind).collect()
}

/// Returns the flag of a plugin with these fields. A field is `name type [options]`; options are `list`, `index`, `key`,
/// `required` and `hidden`.
pub fn flag(fields: &[&str]) -> String {
    let field = |text: &&str| {
        let mut words = text.split(' ');
        let (name, type_) = (words.next().unwrap(), words.next().unwrap());
        let options: Vec<_> = words.collect();
        let has = |word| options.contains(&word);
        let mut field = json!({"name": name, "type": type_, "isList": has("list"), "desc": "x"});
        if has("index") || has("key") {
            field["arg"] = json!({"isIndex": has("index"), "isKey": has("key"), "isRequired": has("required")});
        }
        if has("hidden") {
            field["properties"] = json!(["hidden"]);
        }
        field
    };
    let list = Value::Array(fields.iter().map(field).collect()).to_string();
    format!("FIELDS={}", Value::String(list))
}
