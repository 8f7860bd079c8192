//! Async events and captures of a plugin written in Python.

use std::sync::Arc;
use std::time::Duration;

use falco_plugin_abi::fork;
use falco_plugin_engine::async_events::AsyncSink as EngineSink;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::{AsyncEvents, Listen};
use falco_plugin_engine::routine::Routine;
use pyo3::prelude::*;

use crate::errors::report;
use crate::interpreter::log::CurrentPlugin;
use crate::plugin::PythonPlugin;
use crate::sending::sink::AsyncSink;

impl AsyncEvents for PythonPlugin {
    fn start(&self, sink: Arc<EngineSink>) -> Result<(), Error> {
        self.call("async_events", |runtime| {
            runtime.call_method1("start_async_events", (AsyncSink::new(sink, Arc::clone(&self.counts)),))?;
            Ok(())
        })
    }

    fn stop(&self) {
        // A failure is in the log, and the host has no use for it.
        let _ = self.call("async_events", |runtime| {
            runtime.call_method0("stop_async_events")?;
            Ok(())
        });
    }

    fn dump_state(&self, sink: Arc<EngineSink>) -> Result<(), Error> {
        self.call("dump_state", |runtime| {
            runtime.call_method1("dump_state", (AsyncSink::new(sink, Arc::clone(&self.counts)),))?;
            Ok(())
        })
    }
}

impl Listen for PythonPlugin {
    fn capture_open(&self) -> Result<Vec<Routine>, Error> {
        self.call("capture_open", |runtime| {
            let routines: Vec<(f64, Py<PyAny>)> = runtime.call_method0("capture_open")?.extract()?;
            let routines = routines.into_iter();
            Ok(routines.map(|(seconds, run)| self.routine(seconds, run)).collect())
        })
    }

    fn capture_close(&self) {
        // A failure is in the log. For the host it would be a reason to end.
        let _ = self.call("capture_close", |runtime| {
            runtime.call_method0("capture_close")?;
            Ok(())
        });
    }
}

impl PythonPlugin {
    /// Makes a routine that calls a callable of `falco_plugin._runtime.captures`, which logs exceptions itself, and returns
    /// whether the function succeeded.
    fn routine(&self, seconds: f64, run: Py<PyAny>) -> Routine {
        let (number, counts) = (self.number, Arc::clone(&self.counts));
        let interval = Duration::try_from_secs_f64(seconds).unwrap_or(Duration::MAX);
        Routine::new(interval, move || {
            let _current = CurrentPlugin::enter(number);
            Python::attach(|py| {
                let called = run.call0(py);
                fork::end_child();
                counts.called_routines.add(1);
                match called.and_then(|succeeded| succeeded.extract::<bool>(py)) {
                    Ok(true) => {}
                    Ok(false) => counts.failed_routines.add(1),
                    Err(error) => drop(report(py, "a function of Capture.every", error)),
                }
            });
        })
    }
}
