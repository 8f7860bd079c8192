//! A Python plugin object as the engine's `Plugin`.

use falco_plugin_abi::{Log, Severity};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event as engine;
use falco_plugin_engine::extract::{Argument, Cache, EventState, Extractor, Field, Values};
use falco_plugin_engine::plugin::{Extract, Instance, OpenParam, Plugin, Source};
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::convert::text::replacing;
use crate::errors::{describe, is_no_json};
use crate::event::reader::Event;
use crate::fields::{self, Method};
use crate::interpreter::log::{CurrentPlugin, PluginNumber};
use crate::interpreter::threads;
use crate::source::context::Context;
use crate::source::driver::PythonInstance;

/// How much of a payload `event_to_string` shows where the plugin does not define it.
const DEFAULT_TEXT_BYTES: usize = 1024;
/// The text of an event if the method fails and the failure cannot be logged either.
const NO_TEXT: &str = "<event_to_string failed>";

/// The `Runtime` of `falco_plugin._runtime.runtime`, which holds the author's plugin.
pub(crate) struct PythonPlugin {
    runtime: Py<PyAny>,
    number: PluginNumber,
    /// Whether the author defines `event_to_string`.
    has_own_text: bool,
    extractor: Extractor,
    /// Of each field, the method that makes it; none where it is read without Python.
    methods: Vec<Option<Method>>,
    _release: threads::Release,
    _collect: threads::Collect,
}

impl PythonPlugin {
    pub(crate) fn new(runtime: &Bound<'_, PyAny>, log: Log, number: PluginNumber) -> PyResult<Self> {
        let (fields, methods) = fields::from_runtime(runtime)?;
        let report = move |message: &str| log.log(Severity::Warning, message);
        Ok(Self {
            extractor: Extractor::new(fields, Box::new(report)),
            methods,
            number,
            has_own_text: runtime.getattr("defines_event_to_string")?.extract()?,
            runtime: runtime.clone().unbind(),
            _release: threads::Release,
            _collect: threads::Collect,
        })
    }

    /// Makes a field's values by its method; where that fails there are none.
    fn run(
        &self,
        py: Python<'_>,
        method: &Method,
        event: &engine::Event<'_>,
        state: EventState<'_>,
        argument: &Argument<'_>,
        values: &mut Values,
    ) {
        let made = Event::while_current(py, event, state, |object| {
            method.call(object, event.data.len(), argument, values)
        });
        if let Err(error) = made {
            values.clear();
            self.tell(py, &method.name, error);
        }
    }

    /// Logs why a field could not be made, unless that was said before.
    fn tell(&self, py: Python<'_>, field: &str, error: PyErr) {
        if is_no_json(py, &error) {
            // The payload is at fault, and the extractor counts and reports it.
            return;
        }
        let told = self
            .runtime
            .bind(py)
            .call_method1("field_failed", (field, error.into_value(py)));
        if let Err(error) = told {
            describe(py, field, error);
        }
    }

    /// Runs a call into the author's code; what it raises becomes a text for the host.
    fn call<T>(&self, doing: &str, code: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T, Error> {
        let _current = CurrentPlugin::enter(self.number);
        threads::enter(|py| code(self.runtime.bind(py)).map_err(|error| Error::text(describe(py, doing, error))))
    }

    /// Makes the text of an event by the plugin's own method. If that fails, logs the reason and returns a placeholder.
    fn own_text(&self, py: Python<'_>, event: &engine::Event<'_>, state: EventState<'_>) -> PyResult<String> {
        let runtime = self.runtime.bind(py);
        let made = Event::while_current(py, event, state, |object| {
            Ok(runtime.call_method1("event_to_string", (object,))?.unbind())
        });
        let text = match made {
            Ok(text) => text.into_bound(py),
            Err(error) => runtime.call_method1("event_to_string_failed", (error.into_value(py),))?,
        };
        Ok(replacing(text.cast::<PyString>()?)?.into_owned())
    }
}

impl Plugin for PythonPlugin {
    fn as_source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn as_extract(&self) -> Option<&dyn Extract> {
        Some(self)
    }

    fn destroy(&self) {
        self.extractor.finish();
        let _current = CurrentPlugin::enter(self.number);
        threads::enter(|py| {
            if let Err(error) = self.runtime.bind(py).call_method0("destroy") {
                describe(py, "destroy", error);
            }
        });
    }
}

impl Source for PythonPlugin {
    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error> {
        self.call("open", |runtime| {
            let context = Context::for_instance(runtime.py(), None)?;
            let opened = runtime
                .call_method1("open", (params, context.bind(runtime.py())))
                .and_then(|instance| PythonInstance::new(&instance, context.clone_ref(runtime.py()), self.number));
            match opened {
                Ok(instance) => Ok(Box::new(instance) as Box<dyn Instance>),
                Err(error) => {
                    // What a half-open source has started ends with its context.
                    runtime.py().detach(|| context.get().engine.cancel());
                    Err(error)
                }
            }
        })
    }

    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error> {
        self.call("list_open_params", |runtime| {
            let params: Vec<[Bound<'_, PyString>; 3]> = runtime.call_method0("list_open_params")?.extract()?;
            params
                .iter()
                .map(|[value, desc, separator]| {
                    Ok(OpenParam {
                        value: replacing(value)?.into_owned(),
                        desc: replacing(desc)?.into_owned(),
                        separator: replacing(separator)?.into_owned(),
                    })
                })
                .collect()
        })
    }

    fn event_to_string<'c>(&self, cache: &'c mut Cache, event: &engine::Event<'_>) -> &'c str {
        cache.string(event, |state| {
            if !self.has_own_text {
                return default_text(event.data);
            }
            let _current = CurrentPlugin::enter(self.number);
            threads::enter(|py| {
                self.own_text(py, event, state).unwrap_or_else(|error| {
                    describe(py, "event_to_string", error);
                    NO_TEXT.to_owned()
                })
            })
        })
    }
}

impl Extract for PythonPlugin {
    fn fields(&self) -> &[Field] {
        self.extractor.fields()
    }

    fn extract<'c>(
        &self,
        cache: &'c mut Cache,
        event: &engine::Event<'_>,
        field: usize,
        argument: &Argument<'_>,
    ) -> &'c Values {
        self.extractor.extract(cache, event, field, argument, |state, values| {
            if let Some(method) = &self.methods[field] {
                let _current = CurrentPlugin::enter(self.number);
                threads::enter(|py| self.run(py, method, event, state, argument, values));
            }
        })
    }
}

/// The payload as text, bad UTF-8 replaced, cut at 1 KiB.
fn default_text(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(&data[..data.len().min(DEFAULT_TEXT_BYTES)]).into_owned();
    if data.len() <= DEFAULT_TEXT_BYTES {
        return text;
    }
    // The cut may have gone through a character, which then shows as one replacement at the very end.
    let whole = std::str::from_utf8(&data[..DEFAULT_TEXT_BYTES]);
    match whole {
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(&data[..error.valid_up_to()]).into_owned(),
        _ => text,
    }
}
