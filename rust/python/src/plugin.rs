//! A plugin written in Python, as the engine's `Plugin`.

use std::env;
use std::sync::Arc;

use falco_plugin_abi::{Log, Severity};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{self as engine, EventFilter};
use falco_plugin_engine::extract::{Argument, Cache, EventState, Extractor, Field, Values};
use falco_plugin_engine::metrics::Metrics;
use falco_plugin_engine::plugin::{AsyncEvents, Extract, Instance, Listen, OpenParam, Parse, Plugin, Source};
use falco_plugin_engine::table::KeyValue;
use pyo3::prelude::*;
use pyo3::types::PyString;

use crate::convert::text::replacing;
use crate::errors::{is_no_json, report};
use crate::event::reader::Event;
use crate::fields::declared;
use crate::fields::method::Method;
use crate::interpreter::log::{CurrentPlugin, PluginNumber};
use crate::interpreter::threads;
use crate::metrics::declared as declared_metrics;
use crate::metrics::of_plugin::{Parts, PluginMetrics};
use crate::parsing::{self, ParseMethod};
use crate::source::context::Context;
use crate::source::driver::PythonInstance;

/// Bytes of a payload that are shown as the text of an event if the plugin does not define `event_to_string`.
const DEFAULT_TEXT_BYTES: usize = 1024;
/// The text of an event if `event_to_string` fails and the failure cannot be logged either.
const NO_TEXT: &str = "<event_to_string failed>";
/// The variable with which `falco-plugin alerts` asks for the counts of each field.
const COUNT_FIELDS: &str = "FALCO_PLUGIN_COUNT_FIELDS";
/// The beginning of the log line with these counts. `falco_plugin._falco.log` reads it.
const FIELD_COUNTS: &str = "present and absent fields: ";

/// The `Runtime` of `falco_plugin._runtime.runtime`, which holds the plugin object of the user.
pub(crate) struct PythonPlugin {
    pub(crate) runtime: Py<PyAny>,
    pub(crate) number: PluginNumber,
    /// The plugin id; 0 without an event source.
    id: u32,
    /// Whether the plugin defines `event_to_string`.
    defines_text: bool,
    log: Log,
    extractor: Extractor,
    /// The method of each field; `None` if the field is read from JSON or from a table, without
    /// Python.
    methods: Vec<Option<Method>>,
    pub(crate) counts: Arc<PluginMetrics>,
    /// The counts of the SDK, then the metrics that the plugin declares.
    metrics: Metrics,
    /// Whether the fields are also those of events that no source of a plugin made.
    extracts_from_other_events: bool,
    /// The methods that parse events, in the order in which they run.
    pub(crate) parse_methods: Vec<ParseMethod>,
    _release: threads::ReferenceRelease,
    _collect: threads::GarbageCollection,
}

impl PythonPlugin {
    pub(crate) fn new(
        runtime: &Bound<'_, PyAny>,
        log: Log,
        number: PluginNumber,
        counts: Arc<PluginMetrics>,
    ) -> PyResult<Self> {
        let (fields, methods) = declared::from_runtime(runtime)?;
        let field_log = log.clone();
        let warn = move |message: &str| field_log.log(Severity::Warning, message);
        let mut extractor = Extractor::new(fields, Box::new(warn));
        if env::var_os(COUNT_FIELDS).is_some_and(|value| value == "1") {
            extractor = extractor.with_request_counts();
        }
        let event_types: Option<Vec<String>> = runtime.getattr("extract_event_types")?.extract()?;
        if let Some(names) = event_types.as_ref().filter(|names| !names.is_empty()) {
            extractor = extractor.with_filter(EventFilter::new(names, &[]));
        }
        let mut metrics = Metrics::new();
        if runtime.getattr("is_source")?.extract()? {
            counts.sources.add_to(&mut metrics);
        }
        let has_fields = !extractor.fields().is_empty();
        if has_fields {
            extractor.add_metrics(&mut metrics);
        }
        let parse_methods = parsing::from_runtime(runtime)?;
        counts.add_to(
            &mut metrics,
            &Parts {
                fields: has_fields,
                parsing: !parse_methods.is_empty(),
                async_events: runtime.getattr("sends_async_events")?.extract()?,
                listening: runtime.getattr("listens")?.extract()?,
            },
        );
        declared_metrics::add_from_runtime(runtime, &mut metrics)?;
        Ok(Self {
            log,
            extractor,
            methods,
            counts,
            metrics,
            extracts_from_other_events: event_types.is_some(),
            parse_methods,
            number,
            id: runtime.getattr("plugin_id")?.extract()?,
            defines_text: runtime.getattr("defines_event_to_string")?.extract()?,
            runtime: runtime.clone().unbind(),
            _release: threads::ReferenceRelease,
            _collect: threads::GarbageCollection,
        })
    }

