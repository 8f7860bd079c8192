//! Methods of the plugin that parse events before fields are extracted from them.

use falco_plugin_engine::event::{self as engine, EventFilter};
use falco_plugin_engine::extract::Cache;
use falco_plugin_engine::plugin::Parse;
use pyo3::prelude::*;

use crate::errors::report;
use crate::event::reader::Event;
use crate::plugin::PythonPlugin;

/// A method that parses events.
pub(crate) struct ParseMethod {
    name: String,
    function: Py<PyAny>,
    filter: EventFilter,
}

/// Reads `Runtime.parse_methods`.
pub(crate) fn from_runtime(runtime: &Bound<'_, PyAny>) -> PyResult<Vec<ParseMethod>> {
    /// Name, bound method, names of events, and event sources.
    type Declared<'py> = (String, Bound<'py, PyAny>, Vec<String>, Vec<String>);
    let declared: Vec<Declared<'_>> = runtime.getattr("parse_methods")?.extract()?;
    let methods = declared
        .into_iter()
        .map(|(name, function, events, sources)| ParseMethod {
            name,
            function: function.unbind(),
            filter: EventFilter::new(&events, &sources),
        });
    Ok(methods.collect())
}

impl PythonPlugin {
    /// Logs why a method failed, unless the same cause was logged before.
    fn report_parsing(&self, py: Python<'_>, method: &str, error: PyErr) {
        self.counts.failed_parsing.add(1);
        let runtime = self.runtime.bind(py);
        if let Err(error) = runtime.call_method1("parsing_failed", (method, error.into_value(py))) {
            report(py, method, error);
        }
    }
}

impl Parse for PythonPlugin {
    #[inline]
    fn parses(&self, raw: &[u8], source: &[u8]) -> bool {
        let mut filters = self.parse_methods.iter().map(|method| &method.filter);
        filters.any(|filter| filter.selects_encoded(raw, source))
    }

    fn parse(&self, cache: &mut Cache, event: &engine::Event<'_>) {
        self.counts.parsed_events.add(1);
        let state = cache.state_of(event);
        self.enter_for_event(state.serial, |py| {
            let parsed = Event::while_current(py, event, state, |object| {
                let methods = self.parse_methods.iter().filter(|method| method.filter.selects(event));
                for method in methods {
                    // A method that fails does not keep the others from the event.
                    if let Err(error) = method.function.bind(py).call1((object,)) {
                        self.report_parsing(py, &method.name, error);
                    }
                }
                Ok(())
            });
            if let Err(error) = parsed {
                self.report_parsing(py, "parse", error);
            }
        });
    }
}
