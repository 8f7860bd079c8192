//! A loaded library, and its functions that need no initialised plugin.

use std::ffi::c_char;
use std::path::Path;

use falco_plugin_api::ss_plugin_schema_type_SS_PLUGIN_SCHEMA_JSON as SCHEMA_JSON;
use falco_plugin_api_table::{FUNCTIONS, Functions};

use crate::abi::elf;
use crate::abi::error::Error;
use crate::abi::handle::Handle;
use crate::abi::strings::text;

/// The value of a number before a call that must set it. It shows whether the plugin did.
pub(super) const UNSET_NUMBER: u32 = 0x5EED_5EED;

/// A loaded library that exports the functions every plugin has.
pub struct Library {
    handle: Handle,
    pub(super) functions: Functions,
}

impl Library {
    /// Loads a library as Falco does. Its constructors run; no function of the plugin API is called.
    pub fn load(path: &Path) -> Result<Self, Error> {
        // A path without a slash makes the dynamic linker search its own folders.
        let path = std::path::absolute(path).map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        elf::check(&path)?;
        let handle = Handle::open(&path)?;
        // SAFETY: the symbols of a plugin library are functions of the plugin API.
        let functions = unsafe { Functions::find(|symbol| handle.address(symbol)) };
        match functions {
            Some(functions) => Ok(Self { handle, functions }),
            None => Err(Error::NotAPlugin {
                path,
                missing: missing(|symbol| handle.has(symbol)),
            }),
        }
    }

    /// Returns whether the library at `path` is loaded in this process, by whomever.
    pub fn is_loaded(path: &Path) -> bool {
        Handle::existing(path).is_some()
    }

    /// Returns whether the library exports a symbol.
    pub fn has(&self, symbol: &str) -> bool {
        self.handle.has(symbol)
    }

    /// Returns the version of the plugin API that the plugin requires.
    pub fn required_api_version(&self) -> Result<String, Error> {
        required_text(
            "plugin_get_required_api_version",
            self.functions.get_required_api_version,
        )
    }

    /// Returns the plugin's version.
    pub fn version(&self) -> Result<String, Error> {
        required_text("plugin_get_version", self.functions.get_version)
    }

    /// Returns the plugin's name.
    pub fn name(&self) -> Result<String, Error> {
        required_text("plugin_get_name", self.functions.get_name)
    }

    /// Returns the plugin's description.
    pub fn description(&self) -> Result<String, Error> {
        required_text("plugin_get_description", self.functions.get_description)
    }

    /// Returns the contact of the plugin.
    pub fn contact(&self) -> Result<String, Error> {
        required_text("plugin_get_contact", self.functions.get_contact)
    }

    /// Returns the plugin id, or 0 if the plugin has none.
    pub fn id(&self) -> u32 {
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures.
        self.functions.get_id.map_or(0, |get| unsafe { get() })
    }

    /// Returns the name of the plugin's event source, if it has one.
    pub fn event_source(&self) -> Option<String> {
        optional_text(self.functions.get_event_source)
    }

    /// Returns a JSON list of the event sources that the plugin extracts fields from, if it exports one.
    pub fn extract_event_sources(&self) -> Option<String> {
        optional_text(self.functions.get_extract_event_sources)
    }

    /// Returns a JSON list of the names of the plugin's async events, if it exports one.
    pub fn async_events(&self) -> Option<String> {
        optional_text(self.functions.get_async_events)
    }

    /// Returns a JSON list of the event sources beside whose events the plugin's async events are, if it exports one.
    pub fn async_event_sources(&self) -> Option<String> {
        optional_text(self.functions.get_async_event_sources)
    }

    /// Returns a JSON list of the event sources whose events the plugin parses, if it exports one.
    pub fn parse_event_sources(&self) -> Option<String> {
        optional_text(self.functions.get_parse_event_sources)
    }

    /// Returns a JSON list of the plugin's fields, if it exports one.
    pub fn fields(&self) -> Option<String> {
        optional_text(self.functions.get_fields)
    }

    /// Returns the JSON schema of the configuration, if the plugin has one.
    pub fn schema(&self) -> Result<Option<String>, Error> {
        let Some(get) = self.functions.get_init_schema else {
            return Ok(None);
        };
        let mut kind = UNSET_NUMBER;
        // SAFETY: static getters may be called at any time while the library is loaded; `kind` is writable.
        let schema = unsafe { get(&raw mut kind) };
        if kind == UNSET_NUMBER {
            return Err(Error::Unset {
                function: "get_init_schema",
                what: "schema_type",
            });
        }
        // SAFETY: a plugin returns NULL or a NUL-terminated string, which stays valid until the next call of the same
        // function.
        let schema = unsafe { text(schema) };
        Ok(schema.filter(|schema| kind == SCHEMA_JSON && !schema.is_empty()))
    }
}

type GetString = unsafe extern "C-unwind" fn() -> *const c_char;

/// Returns a string that every plugin must have. `get` is a static getter of a loaded library.
fn required_text(name: &'static str, get: GetString) -> Result<String, Error> {
    optional_text(Some(get)).ok_or(Error::Null(name))
}

/// Returns a string that the plugin may lack. `get` is a static getter of a loaded library.
fn optional_text(get: Option<GetString>) -> Option<String> {
    // SAFETY: static getters may be called at any time while the library is loaded. Their result is NULL or
    // NUL-terminated, and stays valid until the next call of the same function.
    get.and_then(|get| unsafe { text(get()) })
}

/// Returns the symbols that every plugin must have, and this library does not have.
fn missing(has: impl Fn(&str) -> bool) -> Vec<&'static str> {
    let required = FUNCTIONS
        .iter()
        .filter(|function| function.is_required && function.capability.is_none());
    required
        .map(|function| function.symbol)
        .filter(|symbol| !has(symbol))
        .collect()
}
