//! An initialised plugin that parses events and extracts fields.

use std::ffi::CStr;

use crate::abi::error::Error;
use crate::abi::event::Event;
use crate::abi::extraction::{Extract, event_input};
use crate::abi::parsing::Parse;
use crate::abi::plugin::Plugin;
use crate::abi::query::FieldQuery;
use crate::abi::strings::bytes;
use crate::abi::values::{ValueFault, Values};

/// An initialised plugin that parses events, and extracts fields from them.
pub struct Extractor<'p> {
    pub(super) extract: Option<Extract>,
    pub(super) parse: Option<Parse>,
    pub(super) plugin: &'p Plugin<'p>,
}

// SAFETY: the plugin API allows calls from any thread if they do not overlap. An extractor borrows its plugin mutably,
// and only `&mut self` calls it.
unsafe impl Send for Extractor<'_> {}

impl<'p> Extractor<'p> {
    /// Makes an extractor of a plugin.
    pub fn new(plugin: &'p mut Plugin<'_>) -> Result<Self, Error> {
        // SAFETY: the plugin is borrowed mutably, so no other call uses it.
        unsafe { Self::new_shared(plugin) }
    }

    /// Makes an extractor of a plugin that other code uses at the same time, as Falco does with metrics.
    ///
    /// # Safety
    /// While the extractor exists, other calls on the plugin are those that the plugin API allows at any time.
    pub unsafe fn new_shared(plugin: &'p Plugin<'_>) -> Result<Self, Error> {
        Ok(Self {
            extract: plugin.extract()?,
            parse: plugin.parse()?,
            plugin,
        })
    }

    /// Returns the plugin, for the calls at the beginning and at the end of a capture.
    pub fn plugin(&mut self) -> &Plugin<'p> {
        self.plugin
    }

    /// Passes an event to the plugin, if it parses events of its type. Returns whether the plugin succeeded.
    pub fn parse(&mut self, event: &Event<'_>, number: u64, source: &CStr) -> Result<bool, Error> {
        let Some(parse) = &self.parse else {
            return Ok(true);
        };
        // SAFETY: the plugin is initialised for `'p` and no other call uses it. The event was checked.
        unsafe { parse.call(event, number, source) }
    }

    /// Returns the plugin's text for an event of its source, if it has one. It stays valid until the next call.
    pub fn event_to_string(&mut self, event: &Event<'_>, number: u64, source: &CStr) -> Option<&[u8]> {
        let get = self.plugin.library.functions.event_to_string?;
        let input = event_input(event, number, source);
        // SAFETY: the plugin is initialised for `'p` and no other call uses it, and the input is valid for the whole call.
        // The string is NULL or NUL-terminated and stays valid until the next call, which `&mut self` prevents.
        unsafe { bytes(get(self.plugin.state, &raw const input)) }
    }

    /// Extracts a field from an event, which has the given number and comes from the given source. Returns `None` if the
    /// event does not have the field. The values stay valid until the next call.
    pub fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        query: &FieldQuery,
    ) -> Result<Option<Values<'_>>, ValueFault> {
        let Some(extract) = &self.extract else {
            return Ok(None);
        };
        // SAFETY: the plugin is initialised for `'p` and no other call uses it. The event was checked. `&mut self` prevents
        // the next call while the values are in use.
        unsafe { extract.call(event, number, source, query) }
    }
}
