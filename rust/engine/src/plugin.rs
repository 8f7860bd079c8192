//! The traits of plugins: one for all plugins, and one for each capability.

use std::sync::Arc;

use crate::async_events::AsyncSink;
use crate::error::Error;
use crate::event::{Event, EventBatch};
use crate::extract::{Argument, Cache, Field, Values};
use crate::metrics::Metrics;
use crate::routine::Routine;

/// An initialised plugin (`ss_plugin_t`). The host may call it from several threads.
pub trait Plugin: Send + Sync {
    /// Returns the plugin as an event source, if it is one.
    fn as_source(&self) -> Option<&dyn Source> {
        None
    }

    /// Returns the plugin as an extractor of fields, if it is one.
    fn as_extract(&self) -> Option<&dyn Extract> {
        None
    }

    /// Returns the plugin as a sender of async events, if it is one.
    fn as_async_events(&self) -> Option<&dyn AsyncEvents> {
        None
    }

    /// Returns the plugin as a listener of captures, if it is one.
    fn as_listen(&self) -> Option<&dyn Listen> {
        None
    }

    /// Returns the metrics of the plugin, always the same list (`plugin_get_metrics`).
    fn metrics(&self) -> &Metrics {
        const NONE: &Metrics = &Metrics::new();
        NONE
    }

    /// Changes the configuration. If that fails, the previous one stays (`plugin_set_config`).
    fn set_config(&self, config: &str) -> Result<(), Error> {
        let _ = config;
        Err(Error::text("the plugin has no set_config"))
    }

    /// Returns the plugin as a parser of events, if it is one.
    fn as_parse(&self) -> Option<&dyn Parse> {
        None
    }

    /// Ends the plugin. This is the last call on it (`plugin_destroy`).
    fn destroy(&self);
}

/// The capability to make events.
pub trait Source: Plugin {
    /// Returns the id that the host writes into the events of this source (`plugin_get_id`).
    fn id(&self) -> u32;

    /// Opens the event source (`plugin_open`).
    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error>;

    /// Returns suggestions for the parameters of `open` (`plugin_list_open_params`).
    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error>;

    /// Returns the text of an event of this source, which stays in `cache`, the cache of the calling thread.
    ///
    /// If the text cannot be made, logs the reason and returns a placeholder: without a text, or with an empty one, the
    /// host would show the payload (`plugin_event_to_string`).
    fn event_to_string<'c>(&self, cache: &'c mut Cache, event: &Event<'_>) -> &'c str;
}

/// The capability to extract fields from events.
pub trait Extract: Plugin {
    /// Returns the fields that the plugin declares. The id of a field is its index in them (`plugin_get_fields`).
    fn fields(&self) -> &[Field];

    /// Returns whether the plugin also extracts fields from events that no source of a plugin made, such as system calls.
    fn extracts_from_other_events(&self) -> bool {
        false
    }

    /// Returns the values of a field, none if it is absent. They stay in `cache`, the cache of the calling thread.
    ///
    /// Failures are logged, because the host does not ask for their reason (`plugin_extract_fields`).
    fn extract<'c>(&self, cache: &'c mut Cache, event: &Event<'_>, field: usize, argument: &Argument<'_>)
    -> &'c Values;
}

/// The capability to send async events.
pub trait AsyncEvents: Plugin {
    /// Begins to send events through the sink, on other threads (`plugin_set_async_event_handler`).
    ///
    /// If this fails, `stop` is called next.
    fn start(&self, sink: Arc<AsyncSink>) -> Result<(), Error>;

    /// Stops what `start` began. The sink is closed already (`plugin_set_async_event_handler` with NULL).
    fn stop(&self);

    /// Sends the events from which the plugin's state can be made again, before it returns (`plugin_dump_state`).
    fn dump_state(&self, sink: Arc<AsyncSink>) -> Result<(), Error>;
}

/// The capability to listen to the beginning and the end of captures.
pub trait Listen: Plugin {
    /// Begins a capture. Returns the routines to run until its end (`plugin_capture_open`).
    fn capture_open(&self) -> Result<Vec<Routine>, Error>;

    /// Ends a capture. Its routines are stopped already. Failures are logged, because the host would end for them
    /// (`plugin_capture_close`).
    fn capture_close(&self);
}

/// The capability to parse events before fields are extracted from them.
pub trait Parse: Plugin {
    /// Returns whether the plugin parses an encoded event of a source. It is called for each event of the types and sources
    /// that the plugin declares, before the event is checked, so it must be fast.
    fn parses(&self, raw: &[u8], source: &[u8]) -> bool;

    /// Parses an event. `cache` is the cache of the calling thread, which also serves the extraction of fields.
    ///
    /// Failures are logged, because the host ignores them (`plugin_parse_event`).
    fn parse(&self, cache: &mut Cache, event: &Event<'_>);
}

/// An open event source (`ss_instance_t`). The host calls it from one thread at a time.
pub trait Instance: Send {
    /// Clears the batch and fills it. If there is no event, returns the reason as an error (`plugin_next_batch`).
    fn next_batch(&mut self) -> Result<(), Error>;

    /// Returns the batch that `next_batch` filled. The host reads it until the next call.
    fn events(&mut self) -> &mut EventBatch;

    /// Returns how much of the source has been read, from 0 to 1, and the same as text (`plugin_get_progress`).
    fn progress(&mut self) -> (f64, String);

    /// Closes the source. This is the last call on the instance (`plugin_close`).
    fn close(&mut self);
}

/// A suggestion for the parameters of `open`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenParam {
    pub value: String,
    pub desc: String,
    pub separator: String,
}
