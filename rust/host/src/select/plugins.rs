//! The plugins that parse one event, and extract fields from it.

use std::ffi::CStr;

use crate::abi::{Batch, Error, Event, Extractor, FieldQuery, ValueFault, Values};

/// The plugins of a run, with one event.
pub trait EventPlugins {
    /// Passes the event to the plugin with an index, if it parses events of its type. The plugin that runs has index 0.
    fn parse(&mut self, plugin: usize) -> Result<(), Error>;

    /// Extracts a field by the plugin with an index. The plugin that runs has index 0. Returns `None` if the event does not
    /// have the field. The values stay valid until the next call.
    fn extract(&mut self, plugin: usize, query: &FieldQuery) -> Result<Option<Values<'_>>, ValueFault>;
}

/// The plugin that runs: its last batch if it has a source.
pub trait OwnPlugin {
    /// Passes an event to the plugin, if it parses events of its type.
    fn parse(&mut self, event: &Event<'_>, number: u64, source: &CStr) -> Result<bool, Error>;

    /// Extracts a field from an event. Returns `None` if the event does not have the field. The values stay valid until the
    /// next call.
    fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        query: &FieldQuery,
    ) -> Result<Option<Values<'_>>, ValueFault>;
}

impl OwnPlugin for Batch<'_> {
    fn parse(&mut self, event: &Event<'_>, number: u64, _source: &CStr) -> Result<bool, Error> {
        Batch::parse(self, event, number)
    }

    fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        _source: &CStr,
        query: &FieldQuery,
    ) -> Result<Option<Values<'_>>, ValueFault> {
        Batch::extract(self, event, number, query)
    }
}

impl OwnPlugin for Extractor<'_> {
    fn parse(&mut self, event: &Event<'_>, number: u64, source: &CStr) -> Result<bool, Error> {
        Extractor::parse(self, event, number, source)
    }

    fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        query: &FieldQuery,
    ) -> Result<Option<Values<'_>>, ValueFault> {
        Extractor::extract(self, event, number, source, query)
    }
}

/// The plugins with an event of the open source, or an async event beside it.
pub struct OfSource<'r, 'p, O> {
    pub own: &'r mut O,
    /// The other plugins.
    pub extractors: &'r mut [Extractor<'p>],
    pub event: &'r Event<'r>,
    pub number: u64,
    /// The name of the source.
    pub source: &'r CStr,
}

impl<O: OwnPlugin> EventPlugins for OfSource<'_, '_, O> {
    fn parse(&mut self, plugin: usize) -> Result<(), Error> {
        let parsed = match plugin.checked_sub(1) {
            None => self.own.parse(self.event, self.number, self.source),
            Some(index) => self.extractors[index].parse(self.event, self.number, self.source),
        };
        // As Falco, ignore that a plugin failed.
        parsed.map(drop)
    }

    fn extract(&mut self, plugin: usize, query: &FieldQuery) -> Result<Option<Values<'_>>, ValueFault> {
        match plugin.checked_sub(1) {
            None => self.own.extract(self.event, self.number, self.source, query),
            Some(index) => self.extractors[index].extract(self.event, self.number, self.source, query),
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
    fn parse(&mut self, plugin: usize) -> Result<(), Error> {
        self.extractors[plugin]
            .parse(self.event, self.number, self.source)
            .map(drop)
    }

    fn extract(&mut self, plugin: usize, query: &FieldQuery) -> Result<Option<Values<'_>>, ValueFault> {
        self.extractors[plugin].extract(self.event, self.number, self.source, query)
    }
}
