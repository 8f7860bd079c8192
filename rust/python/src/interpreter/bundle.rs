//! The start of a self-contained library's Python, from its bundle. It reads nothing from the file system.

use std::ffi::{CStr, CString, c_int};
use std::{io, mem};

use falco_plugin_abi::api::StoredBundle;
use falco_plugin_bundle::error::{Errno, Error};
use falco_plugin_bundle::file::{File, Identity};
use falco_plugin_bundle::format::{Damaged, Index, Kind};
use falco_plugin_bundle::open;
use pyo3::exceptions::PyImportError;
use pyo3::ffi;
use pyo3::marshal;
use pyo3::prelude::*;

use crate::interpreter::contents::{Bundle, Contents};
use crate::interpreter::start;

const REMEDY: &str = "build the library again with 'falco-plugin build'";
/// The modules that Python imports before the finder exists.
const FROZEN: [&CStr; 3] = [c"encodings", c"encodings.aliases", c"encodings.utf_8"];
/// The module that makes the contents of the bundle importable.
const FINDER: &str = "falco_plugin._runtime.bundle.finder";

/// Starts Python from a bundle, unless this copy of the extension module has started it already. Returns whether this call
/// has started it.
pub(crate) fn ensure_interpreter(stored: StoredBundle, library: &str) -> Result<bool, String> {
    let library = library.to_owned();
    start::ensure(move || start(stored, library))
}

fn start(stored: StoredBundle, library: String) -> Result<(), String> {
    let contents = open(stored, library).map_err(|error| error.to_string())?;
    let root = CString::new(contents.library()).map_err(|_| "the path of the library has a NUL".to_owned())?;
    add_builtin();
    freeze(contents).map_err(|error| error.to_string())?;
    let configure = |config: &mut start::Configuration| {
        config.search_nothing();
        // With a home, the interpreter does not search for its files.
        let paths: [start::Field; 9] = [
            |config| &mut config.home,
            |config| &mut config.program_name,
            |config| &mut config.executable,
            |config| &mut config.base_executable,
            |config| &mut config.prefix,
            |config| &mut config.base_prefix,
            |config| &mut config.exec_prefix,
            |config| &mut config.base_exec_prefix,
            |config| &mut config.stdlib_dir,
        ];
        config.set(&paths, &root, REMEDY)
    };
    start::initialise(REMEDY, configure, |py| {
        install(py, contents)
            .map_err(|error| format!("the finder of the bundle cannot be installed: {error}: {REMEDY}"))
    })
}

/// Reads the index of the bundle. The file stays open until the process ends, because modules may be imported at any time.
fn open(stored: StoredBundle, library: String) -> Result<&'static Contents, Error> {
    // SAFETY: the call takes numbers.
    let descriptor = unsafe { libc::fcntl(stored.descriptor, libc::F_DUPFD_CLOEXEC, 3) };
    if descriptor < 0 {
        let errno = io::Error::last_os_error().raw_os_error().unwrap_or_default();
        return Err(if errno == libc::EBADF {
            Error::Closed
        } else {
            Error::Unreadable(Errno(errno))
        });
    }
    let file = File {
        descriptor,
        offset: stored.offset,
        len: stored.len,
        index_hash: stored.index_hash,
    };
    let bytes = file.read_index()?.leak();
    let index = Index::new(bytes, file.len)?;
    let identity = Identity::of(descriptor).ok_or(Error::Closed)?;
    Ok(Contents::set(open::Bundle { file, index }, identity, library))
}

/// Makes this extension module a built-in module, because it is loaded already.
fn add_builtin() {
    // SAFETY: Python is not initialised. The name lives as long as the process. If there is no memory for the table, the
    // import of the module fails.
    unsafe { ffi::PyImport_AppendInittab(c"falco_plugin._core".as_ptr(), Some(crate::_core::__pyo3_init)) };
}

/// Makes modules of the bundle frozen modules.
fn freeze(contents: &Contents) -> Result<(), Error> {
    let mut frozen = Vec::new();
    for name in FROZEN {
        let number = name.to_str().ok().and_then(|name| contents.module(name));
        let (entry, block) = contents.read(number.ok_or(Damaged("a module of Python's start is missing"))?)?;
        // SAFETY: the struct is valid when zeroed.
        let mut module = unsafe { mem::zeroed::<ffi::_frozen>() };
        let code: &'static [u8] = Box::leak(entry.data(block.bytes()).unwrap_or_default().into());
        module.name = name.as_ptr();
        module.code = code.as_ptr();
        module.size = entry.len as c_int;
        module.is_package = c_int::from(entry.kind == Kind::Package);
        frozen.push(module);
    }
    // SAFETY: the struct is valid when zeroed, and ends the table.
    frozen.push(unsafe { mem::zeroed() });
    // SAFETY: Python is not initialised, so nothing reads the table. It is never freed.
    unsafe { ffi::PyImport_FrozenModules = Vec::leak(frozen).as_ptr() };
    Ok(())
}

/// Completes `sys`, and makes the bundle importable.
fn install(py: Python<'_>, contents: &'static Contents) -> PyResult<()> {
    let sys = py.import("sys")?;
    // The bundle contains no executable that could run Python code.
    for name in ["executable", "_base_executable"] {
        sys.setattr(name, "")?;
    }
    // A colon in the path would have split it.
    for name in ["prefix", "exec_prefix", "base_prefix", "base_exec_prefix"] {
        sys.setattr(name, contents.library())?;
    }
    let missing = || PyImportError::new_err("the bundle has no finder");
    let number = contents.module(FINDER).ok_or_else(missing)?;
    let (entry, block) = contents
        .read(number)
        .map_err(|error| PyImportError::new_err(error.to_string()))?;
    let code = marshal::loads(py, entry.data(block.bytes()).unwrap_or_default())?;
    let file = format!("{}/{}.py", contents.library(), FINDER.replace('.', "/"));
    py.import("_imp")?.call_method1("_fix_co_filename", (&code, &file))?;
    let (name, file) = (CString::new(FINDER)?, CString::new(file)?);
    // SAFETY: the strings are NUL-terminated and the code is an object. The result is a new reference, or NULL with an
    // exception set.
    let finder = unsafe {
        let module = ffi::PyImport_ExecCodeModuleEx(name.as_ptr(), code.as_ptr(), file.as_ptr());
        Bound::from_owned_ptr_or_err(py, module)?
    };
    finder.call_method1("install", (Bundle::new(contents),))?;
    Ok(())
}
