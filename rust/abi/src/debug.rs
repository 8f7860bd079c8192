//! `FALCO_PLUGIN_DEBUG=1`: the functions of the plugin API, each telling the host's log when it begins, and with what
//! and after how long it ends. A plugin that is not asked for it gets the plain table and pays nothing.

use std::env;
use std::ffi::{CStr, c_char, c_void};
use std::fmt::Display;
use std::slice;
use std::time::Instant;

use falco_plugin_api::{
    ss_plugin_event_input, ss_plugin_field_extract_input, ss_plugin_rc_SS_PLUGIN_EOF as EOF,
    ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_rc_SS_PLUGIN_TIMEOUT as TIMEOUT,
};

use crate::functions;
use crate::log::{Log, Severity};
use crate::state::PluginState;
use crate::table::Table;

/// [`functions::TABLE`] with a line at the beginning and at the end of each call.
pub(crate) static TABLE: Table = Table {
    destroy,
    get_last_error,
    open,
    close,
    next_batch,
    get_progress,
    list_open_params,
    event_to_string,
    extract_fields,
};

pub(crate) fn is_wanted() -> bool {
    env::var_os("FALCO_PLUGIN_DEBUG").is_some_and(|value| value == "1")
}

/// A call that is under way.
pub(crate) struct Call<'a> {
    log: Option<&'a Log>,
    name: &'static str,
    began: Instant,
}

impl<'a> Call<'a> {
    /// Says that a call begins: of one that never returns, this is the last that is heard.
    pub(crate) fn begin(log: Option<&'a Log>, name: &'static str) -> Self {
        let call = Self {
            log,
            name,
            began: Instant::now(),
        };
        call.tell("begins");
        call
    }

    pub(crate) fn end(&self, result: impl Display) {
        let took = self.began.elapsed().as_secs_f64() * 1e3;
        self.tell(format_args!("{result}, {took:.3} ms"));
    }

    fn tell(&self, what: impl Display) {
        let Some(log) = self.log else { return };
        // The thread as a debugger, strace and perf name it.
        // SAFETY: cannot fail.
        let thread = unsafe { libc::gettid() };
        // A severity that hosts show unless told otherwise: who asked for these lines has no second switch to find.
        log.log(Severity::Info, &format!("{} (thread {thread}): {what}", self.name));
    }
}

/// # Safety
/// NULL, or a state of `init` that is not destroyed during `'a`.
unsafe fn begin<'a>(state: *mut c_void, name: &'static str) -> Call<'a> {
    // SAFETY: the caller's promise.
    let state = unsafe { state.cast::<PluginState>().as_ref() };
    Call::begin(state.map(|state| &state.log), name)
}

pub(crate) fn named(rc: i32) -> &'static str {
    match rc {
        SUCCESS => "SUCCESS",
        TIMEOUT => "TIMEOUT",
        EOF => "EOF",
        _ => "FAILURE",
    }
}

unsafe extern "C" fn destroy(state: *mut c_void) {
    // SAFETY: passed on as it came; NULL, or a state of `init`, whose log is open until the end is told.
    unsafe {
        let log = state.cast::<PluginState>().as_ref().map(|state| state.log.clone());
        let call = Call::begin(log.as_ref(), "destroy");
        functions::destroy_and(state, || call.end("done"));
    }
}

unsafe extern "C" fn get_last_error(state: *mut c_void) -> *const c_char {
    // SAFETY: passed on as it came; the answer is a NUL-terminated string.
    unsafe {
        let call = begin(state, "get_last_error");
        let text = functions::get_last_error(state);
        call.end(CStr::from_ptr(text).to_string_lossy());
        text
    }
}

unsafe extern "C" fn open(state: *mut c_void, params: *const c_char, rc: *mut i32) -> *mut c_void {
    // SAFETY: passed on as it came.
    unsafe {
        let call = begin(state, "open");
        let instance = functions::open(state, params, rc);
        call.end(if instance.is_null() { "FAILURE" } else { "SUCCESS" });
        instance
    }
}

unsafe extern "C" fn close(state: *mut c_void, instance: *mut c_void) {
    // SAFETY: passed on as it came.
    unsafe {
        let call = begin(state, "close");
        functions::close(state, instance);
        call.end("done");
    }
}

unsafe extern "C" fn next_batch(
    state: *mut c_void,
    instance: *mut c_void,
    nevts: *mut u32,
    evts: *mut *mut *mut c_void,
) -> i32 {
    // SAFETY: passed on as it came; `nevts` is NULL or was written by the call.
    unsafe {
        let call = begin(state, "next_batch");
        let rc = functions::next_batch(state, instance, nevts, evts);
        call.end(format_args!("{}, {} event(s)", named(rc), nevts.as_ref().unwrap_or(&0)));
        rc
    }
}

unsafe extern "C" fn get_progress(state: *mut c_void, instance: *mut c_void, progress_pct: *mut u32) -> *const c_char {
    // SAFETY: passed on as it came; `progress_pct` is NULL or was written by the call.
    unsafe {
        let call = begin(state, "get_progress");
        let text = functions::get_progress(state, instance, progress_pct);
        call.end(format_args!("{} of 10000", progress_pct.as_ref().unwrap_or(&0)));
        text
    }
}

unsafe extern "C" fn list_open_params(state: *mut c_void, rc: *mut i32) -> *const c_char {
    // SAFETY: passed on as it came.
    unsafe {
        let call = begin(state, "list_open_params");
        let list = functions::list_open_params(state, rc);
        call.end(if list.is_null() { "FAILURE" } else { "SUCCESS" });
        list
    }
}

unsafe extern "C" fn event_to_string(state: *mut c_void, event: *const c_void) -> *const c_char {
    // SAFETY: passed on as it came; the event input is NULL or valid during the call.
    unsafe {
        let call = begin(state, "event_to_string");
        let text = functions::event_to_string(state, event);
        let result = if text.is_null() { "FAILURE" } else { "SUCCESS" };
        call.end(format_args!("{result}, event {}", number(event)));
        text
    }
}

unsafe extern "C" fn extract_fields(state: *mut c_void, event: *const c_void, input: *const c_void) -> i32 {
    // SAFETY: passed on as it came; both inputs are NULL or valid during the call.
    unsafe {
        let call = begin(state, "extract_fields");
        let rc = functions::extract_fields(state, event, input);
        call.end(format_args!(
            "{}, event {}, {}",
            named(rc),
            number(event),
            fields(input)
        ));
        rc
    }
}

/// # Safety
/// The host's event input, NULL or valid during the call.
unsafe fn number(event: *const c_void) -> u64 {
    // SAFETY: the caller's promise.
    unsafe { event.cast::<ss_plugin_event_input>().as_ref() }.map_or(0, |event| event.evtnum)
}

/// The names of the fields that were asked for, each with how many values it has. Values may be secret.
///
/// # Safety
/// The host's extraction input, NULL or valid during the call.
unsafe fn fields(input: *const c_void) -> String {
    // SAFETY: the caller's promise; names are NULL or NUL-terminated.
    unsafe {
        let fields = match input.cast::<ss_plugin_field_extract_input>().as_ref() {
            Some(input) if !input.fields.is_null() => slice::from_raw_parts(input.fields, input.num_fields as usize),
            _ => &[],
        };
        let told = fields.iter().map(|field| {
            let name = if field.field.is_null() {
                c"?"
            } else {
                CStr::from_ptr(field.field)
            };
            format!("{} {}", name.to_string_lossy(), field.res_len)
        });
        told.collect::<Vec<_>>().join(" ")
    }
}
