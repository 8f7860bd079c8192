//! Rewritten native code works: libpython under two unique names in one process, with all extension modules of the
//! standard library.

use std::collections::HashMap;
use std::env;
use std::ffi::{CStr, CString, c_char, c_int, c_void};
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use falco_plugin_bundle::format::{Entry, Kind};

use crate::python::{configuration, extensions, libpython};
use crate::support::{Bundle, Packer};

const BUNDLE: &str = "FALCO_PLUGIN_TEST_BUNDLE";

#[test]
fn rewritten_runtime_runs_twice_in_one_process() {
    let packer = Packer::new([vec![libpython()], extensions()].concat());
    packer.pack();
    let output = Command::new(env::current_exe().unwrap())
        .args(["--exact", "runtime::run_runtime", "--ignored", "--nocapture"])
        .env(BUNDLE, packer.path("bundle"))
        .env("PYTHONHOME", configuration(&["prefix"])[0].as_str())
        .env_remove("PYTHONPATH")
        .output()
        .unwrap();
    let text = String::from_utf8_lossy(&output.stdout);
    assert!(
        output.status.success(),
        "{text}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    for id in ["1111111111111111", "2222222222222222"] {
        assert!(text.contains(&format!("{id} imported")), "{text}");
    }
}

/// Runs in a child process of the test above.
#[test]
#[ignore = "needs a bundle, which another test makes"]
fn run_runtime() {
    let path = PathBuf::from(env::var(BUNDLE).unwrap());
    let bundle = Bundle(fs::read(&path).unwrap());
    for id in ["1111111111111111", "2222222222222222"] {
        let folder = path.with_file_name(id);
        fs::create_dir(&folder).unwrap();
        Unpacked {
            bundle: &bundle,
            folder: &folder,
            id,
            opened: HashMap::new(),
        }
        .run();
    }
    // SAFETY: the name ends with a zero byte.
    let global = unsafe { libc::dlsym(libc::RTLD_DEFAULT, c"Py_InitializeEx".as_ptr()) };
    assert!(global.is_null(), "no symbol of Python is in the global scope");
}

/// The native code of a bundle, in files.
struct Unpacked<'a> {
    bundle: &'a Bundle,
    folder: &'a Path,
    id: &'a str,
    opened: HashMap<&'a str, *mut c_void>,
}

impl<'a> Unpacked<'a> {
    fn run(mut self) {
        let entries = self.bundle.entries();
        let mut names = Vec::new();
        for entry in &entries {
            for need in entry.needs() {
                self.open(entries[need as usize]);
            }
            if entry.kind == Kind::Extension {
                self.write(entry);
                names.push(entry.name);
            }
        }
        let libpython = *self
            .opened
            .iter()
            .find(|(name, _)| name.starts_with("libpython"))
            .unwrap()
            .1;
        let initialize: unsafe extern "C" fn(c_int) = function(libpython, c"Py_InitializeEx");
        let run: unsafe extern "C" fn(*const c_char) -> c_int = function(libpython, c"PyRun_SimpleString");
        let code = CODE
            .replace("NAMES", &format!("{names:?}"))
            .replace("FOLDER", &format!("{:?}", self.folder))
            .replace("ID", self.id);
        let code = CString::new(code).unwrap();
        // SAFETY: the functions have these signatures. The interpreter is started once, by its only thread.
        let failed = unsafe {
            initialize(0);
            run(code.as_ptr())
        };
        assert_eq!(failed, 0);
    }

    /// Opens a library. Those that it needs are open: they come before it.
    fn open(&mut self, library: Entry<'a>) {
        if self.opened.contains_key(library.name) {
            return;
        }
        let path = CString::new(self.write(&library).into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: opening a library of Python, or one that it needs, has no requirements.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!handle.is_null(), "{}: {}", library.name, error());
        self.opened.insert(library.name, handle);
    }

    fn write(&self, entry: &Entry<'_>) -> PathBuf {
        let path = self.folder.join(entry.name);
        fs::write(&path, self.bundle.data(entry, self.id)).unwrap();
        path
    }
}

fn error() -> String {
    // SAFETY: another call of the dynamic linker failed, so there is a message.
    unsafe { CStr::from_ptr(libc::dlerror()) }
        .to_string_lossy()
        .into_owned()
}

/// Returns a function of a library.
fn function<F: Copy>(library: *mut c_void, name: &CStr) -> F {
    // SAFETY: the library is open, and the name ends with a zero byte.
    let address = unsafe { libc::dlsym(library, name.as_ptr()) };
    assert!(!address.is_null(), "{}", error());
    assert_eq!(size_of::<F>(), size_of_val(&address));
    // SAFETY: `F` is a function pointer; the caller knows the signature.
    unsafe { std::mem::transmute_copy(&address) }
}

const CODE: &str = r#"
import importlib.machinery, importlib.util, os, sys

class Finder:
    @staticmethod
    def find_spec(name, path=None, target=None):
        if name in names:
            file = os.path.join(FOLDER, name)
            return importlib.util.spec_from_loader(name, importlib.machinery.ExtensionFileLoader(name, file))

names = NAMES
sys.path[:] = [folder for folder in sys.path if "lib-dynload" not in folder]
sys.meta_path.insert(0, Finder)
for name in names:
    if name not in sys.modules:
        __import__(name)
    assert sys.modules[name].__file__.startswith(FOLDER), sys.modules[name]

import ctypes, decimal, json, socket, threading
assert ctypes.CDLL(None).getpid() == os.getpid()
assert str(decimal.Decimal(1) / 8) == "0.125"
assert json.loads('{"a": [1.5]}') == {"a": [1.5]}
if "_ssl" in names:
    import ssl
    ssl.create_default_context()
if "_sqlite3" in names:
    import sqlite3
    assert sqlite3.connect(":memory:").execute("select 1 + 1").fetchone() == (2,)
text = ("ID imported", len(names), "modules")
thread = threading.Thread(target=print, args=text, kwargs={"flush": True})
thread.start()
thread.join()
"#;
