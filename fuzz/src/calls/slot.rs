//! A state with its instances, and the calls on them.

use std::ffi::CString;
use std::ptr;

use falco_plugin_abi::api::types::{
    ss_instance_t, ss_plugin_event, ss_plugin_init_input, ss_plugin_owner_t, ss_plugin_set_config_input, ss_plugin_t,
};
use falco_plugin_abi::api::{EOF, FAILURE, Functions, SUCCESS, TIMEOUT};
use falco_plugin_api::{
    ss_plugin_metric_type_SS_PLUGIN_METRIC_TYPE_MONOTONIC as MONOTONIC,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_D as FLOAT,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_S64 as INT,
    ss_plugin_metric_value_type_SS_PLUGIN_METRIC_VALUE_TYPE_U64 as UNSIGNED,
};
use falco_plugin_host::abi::{Event as Checked, UNSET as UNSET_EVENTS};

use super::call::{Config, Params, Without};
use super::library::Library;
use super::memory::{c_string, output, read_all, read_string};
use super::owner::{self, Owner};
use super::tables::{HostTables, Tables, with_init_input};

const MOST_INSTANCES: usize = 3;
const UNSET: i32 = 0x5EED;
const KINDS: [&str; 9] = [
    "pull", "push", "items", "async", "custom", "lines", "none", "retry", "unknown",
];
/// Steps of a source, as `fuzz/plugins/sources.py` reads them.
const STEPS: &[u8; 16] = b"jjjbeltxrkcgniv.";

