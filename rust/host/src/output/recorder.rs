//! The file to which a run also writes its events.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use falco_plugin_schema::RawEvent;

use crate::abi::{AsyncEvent, Event};
use crate::output::async_line::AsyncMembers;
use crate::output::event_json::{EventJson, EventLine};

/// Writes events without their fields, one JSON object a line. After an error, nothing is written.
pub(super) struct Recorder {
    writer: BufWriter<File>,
    json: EventJson,
    error: Option<io::Error>,
}

impl Recorder {
    /// Makes the file, or empties it.
    pub(super) fn create(path: &Path) -> io::Result<Self> {
        Ok(Self {
            writer: BufWriter::new(File::create(path)?),
            json: EventJson::default(),
            error: None,
        })
    }

    /// Removes and returns the first error.
    pub(super) fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    pub(super) fn event(&mut self, line: &EventLine<'_>, event: &Event<'_>) {
        let line = EventLine { row: None, ..*line };
        self.attempt(|recorder| recorder.json.event(&mut recorder.writer, &line, event));
    }

    pub(super) fn async_event(&mut self, members: &AsyncMembers<'_>, event: &AsyncEvent) {
        let members = AsyncMembers { row: None, ..*members };
        self.attempt(|recorder| recorder.json.async_event(&mut recorder.writer, &members, event));
    }

    pub(super) fn raw_event(&mut self, number: u64, source: &str, event: &RawEvent<'_>, text: &str) {
        let line = EventLine {
            number,
            source,
            text: Some(text.as_bytes()),
            row: None,
        };
        self.attempt(|recorder| recorder.json.raw_event(&mut recorder.writer, &line, event));
    }

    /// Writes what is buffered.
    pub(super) fn flush(&mut self) {
        self.attempt(|recorder| recorder.writer.flush());
    }

    fn attempt(&mut self, action: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = action(self).err();
        }
    }
}
