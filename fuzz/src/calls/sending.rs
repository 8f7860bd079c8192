//! Async events: the handler that the host sets and takes away, and `dump_state`.

use std::ffi::c_char;
use std::sync::atomic::Ordering;

use falco_plugin_abi::api::types::{ss_plugin_event, ss_plugin_owner_t, ss_plugin_rc};
use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_api::PLUGIN_MAX_ERRLEN;

use super::memory::read_all;
use super::owner::{Owner, report};
use super::slot::Slot;

const ASYNC_EVENT: u16 = 402;
/// The bytes of an event before its parameters: the header, and three lengths.
const PARAMS_AT: usize = 26 + 3 * 4;

/// Sets the handler, or NULL.
pub(super) fn set_handler(slot: &Slot, is_set: bool) {
    let Some(set) = slot.functions().set_async_event_handler else {
        return;
    };
    let takes_events = |takes: bool| {
        if let Some(owner) = slot.owner {
            owner.takes_events.store(takes, Ordering::SeqCst);
        }
    };
    if is_set {
        takes_events(true);
    }
    let handler = is_set.then_some(receive as unsafe extern "C-unwind" fn(_, _, _) -> _);
    // SAFETY: the state is NULL or one of init, whose owner is never freed.
    let code = unsafe { set(slot.state, slot.owner_ptr(), handler) };
    if !is_set || code != SUCCESS {
        takes_events(false);
    }
    assert!(matches!(code, SUCCESS | FAILURE), "set_async_event_handler: {code}");
    assert!(is_set || code == SUCCESS, "a host that ends would throw");
    assert!(code == SUCCESS || !slot.last_error().is_empty());
}

pub(super) fn dump_state(slot: &Slot, without_handler: bool) {
    let Some(dump) = slot.functions().dump_state else {
        return;
    };
    let is_dumping = |is_dumping: bool| {
        if let Some(owner) = slot.owner {
            owner.is_dumping.store(is_dumping, Ordering::SeqCst);
        }
    };
    is_dumping(true);
    let handler = (!without_handler).then_some(receive_state as unsafe extern "C-unwind" fn(_, _, _) -> _);
    // SAFETY: the state is NULL or one of init, whose owner is never freed.
    let code = unsafe { dump(slot.state, slot.owner_ptr(), handler) };
    is_dumping(false);
    assert!(matches!(code, SUCCESS | FAILURE), "dump_state: {code}");
    assert!(code == SUCCESS || !slot.last_error().is_empty());
    assert!(code == FAILURE || !(slot.state.is_null() || without_handler));
}

/// # Safety
/// The owner is one of [`Owner::new`], the event has the length of its header, and the message is NULL or has space for
/// [`PLUGIN_MAX_ERRLEN`] bytes.
unsafe extern "C-unwind" fn receive(
    owner: *mut ss_plugin_owner_t,
    event: *const ss_plugin_event,
    message: *mut c_char,
) -> ss_plugin_rc {
    // SAFETY: the caller's promise.
    let owner = unsafe { Owner::from_ptr(owner) };
    if !owner.takes_events.load(Ordering::SeqCst) {
        report("an async event without a handler");
    }
    // SAFETY: the caller's promise.
    unsafe { take(owner, event, message) }
}

/// # Safety
/// As [`receive`].
unsafe extern "C-unwind" fn receive_state(
    owner: *mut ss_plugin_owner_t,
    event: *const ss_plugin_event,
    message: *mut c_char,
) -> ss_plugin_rc {
    // SAFETY: the caller's promise.
    let owner = unsafe { Owner::from_ptr(owner) };
    if !owner.is_dumping.load(Ordering::SeqCst) {
        report("an event of dump_state after its call");
    }
    // SAFETY: the caller's promise.
    unsafe { take(owner, event, message) }
}

/// # Safety
/// As [`receive`].
unsafe fn take(owner: &Owner, event: *const ss_plugin_event, message: *mut c_char) -> ss_plugin_rc {
    // SAFETY: the caller's promise.
    let bytes = unsafe {
        let len = event.read_unaligned().len as usize;
        std::slice::from_raw_parts(event.cast::<u8>(), len)
    };
    read_all(bytes);
    if !is_valid(bytes) {
        report(format!("an invalid async event: {}", bytes.escape_ascii()));
    }
    if !owner.fails() {
        return SUCCESS;
    }
    // A refusal without a message, with a long one, or with one that is not UTF-8.
    let text = match bytes.len() % 3 {
        0 => Vec::new(),
        1 => vec![b'x'; PLUGIN_MAX_ERRLEN as usize - 1],
        _ => b"refused \xff".to_vec(),
    };
    if !message.is_null() {
        // SAFETY: the caller's promise; the text has at most one byte less than the space.
        unsafe {
            std::ptr::copy_nonoverlapping(text.as_ptr().cast(), message, text.len());
            message.add(text.len()).write(0);
        }
    }
    FAILURE
}

/// Returns whether an event has the three parameters of async events, and a name that the plugin declares.
fn is_valid(bytes: &[u8]) -> bool {
    let number = |at: usize| {
        let bytes = bytes.get(at..at + 4)?;
        Some(u32::from_le_bytes(bytes.try_into().expect("4 bytes")) as usize)
    };
    let is_async = bytes.get(20..22) == Some(&ASYNC_EVENT.to_le_bytes()) && number(22) == Some(3);
    let (Some(4), Some(name_len), Some(data_len), true) = (number(26), number(30), number(34), is_async) else {
        return false;
    };
    let Some(name) = bytes.get(PARAMS_AT + 4..PARAMS_AT + 4 + name_len) else {
        return false;
    };
    bytes.len() == PARAMS_AT + 4 + name_len + data_len
        && [&b"one\0"[..], b"two\0", b"three\0", b"state\0"].contains(&name)
}
