//! Events as the host passes them back.

use std::ffi::CStr;
use std::ptr;

use falco_plugin_abi::api::types::ss_plugin_event_input;
use falco_plugin_engine::event::{HEADER_LEN, encode_header};
use falco_plugin_schema::{ASYNC_EVENT, EventType, PLUGIN_EVENT, event_types};

use super::call::{Bytes, Event, Kind, Memory};
use super::memory::c_string;
use super::slot::Slot;

/// The events that `fuzz/plugins/state.py` parses, and from which its fields are extracted.
const PARSED: [&str; 9] = [
    "execve",
    "execveat",
    "openat",
    "connect",
    "accept4",
    "setsockopt",
    "poll",
    "clone",
    "close",
];

/// Encodes an event as a driver does, and changes some bytes after the header's type.
fn encode(kind: Kind, thread_id: i8, params: &[Bytes<'_>], damage: &[(u8, u8)]) -> Vec<u8> {
    let code = match kind {
        Kind::Any(code) => code,
        Kind::Parsed(number) => match usize::from(number) % (PARSED.len() + 2) {
            9 => ASYNC_EVENT,
            10 => PLUGIN_EVENT,
            index => code_of(PARSED[index]),
        },
    };
    let has_large_lengths = EventType::from_code(code).is_some_and(EventType::has_large_lengths);
    let mut bytes = encode_header(5, 0)[..HEADER_LEN].to_vec();
    bytes[8..16].copy_from_slice(&i64::from(thread_id).to_le_bytes());
    bytes[20..22].copy_from_slice(&code.to_le_bytes());
    bytes[22..26].copy_from_slice(&(params.len() as u32).to_le_bytes());
    for Bytes(param) in params {
        let len = (param.len() as u32).to_le_bytes();
        bytes.extend_from_slice(if has_large_lengths { &len } else { &len[..2] });
    }
    bytes.extend(params.iter().flat_map(|Bytes(param)| *param));
    for (offset, byte) in damage {
        // The length is the host's own, and the type was chosen.
        if let Some(changed) = bytes.get_mut(22 + usize::from(*offset)) {
            *changed = *byte;
        }
    }
    set_length(&mut bytes);
    bytes
}

/// Returns the code of the end of a system call.
fn code_of(name: &str) -> u16 {
    let found = event_types().filter(|event| event.name() == name && !event.is_beginning() && !event.is_old());
    found.last().expect("an event").code()
}

/// Sets the length in the header of an event.
fn set_length(bytes: &mut [u8]) {
    let len = bytes.len() as u32;
    bytes[16..20].copy_from_slice(&len.to_le_bytes());
}

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
            set_length(&mut bytes);
            bytes.into()
        }
        Memory::WithParams {
            kind,
            thread_id,
            ref params,
            ref damage,
        } => encode(kind, thread_id, params, damage).into(),
        Memory::Null | Memory::Batch { .. } => Box::default(),
    };
    let evt = match event.memory {
        Memory::Null => ptr::null(),
        Memory::Batch { instance, index } => slot.event(instance, index),
        Memory::Payload(..) | Memory::Any(_) | Memory::WithParams { .. } => memory.as_mut_ptr().cast_const().cast(),
    };
    code(&ss_plugin_event_input {
        evt,
        evtnum: event.number,
        evtsrc: source.as_deref().map_or(ptr::null(), CStr::as_ptr),
    })
}
