//! Python from an environment: an installation or a virtual environment with the SDK, at the path that it had when the
//! library was built.

use core::ffi::{CStr, c_void};

use falco_plugin_api_table::{START_SYMBOL, Start};

use super::sdk::{MEMORY, Sdk};
use super::{global, query};
use crate::message::Message;
use crate::path::Path;
use crate::{image, libc, permissions};

/// The variable that names the Python of another environment than that of the manifest.
const OVERRIDE: &CStr = c"FALCO_PLUGIN_PYTHON";

/// The paths of an environment.
struct Environment<'m> {
    /// Python's shared library.
    libpython: &'m CStr,
    /// The SDK's extension module.
    core: &'m CStr,
    /// The Python executable.
    python: &'m CStr,
    /// The folders that code is imported from, each followed by a newline.
    folders: &'m CStr,
}

/// Finds and checks the environment, and loads its Python and its SDK.
pub fn load<'m>(memory: &'m mut [u8; MEMORY], problem: &mut Message) -> Option<Sdk<'m>> {
    let environment = find(memory, problem)?;
    if !environment.is_safe(problem) {
        return None;
    }
    let start = open(&environment, problem)?;
    Some(Sdk {
        start,
        core: environment.core,
        python: environment.python,
        folders: environment.folders,
    })
}

/// Returns the environment that the library was built for, or the one that the variable names.
fn find<'m>(memory: &'m mut [u8; MEMORY], problem: &mut Message) -> Option<Environment<'m>> {
    // SAFETY: a plain libc call.
    let python = unsafe { libc::getenv(OVERRIDE.as_ptr()) };
    if !python.is_null() {
        // SAFETY: a NUL-terminated string, which nothing changes before init returns.
        let python = unsafe { CStr::from_ptr(python) };
        if !python.is_empty() {
            return find_override(python, memory, problem);
        }
    }
    Some(Environment {
        libpython: image::manifest(c"libpython"),
        core: image::manifest(c"core"),
        python: image::manifest(c"python"),
        folders: image::manifest(c"folders"),
    })
}

/// Asks the Python that the variable names for its paths. This runs it before its files are checked, so it is refused if
/// permissions have to be checked.
fn find_override<'m>(python: &CStr, memory: &'m mut [u8; MEMORY], problem: &mut Message) -> Option<Environment<'m>> {
    if !permissions::are_waived() {
        problem.push(
            "FALCO_PLUGIN_PYTHON is set, but it is not allowed if Falco runs as root: unset it, and build the library \
             with 'falco-plugin build --python ",
        );
        problem.push_c(python.as_ptr());
        problem.push("'");
        return None;
    }
    if python.to_bytes()[0] != b'/' {
        problem.push("FALCO_PLUGIN_PYTHON must be an absolute path, such as /opt/falco-python/bin/python, got ");
        problem.push_c(python.as_ptr());
        return None;
    }
    let Some([libpython, core, python, folders]) = query::locations(python, memory) else {
        problem.push("FALCO_PLUGIN_PYTHON names ");
        problem.push_c(python.as_ptr());
        problem.push(
            ", which is not a Python with falco-plugin-sdk: install falco-plugin-sdk there, or name another Python",
        );
        return None;
    };
    Some(Environment {
        libpython,
        core,
        python,
        folders,
    })
}

impl Environment<'_> {
    /// Checks that only root can change the code that would run: the files, `pyvenv.cfg`, and all folders of code.
    fn is_safe(&self, problem: &mut Message) -> bool {
        let core = Path::of(self.core.to_bytes());
        let mut folders = self.folders.to_bytes().split(|&byte| byte == b'\n');
        [self.libpython, self.core, self.python]
            .iter()
            .all(|file| permissions::check_file(file.to_bytes(), problem))
            && permissions::check_configuration(self.python.to_bytes(), problem)
            && permissions::check_code(core.folder(), problem)
            && folders.all(|folder| folder.is_empty() || permissions::check_code(folder, problem))
    }
}

/// Opens Python and the SDK, if the process has not opened them yet, and returns the SDK's function.
fn open(environment: &Environment<'_>, problem: &mut Message) -> Option<Start> {
    open_python(environment, problem)?;
    let sdk_version = image::manifest(c"sdk_version");
    // SAFETY: all strings are NUL-terminated. The symbol stands for a function of type `Start`.
    unsafe {
        let core = libc::dlopen(environment.core.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if core.is_null() {
            cannot_load(problem, "falco-plugin-sdk ", sdk_version, environment.core);
            return None;
        }
        let start = libc::dlsym(core, START_SYMBOL.as_ptr());
        if start.is_null() {
            problem.push("this library was built by falco-plugin-sdk ");
            problem.push_c(sdk_version.as_ptr());
            problem.push(", but another version is installed at ");
            problem.push_c(environment.core.as_ptr());
            problem.push(": build it again");
            return None;
        }
        Some(core::mem::transmute::<*mut c_void, Start>(start))
    }
}

/// Opens Python's shared library, unless the process has a Python of the same version already.
fn open_python(environment: &Environment<'_>, problem: &mut Message) -> Option<()> {
    let version = image::manifest(c"python_version");
    if let Some(found) = global::find_self_contained() {
        problem.push(
            "this library was built with 'falco-plugin build --linked', but the process already runs the Python ",
        );
        found.write(problem);
        problem.push(" of a self-contained library: build all plugins of one Falco without --linked");
        return None;
    }
    let Some(found) = global::find() else {
        // Global, because extension modules find Python's symbols through it.
        let flags = libc::RTLD_NOW | libc::RTLD_GLOBAL;
        // SAFETY: the path is NUL-terminated.
        if unsafe { libc::dlopen(environment.libpython.as_ptr(), flags) }.is_null() {
            cannot_load(problem, "Python ", version, environment.libpython);
            return None;
        }
        return Some(());
    };
    if found.is(version) {
        return Some(());
    }
    problem.push("this library was built for Python ");
    problem.push_c(version.as_ptr());
    problem.push(", but the process already runs Python ");
    found.write(problem);
    problem.push(": build all plugins of one Falco with one Python");
    None
}

fn cannot_load(problem: &mut Message, what: &str, version: &CStr, path: &CStr) {
    problem.push("cannot load ");
    problem.push(what);
    problem.push_c(version.as_ptr());
    problem.push(" from ");
    problem.push_c(path.as_ptr());
    problem.push(": install it there, or build the library again with 'falco-plugin build --python PATH' (");
    // SAFETY: NULL or a NUL-terminated string.
    problem.push_c(unsafe { libc::dlerror() });
    problem.push(")");
}