    /// Makes the values of a field with its method. If the method fails, logs the reason and leaves the field absent.
    fn run_method(
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
            self.report_field(py, &method.name, error);
        }
    }

    /// Logs why a field is absent, unless the same cause was logged before.
    fn report_field(&self, py: Python<'_>, field: &str, error: PyErr) {
        if is_no_json(py, &error) {
            // The payload is damaged: the extractor counts and reports that.
            return;
        }
        self.counts.failed_fields.add(1);
        let reported = self
            .runtime
            .bind(py)
            .call_method1("field_failed", (field, error.into_value(py)));
        if let Err(error) = reported {
            report(py, field, error);
        }
    }

    /// Calls user code. Logs an exception, and returns its message for the host.
    pub(crate) fn call<T>(&self, doing: &str, code: impl FnOnce(&Bound<'_, PyAny>) -> PyResult<T>) -> Result<T, Error> {
        self.enter(|py| code(self.runtime.bind(py)).map_err(|error| Error::text(report(py, doing, error))))
    }

    /// Runs code with the GIL, for this plugin, and adds its duration to the metrics.
    fn enter<R>(&self, code: impl FnOnce(Python<'_>) -> R) -> R {
        let _current = CurrentPlugin::enter(self.number);
        self.counts.python_time.measure(|| threads::enter(code))
    }

    /// As [`Self::enter`], for code that is called for the event with a number. Adds an estimate of its duration.
    #[inline]
    pub(crate) fn enter_for_event<R>(&self, number: u64, code: impl FnOnce(Python<'_>) -> R) -> R {
        let _current = CurrentPlugin::enter(self.number);
        self.counts.python_time.sample(number, || threads::enter(code))
    }

    /// Makes the text of an event with the plugin's method. If that fails, logs the reason and returns a placeholder.
    fn event_text(&self, py: Python<'_>, event: &engine::Event<'_>, state: EventState<'_>) -> PyResult<String> {
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

    fn as_async_events(&self) -> Option<&dyn AsyncEvents> {
        Some(self)
    }

    fn as_listen(&self) -> Option<&dyn Listen> {
        Some(self)
    }

    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn set_config(&self, config: &str) -> Result<(), Error> {
        self.call("set_config", |runtime| {
            runtime.call_method1("set_config", (config,)).map(drop)
        })
    }

    fn as_parse(&self) -> Option<&dyn Parse> {
        (!self.parse_methods.is_empty()).then_some(self)
    }

    fn destroy(&self) {
        self.extractor.finish();
        if let Some(counts) = self.extractor.request_counts() {
            self.log.log(Severity::Info, &format!("{FIELD_COUNTS}{counts}"));
        }
        self.enter(|py| {
            if let Err(error) = self.runtime.bind(py).call_method0("destroy") {
                report(py, "destroy", error);
            }
        });
    }
}

impl Source for PythonPlugin {
    fn id(&self) -> u32 {
        self.id
    }

    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error> {
        self.call("open", |runtime| {
            let context = Context::for_instance(runtime.py(), None)?;
            let opened = runtime
                .call_method1("open", (params, context.bind(runtime.py())))
                .and_then(|instance| {
                    let context = context.clone_ref(runtime.py());
                    PythonInstance::new(&instance, context, self.number, Arc::clone(&self.counts))
                });
            match opened {
                Ok(instance) => Ok(Box::new(instance) as Box<dyn Instance>),
                Err(error) => {
                    // Stop threads that `open` has started before it failed: they watch the context.
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
            if !self.defines_text {
                return default_text(event.data);
            }
            self.enter_for_event(state.serial, |py| {
                self.event_text(py, event, state).unwrap_or_else(|error| {
                    report(py, "event_to_string", error);
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

    fn extracts_from_other_events(&self) -> bool {
        self.extracts_from_other_events
    }

    fn extract<'c>(
        &self,
        cache: &'c mut Cache,
        event: &engine::Event<'_>,
        field: usize,
        argument: &Argument<'_>,
    ) -> &'c Values {
        if let Some(key_field) = self.extractor.key_field(field) {
            let key = KeyValue::first_of(self.extract(cache, event, key_field, &Argument::default()));
            return self.extractor.extract_by_key(cache, event, field, key.as_ref());
        }
        self.extractor.extract(cache, event, field, argument, |state, values| {
            if let Some(method) = &self.methods[field] {
                self.enter_for_event(state.serial, |py| {
                    self.run_method(py, method, event, state, argument, values);
                });
            }
        })
    }
}

/// Returns the payload as text, cut at 1 KiB. Bytes that are not UTF-8 are replaced.
fn default_text(data: &[u8]) -> String {
    let text = String::from_utf8_lossy(&data[..data.len().min(DEFAULT_TEXT_BYTES)]).into_owned();
    if data.len() <= DEFAULT_TEXT_BYTES {
        return text;
    }
    // Leave out a character that the cut has divided: it would show as a replacement character.
    let whole = std::str::from_utf8(&data[..DEFAULT_TEXT_BYTES]);
    match whole {
        Err(error) if error.error_len().is_none() => String::from_utf8_lossy(&data[..error.valid_up_to()]).into_owned(),
        _ => text,
    }
}
