//! Events as the host passes them back.

use std::ffi::CStr;
use std::ptr;

use falco_plugin_abi::api::types::ss_plugin_event_input;
use falco_plugin_engine::event::{HEADER_LEN, encode_header};

use super::call::{Event, Memory};
use super::memory::c_string;
use super::slot::Slot;

/// Runs code on the input for an event, or on NULL.
pub(super) fn with_event<R>(
    slot: &Slot,
    event: Option<&Event<'_>>,
    code: impl FnOnce(*const ss_plugin_event_input) -> R,
) -> R {
    let Some(event) = event else { return code(ptr::null()) };
    let source = event.source.map(c_string);
    let mut memory: Box<[u8]> = match event.memory {
        Memory::Payload(timestamp, payload) => [&encode_header(timestamp, payload.len() as u32), payload]
            .concat()
            .into(),
        Memory::Any(bytes) => {
            let mut bytes = bytes.to_vec();
            bytes.resize(bytes.len().max(HEADER_LEN), 0);
            let len = bytes.len() as u32;
            bytes[16..20].copy_from_slice(&len.to_le_bytes());
            bytes.into()
        }
        Memory::Null | Memory::Batch { .. } => Box::default(),
    };
    let evt = match event.memory {
        Memory::Null => ptr::null(),
        Memory::Batch { instance, index } => slot.event(instance, index),
        Memory::Payload(..) | Memory::Any(_) => memory.as_mut_ptr().cast_const().cast(),
    };
    code(&ss_plugin_event_input {
        evt,
        evtnum: event.number,
        evtsrc: source.as_deref().map_or(ptr::null(), CStr::as_ptr),
    })
}
