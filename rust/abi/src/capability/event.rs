//! An event that the host passes back to the plugin.

use std::ffi::CStr;
use std::ptr;
use std::sync::atomic::Ordering;

use falco_plugin_api::ss_plugin_event_input;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::schema::HEADER_LEN;
use falco_plugin_engine::event::{Event, PLUGIN_EVENT_TYPE};

use crate::state::PluginState;

/// An event as the host passes it, which is not checked yet.
pub(super) struct Encoded<'a> {
    pub(super) raw: &'a [u8],
    pub(super) source: &'a [u8],
    number: u64,
}

/// # Errors
/// The host passed no event, or one without a whole header.
///
/// # Safety
/// The input's event is NULL or has the length of its length field, its source is NULL or a NUL-terminated string. Both
/// live as long as `'a`.
#[inline(always)]
pub(super) unsafe fn encoded<'a>(input: Option<&'a ss_plugin_event_input>) -> Result<Encoded<'a>, Error> {
    let Some(input) = input.filter(|input| !input.evt.is_null()) else {
        return Err(Error::text("the function was called without an event"));
    };
    // SAFETY: the caller's promise.
    let (raw, source) = unsafe {
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
    if raw.len() < HEADER_LEN {
        return Err(malformed());
    }
    let number = input.evtnum;
    Ok(Encoded { raw, source, number })
}

impl<'a> Encoded<'a> {
    /// # Errors
    /// The event is malformed.
    #[inline(always)]
    pub(super) fn decode(&self, state: &PluginState) -> Result<Event<'a>, Error> {
        // Read once for all fields of a call, because the host reads their values together after it.
        let generation = state.generation.load(Ordering::Relaxed);
        let event = Event::decode(self.raw, generation, self.number, self.source);
        event.ok_or_else(malformed)
    }
}

#[cold]
fn malformed() -> Error {
    Error::text("the event is malformed")
}

/// # Errors
/// The host passed no event, or a malformed one.
///
/// # Safety
/// As for [`encoded`].
#[inline(always)]
pub(super) unsafe fn read<'a>(
    state: &PluginState,
    input: Option<&'a ss_plugin_event_input>,
) -> Result<Event<'a>, Error> {
    // SAFETY: the caller's promise.
    unsafe { encoded(input) }?.decode(state)
}

/// Fails unless a source of a plugin made the event.
#[inline(always)]
pub(super) fn check_is_plugin_event(event: &Event<'_>) -> Result<(), Error> {
    match event.code {
        PLUGIN_EVENT_TYPE => Ok(()),
        code => Err(Error::text(format!(
            "the event has type {code}, and is not a plugin event"
        ))),
    }
}

/// The error of a call on an event by the code that is parsing one, or making a field or the text of one.
pub(super) fn reentered<T>() -> Result<T, Error> {
    Err(Error::text(
        "the function was called while the same thread is parsing an event or making a field",
    ))
}
