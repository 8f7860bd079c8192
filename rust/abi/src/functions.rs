//! The functions of the plugin API.

use std::any::Any;
use std::ffi::{CStr, c_char, c_void};
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::ptr;
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin_api::{
    ss_plugin_event, ss_plugin_event_input, ss_plugin_field_extract_input, ss_plugin_init_input,
    ss_plugin_rc_SS_PLUGIN_EOF as EOF, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_rc_SS_PLUGIN_TIMEOUT as TIMEOUT,
};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{Event, HEADER_LEN, decode};
use falco_plugin_engine::plugin::Plugin;

use crate::capability::extract::Asked;
use crate::debug;
use crate::fork;
use crate::log::{Log, Severity};
use crate::per_thread::PerThread;
use crate::request::Request;
use crate::state::{InstanceState, PluginState};
use crate::strings::{Errors, Texts, from_host, to_c_string};
use crate::table::{StartReply, StartRequest, Table};

/// The functions in the form in which the library in front calls them.
pub static TABLE: Table = Table {
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

/// Exports the entry of the library in front, [`crate::table::START_SYMBOL`], over a function
/// `fn(&Request, &str, Log) -> Result<Box<dyn Plugin>, Error>`.
#[macro_export]
macro_rules! export_start {
    ($make:path) => {
        /// # Safety
        /// Called by the library in front only: request and reply are valid during the call.
        #[unsafe(no_mangle)]
        pub unsafe extern "C" fn falco_plugin_sdk_start_3(
            request: *const $crate::table::StartRequest,
            reply: *mut $crate::table::StartReply,
        ) {
            // SAFETY: the caller's promise.
            unsafe { reply.write($crate::functions::init(&*request, $make)) }
        }
    };
}

/// `plugin_init`: makes a plugin from a request, the host's configuration text and its log. Where that fails, the state
/// only holds the reason.
///
/// # Safety
/// All of the request is valid during the call; the host's owner and log function until `destroy`.
pub unsafe fn init(
    request: &StartRequest,
    make: impl FnOnce(&Request, &str, Log) -> Result<Box<dyn Plugin>, Error>,
) -> StartReply {
    let input = request.input.cast::<ss_plugin_init_input>();
    // SAFETY: the caller's promise.
    let log = unsafe { Log::new(input) };
    let told = debug::is_wanted();
    let call = told.then(|| debug::Call::begin(Some(&log), "init"));
    let errors = Errors::default();
    fork::watch();
    let plugin = guard(|| {
        // SAFETY: the request is valid, and the host's configuration NULL or a NUL-terminated string.
        let (request, config) = unsafe { (Request::read(request), from_host((*input).config)) };
        make(&request, &config, log.clone())
    });
    let rc = if plugin.is_ok() { SUCCESS } else { FAILURE };
    let plugin = plugin.map_err(|error| errors.set(&error.to_string())).ok();
    if let Some(call) = call {
        call.end(debug::named(rc));
    }
    let state = Box::new(PluginState {
        plugin,
        log,
        errors,
        texts: Texts::default(),
        extraction: PerThread::default(),
        generation: AtomicU64::default(),
    });
    StartReply {
        table: if told {
            &raw const debug::TABLE
        } else {
            &raw const TABLE
        },
        state: Box::into_raw(state).cast(),
        rc,
    }
}

unsafe extern "C" fn destroy(state: *mut c_void) {
    // SAFETY: passed on as it came.
    unsafe { destroy_and(state, || ()) }
}

/// `plugin_destroy`, with something to do while the host's log is still there.
///
/// # Safety
/// NULL, or a state of `init`, which is destroyed once and not used afterwards.
pub(crate) unsafe fn destroy_and(state: *mut c_void, last: impl FnOnce()) {
    if state.is_null() || fork::is_child() {
        return;
    }
    // SAFETY: a state of `init`, which the host destroys once and does not use afterwards.
    let state = unsafe { Box::from_raw(state.cast::<PluginState>()) };
    let destroyed = guard(|| {
        if let Some(plugin) = &state.plugin {
            plugin.destroy();
        }
        Ok(())
    });
    if let Err(error) = destroyed {
        state.log.log(Severity::Error, &format!("destroy: {error}"));
    }
    last();
    state.log.clear();
    let _ = guard(|| {
        drop(state);
        Ok(())
    });
}

pub(crate) unsafe extern "C" fn get_last_error(state: *mut c_void) -> *const c_char {
    // SAFETY: NULL, or a state of `init` that was not destroyed.
    match unsafe { state.cast::<PluginState>().as_ref() } {
        Some(_) if fork::is_child() => fork::IN_CHILD.as_ptr(),
        Some(state) => state.errors.get(),
        None => c"the plugin state is NULL".as_ptr(),
    }
}

pub(crate) unsafe extern "C" fn open(state: *mut c_void, params: *const c_char, rc: *mut i32) -> *mut c_void {
    // SAFETY: `rc` is NULL or the host's to be written; it arrives uninitialised.
    unsafe { put(rc, FAILURE) };
    // SAFETY: NULL, or a state of `init` that was not destroyed.
    let Some(state) = (unsafe { state.cast::<PluginState>().as_ref() }) else {
        return ptr::null_mut();
    };
    let opened = guard(|| {
        // SAFETY: NULL or a NUL-terminated string, valid during the call.
        let params = unsafe { from_host(params) };
        state.generation.fetch_add(1, Ordering::Relaxed);
        plugin(state)?.open(&params)
    });
    match opened {
        Ok(instance) => {
            // SAFETY: as above.
            unsafe { put(rc, SUCCESS) };
            Box::into_raw(Box::new(InstanceState {
                instance,
                panicked: false,
                pointers: Vec::new(),
                progress: c"".into(),
            }))
            .cast()
        }
        Err(error) => {
            state.set_error(&error);
            ptr::null_mut()
        }
    }
}

pub(crate) unsafe extern "C" fn close(state: *mut c_void, instance: *mut c_void) {
    if instance.is_null() || fork::is_child() {
        return;
    }
    // SAFETY: an instance of `open`, which the host closes once and does not use afterwards.
    let mut instance = unsafe { Box::from_raw(instance.cast::<InstanceState>()) };
    // SAFETY: NULL, or a state of `init` that was not destroyed.
    let state = unsafe { state.cast::<PluginState>().as_ref() };
    let closed = guard(|| {
        instance.instance.close();
        drop(instance);
        Ok(())
    });
    let Some(state) = state else { return };
    state.generation.fetch_add(1, Ordering::Relaxed);
    if let Err(error) = closed {
        state.log.log(Severity::Error, &format!("close: {error}"));
    }
}

pub(crate) unsafe extern "C" fn next_batch(
    state: *mut c_void,
    instance: *mut c_void,
    nevts: *mut u32,
    evts: *mut *mut *mut c_void,
) -> i32 {
    // SAFETY: both are NULL or the host's to be written; they arrive uninitialised.
    unsafe {
        put(nevts, 0);
        put(evts, ptr::null_mut());
    }
    // SAFETY: NULL, or handles of `init` and `open` that were not destroyed or closed; the host calls one instance
    // from one thread at a time.
    let (state, instance) = unsafe {
        (
            state.cast::<PluginState>().as_ref(),
            instance.cast::<InstanceState>().as_mut(),
        )
    };
    let Some(state) = state else { return FAILURE };
    let Some(instance) = instance else {
        state.set_error(&Error::text("next_batch was called without an open instance"));
        return FAILURE;
    };
    if instance.panicked {
        return EOF;
    }
    let mut returned = false;
    let next = guard(|| {
        let next = instance.instance.next_batch();
        returned = true;
        next
    });
    instance.panicked = !returned;
    match next {
        Ok(()) => {}
        Err(Error::Timeout) => return TIMEOUT,
        Err(Error::Eof) => return EOF,
        Err(error) => {
            state.set_error(&error);
            return FAILURE;
        }
    }
    let InstanceState { instance, pointers, .. } = instance;
    let (memory, starts) = instance.events().parts_mut();
    if starts.is_empty() {
        return TIMEOUT;
    }
    pointers.clear();
    let base = memory.as_mut_ptr();
    pointers.extend(starts.iter().map(|&start| {
        debug_assert!(start + HEADER_LEN <= memory.len());
        base.wrapping_add(start).cast::<ss_plugin_event>()
    }));
    // SAFETY: as above. The pointers and the events they point to stay untouched until the next call on the instance.
    unsafe {
        put(nevts, pointers.len() as u32);
        put(evts, pointers.as_mut_ptr().cast());
    }
    SUCCESS
}

pub(crate) unsafe extern "C" fn get_progress(
    _state: *mut c_void,
    instance: *mut c_void,
    progress_pct: *mut u32,
) -> *const c_char {
    // SAFETY: NULL or the host's to be written; it arrives uninitialised.
    unsafe { put(progress_pct, 0) };
    // SAFETY: NULL, or an instance of `open` that was not closed, used by one thread at a time.
    let Some(instance) = (unsafe { instance.cast::<InstanceState>().as_mut() }) else {
        return c"".as_ptr();
    };
    let (fraction, text) = guard(|| Ok(instance.instance.progress())).unwrap_or((0.0, String::new()));
    // SAFETY: as above. `as` saturates and turns NaN into 0.
    unsafe { put(progress_pct, (fraction.clamp(0.0, 1.0) * 10_000.0).round() as u32) };
    instance.progress = to_c_string(&text);
    instance.progress.as_ptr()
}

pub(crate) unsafe extern "C" fn list_open_params(state: *mut c_void, rc: *mut i32) -> *const c_char {
    // SAFETY: NULL or the host's to be written; it arrives uninitialised.
    unsafe { put(rc, FAILURE) };
    // SAFETY: NULL, or a state of `init` that was not destroyed.
    let Some(state) = (unsafe { state.cast::<PluginState>().as_ref() }) else {
        return ptr::null();
    };
    match guard(|| plugin(state)?.list_open_params()) {
        Ok(params) => {
            let params: Vec<_> = params
                .into_iter()
                .map(|param| {
                    serde_json::json!({
                        "value": param.value, "desc": param.desc, "separator": param.separator,
                    })
                })
                .collect();
            // SAFETY: as above.
            unsafe { put(rc, SUCCESS) };
            state.texts.set(&serde_json::Value::Array(params).to_string())
        }
        Err(error) => {
            state.set_error(&error);
            ptr::null()
        }
    }
}

pub(crate) unsafe extern "C" fn event_to_string(state: *mut c_void, event: *const c_void) -> *const c_char {
    // SAFETY: NULL, or a state of `init` that was not destroyed, and the host's event input.
    let (state, input) = unsafe {
        (
            state.cast::<PluginState>().as_ref(),
            event.cast::<ss_plugin_event_input>().as_ref(),
        )
    };
    let Some(state) = state else { return ptr::null() };
    let text = guard(|| {
        // SAFETY: the host's event is valid during the call.
        let event = unsafe { read_event(state, input) }?;
        let plugin = plugin(state)?;
        Ok(guard(|| {
            let text = state.extraction.with(|extraction| {
                let text = plugin.event_to_string(&mut extraction.cache, &event);
                state.texts.set(text)
            });
            text.map_or_else(within, Ok)
        }))
    });
    match text {
        Ok(Ok(text)) => text,
        // The plugin has an event whose text it may want to mask.
        Ok(Err(error)) => {
            state.set_error(&error);
            NO_TEXT.as_ptr()
        }
        Err(_) if fork::is_child() => NO_TEXT.as_ptr(),
        Err(error) => {
            state.set_error(&error);
            ptr::null()
        }
    }
}

/// The placeholder for an event without a text. If a plugin returns NULL or an empty string, Falco shows the payload
/// instead.
const NO_TEXT: &CStr = c"<event_to_string failed>";

pub(crate) unsafe extern "C" fn extract_fields(state: *mut c_void, event: *const c_void, input: *const c_void) -> i32 {
    // SAFETY: NULL, or a state of `init` that was not destroyed, and the host's event and extraction inputs.
    let (state, event, input) = unsafe {
        (
            state.cast::<PluginState>().as_ref(),
            event.cast::<ss_plugin_event_input>().as_ref(),
            input.cast::<ss_plugin_field_extract_input>().as_ref(),
        )
    };
    let Some(input) = input else {
        if let Some(state) = state {
            state.set_error(&Error::text("extract_fields was called without its input"));
        }
        return FAILURE;
    };
    // SAFETY: the host's input is valid during the call.
    let mut asked = unsafe { Asked::new(input) };
    // Until all went well no field has a value.
    asked.set_absent();
    let Some(state) = state else { return FAILURE };
    let extracted = guard(|| {
        let plugin = plugin(state)?;
        // SAFETY: the host's event is valid during the call.
        let event = unsafe { read_event(state, event) }?;
        let filled = state
            .extraction
            .with(|extraction| extraction.fill(plugin, &event, &mut asked));
        filled.unwrap_or_else(within)
    });
    match extracted {
        Ok(()) => SUCCESS,
        Err(error) => {
            state.set_error(&error);
            FAILURE
        }
    }
}

/// The event that the host hands back.
///
/// # Safety
/// The input's event is NULL or as long as its length field says, its source NULL or a NUL-terminated string; both live
/// as long as `'a`.
#[inline(always)]
unsafe fn read_event<'a>(state: &PluginState, input: Option<&'a ss_plugin_event_input>) -> Result<Event<'a>, Error> {
    let Some(input) = input.filter(|input| !input.evt.is_null()) else {
        return Err(Error::text("the function was called without an event"));
    };
    // SAFETY: the caller's promise.
    let (bytes, source) = unsafe {
        let len = ptr::read_unaligned(&raw const (*input.evt).len) as usize;
        (
            std::slice::from_raw_parts(input.evt.cast::<u8>(), len),
            if input.evtsrc.is_null() {
                b""
            } else {
                CStr::from_ptr(input.evtsrc).to_bytes()
            },
        )
    };
    let (timestamp, data) = decode(bytes).ok_or_else(|| Error::text("the event is no plugin event"))?;
    Ok(Event {
        // Once for all fields of a call: their values stand beside each other until it is over.
        generation: state.generation.load(Ordering::Relaxed),
        number: input.evtnum,
        timestamp,
        source,
        data,
    })
}

/// The answer to a call on an event by the code that makes a field or text of one.
fn within<T>() -> Result<T, Error> {
    Err(Error::text(
        "the function was called while the same thread is making a field",
    ))
}

fn plugin(state: &PluginState) -> Result<&dyn Plugin, Error> {
    state
        .plugin
        .as_deref()
        .ok_or_else(|| Error::text("the plugin was not initialised"))
}

/// Runs code that must not unwind into the host, nor go on in a child that was forked before or meanwhile.
fn guard<T>(code: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if fork::is_child() {
        return Err(Error::text(fork::IN_CHILD.to_string_lossy()));
    }
    let result = catch_unwind(AssertUnwindSafe(code));
    fork::end_child();
    result.unwrap_or_else(|panic| {
        Err(Error::text(format!(
            "panic in the plugin SDK, please report it: {}",
            panic_text(&*panic)
        )))
    })
}

fn panic_text(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}

/// # Safety
/// `place` is NULL or valid for a write.
unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not NULL, so valid by the caller's promise.
        unsafe { place.write(value) };
    }
}
