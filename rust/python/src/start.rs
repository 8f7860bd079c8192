//! The entry point for the stub: makes a Python plugin when the host calls `plugin_init`.

use std::ffi::{CStr, CString};
use std::sync::Arc;

use falco_plugin_abi::{Log, Request, Severity};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use falco_plugin_engine::table as engine;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors::report;
use crate::imports;
use crate::interpreter::contents::KeptBlocks;
use crate::interpreter::log::{CurrentPlugin, HostLog};
use crate::interpreter::{bundle, environment, others, start, threads};
use crate::metrics::of_plugin::PluginMetrics;
use crate::plugin::PythonPlugin;
use crate::table::host::HostTables;

falco_plugin_abi::export_start!(make);

/// Makes the plugin that the stub requests. Starts Python if the process has none.
fn make(
    request: &Request,
    config: &str,
    log: Log,
    tables: Arc<dyn engine::HostTables>,
) -> Result<Box<dyn Plugin>, Error> {
    let Some(stored) = request.bundle else {
        check_versions(request)?;
        let started = environment::ensure_interpreter(&request.python).map_err(Error::text)?;
        return threads::enter(|py| make_linked(py, request, config, log, tables, started));
    };
    let _blocks = KeptBlocks::new();
    let started = bundle::ensure_interpreter(stored, &request.library).map_err(Error::text)?;
    report_other(request, &log);
    threads::enter(|py| {
        let plugin = make_plugin(py, request, config, log, tables, started)?;
        // The plugin may have imported modules from folders that it has added to `sys.path`.
        checked(py, request, plugin)
    })
}

/// Logs that another interpreter of the process has run this plugin before.
fn report_other(request: &Request, log: &Log) {
    let plugin = request.manifest("name");
    if let Some(other) = others::add_plugin(plugin) {
        let own = start::python_version();
        let message = format!(
            "{plugin} runs in a new Python {own}, because its dependencies or its Python have changed: the previous \
             Python {other} stays in memory until Falco restarts"
        );
        log.log(Severity::Info, &message);
    }
}

/// Makes the plugin of a linked library. Checks who can change the code that Python imports, if the stub requires it.
fn make_linked(
    py: Python<'_>,
    request: &Request,
    config: &str,
    log: Log,
    tables: Arc<dyn engine::HostTables>,
    started: bool,
) -> Result<Box<dyn Plugin>, Error> {
    let mut path = path(py).map_err(unreadable)?;
    if !start::is_ours() {
        // If the process belongs to Python, a relative folder changes with the current directory.
        path.retain(|folder| is_absolute(folder));
    }
    check(request, &path)?;
    let plugin = make_plugin(py, request, config, log, tables, started)?;
    checked(py, request, plugin)
}

/// Returns the plugin, or destroys it if others can change the code of a module that was imported.
fn checked(py: Python<'_>, request: &Request, plugin: PythonPlugin) -> Result<Box<dyn Plugin>, Error> {
    let checked = origins(py, request)
        .map_err(unreadable)
        .and_then(|files| check(request, &files));
    match checked {
        Ok(()) => Ok(Box::new(plugin)),
        Err(error) => {
            plugin.destroy();
            Err(error)
        }
    }
}

fn unreadable(error: PyErr) -> Error {
    Error::text(format!("cannot determine where Python imports from: {error}"))
}

/// Makes the plugin. `started` states whether its init has started the interpreter.
fn make_plugin(
    py: Python<'_>,
    request: &Request,
    config: &str,
    log: Log,
    tables: Arc<dyn engine::HostTables>,
    started: bool,
) -> Result<PythonPlugin, Error> {
    let host_log = HostLog::new(log.clone());
    let number = host_log.number();
    let _current = CurrentPlugin::enter(number);
    let metrics = PluginMetrics::of_plugin(number);
    threads::find_gil(py);
    let archive = PyBytes::new(py, &request.archive);
    let arguments = (
        archive,
        request.library.as_str(),
        request.manifest("folder"),
        request.manifest("entry"),
        config,
        host_log,
        request.core.as_str(),
        started,
        HostTables::new(tables),
    );
    let made = imports::RUNTIME
        .call(py, arguments)
        .and_then(|runtime| PythonPlugin::new(&runtime, log, number, metrics))
        .map_err(|error| Error::text(report(py, "init", error)));
    threads::find_gil(py);
    made
}

/// Returns the folders that Python imports from. Packages may have added some since the library was built.
fn path(py: Python<'_>) -> PyResult<Vec<CString>> {
    let path = py.import("sys")?.getattr("path")?.cast_into::<PyList>()?;
    paths(py, path.iter())
}

/// Returns the files of all modules, and of their bytecode. They may be outside of `sys.path`, because editable
/// installs have custom finders. Paths that Python has found are absolute; a relative one was set by the module itself.
/// Modules in the library itself have no files.
fn origins(py: Python<'_>, request: &Request) -> PyResult<Vec<CString>> {
    let modules = py.import("sys")?.getattr("modules")?.cast_into::<PyDict>()?;
    let files = modules.values().iter().flat_map(|module| {
        let cached = module.getattr("__spec__").and_then(|spec| spec.getattr("cached"));
        [module.getattr("__file__").ok(), cached.ok()]
    });
    let mut files = paths(py, files.flatten())?;
    let library = request.library.as_bytes();
    let is_inside = |file: &[u8]| file.strip_prefix(library).is_some_and(|rest| rest.starts_with(b"/"));
    files.retain(|file| is_absolute(file) && !is_inside(file.to_bytes()));
    Ok(files)
}

/// Converts values to paths as the operating system has them. Skips values that are not a path.
fn paths<'py>(py: Python<'py>, values: impl Iterator<Item = Bound<'py, PyAny>>) -> PyResult<Vec<CString>> {
    let encode = imports::FSENCODE.get(py)?;
    let bytes = values.filter_map(|value| encode.call1((value,)).ok()?.extract::<Vec<u8>>().ok());
    Ok(bytes.filter_map(|bytes| CString::new(bytes).ok()).collect())
}

fn is_absolute(path: &CStr) -> bool {
    path.to_bytes().starts_with(b"/")
}

/// Checks the permissions of files, and of folders with their contents, if the stub requires it.
fn check(request: &Request, paths: &[CString]) -> Result<(), Error> {
    paths
        .iter()
        .try_for_each(|path| request.check_code(path).map_err(Error::text))
}

/// Checks that the library was built with the versions of the SDK and of Python in this process.
fn check_versions(request: &Request) -> Result<(), Error> {
    let sdk = env!("CARGO_PKG_VERSION");
    let python = start::python_version();
    for (name, built, found) in [
        ("falco-plugin-sdk", request.manifest("sdk_version"), sdk),
        ("Python", request.manifest("python_version"), &python),
    ] {
        if built != found {
            return Err(Error::text(format!(
                "{} was built for {name} {built}, but this process has {found} ({}): build it again with that \
                 environment, or load only plugins of one version",
                request.library, request.core
            )));
        }
    }
    Ok(())
}
