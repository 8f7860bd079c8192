//! An event that the host passes back to the plugin.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::Ordering;

use falco_plugin_api::ss_plugin_event_input;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{Event, decode};

use crate::state::PluginState;

/// # Errors
/// The host passed no event, or one that no plugin made.
///
/// # Safety
/// The input's event is NULL or has the length of its length field, its source is NULL or a NUL-terminated string. Both
/// live as long as `'a`.
#[inline(always)]
pub(super) unsafe fn read<'a>(
    state: &PluginState,
    input: Option<&'a ss_plugin_event_input>,
) -> Result<Event<'a>, Error> {
    let Some(input) = input.filter(|input| !input.evt.is_null()) else {
        return Err(Error::text("the function was called without an event"));
    };
    // SAFETY: the caller's promise.
    let (bytes, thread_id, source) = unsafe {
        let len = ptr::read_unaligned(&raw const (*input.evt).len) as usize;
        (
            std::slice::from_raw_parts(input.evt.cast::<u8>(), len),
            // The host sets all bits if the event belongs to no thread.
            ptr::read_unaligned(&raw const (*input.evt).tid) as i64,
            if input.evtsrc.is_null() {
                b""
            } else {
                CStr::from_ptr(input.evtsrc).to_bytes()
            },
        )
    };
    let (timestamp, data) = decode(bytes).ok_or_else(|| Error::text("the event is not a plugin event"))?;
    Ok(Event {
        // Read once for all fields of a call, because the host reads their values together after it.
        generation: state.generation.load(Ordering::Relaxed),
        number: input.evtnum,
        thread_id,
        timestamp,
        source,
        data,
    })
}

/// The error of a call on an event by the code that is making a field or the text of one.
pub(super) fn reentered<T>() -> Result<T, Error> {
    Err(Error::text(
        "the function was called while the same thread is making a field",
    ))
}