/// Returns the string of a configuration; empty if there is none.
fn string_of(config: &Config<'_>) -> CString {
    match config {
        Config::Any(bytes) => c_string(bytes),
        Config::Good => c"{}".into(),
        Config::Actions { action, sends } => {
            c_string(format!(r#"{{"action": {action}, "sends": {sends}}}"#).as_bytes())
        }
        Config::NoInput | Config::Null => CString::default(),
    }
}

/// Gets the metrics, and reads their memory.
pub(super) fn check_metrics(functions: &Functions, state: *mut ss_plugin_t, without_output: bool) {
    let get = functions.get_metrics.expect("every plugin has metrics");
    let mut count = UNSET as u32;
    // SAFETY: the state is NULL or one of init, the count NULL or writable.
    let first = unsafe { get(state, output(&mut count, without_output)) };
    if without_output {
        return;
    }
    assert_eq!(first.is_null(), count == 0);
    assert!(count == 0 || !state.is_null());
    if first.is_null() {
        return;
    }
    // SAFETY: the plugin reports that many metrics there, valid until this thread's next call.
    let metrics = unsafe { std::slice::from_raw_parts(first, count as usize) };
    for metric in metrics {
        // SAFETY: a name is NULL or NUL-terminated, and valid as the metric is.
        let name = unsafe { read_string(metric.name) }.expect("a metric has a name");
        assert!(
            name.bytes()
                .all(|byte| matches!(byte, b'a'..=b'z' | b'0'..=b'9' | b'_')),
            "{name}"
        );
        let is_counter = metric.type_ == MONOTONIC;
        assert_eq!(is_counter, metric.value_type == UNSIGNED, "{name}");
        assert!(is_counter || matches!(metric.value_type, INT | FLOAT), "{name}");
    }
}

/// A slot for a state. If it is empty, all calls are made with NULL as state.
pub(super) struct Slot {
    pub(super) library: &'static Library,
    pub(super) state: *mut ss_plugin_t,
    pub(super) owner: Option<&'static Owner>,
    instances: Vec<Opened>,
}

/// An open instance with the events of its last batch.
struct Opened {
    instance: *mut ss_instance_t,
    events: Vec<*mut ss_plugin_event>,
}

// SAFETY: handles may be used on any thread, by one thread at a time. Each thread has its slots to itself.
unsafe impl Send for Slot {}

impl Default for Slot {
    fn default() -> Self {
        Self {
            library: Library::get(0),
            state: ptr::null_mut(),
            owner: None,
            instances: Vec::new(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        while !self.instances.is_empty() {
            self.close(0, false);
        }
        self.destroy();
    }
}

impl Slot {
    pub(super) fn uses(&self, library: &Library) -> bool {
        ptr::eq(self.library, library) && (!self.state.is_null() || !self.instances.is_empty())
    }

    pub(super) fn functions(&self) -> Functions {
        self.library.functions()
    }

    /// Returns the owner, or NULL if there is no state.
    pub(super) fn owner_ptr(&self) -> *mut ss_plugin_owner_t {
        self.owner.map_or(ptr::null_mut(), Owner::as_ptr)
    }

    /// Runs a call in which the plugin may use the host's tables.
    pub(super) fn in_call<R>(&self, call: impl FnOnce() -> R) -> R {
        self.with_tables(Tables::begin_call);
        let result = call();
        self.with_tables(Tables::end_call);
        result
    }

    fn with_tables(&self, code: fn(&mut Tables)) {
        if let Some(owner) = self.owner {
            owner.with_tables(code);
        }
    }

    pub(super) fn init(
        &mut self,
        library: &'static Library,
        config: &Config<'_>,
        without_rc: bool,
        host: HostTables,
        failures: u64,
    ) {
        self.destroy();
        // Instances that are still open must be closed by their own library.
        if !self.instances.is_empty() {
            return;
        }
        self.library = library;
        let string = string_of(config);
        let owner = Owner::new();
        self.owner = Some(owner);
        owner.set_failures(failures);
        let mut code = UNSET;
        self.state = with_init_input(owner, host, |tables| {
            let input = ss_plugin_init_input {
                config: if let Config::Null = config {
                    ptr::null()
                } else {
                    string.as_ptr()
                },
                owner: owner.as_ptr(),
                get_owner_last_error: Some(owner::last_error),
                tables,
                log_fn: Some(owner::log),
            };
            let input = if let Config::NoInput = config {
                ptr::null()
            } else {
                &raw const input
            };
            // SAFETY: the input is valid during the call, its owner and log until destroy. The code is NULL or writable.
            self.in_call(|| unsafe { (self.functions().init)(input, output(&mut code, without_rc)) })
        });
        assert!(!self.state.is_null(), "a failed init has a state too");
        if !without_rc {
            assert!(matches!(code, SUCCESS | FAILURE), "init: {code}");
            assert!(code == SUCCESS || !self.last_error().is_empty());
        }
    }

    pub(super) fn destroy(&mut self) {
        // The host ends its thread pool first.
        if let Some(owner) = self.owner {
            owner.pool.purge();
        }
        // SAFETY: the state is NULL or one of init, and is not used afterwards.
        unsafe { (self.functions().destroy)(std::mem::replace(&mut self.state, ptr::null_mut())) };
        if let Some(owner) = self.owner.take() {
            owner.end();
        }
    }

    pub(super) fn last_error(&self) -> String {
        // SAFETY: the state is NULL or one of init. The string stays valid until this thread's next call.
        unsafe { read_string((self.functions().get_last_error)(self.state)) }
            .expect("there is always a string")
            .to_owned()
    }

    pub(super) fn open(&mut self, params: &Params<'_>, without_rc: bool) {
        let Some(open) = self.functions().open else {
            return;
        };
        if self.instances.len() == MOST_INSTANCES {
            return;
        }
        let string = match params {
            Params::Null => CString::default(),
            Params::Any(bytes) => c_string(bytes),
            Params::Source(kind, steps) => {
                let kind = KINDS[usize::from(*kind) % KINDS.len()];
                let steps: Vec<_> = steps.iter().map(|step| STEPS[usize::from(step % 16)]).collect();
                c_string(&[kind.as_bytes(), b" ", &steps].concat())
            }
        };
        let params = if let Params::Null = params {
            ptr::null()
        } else {
            string.as_ptr()
        };
        let mut code = UNSET;
        // SAFETY: the state is NULL or one of init, the string is NUL-terminated, the code is NULL or writable.
        let instance = unsafe { open(self.state, params, output(&mut code, without_rc)) };
        if !without_rc {
            assert!(matches!(code, SUCCESS | FAILURE), "open: {code}");
            assert_eq!(code == SUCCESS, !instance.is_null());
            assert!(code == SUCCESS || !self.last_error().is_empty());
        }
        if !instance.is_null() {
            self.instances.push(Opened {
                instance,
                events: Vec::new(),
            });
        }
    }

    /// Closes an instance, or NULL.
    pub(super) fn close(&mut self, instance: u8, without_state: bool) {
        let Some(close) = self.functions().close else {
            return;
        };
        let opened = self.index(instance).map(|index| self.instances.swap_remove(index));
        let state = if without_state { ptr::null_mut() } else { self.state };
        // SAFETY: handles are NULL, or of init and open. The instance is not used afterwards.
        unsafe { close(state, opened.map_or(ptr::null_mut(), |opened| opened.instance)) };
    }

    /// Returns the index of an instance, or `None` for a call without one.
    fn index(&self, instance: u8) -> Option<usize> {
        let index = usize::from(instance) % (self.instances.len() + 1);
        (index < self.instances.len()).then_some(index)
    }

    /// Returns an event of an instance's last batch, or NULL.
    pub(super) fn event(&self, instance: u8, index: u8) -> *const ss_plugin_event {
        let events = self
            .index(instance)
            .map_or(&[][..], |instance| &self.instances[instance].events);
        events
            .get(usize::from(index))
            .map_or(ptr::null(), |event| event.cast_const())
    }

    fn handles(&self, index: Option<usize>, without: Without) -> (*mut ss_plugin_t, *mut ss_instance_t) {
        let state = if without == Without::State {
            ptr::null_mut()
        } else {
            self.state
        };
        let instance = index.filter(|_| without != Without::Instance);
        (
            state,
            instance.map_or(ptr::null_mut(), |index| self.instances[index].instance),
        )
    }

    pub(super) fn next_batch(&mut self, instance: u8, without: Without) {
        let Some(next_batch) = self.functions().next_batch else {
            return;
        };
        let index = self.index(instance);
        let (state, instance) = self.handles(index, without);
        let (mut count, mut events) = (UNSET as u32, UNSET_EVENTS);
        let without_outputs = without == Without::Outputs;
        // SAFETY: handles are NULL, or of init and open and used by this thread alone. Outputs are NULL or writable.
        let code = unsafe {
            next_batch(
                state,
                instance,
                output(&mut count, without_outputs),
                output(&mut events, without_outputs),
            )
        };
        assert!(matches!(code, SUCCESS | FAILURE | TIMEOUT | EOF), "next_batch: {code}");
        if code == FAILURE && state == self.state {
            assert!(!self.last_error().is_empty());
        }
        // The plugin may reuse the memory of the preceding batch.
        if let Some(index) = index.filter(|_| !instance.is_null()) {
            self.instances[index].events.clear();
        }
        if without_outputs {
            return;
        }
        assert_eq!(code == SUCCESS, count > 0);
        if code != SUCCESS {
            return;
        }
        // SAFETY: the plugin reports that many events there, valid until the next call on the instance.
        let events = unsafe { std::slice::from_raw_parts(events, count as usize) };
        for &event in events {
            // SAFETY: as above, and nothing else uses it.
            let checked = unsafe { Checked::check(event, self.library.id, || 1) };
            let checked = checked.unwrap_or_else(|fault| panic!("{fault}"));
            read_all(checked.payload());
        }
        if let Some(index) = index {
            self.instances[index].events = events.to_vec();
        }
    }

    pub(super) fn progress(&mut self, instance: u8, without: Without) {
        let Some(progress) = self.functions().get_progress else {
            return;
        };
        let (state, instance) = self.handles(self.index(instance), without);
        let without_outputs = without == Without::Outputs;
        let mut hundredths = UNSET as u32;
        // SAFETY: as for next_batch. The string stays valid until the next call.
        let string = unsafe { read_string(progress(state, instance, output(&mut hundredths, without_outputs))) };
        assert!(string.is_some());
        assert!(without_outputs || hundredths <= 10_000);
    }

    pub(super) fn set_config(&self, config: &Config<'_>) {
        let Some(set) = self.functions().set_config else {
            return;
        };
        let string = string_of(config);
        let input = ss_plugin_set_config_input {
            config: if let Config::Null = config {
                ptr::null()
            } else {
                string.as_ptr()
            },
        };
        let input = if let Config::NoInput = config {
            ptr::null()
        } else {
            &raw const input
        };
        // SAFETY: the state is NULL or one of init, the input NULL or valid during the call.
        let code = unsafe { set(self.state, input) };
        assert!(matches!(code, SUCCESS | FAILURE), "set_config: {code}");
        assert!(code == SUCCESS || !self.last_error().is_empty());
        assert!(code == FAILURE || !self.state.is_null());
    }

    pub(super) fn list_open_params(&self, without_rc: bool) {
        let Some(list) = self.functions().list_open_params else {
            return;
        };
        let mut code = UNSET;
        // SAFETY: the state is NULL or one of init, the code NULL or writable. The string stays valid until the next call.
        let string = unsafe { read_string(list(self.state, output(&mut code, without_rc))) };
        if without_rc {
            return;
        }
        assert!(matches!(code, SUCCESS | FAILURE), "list_open_params: {code}");
        assert_eq!(code == SUCCESS, string.is_some());
        match string {
            Some(string) => drop(serde_json::from_str::<Vec<serde_json::Value>>(string).expect("a list")),
            None => assert!(!self.last_error().is_empty()),
        }
    }
}
