//! Where the library in front enters: from a host's `plugin_init` to a Python plugin.

use std::ffi::{CStr, CString};

use falco_plugin_abi::{Log, Request};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors::describe;
use crate::interpreter::log::{CurrentPlugin, HostLog};
use crate::interpreter::threads;
use crate::plugin::PythonPlugin;

falco_plugin_abi::export_start!(make);

/// Makes the plugin that the library in front asks for.
fn make(request: &Request, config: &str, log: Log) -> Result<Box<dyn Plugin>, Error> {
    check_versions(request)?;
    let ours = threads::ensure_interpreter(&request.python).map_err(Error::text)?;
    threads::enter(|py| {
        let unreadable = |error: PyErr| Error::text(format!("cannot tell where Python imports from: {error}"));
        let mut path = path(py).map_err(unreadable)?;
        if !threads::interpreter_is_ours() {
            // In a process of Python's own, what is relative means another place at each time.
            path.retain(|folder| is_absolute(folder));
        }
        check(request, &path)?;
        let host_log = HostLog::new(log.clone());
        let number = host_log.number();
        let _current = CurrentPlugin::enter(number);
        let runtime = py
            .import("falco_plugin._runtime.runtime")
            .and_then(|module| {
                module.getattr("Runtime")?.call1((
                    PyBytes::new(py, &request.archive),
                    request.library.as_str(),
                    request.manifest("folder"),
                    request.manifest("entry"),
                    config,
                    host_log,
                    request.core.as_str(),
                    ours,
                ))
            })
            .and_then(|runtime| PythonPlugin::new(&runtime, log, number));
        match runtime {
            Ok(plugin) => {
                let checked = origins(py).map_err(unreadable).and_then(|files| check(request, &files));
                if let Err(error) = checked {
                    plugin.destroy();
                    return Err(error);
                }
                Ok(Box::new(plugin) as Box<dyn Plugin>)
            }
            Err(error) => Err(Error::text(describe(py, "init", error))),
        }
    })
}

/// Where Python imports from. Packages can have added folders since the library was built.
fn path(py: Python<'_>) -> PyResult<Vec<CString>> {
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    places(py, path.iter())
}

/// The files of all modules, and of their bytecode. They can come from anywhere: packages that are installed in place
/// have finders of their own. What Python has found is absolute; other names are a module's own idea.
fn origins(py: Python<'_>) -> PyResult<Vec<CString>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let files = modules.values().iter().flat_map(|module| {
        let cached = module.getattr("__spec__").and_then(|spec| spec.getattr("cached"));
        [module.getattr("__file__").ok(), cached.ok()]
    });
    let mut files = places(py, files.flatten())?;
    files.retain(|file| is_absolute(file));
    Ok(files)
}

/// The names of files as the system knows them, of all values that can be one.
fn places<'py>(py: Python<'py>, values: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Vec<CString>> {
    let encode = py.import("os")?.getattr("fsencode")?;
    let bytes = values.filter_map(|value| encode.call1((value,)).ok()?.extract::<Vec<u8>>().ok());
    Ok(bytes.filter_map(|bytes| CString::new(bytes).ok()).collect())
}

fn is_absolute(place: &CStr) -> bool {
    place.to_bytes().starts_with(b"/")
}

/// Checks files, and folders with all that is in them, where the library in front asks for it.
fn check(request: &Request, places: &[CString]) -> Result<(), Error> {
    places
        .iter()
        .try_for_each(|place| request.check_code(place).map_err(Error::text))
}

/// Library, SDK and interpreter must be of one version.
fn check_versions(request: &Request) -> Result<(), Error> {
    let sdk = env!("CARGO_PKG_VERSION");
    let python = threads::python_version();
    for (what, wanted, found) in [
        ("falco-plugin-sdk", request.manifest("sdk_version"), sdk),
        ("Python", request.manifest("python_version"), &python),
    ] {
        if wanted != found {
            return Err(Error::text(format!(
                "{} was built for {what} {wanted}, but this process has {found} ({}): build it again with that \
                 environment, or load only plugins of one version",
                request.library, request.core
            )));
        }
    }
    Ok(())
}
