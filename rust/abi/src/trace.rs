//! `FALCO_PLUGIN_DEBUG=1`: the functions of the plugin API with a line in the host's log when a call begins, and one with
//! its result and duration when it ends. Without the variable a plugin gets the plain table, which costs nothing.

use std::env;
use std::ffi::{CStr, c_char};
use std::fmt::Display;
use std::slice;
use std::time::Instant;

use falco_plugin_api_table::types::*;
use falco_plugin_api_table::{EOF, SUCCESS, TIMEOUT, Table, functions};
use falco_plugin_engine::words::counted;

use crate::capability;
use crate::lifecycle;
use crate::log::{Log, Severity};
use crate::state::PluginState;

macro_rules! declare_table {
    ($($symbol:literal $name:ident($state:ident; $($param:ident: $type:ty),*) -> $result:ty => $answer:block;)*) => {
        $(
            unsafe extern "C" fn $name($state: *mut ss_plugin_t, $($param: $type),*) -> $result {
                // SAFETY: the arguments are passed on. An input is NULL or valid during the call; an output is NULL, or
                // was written by the call.
                unsafe {
                    let call = Call::begin(log_of($state), stringify!($name));
                    let result = capability::$name($state, $($param),*);
                    call.end(format_args!("{}{}", result.outcome(), details!($name $($param)*)));
                    result
                }
            }
        )*

        /// The table of [`crate::init`] with a line at the beginning and at the end of each call.
        pub(crate) static TABLE: Table = Table {
            destroy,
            get_last_error,
            $($name,)*
        };
    };
}

/// Returns what the last line of a call shows after the outcome. Most calls need nothing.
macro_rules! details {
    (next_batch $instance:ident $nevts:ident $evts:ident) => {
        format_args!(", {}", counted_out($nevts.as_ref(), "event"))
    };
    (get_progress $instance:ident $progress_pct:ident) => {
        format_args!(", {} of 10000", $progress_pct.as_ref().unwrap_or(&0))
    };
    (event_to_string $event:ident) => {
        format_args!(", event {}", number($event))
    };
    (parse_event $event:ident $input:ident) => {
        format_args!(", event {}", number($event))
    };
    (extract_fields $event:ident $input:ident) => {
        format_args!(", event {}, {}", number($event), fields($input))
    };
    (get_metrics $num_metrics:ident) => {
        format_args!(", {}", counted_out($num_metrics.as_ref(), "metric"))
    };
    ($($other:tt)*) => {
        ""
    };
}

functions!(calls => declare_table);

fn counted_out(number: Option<&u32>, noun: &str) -> String {
    counted(number.map_or(0, |number| *number as usize), noun)
}

unsafe extern "C" fn destroy(state: *mut ss_plugin_t) {
    // SAFETY: the state is passed on. Its log is cloned, and still open when the call's last line is written.
    unsafe {
        let log = log_of(state).cloned();
        let call = Call::begin(log.as_ref(), "destroy");
        lifecycle::destroy_with(state, || call.end(().outcome()));
    }
}

unsafe extern "C" fn get_last_error(state: *mut ss_plugin_t) -> *const c_char {
    // SAFETY: the state is passed on. The result is a NUL-terminated string.
    unsafe {
        let call = Call::begin(log_of(state), "get_last_error");
        let message = lifecycle::get_last_error(state);
        call.end(CStr::from_ptr(message).to_string_lossy());
        message
    }
}

pub(crate) fn is_wanted() -> bool {
    env::var_os("FALCO_PLUGIN_DEBUG").is_some_and(|value| value == "1")
}

/// A call that is running.
pub(crate) struct Call<'a> {
    log: Option<&'a Log>,
    name: &'static str,
    began: Instant,
}

impl<'a> Call<'a> {
    /// Logs that a call begins. If the call never returns, this line shows which one it is.
    pub(crate) fn begin(log: Option<&'a Log>, name: &'static str) -> Self {
        let call = Self {
            log,
            name,
            began: Instant::now(),
        };
        call.log("begins");
        call
    }

    pub(crate) fn end(&self, result: impl Display) {
        let milliseconds = self.began.elapsed().as_secs_f64() * 1e3;
        self.log(format_args!("{result}, {milliseconds:.3} ms"));
    }

    fn log(&self, message: impl Display) {
        let Some(log) = self.log else { return };
        // The thread's id as a debugger, strace and perf show it.
        // glibc has a function for this call since 2.30.
        // SAFETY: cannot fail.
        let thread = unsafe { libc::syscall(libc::SYS_gettid) };
        // Info, because hosts show it by default: users should not need a second switch to see these lines.
        log.log(Severity::Info, &format!("{} (thread {thread}): {message}", self.name));
    }
}

/// # Safety
/// `state` is NULL, or a state of `init` that is not destroyed during `'a`.
unsafe fn log_of<'a>(state: *mut ss_plugin_t) -> Option<&'a Log> {
    // SAFETY: the caller's promise.
    unsafe { PluginState::from_handle(state) }.map(|state| &state.log)
}

/// How a call ended, by the type of its result.
trait Outcome {
    fn outcome(&self) -> &'static str;
}

impl Outcome for () {
    fn outcome(&self) -> &'static str {
        "done"
    }
}

impl Outcome for ss_plugin_rc {
    fn outcome(&self) -> &'static str {
        code_name(*self)
    }
}

impl<T> Outcome for *const T {
    fn outcome(&self) -> &'static str {
        if self.is_null() { "FAILURE" } else { "SUCCESS" }
    }
}

impl<T> Outcome for *mut T {
    fn outcome(&self) -> &'static str {
        self.cast_const().outcome()
    }
}

pub(crate) fn code_name(rc: ss_plugin_rc) -> &'static str {
    match rc {
        SUCCESS => "SUCCESS",
        TIMEOUT => "TIMEOUT",
        EOF => "EOF",
        _ => "FAILURE",
    }
}

/// # Safety
/// The host's event input is NULL or valid during the call.
unsafe fn number(event: *const ss_plugin_event_input) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { event.as_ref() }.map_or(0, |event| event.evtnum)
}

/// Returns the name of each requested field and how many values it has. The values may be secret, so they are not shown.
///
/// # Safety
/// The host's extraction input is NULL or valid during the call.
unsafe fn fields(input: *const ss_plugin_field_extract_input) -> String {
    // SAFETY: the caller's promise; names are NULL or NUL-terminated.
    unsafe {
        let fields = match input.as_ref() {
            Some(input) if !input.fields.is_null() => slice::from_raw_parts(input.fields, input.num_fields as usize),
            _ => &[],
        };
        let fields = fields.iter().map(|field| {
            let name = if field.field.is_null() {
                c"?"
            } else {
                CStr::from_ptr(field.field)
            };
            format!("{} {}", name.to_string_lossy(), field.res_len)
        });
        fields.collect::<Vec<_>>().join(" ")
    }
}
