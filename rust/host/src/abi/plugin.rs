//! An initialised plugin.

use std::ffi::OsStr;
use std::ptr;

use falco_plugin_api::{
    ss_plugin_init_input, ss_plugin_rc, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS, ss_plugin_set_config_input,
    ss_plugin_t,
};

use crate::abi::error::Error;
use crate::abi::event_types::EventTypes;
use crate::abi::extraction::Extract;
use crate::abi::library::Library;
use crate::abi::owner::{self, Owner};
use crate::abi::parsing::Parse;
use crate::abi::strings::{bytes, c_string, cut, text};
use crate::abi::tables;

/// The return code before a call that must set it. It shows whether the plugin did.
pub(super) const UNSET_CODE: ss_plugin_rc = 0x5EED;
/// The length to which Falco cuts the messages of all functions but `open` and `next_batch`, in bytes.
pub(super) const MESSAGE_LENGTH: usize = 1023;

/// An initialised plugin. Dropping it calls `destroy`.
pub struct Plugin<'l> {
    pub(super) library: &'l Library,
    pub(super) state: *mut ss_plugin_t,
    pub(super) owner: &'static Owner,
}

impl<'l> Plugin<'l> {
    /// Initialises the plugin of a library. Fails if `init` does; the error has the plugin's message.
    pub fn init(library: &'l Library, config: &OsStr, owner: &'static Owner) -> Result<Self, Error> {
        let config = c_string(config)?;
        // As in libs, a plugin gets tables only if it parses events or has fields.
        let uses_tables = library.functions.parse_event.is_some() || library.functions.extract_fields.is_some();
        let tables = tables::init_input();
        let input = ss_plugin_init_input {
            config: config.as_ptr(),
            owner: owner.as_ptr(),
            get_owner_last_error: Some(owner::get_owner_last_error),
            tables: if uses_tables { &raw const tables } else { ptr::null() },
            log_fn: Some(owner::log),
        };
        let mut code = UNSET_CODE;
        // SAFETY: the input and what it points to are valid for the whole call, and `code` is writable.
        let state = unsafe { (library.functions.init)(&raw const input, &raw mut code) };
        owner.end_call("init");
        // From here on the state is destroyed, also after a failure.
        let plugin = Self { library, state, owner };
        match code {
            SUCCESS => Ok(plugin),
            UNSET_CODE => Err(Error::Unset {
                function: "init",
                what: "rc",
            }),
            // As Falco, ask for the message only if there is a state.
            _ if state.is_null() => Err(Error::FailedSilently("init")),
            _ => Err(plugin.failure("init", MESSAGE_LENGTH)),
        }
    }

    /// Returns a JSON list of suggested open parameters, if the plugin exports the function.
    pub fn list_open_params(&self) -> Result<Option<String>, Error> {
        let Some(list) = self.library.functions.list_open_params else {
            return Ok(None);
        };
        let mut code = UNSET_CODE;
        // SAFETY: the state is that of an initialised plugin, and no other call uses it, unless the plugin allows it.
        // The string is NULL or NUL-terminated, and stays valid until the next call.
        let params = unsafe { text(list(self.state, &raw mut code)) };
        match code {
            SUCCESS => Ok(params),
            UNSET_CODE => Err(Error::Unset {
                function: "list_open_params",
                what: "rc",
            }),
            _ => Err(self.failure("list_open_params", MESSAGE_LENGTH)),
        }
    }

    /// Changes the plugin's configuration. Fails if the plugin does, or if it does not export the function.
    pub fn set_config(&self, config: &OsStr) -> Result<(), Error> {
        let set = self.library.functions.set_config.ok_or(Error::NoSetConfig)?;
        let config = c_string(config)?;
        let input = ss_plugin_set_config_input {
            config: config.as_ptr(),
        };
        // SAFETY: the state is that of an initialised plugin, and no other call uses it, unless the plugin allows it. The
        // input and its string are valid for the whole call.
        match unsafe { set(self.state, &raw const input) } {
            SUCCESS => Ok(()),
            _ => Err(self.failure("set_config", MESSAGE_LENGTH)),
        }
    }

    /// Returns how to extract fields; `None` if the plugin has none.
    pub(super) fn extract(&self) -> Result<Option<Extract>, Error> {
        let functions = &self.library.functions;
        let Some(function) = functions.extract_fields else {
            return Ok(None);
        };
        let types = EventTypes::read(self, "get_extract_event_types", functions.get_extract_event_types)?;
        Ok(Some(Extract {
            state: self.state,
            owner: self.owner,
            function,
            types,
        }))
    }

    /// Returns how to parse events; `None` if the plugin parses none.
    pub(super) fn parse(&self) -> Result<Option<Parse>, Error> {
        let functions = &self.library.functions;
        let Some(function) = functions.parse_event else {
            return Ok(None);
        };
        let types = EventTypes::read(self, "get_parse_event_types", functions.get_parse_event_types)?;
        Ok(Some(Parse::new(self.state, self.owner, function, types)))
    }

    /// Returns the error of a function that failed, with the plugin's message cut to `most` bytes.
    pub(super) fn failure(&self, function: &'static str, most: usize) -> Error {
        // SAFETY: the state is not yet destroyed. The message is NULL or NUL-terminated, and stays valid until the next
        // call of the same function.
        let message = unsafe {
            let message = (self.library.functions.get_last_error)(self.state);
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
            // SAFETY: the state came from init and is destroyed only here. Sources borrow the plugin, so none is open.
            unsafe { (self.library.functions.destroy)(self.state) };
        }
    }
}
