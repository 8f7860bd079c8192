//! Async events.

use std::cell::RefCell;
use std::ffi::{CStr, c_char};
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::SystemTime;

use falco_plugin_api::{ss_plugin_async_event_handler_t, ss_plugin_owner_t, ss_plugin_rc, ss_plugin_t};
use falco_plugin_api_table::{FAILURE, SUCCESS};
use falco_plugin_engine::async_events::{AsyncHandler, AsyncSink};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::NO_PLUGIN_ID;

use crate::fork;
use crate::guard::guard;
use crate::log::Severity;
use crate::owner::{LastError, Owner};
use crate::state::PluginState;

/// The size of the buffer for a message of the host (`PLUGIN_MAX_ERRLEN`).
const MESSAGE_SIZE: usize = 1024;
/// The message if the host gives none.
const NO_REASON: &str = "the host refused the event without a reason";

type Function = unsafe extern "C-unwind" fn(
    *mut ss_plugin_owner_t,
    *const falco_plugin_api::ss_plugin_event,
    *mut c_char,
) -> ss_plugin_rc;

/// The sink through which the plugin sends; `None` while the host has set no handler.
#[derive(Default)]
pub(crate) struct CurrentSink(Mutex<Option<Arc<AsyncSink>>>);

impl CurrentSink {
    fn replace(&self, sink: Option<Arc<AsyncSink>>) -> Option<Arc<AsyncSink>> {
        std::mem::replace(&mut *self.0.lock().unwrap_or_else(PoisonError::into_inner), sink)
    }
}

/// Begins to send events through the handler, or ends it if the handler is NULL.
///
/// The end always succeeds: if it fails, Falco keeps its handler, and throws while it closes.
pub(crate) unsafe extern "C" fn set_async_event_handler(
    state: *mut ss_plugin_t,
    owner: *mut ss_plugin_owner_t,
    handler: ss_plugin_async_event_handler_t,
) -> ss_plugin_rc {
    // SAFETY: NULL, or a state of `init`.
    let state = unsafe { PluginState::from_handle(state) };
    let (Some(state), Some(function)) = (state, handler) else {
        if let Some(state) = state {
            stop(state);
        }
        return if handler.is_none() { SUCCESS } else { FAILURE };
    };
    // A host that sets a second handler takes the first one away.
    stop(state);
    let started = guard(|| {
        let plugin = state.async_events()?;
        // SAFETY: owner and function are the host's, and may be used until it takes the handler away.
        let handler = unsafe { HostHandler::new(owner, function, state.last_error) };
        let sink = Arc::new(AsyncSink::new(Box::new(handler)));
        state.sink.replace(Some(Arc::clone(&sink)));
        plugin.start(sink)
    });
    match started {
        Ok(()) => SUCCESS,
        Err(error) => {
            stop(state);
            state.set_error(&error);
            FAILURE
        }
    }
}

/// Closes the sink, then stops the plugin's threads. When this returns, the host's handler is not called any more.
pub(crate) fn stop(state: &PluginState) {
    if fork::is_child() {
        return;
    }
    let Some(sink) = state.sink.replace(None) else { return };
    let stopped = guard(|| {
        sink.close();
        state.async_events()?.stop();
        Ok(())
    });
    if let Err(error) = stopped {
        let message = format!("set_async_event_handler: {error}");
        state.log.log(Severity::Error, &message);
    }
}

pub(crate) unsafe extern "C" fn dump_state(
    state: *mut ss_plugin_t,
    owner: *mut ss_plugin_owner_t,
    handler: ss_plugin_async_event_handler_t,
) -> ss_plugin_rc {
    /// Closes the sink, also after a panic: the host takes events only during the call.
    struct Close<'a>(&'a AsyncSink);
    impl Drop for Close<'_> {
        fn drop(&mut self) {
            self.0.close();
        }
    }
    // SAFETY: NULL, or a state of `init`.
    let Some(state) = (unsafe { PluginState::from_handle(state) }) else {
        return FAILURE;
    };
    let dumped = guard(|| {
        let plugin = state.async_events()?;
        let function = handler.ok_or_else(|| Error::text("dump_state was called without a handler"))?;
        // SAFETY: owner and function are the host's, and may be used during the call. `Close` ends their use.
        let handler = unsafe { HostHandler::new(owner, function, state.last_error) };
        // The host writes the events into the file as they are.
        let sink = AsyncSink::for_file(Box::new(handler), now(), plugin_id_of_open_source(state));
        let sink = Arc::new(sink);
        let _close = Close(&sink);
        plugin.dump_state(Arc::clone(&sink))
    });
    match dumped {
        Ok(()) => SUCCESS,
        Err(error) => {
            state.set_error(&error);
            FAILURE
        }
    }
}

/// Returns the time, in nanoseconds since the epoch.
fn now() -> u64 {
    let since_epoch = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    since_epoch.map_or(0, |duration| duration.as_nanos() as u64)
}

/// Returns the id of the plugin if its source is open. Otherwise the host captures system calls, or the source of another
/// plugin, whose id the plugin API does not pass.
fn plugin_id_of_open_source(state: &PluginState) -> u32 {
    if state.open_sources.load(Ordering::Relaxed) == 0 {
        return NO_PLUGIN_ID;
    }
    state.source().map_or(NO_PLUGIN_ID, |source| source.id())
}

/// The host's handler. A sink does not use it any more once it is closed.
struct HostHandler {
    owner: Owner,
    function: Function,
    last_error: LastError,
}

impl AsyncHandler for HostHandler {
    fn send(&self, event: &[u8]) -> Result<(), Error> {
        thread_local!(static MESSAGE: RefCell<[c_char; MESSAGE_SIZE]> = const { RefCell::new([0; MESSAGE_SIZE]) });
        // The buffer is in use if the host calls back into the plugin, and gone while the thread ends.
        let sent = MESSAGE.try_with(|message| {
            let mut message = message.try_borrow_mut().ok()?;
            Some(self.call(event, &mut message))
        });
        sent.ok()
            .flatten()
            .unwrap_or_else(|| self.call(event, &mut [0; MESSAGE_SIZE]))
    }
}

impl HostHandler {
    /// # Safety
    /// Owner and function may be used, from any thread, until the sink is closed, and `last_error` as well.
    unsafe fn new(owner: *mut ss_plugin_owner_t, function: Function, last_error: LastError) -> Self {
        Self {
            owner: Owner(owner),
            function,
            last_error,
        }
    }

    #[inline]
    fn call(&self, event: &[u8], message: &mut [c_char; MESSAGE_SIZE]) -> Result<(), Error> {
        message[0] = 0;
        // SAFETY: the sink is open, so owner and function may be used. The event is whole, and the buffer has the size
        // of the plugin API.
        let rc = unsafe { (self.function)(self.owner.0, event.as_ptr().cast(), message.as_mut_ptr()) };
        if rc == SUCCESS {
            return Ok(());
        }
        Err(self.refusal(message))
    }

    #[cold]
    fn refusal(&self, message: &mut [c_char; MESSAGE_SIZE]) -> Error {
        message[MESSAGE_SIZE - 1] = 0;
        // SAFETY: the buffer ends with a NUL.
        let text = unsafe { CStr::from_ptr(message.as_ptr()) }.to_string_lossy();
        if !text.is_empty() {
            return Error::text(text);
        }
        // SAFETY: the sink is open, so the owner exists.
        let text = unsafe { self.last_error.of(&self.owner) };
        Error::text(text.unwrap_or_else(|| NO_REASON.to_owned()))
    }
}
