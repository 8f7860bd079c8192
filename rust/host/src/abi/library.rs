//! A loaded library and the functions that need no initialised plugin.

use std::path::Path;

use falco_plugin_api::ss_plugin_schema_type_SS_PLUGIN_SCHEMA_JSON as SCHEMA_JSON;

use crate::abi::elf;
use crate::abi::functions::{Destroy, GetLastError, GetNumber, GetSchema, GetText, Init};
use crate::abi::handle::Handle;
use crate::abi::strings::text;
use crate::command::error::Error;

/// Set before a call that must set it.
pub(super) const UNSET_NUMBER: u32 = 0x5EED_5EED;

/// The symbols that every plugin has.
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

/// A shared library that has what a plugin must have.
pub struct Library {
    pub(super) handle: Handle,
    pub(super) required: Required,
}

impl Library {
    /// Loads the library as the host does. Its constructors run, nothing else of it does.
    pub fn load(path: &Path) -> Result<Self, Error> {
        // Without a slash the linker would look in its own folders, and find what was not meant.
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

    pub fn has(&self, symbol: &str) -> bool {
        self.handle.address(symbol).is_some()
    }

    pub fn required_api_version(&self) -> Result<String, Error> {
        self.required_text(
            "plugin_get_required_api_version",
            self.required.get_required_api_version,
        )
    }

    pub fn version(&self) -> Result<String, Error> {
        self.required_text("plugin_get_version", self.required.get_version)
    }

    pub fn name(&self) -> Result<String, Error> {
        self.required_text("plugin_get_name", self.required.get_name)
    }

    pub fn description(&self) -> Result<String, Error> {
        self.required_text("plugin_get_description", self.required.get_description)
    }

    pub fn contact(&self) -> Result<String, Error> {
        self.required_text("plugin_get_contact", self.required.get_contact)
    }

    /// The plugin id; 0 if there is none.
    pub fn id(&self) -> u32 {
        // SAFETY: the plugin API gives the symbol of this name this type.
        let get = unsafe { self.handle.symbol::<GetNumber>("plugin_get_id") };
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures.
        get.map_or(0, |get| unsafe { get() })
    }

    pub fn event_source(&self) -> Option<String> {
        self.optional_text("plugin_get_event_source")
    }

    pub fn extract_event_sources(&self) -> Option<String> {
        self.optional_text("plugin_get_extract_event_sources")
    }

    pub fn fields(&self) -> Option<String> {
        self.optional_text("plugin_get_fields")
    }

    /// The JSON schema of the configuration, if the plugin has one.
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
        // SAFETY: a plugin returns NULL or a NUL-terminated string, good until the next call of the same function.
        let schema = unsafe { text(schema) };
        Ok(schema.filter(|schema| kind == SCHEMA_JSON && !schema.is_empty()))
    }

    fn required_text(&self, name: &str, get: GetText) -> Result<String, Error> {
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures. What
        // they return is NULL or NUL-terminated and good until the next call of the same function.
        unsafe { text(get()) }.ok_or_else(|| Error::Refused(format!("{name} returned NULL")))
    }

    fn optional_text(&self, name: &str) -> Option<String> {
        // SAFETY: the plugin API gives all symbols that are asked for here this type.
        let get = unsafe { self.handle.symbol::<GetText>(name) }?;
        // SAFETY: as in `required_text`.
        unsafe { text(get()) }
    }
}
