//! Where the library in front enters: from a host's `plugin_init` to a Python plugin.

use std::ffi::CString;
use std::path::Path;

use falco_plugin_abi::{Log, Request};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyDict, PyList};

use crate::errors::describe;
use crate::log::HostLog;
use crate::plugin::PythonPlugin;
use crate::threads;

falco_plugin_abi::export_start!(make);

/// Makes the plugin that the library in front asks for.
fn make(request: &Request, config: &str, log: Log) -> Result<Box<dyn Plugin>, Error> {
    check_versions(request)?;
    let ours = threads::ensure_interpreter(&request.python).map_err(Error::text)?;
    threads::enter(|py| {
        let path = path(py);
        check(request, &path)?;
        let runtime = py
            .import("falco_plugin._runtime")
            .and_then(|module| {
                module.getattr("Runtime")?.call1((
                    PyBytes::new(py, &request.archive),
                    request.library.as_str(),
                    request.manifest("entry"),
                    config,
                    HostLog(log),
                    request.core.as_str(),
                    ours,
                ))
            })
            .and_then(|runtime| PythonPlugin::new(&runtime));
        match runtime {
            Ok(plugin) => {
                let origins = origins(py).into_iter();
                let elsewhere = origins.filter(|file| !path.iter().any(|folder| Path::new(file).starts_with(folder)));
                if let Err(error) = check(request, &elsewhere.collect::<Vec<_>>()) {
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
fn path(py: Python<'_>) -> Vec<String> {
    let path = py.import("sys").and_then(|sys| Ok(sys.getattr("path")?.cast_into()?));
    path.map(|path: Bound<'_, PyList>| texts(path.iter()))
        .unwrap_or_default()
}

/// The files of all modules. They need not lie on the path: packages that are installed in place can have finders of
/// their own.
fn origins(py: Python<'_>) -> Vec<String> {
    let modules = py
        .import("sys")
        .and_then(|sys| Ok(sys.getattr("modules")?.cast_into()?));
    let files =
        |modules: Bound<'_, PyDict>| texts(modules.values().iter().filter_map(|it| it.getattr("__file__").ok()));
    modules.map(files).unwrap_or_default()
}

fn texts<'py>(values: impl Iterator<Item = Bound<'py, PyAny>>) -> Vec<String> {
    values.filter_map(|value| value.extract().ok()).collect()
}

/// Checks files, and folders with all that is in them, where the library in front asks for it. What is relative, in a
/// process of Python's own, means another place at each time.
fn check(request: &Request, places: &[String]) -> Result<(), Error> {
    for place in places.iter().filter(|place| place.starts_with('/')) {
        if let Ok(place) = CString::new(place.as_str()) {
            request.check_code(&place).map_err(Error::text)?;
        }
    }
    Ok(())
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
