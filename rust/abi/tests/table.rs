//! Plugins that panic or lack a capability, called through the table of functions: the host gets errors.

mod support;

use std::ffi::CStr;
use std::ptr;
use std::thread;

use falco_plugin_abi::api::{EOF, FAILURE, SUCCESS};
use falco_plugin_abi::init::TABLE;
use falco_plugin_abi::{Log, Severity};
use falco_plugin_api::{
    ss_plugin_event_input, ss_plugin_field_extract_input, ss_plugin_init_input, ss_plugin_metric,
    ss_plugin_metric_type_SS_PLUGIN_METRIC_TYPE_MONOTONIC as MONOTONIC,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_D as D,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_S64 as S64,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_U64 as U64, ss_plugin_rc, ss_plugin_set_config_input,
    ss_plugin_t,
};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{Event, EventBatch};
use falco_plugin_engine::extract::Cache;
use falco_plugin_engine::metrics::{Counter, Gauge, Metrics, Value};
use falco_plugin_engine::plugin::{Instance, OpenParam, Plugin, Source};
use support::start_with;

struct Panics;

impl Plugin for Panics {
    fn as_source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn metrics(&self) -> &Metrics {
        panic!("metrics panics")
    }

    fn set_config(&self, _: &str) -> Result<(), Error> {
        panic!("set_config panics")
    }

    fn destroy(&self) {
        panic!("destroy panics")
    }
}

impl Source for Panics {
    fn id(&self) -> u32 {
        panic!("id")
    }

    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error> {
        assert_eq!(params, "good", "open panics");
        Ok(Box::new(Self))
    }

    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error> {
        panic!("list_open_params panics")
    }

    fn event_to_string<'c>(&self, _: &'c mut Cache, _: &Event<'_>) -> &'c str {
        panic!("event_to_string panics")
    }
}

impl Instance for Panics {
    fn next_batch(&mut self) -> Result<(), Error> {
        panic!("next_batch panics")
    }

    fn events(&mut self) -> &mut EventBatch {
        unreachable!()
    }

    fn progress(&mut self) -> (f64, String) {
        panic!("progress panics")
    }

    fn close(&mut self) {
        panic!("close panics")
    }
}

/// A plugin without capabilities.
struct Plain;

impl Plugin for Plain {
    fn destroy(&self) {}
}

/// A plugin with metrics. Its configuration is the value of one of them.
struct Measured {
    metrics: Metrics,
    gauge: Gauge,
}

impl Measured {
    fn new(log: &Log) -> Self {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        let mut metrics = Metrics::new();
        metrics.add_counter(c"requests", &counter);
        metrics.add_gauge(c"size", &gauge);
        metrics.add_read(c"ratio", || Value::Float(0.5));
        counter.add(u64::MAX);
        log.log(Severity::Warning, "a warning");
        Self { metrics, gauge }
    }
}

impl Plugin for Measured {
    fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    fn set_config(&self, config: &str) -> Result<(), Error> {
        let size = config
            .parse()
            .map_err(|_| Error::text(format!("{config} is not a size")))?;
        self.gauge.set_int(size);
        Ok(())
    }

    fn destroy(&self) {}
}

/// Initialises a plugin, and passes its state to `code`, which destroys it.
fn with_state(plugin: impl Plugin + 'static, code: impl FnOnce(*mut ss_plugin_t)) {
    with_made(|_| Ok(Box::new(plugin)), SUCCESS, code);
}

/// Initialises the plugin that `make` returns, with the result code `rc`, and passes its state to `code`, which destroys
/// it.
fn with_made(
    make: impl FnOnce(Log) -> Result<Box<dyn Plugin>, Error>,
    rc: ss_plugin_rc,
    code: impl FnOnce(*mut ss_plugin_t),
) {
    let input = ss_plugin_init_input {
        config: ptr::null(),
        owner: ptr::null_mut(),
        get_owner_last_error: None,
        tables: ptr::null(),
        log_fn: None,
    };
    // SAFETY: the input has no owner, and its functions are valid.
    let reply = unsafe { start_with(&input, |log, _| make(log)) };
    assert_eq!(reply.rc, rc);
    code(reply.state);
}

