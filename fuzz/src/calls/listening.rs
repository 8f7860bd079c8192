//! Captures, and a thread pool as that of libs: it calls its routines again and again, and ends after the capture.

use std::ptr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread::{self, JoinHandle};

use arbitrary::Arbitrary;
use falco_plugin_abi::api::types::{ss_plugin_capture_listen_input, ss_plugin_owner_t, ss_plugin_rc};
use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_api::{
    ss_plugin_routine_fn_t, ss_plugin_routine_state_t, ss_plugin_routine_t, ss_plugin_routine_vtable,
};

use super::owner::{self, Owner};
use super::slot::Slot;
use super::tables::{Access, functions};

/// The host's side of a capture.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum HostPool {
    /// No functions of a pool.
    Missing,
    /// Functions that return NULL, as in official Falco.
    Refuses,
    Works,
    /// Routines can only be added.
    WithoutUnsubscribe,
}

/// The routines of a plugin in the host's thread pool.
#[derive(Default)]
pub(super) struct Pool {
    routines: Mutex<Vec<Subscribed>>,
}

struct Subscribed {
    is_stopped: Arc<AtomicBool>,
    thread: JoinHandle<()>,
}

impl Pool {
    fn add(
        &self,
        function: ss_plugin_routine_fn_t,
        routine: *mut ss_plugin_routine_state_t,
    ) -> *mut ss_plugin_routine_t {
        struct Sent(*mut ss_plugin_routine_state_t);
        // SAFETY: routines are called on any thread.
        unsafe impl Send for Sent {}

        let function = function.expect("a routine has a function");
        let is_stopped = Arc::new(AtomicBool::new(false));
        let (stopped, sent) = (Arc::clone(&is_stopped), Sent(routine));
        let thread = thread::spawn(move || {
            let Sent(routine) = { sent };
            // SAFETY: the plugin keeps its routines until the pool has ended. The SDK does not use the state.
            while !stopped.load(Ordering::SeqCst) && unsafe { function(ptr::null_mut(), routine) } != 0 {}
        });
        let mut routines = self.routines.lock().unwrap_or_else(PoisonError::into_inner);
        routines.push(Subscribed { is_stopped, thread });
        ptr::without_provenance_mut(routines.len())
    }

    fn remove(&self, handle: *mut ss_plugin_routine_t) -> ss_plugin_rc {
        let routines = self.routines.lock().unwrap_or_else(PoisonError::into_inner);
        match routines.get(handle.addr().wrapping_sub(1)) {
            Some(subscribed) => {
                subscribed.is_stopped.store(true, Ordering::SeqCst);
                SUCCESS
            }
            None => FAILURE,
        }
    }

    /// Ends all threads, as the host does after the end of a capture.
    pub(super) fn purge(&self) {
        let routines = std::mem::take(&mut *self.routines.lock().unwrap_or_else(PoisonError::into_inner));
        for subscribed in &routines {
            subscribed.is_stopped.store(true, Ordering::SeqCst);
        }
        for subscribed in routines {
            subscribed.thread.join().expect("a routine does not panic");
        }
    }
}

pub(super) fn open(slot: &Slot, pool: HostPool, access: Access, without_input: bool) {
    let Some(open) = slot.functions().capture_open else {
        return;
    };
    // SAFETY: the state is NULL or one of init, the input NULL or valid during the call.
    let code = with_input(slot, pool, access, without_input, |input| unsafe {
        open(slot.state, input)
    });
    assert!(matches!(code, SUCCESS | FAILURE), "capture_open: {code}");
    assert!(code == SUCCESS || !slot.last_error().is_empty());
    assert!(code == FAILURE || !(slot.state.is_null() || without_input));
}

pub(super) fn close(slot: &Slot, pool: HostPool, access: Access, without_input: bool) {
    let Some(close) = slot.functions().capture_close else {
        return;
    };
    // SAFETY: as above.
    let code = with_input(slot, pool, access, without_input, |input| unsafe {
        close(slot.state, input)
    });
    assert_eq!(code, SUCCESS, "Falco would end");
    if let Some(owner) = slot.owner {
        owner.pool.purge();
    }
}

fn with_input<R>(
    slot: &Slot,
    pool: HostPool,
    access: Access,
    without_input: bool,
    call: impl FnOnce(*const ss_plugin_capture_listen_input) -> R,
) -> R {
    let mut routine = ss_plugin_routine_vtable {
        subscribe: Some(if pool == HostPool::Refuses { refuse } else { subscribe }),
        unsubscribe: (pool != HostPool::WithoutUnsubscribe).then_some(unsubscribe),
    };
    let (reader, writer) = functions(access);
    let input = ss_plugin_capture_listen_input {
        owner: slot.owner_ptr(),
        routine: if pool == HostPool::Missing {
            ptr::null_mut()
        } else {
            &raw mut routine
        },
        table_reader_ext: reader.cast_mut(),
        table_writer_ext: writer.cast_mut(),
        get_owner_last_error: Some(owner::last_error),
    };
    slot.in_call(|| call(if without_input { ptr::null() } else { &raw const input }))
}

/// # Safety
/// The owner is one of [`Owner::new`].
unsafe extern "C-unwind" fn subscribe(
    owner: *mut ss_plugin_owner_t,
    function: ss_plugin_routine_fn_t,
    routine: *mut ss_plugin_routine_state_t,
) -> *mut ss_plugin_routine_t {
    // SAFETY: the caller's promise.
    let owner = unsafe { Owner::from_ptr(owner) };
    if owner.fails() {
        return ptr::null_mut();
    }
    owner.pool.add(function, routine)
}

unsafe extern "C-unwind" fn refuse(
    _owner: *mut ss_plugin_owner_t,
    _function: ss_plugin_routine_fn_t,
    _routine: *mut ss_plugin_routine_state_t,
) -> *mut ss_plugin_routine_t {
    ptr::null_mut()
}

/// # Safety
/// The owner is one of [`Owner::new`].
unsafe extern "C-unwind" fn unsubscribe(
    owner: *mut ss_plugin_owner_t,
    routine: *mut ss_plugin_routine_t,
) -> ss_plugin_rc {
    // SAFETY: the caller's promise.
    unsafe { Owner::from_ptr(owner) }.pool.remove(routine)
}
