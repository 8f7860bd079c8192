//! Making events.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::Ordering;

use falco_plugin_api::{ss_instance_t, ss_plugin_event, ss_plugin_event_input, ss_plugin_rc, ss_plugin_t};
use falco_plugin_api_table::{EOF, FAILURE, SUCCESS, TIMEOUT, write};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::HEADER_LEN;

use super::event;
use crate::fork;
use crate::guard::guard;
use crate::log::Severity;
use crate::state::{InstanceState, PluginState};
use crate::strings::{from_host, to_c_string};

pub(crate) unsafe extern "C" fn open(
    state: *mut ss_plugin_t,
    params: *const c_char,
    rc: *mut ss_plugin_rc,
) -> *mut ss_instance_t {
    // SAFETY: `rc` is NULL or the host's to be written.
    unsafe { write(rc, FAILURE) };
    // SAFETY: NULL, or a state of `init`.
    let Some(state) = (unsafe { PluginState::from_handle(state) }) else {
        return ptr::null_mut();
    };
    let opened = guard(|| {
        // SAFETY: NULL or a NUL-terminated string, valid during the call.
        let params = unsafe { from_host(params) };
        state.generation.fetch_add(1, Ordering::Relaxed);
        state.source()?.open(&params)
    });
    match opened {
        Ok(instance) => {
            // SAFETY: as above.
            unsafe { write(rc, SUCCESS) };
            state.open_sources.fetch_add(1, Ordering::Relaxed);
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

pub(crate) unsafe extern "C" fn close(state: *mut ss_plugin_t, instance: *mut ss_instance_t) {
    if instance.is_null() || fork::is_child() {
        return;
    }
    // SAFETY: an instance of `open`, which the host closes once and does not use afterwards.
    let mut instance = unsafe { Box::from_raw(instance.cast::<InstanceState>()) };
    // SAFETY: NULL, or a state of `init`.
    let state = unsafe { PluginState::from_handle(state) };
    let closed = guard(|| {
        instance.instance.close();
        drop(instance);
        Ok(())
    });
    let Some(state) = state else { return };
    state.generation.fetch_add(1, Ordering::Relaxed);
    state.open_sources.fetch_sub(1, Ordering::Relaxed);
    if let Err(error) = closed {
        state.log.log(Severity::Error, &format!("close: {error}"));
    }
}

pub(crate) unsafe extern "C" fn next_batch(
    state: *mut ss_plugin_t,
    instance: *mut ss_instance_t,
    nevts: *mut u32,
    evts: *mut *mut *mut ss_plugin_event,
) -> ss_plugin_rc {
    // SAFETY: both are NULL or the host's to be written.
    unsafe {
        write(nevts, 0);
        write(evts, ptr::null_mut());
    }
    // SAFETY: NULL, or handles of `init` and `open`; the host calls an instance from one thread at a time.
    let (state, instance) = unsafe { (PluginState::from_handle(state), InstanceState::from_handle(instance)) };
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
    // SAFETY: as above. The pointers and the events they point to are not changed until the next call on the instance.
    unsafe {
        write(nevts, pointers.len() as u32);
        write(evts, pointers.as_mut_ptr());
    }
    SUCCESS
}

pub(crate) unsafe extern "C" fn get_progress(
    _state: *mut ss_plugin_t,
    instance: *mut ss_instance_t,
    progress_pct: *mut u32,
) -> *const c_char {
    // SAFETY: NULL or the host's to be written.
    unsafe { write(progress_pct, 0) };
    // SAFETY: NULL, or an instance of `open`, used by one thread at a time.
    let Some(instance) = (unsafe { InstanceState::from_handle(instance) }) else {
        return c"".as_ptr();
    };
    let (fraction, text) = guard(|| Ok(instance.instance.progress())).unwrap_or((0.0, String::new()));
    // SAFETY: as above. `as` saturates and turns NaN into 0.
    unsafe { write(progress_pct, (fraction.clamp(0.0, 1.0) * 10_000.0).round() as u32) };
    instance.progress = to_c_string(&text);
    instance.progress.as_ptr()
}

pub(crate) unsafe extern "C" fn list_open_params(state: *mut ss_plugin_t, rc: *mut ss_plugin_rc) -> *const c_char {
    // SAFETY: NULL or the host's to be written.
    unsafe { write(rc, FAILURE) };
    // SAFETY: NULL, or a state of `init`.
    let Some(state) = (unsafe { PluginState::from_handle(state) }) else {
        return ptr::null();
    };
    match guard(|| state.source()?.list_open_params()) {
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
            unsafe { write(rc, SUCCESS) };
            state.strings.set(&serde_json::Value::Array(params).to_string())
        }
        Err(error) => {
            state.set_error(&error);
            ptr::null()
        }
    }
}

/// The placeholder for an event without a text. If a plugin returns NULL or an empty string, Falco shows the payload
/// instead.
const NO_TEXT: &CStr = c"<event_to_string failed>";

pub(crate) unsafe extern "C" fn event_to_string(
    state: *mut ss_plugin_t,
    event: *const ss_plugin_event_input,
) -> *const c_char {
    // SAFETY: NULL, or a state of `init`, and the host's event input.
    let (state, input) = unsafe { (PluginState::from_handle(state), event.as_ref()) };
    let Some(state) = state else { return ptr::null() };
    let text = guard(|| {
        // SAFETY: the host's event is valid during the call.
        let event = unsafe { event::read(state, input) }?;
        event::check_is_plugin_event(&event)?;
        let source = state.source()?;
        Ok(guard(|| {
            let text = state.extraction.with(|extraction| {
                let text = source.event_to_string(&mut extraction.cache, &event);
                state.strings.set(text)
            });
            text.map_or_else(event::reentered, Ok)
        }))
    });
    match text {
        Ok(Ok(text)) => text,
        // There is an event, and the plugin may mask its payload.
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
