//! Where the library in front enters: from a host's `plugin_init` to a Python plugin.

use falco_plugin_abi::{Log, Request};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use pyo3::prelude::*;
use pyo3::types::PyBytes;

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
            Ok(plugin) => Ok(Box::new(plugin) as Box<dyn Plugin>),
            Err(error) => Err(Error::text(describe(py, "init", error))),
        }
    })
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