fn last_error(state: *mut ss_plugin_t) -> String {
    // SAFETY: the state is not destroyed, and the string valid until this thread's next call.
    unsafe { CStr::from_ptr((TABLE.get_last_error)(state)) }
        .to_string_lossy()
        .into_owned()
}

/// Returns the metrics of a state: name, whether it only increases, and value.
fn metrics(state: *mut ss_plugin_t) -> Vec<(String, bool, Value)> {
    let mut count = u32::MAX;
    // SAFETY: the state is not destroyed. The metrics are valid until this thread's next call.
    unsafe {
        let first = (TABLE.get_metrics)(state, &raw mut count);
        let found: &[_] = if first.is_null() {
            assert_eq!(count, 0);
            &[]
        } else {
            std::slice::from_raw_parts(first, count as usize)
        };
        let value = |metric: &ss_plugin_metric| match metric.value_type {
            U64 => Value::Counter(metric.value.u64_),
            S64 => Value::Int(metric.value.s64),
            D => Value::Float(metric.value.d),
            other => panic!("unexpected type {other}"),
        };
        let name = |metric: &ss_plugin_metric| CStr::from_ptr(metric.name).to_string_lossy().into_owned();
        found
            .iter()
            .map(|metric| (name(metric), metric.type_ == MONOTONIC, value(metric)))
            .collect()
    }
}

fn set_config(state: *mut ss_plugin_t, config: Option<&CStr>) -> Result<(), String> {
    let input = config.map(|config| ss_plugin_set_config_input {
        config: config.as_ptr(),
    });
    let input = input.as_ref().map_or(ptr::null(), ptr::from_ref);
    // SAFETY: the state is not destroyed, and the input is NULL or valid during the call.
    match unsafe { (TABLE.set_config)(state, input) } {
        SUCCESS => Ok(()),
        _ => Err(last_error(state)),
    }
}

/// The metrics of a log with one warning.
fn log_metrics(lines: u64) -> [(String, bool, Value); 3] {
    ["sdk_log_lines", "sdk_log_warnings", "sdk_log_errors"].map(|name| {
        let value = if name == "sdk_log_errors" { 0 } else { lines };
        (name.to_owned(), true, Value::Counter(value))
    })
}

#[test]
fn metrics_are_those_of_the_log_and_of_the_plugin() {
    with_made(
        |log| Ok(Box::new(Measured::new(&log))),
        SUCCESS,
        |state| {
            let expected = |size| {
                let own = [
                    ("requests".to_owned(), true, Value::Counter(u64::MAX)),
                    ("size".to_owned(), false, Value::Int(size)),
                    ("ratio".to_owned(), false, Value::Float(0.5)),
                ];
                [log_metrics(1), own].concat()
            };
            assert_eq!(metrics(state), expected(0));
            assert_eq!(set_config(state, Some(c"-7")), Ok(()));
            assert_eq!(metrics(state), expected(-7));
            assert_eq!(set_config(state, Some(c"large")), Err("large is not a size".into()));
            assert_eq!(metrics(state), expected(-7));
            let without_input = set_config(state, None).unwrap_err();
            assert_eq!(without_input, "set_config was called without its input");
            // SAFETY: the state is destroyed last.
            unsafe { (TABLE.destroy)(state) };
        },
    );
}

#[test]
fn metrics_of_a_thread_stay_valid_while_another_thread_reads() {
    with_made(
        |log| Ok(Box::new(Measured::new(&log))),
        SUCCESS,
        |state| {
            let mut count = 0;
            // SAFETY: the state is not destroyed while the threads use it.
            let first = unsafe { (TABLE.get_metrics)(state, &raw mut count) };
            let address = state.expose_provenance();
            let other = thread::spawn(move || {
                let state = ptr::with_exposed_provenance_mut(address);
                set_config(state, Some(c"5")).unwrap();
                metrics(state)
            });
            assert_eq!(other.join().unwrap()[4].2, Value::Int(5));
            // SAFETY: this thread has made no other call since. The state is destroyed last.
            unsafe {
                let size = &*first.add(4);
                assert_eq!((CStr::from_ptr(size.name), size.value.s64), (c"size", 0));
                (TABLE.destroy)(state);
            }
        },
    );
}

