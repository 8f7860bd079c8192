//! What the C plugin API is built on: a plugin, and the instances that it opens.

use crate::error::Error;
use crate::event::Event;
use crate::event::EventBatch;
use crate::extract::{Argument, Cache, Field, Values};

/// One initialised plugin (`ss_plugin_t`). The host may call it from several threads.
pub trait Plugin: Send + Sync {
    /// Opens the event source (`plugin_open`).
    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error>;

    /// Returns the text of an event of this source (`plugin_event_to_string`). `cache` is the calling thread's, and keeps
    /// the text. If the text cannot be made, returns a placeholder and logs the reason: for no text, or an empty one, the
    /// host would show the payload.
    fn event_to_string<'c>(&self, cache: &'c mut Cache, event: &Event<'_>) -> &'c str;

    /// The fields that it declares; a field's id is its place among them (`plugin_get_fields`).
    fn fields(&self) -> &[Field];

    /// The values of a field, none where it is absent (`plugin_extract_fields`). What goes wrong is logged: the host does
    /// not ask why. `cache` is the calling thread's, and is where the values stay.
    fn extract<'c>(&self, cache: &'c mut Cache, event: &Event<'_>, field: usize, argument: &Argument<'_>)
    -> &'c Values;

    /// What `open` can be given (`plugin_list_open_params`).
    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error>;

    /// The last call on the plugin (`plugin_destroy`).
    fn destroy(&self);
}

/// One open event source (`ss_instance_t`). The host calls it from one thread at a time.
pub trait Instance: Send {
    /// Clears the batch and fills it; with no event the reason is the error.
    fn next_batch(&mut self) -> Result<(), Error>;

    /// The batch that `next_batch` filled. It belongs to the host until the next call.
    fn events(&mut self) -> &mut EventBatch;

    /// How much of the source has been read, 0 to 1, and the same as a text.
    fn progress(&mut self) -> (f64, String);

    /// The last call on the instance (`plugin_close`).
    fn close(&mut self);
}

/// A suggestion for the open params of a plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenParam {
    pub value: String,
    pub desc: String,
    pub separator: String,
}
