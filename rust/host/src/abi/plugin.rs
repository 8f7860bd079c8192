//! An initialised plugin.

use std::ffi::OsStr;
use std::ptr;

use falco_plugin_api::{ss_plugin_init_input, ss_plugin_rc, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_t};

use crate::abi::event;
use crate::abi::extraction::Extract;
use crate::abi::functions::{ExtractFields, GetEventTypes};
use crate::abi::library::{Library, UNSET_NUMBER};
use crate::abi::strings::{bytes, c_string, cut};
use crate::command::error::Error;
use crate::output::log::Owner;

/// What the host puts where a plugin must put something else, to see whether it did.
pub(super) const UNSET_CODE: ss_plugin_rc = 0x5EED;
/// Where the host cuts messages.
const MESSAGE: usize = 1023;

/// An initialised plugin.
pub struct Plugin<'l> {
    pub(super) library: &'l Library,
    pub(super) state: *mut ss_plugin_t,
    owner: &'static Owner,
}

impl<'l> Plugin<'l> {
    /// The owner is never freed, so that even a thread that a plugin leaves behind may log.
    pub fn init(library: &'l Library, config: &OsStr, owner: &'static Owner) -> Result<Self, Error> {
        let config = c_string(config)?;
        let input = ss_plugin_init_input {
            config: config.as_ptr(),
            owner: owner.as_ptr(),
            get_owner_last_error: Some(crate::output::log::get_owner_last_error),
            tables: ptr::null(),
            log_fn: Some(crate::output::log::log),
        };
        let mut code = UNSET_CODE;
        // SAFETY: the input and what it points to are good for the whole call, `code` is writable.
        let state = unsafe { (library.required.init)(&raw const input, &raw mut code) };
        // From here on a state that the plugin returned is destroyed, whatever the code says.
        let plugin = Self { library, state, owner };
        match code {
            SUCCESS => Ok(plugin),
            UNSET_CODE => Err(Error::Unset {
                function: "init",
                what: "rc",
            }),
            // The host asks for the message only where there is a state to ask.
            _ if state.is_null() => Err(Error::FailedSilently("init")),
            _ => Err(plugin.failure("init", MESSAGE)),
        }
    }

    /// What extracts its fields from the events of plugins; None where it has none, or has them for other events only.
    pub(super) fn extract(&self) -> Result<Option<Extract>, Error> {
        let handle = &self.library.handle;
        // SAFETY: the plugin API gives the symbols of these names these types.
        let (function, event_types) = unsafe {
            (
                handle.symbol::<ExtractFields>("plugin_extract_fields"),
                handle.symbol::<GetEventTypes>("plugin_get_extract_event_types"),
            )
        };
        let extract = function.map(|function| Extract {
            state: self.state,
            owner: self.owner.as_ptr(),
            function,
        });
        let Some(get) = event_types else {
            return Ok(extract);
        };
        let mut count = UNSET_NUMBER;
        // SAFETY: the state is that of an initialised plugin, which is not used from elsewhere; `count` is writable.
        let types = unsafe { get(&raw mut count, self.state) };
        match count {
            UNSET_NUMBER => Err(Error::Unset {
                function: "get_extract_event_types",
                what: "numtypes",
            }),
            0 => Ok(extract),
            _ if types.is_null() => Ok(extract),
            count => {
                // SAFETY: the plugin says that it has `count` types there, good until it is destroyed.
                let types = unsafe { std::slice::from_raw_parts(types, count as usize) };
                Ok(extract.filter(|_| types.contains(&event::PLUGIN_EVENT)))
            }
        }
    }

    pub(super) fn failure(&self, function: &'static str, most: usize) -> Error {
        // SAFETY: the state is the plugin's, not yet destroyed. The message is NULL or NUL-terminated and good until
        // the next call of the same function.
        let message = unsafe {
            let message = (self.library.required.get_last_error)(self.state);
            bytes(message).map(|message| String::from_utf8_lossy(cut(message, most)).into_owned())
        };
        match message {
            Some(message) if !message.is_empty() => Error::Failed { function, message },
            _ => Error::FailedSilently(function),
        }
    }
}

impl Drop for Plugin<'_> {
    fn drop(&mut self) {
        if !self.state.is_null() {
            // SAFETY: the state came from init, is destroyed only here, and no source is open any more.
            unsafe { (self.library.required.destroy)(self.state) };
        }
    }
}