#[test]
fn metrics_after_failed_init_are_those_of_the_log() {
    let make = |log: Log| {
        log.log(Severity::Warning, "a warning");
        Err(Error::text("init fails"))
    };
    with_made(make, FAILURE, |state| {
        assert_eq!(metrics(state), log_metrics(1));
        assert_eq!(
            set_config(state, Some(c"")),
            Err("the plugin was not initialised".into())
        );
        // SAFETY: the state is destroyed last.
        unsafe { (TABLE.destroy)(state) };
    });
}

#[test]
fn functions_of_missing_capabilities_fail_with_message() {
    let mut rc = i32::MAX;
    // SAFETY: a struct of pointers, which may all be NULL.
    let fields = unsafe { std::mem::zeroed::<ss_plugin_field_extract_input>() };
    // SAFETY: the state is used on this thread alone, and destroyed last.
    with_state(Plain, |state| unsafe {
        assert!((TABLE.open)(state, ptr::null(), &raw mut rc).is_null());
        assert_eq!(
            (rc, last_error(state).as_str()),
            (FAILURE, "the plugin is not an event source")
        );
        assert_eq!((TABLE.extract_fields)(state, ptr::null(), &raw const fields), FAILURE);
        assert_eq!(last_error(state), "the plugin has no fields");
        assert_eq!(set_config(state, Some(c"")), Err("the plugin has no set_config".into()));
        assert_eq!(metrics(state), log_metrics(0));
        assert_eq!((TABLE.parse_event)(state, ptr::null(), ptr::null()), FAILURE);
        assert_eq!(last_error(state), "the plugin parses no events");
        (TABLE.destroy)(state);
    });
}

#[test]
fn panics_become_errors_and_end_the_source() {
    let mut rc = i32::MAX;
    // SAFETY: the state is used on this thread alone, as a host uses it, and destroyed last.
    with_state(Panics, |state| unsafe {
        assert!((TABLE.open)(state, c"bad".as_ptr(), &raw mut rc).is_null());
        assert_eq!(rc, FAILURE);
        assert!(last_error(state).contains("open panics"));

        assert!((TABLE.list_open_params)(state, &raw mut rc).is_null());
        assert_eq!(rc, FAILURE);
        assert!(last_error(state).ends_with("please report it: list_open_params panics"));

        assert_eq!(metrics(state), []);
        assert!(last_error(state).ends_with("please report it: metrics panics"));
        assert!(
            set_config(state, Some(c""))
                .unwrap_err()
                .ends_with("please report it: set_config panics")
        );

        let event = falco_plugin_engine::event::encode_header(0, 0);
        let event_input = ss_plugin_event_input {
            evt: event.as_ptr().cast(),
            evtnum: 1,
            evtsrc: ptr::null(),
        };
        let text = (TABLE.event_to_string)(state, &raw const event_input);
        assert_eq!(CStr::from_ptr(text), c"<event_to_string failed>");
        assert!(last_error(state).ends_with("please report it: event_to_string panics"));

        let instance = (TABLE.open)(state, c"good".as_ptr(), &raw mut rc);
        assert_eq!(rc, 0);
        let next = || {
            let (mut count, mut events) = (u32::MAX, ptr::null_mut());
            let rc = (TABLE.next_batch)(state, instance, &raw mut count, &raw mut events);
            assert_eq!(count, 0);
            rc
        };
        assert_eq!(next(), FAILURE);
        assert!(last_error(state).ends_with("please report it: next_batch panics"));
        assert_eq!(
            [next(), next()],
            [EOF, EOF],
            "the state of the instance is unknown after a panic"
        );

        let mut hundredths = u32::MAX;
        assert!(CStr::from_ptr((TABLE.get_progress)(state, instance, &raw mut hundredths)).is_empty());
        assert_eq!(hundredths, 0);
        (TABLE.close)(state, instance);
        (TABLE.destroy)(state);
    });
}
