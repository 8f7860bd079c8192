//! The plugins that extract fields from one event.

use std::ffi::CStr;

use crate::abi::{Batch, Event, Extractor, FieldQuery, ValueFault, Values};

/// The plugins of a run, with one event.
pub trait EventPlugins {
    /// Extracts a field by the plugin with an index. The plugin that runs has index 0. Returns `None` if the event does not
    /// have the field. The values stay valid until the next call.
    fn extract(&mut self, plugin: usize, query: &FieldQuery) -> Result<Option<Values<'_>>, ValueFault>;
}

/// The plugins with an event of the source of the first one.
pub struct OfSource<'r, 'b, 'p> {
    pub batch: &'r mut Batch<'b>,
    /// The other plugins.
    pub extractors: &'r mut [Extractor<'p>],
    pub event: &'r Event<'b>,
    pub number: u64,
}

impl EventPlugins for OfSource<'_, '_, '_> {
    fn extract(&mut self, plugin: usize, query: &FieldQuery) -> Result<Option<Values<'_>>, ValueFault> {
        match plugin.checked_sub(1) {
            None => self.batch.extract(self.event, self.number, query),
            Some(index) => self.extractors[index].extract(self.event, self.number, self.batch.source_name(), query),
        }
    }
}

/// The plugins with an event of a capture file.
pub struct OfCapture<'r, 'p> {
    pub extractors: &'r mut [Extractor<'p>],
    pub event: &'r Event<'r>,
    pub number: u64,
    /// The name of the event's source.
    pub source: &'r CStr,
}

impl EventPlugins for OfCapture<'_, '_> {
    fn extract(&mut self, plugin: usize, query: &FieldQuery) -> Result<Option<Values<'_>>, ValueFault> {
        self.extractors[plugin].extract(self.event, self.number, self.source, query)
    }
}
