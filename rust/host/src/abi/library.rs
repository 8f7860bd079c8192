//! A loaded library, and its functions that need no initialised plugin.

use std::path::Path;

use falco_plugin_api::ss_plugin_schema_type_SS_PLUGIN_SCHEMA_JSON as SCHEMA_JSON;

use crate::abi::elf;
use crate::abi::error::Error;
use crate::abi::functions::{Destroy, GetLastError, GetNumber, GetSchema, GetText, Init};
use crate::abi::handle::Handle;
use crate::abi::strings::text;

/// The value of a number before a call that must set it. It shows whether the plugin did.
pub(super) const UNSET_NUMBER: u32 = 0x5EED_5EED;

/// The functions that every plugin has.
pub struct Required {
    get_required_api_version: GetText,
    get_version: GetText,
    get_name: GetText,
    get_description: GetText,
    get_contact: GetText,
    pub(super) init: Init,
    pub(super) destroy: Destroy,
    pub(super) get_last_error: GetLastError,
}

/// A loaded library that exports the functions every plugin has.
pub struct Library {
    pub(super) handle: Handle,
    pub(super) required: Required,
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
        let mut missing = Vec::new();
        macro_rules! required {
            ($($field:ident: $type:ty),+ $(,)?) => {{
                $(
                    let name = concat!("plugin_", stringify!($field));
                    // SAFETY: the plugin API gives the symbol of this name this type.
                    let $field = unsafe { handle.symbol::<$type>(name) };
                    if $field.is_none() {
                        missing.push(name);
                    }
                )+
                match ($($field,)+) {
                    ($(Some($field),)+) => Some(Required { $($field),+ }),
                    _ => None,
                }
            }};
        }
        let required = required! {
            get_required_api_version: GetText,
            get_version: GetText,
            get_name: GetText,
            get_description: GetText,
            get_contact: GetText,
            init: Init,
            destroy: Destroy,
            get_last_error: GetLastError,
        };
        match required {
            Some(required) => Ok(Self { handle, required }),
            None => Err(Error::NotAPlugin { path, missing }),
        }
    }

    /// Returns whether the library at `path` is loaded in this process, by whomever.
    pub fn is_loaded(path: &Path) -> bool {
        Handle::existing(path).is_some()
    }

    /// Returns whether the library exports a symbol.
    pub fn has(&self, symbol: &str) -> bool {
        self.handle.address(symbol).is_some()
    }

    /// Returns the version of the plugin API that the plugin requires.
    pub fn required_api_version(&self) -> Result<String, Error> {
        self.required_text(
            "plugin_get_required_api_version",
            self.required.get_required_api_version,
        )
    }

    /// Returns the plugin's version.
    pub fn version(&self) -> Result<String, Error> {
        self.required_text("plugin_get_version", self.required.get_version)
    }

    /// Returns the plugin's name.
    pub fn name(&self) -> Result<String, Error> {
        self.required_text("plugin_get_name", self.required.get_name)
    }

    /// Returns the plugin's description.
    pub fn description(&self) -> Result<String, Error> {
        self.required_text("plugin_get_description", self.required.get_description)
    }

    /// Returns whom to contact about the plugin.
    pub fn contact(&self) -> Result<String, Error> {
        self.required_text("plugin_get_contact", self.required.get_contact)
    }

    /// Returns the plugin id, or 0 if the plugin has none.
    pub fn id(&self) -> u32 {
        // SAFETY: the plugin API gives the symbol of this name this type.
        let get = unsafe { self.handle.symbol::<GetNumber>("plugin_get_id") };
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures.
        get.map_or(0, |get| unsafe { get() })
    }

    /// Returns the name of the plugin's event source, if it has one.
    pub fn event_source(&self) -> Option<String> {
        self.optional_text("plugin_get_event_source")
    }

    /// Returns a JSON list of the event sources that the plugin extracts fields from, if it exports one.
    pub fn extract_event_sources(&self) -> Option<String> {
        self.optional_text("plugin_get_extract_event_sources")
    }

    /// Returns a JSON list of the plugin's fields, if it exports one.
    pub fn fields(&self) -> Option<String> {
        self.optional_text("plugin_get_fields")
    }

    /// Returns the JSON schema of the configuration, if the plugin has one.
    pub fn schema(&self) -> Result<Option<String>, Error> {
        // SAFETY: the plugin API gives the symbol of this name this type.
        let Some(get) = (unsafe { self.handle.symbol::<GetSchema>("plugin_get_init_schema") }) else {
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

    fn required_text(&self, name: &'static str, get: GetText) -> Result<String, Error> {
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures. Their
        // result is NULL or NUL-terminated, and stays valid until the next call of the same function.
        unsafe { text(get()) }.ok_or(Error::Null(name))
    }

    fn optional_text(&self, name: &str) -> Option<String> {
        // SAFETY: the plugin API gives this type to all symbols that are requested here.
        let get = unsafe { self.handle.symbol::<GetText>(name) }?;
        // SAFETY: as in `required_text`.
        unsafe { text(get()) }
    }
}
