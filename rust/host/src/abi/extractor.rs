//! An initialised plugin that extracts fields.

use std::ffi::CStr;
use std::marker::PhantomData;

use crate::abi::event::Event;
use crate::abi::extraction::{Extract, event_input};
use crate::abi::plugin::Plugin;
use crate::abi::values::{Fault, Values};
use crate::command::error::Error;
use crate::select::column::Column;

/// An initialised plugin that extracts fields from the events of another one's source.
pub struct Extractor<'p> {
    pub(super) extract: Option<Extract>,
    pub(super) plugin: PhantomData<&'p Plugin<'p>>,
}

// SAFETY: as for a source: it has its plugin to itself, and only `&mut self` calls it.
unsafe impl Send for Extractor<'_> {}

impl<'p> Extractor<'p> {
    pub fn new(plugin: &'p mut Plugin<'_>) -> Result<Self, Error> {
        Ok(Self {
            extract: plugin.extract()?,
            plugin: PhantomData,
        })
    }

    /// The values of a field, good until it is asked for the next.
    pub fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        column: &Column,
    ) -> Result<Option<Values<'_>>, Fault> {
        let Some(extract) = self.extract else {
            return Ok(None);
        };
        let input = event_input(event, number, source);
        // SAFETY: the plugin is initialised for `'p` and not used from elsewhere, the event was checked, and `&mut self`
        // holds back the next call.
        unsafe { extract.call(&input, column) }
    }
}
