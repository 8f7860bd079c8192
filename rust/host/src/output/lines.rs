//! The lines of a run on standard output: fields, events, log lines and, at the end, metrics and totals.

use std::io::{self, BufWriter, Write};
use std::path::Path;

use falco_plugin_schema::RawEvent;
use serde::Serialize;

use crate::abi::{AsyncEvent, Event, Metric, Rows};
use crate::output::async_line::AsyncMembers;
use crate::output::event_json::{EventJson, EventLine};
use crate::output::format::Format;
use crate::output::log::Record;
use crate::output::params;
use crate::output::payload;
use crate::output::pretty::Pretty;
use crate::output::recorder::Recorder;
use crate::output::row::Row;
use crate::output::stdout::Stdout;
use crate::output::tables::{table_json, table_text};
use crate::select::Column;
use crate::text::escape;
use crate::text::timestamp;

/// The size of the output buffer in bytes.
const BUFFER_SIZE: usize = 256 * 1024;
/// The capacity to which a buffer shrinks after an unusually large event, in bytes.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// The last line of a run: its result and totals.
#[derive(Debug, Serialize)]
pub struct End<'a> {
    pub kind: &'static str,
    pub result: &'static str,
    pub error: Option<&'a str>,
    pub events: u64,
    /// Absent if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub async_events: Option<u64>,
    /// Async events that did not enter the host's queue. Absent if there were none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub dropped_async_events: Option<u64>,
    pub bytes: u64,
    pub batches: u64,
    pub timeouts: u64,
    pub seconds: f64,
    /// Selected fields that no event had. Absent if no fields are selected.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub never_present: Option<&'a [&'a str]>,
    /// The payloads that are not valid JSON. Absent if no fields are selected, or if all payloads are valid.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub invalid_json: Option<&'a payload::Summary>,
}

/// An event of a plugin's state.
pub struct StateEvent {
    /// The name of the plugin.
    pub plugin: String,
    pub event: AsyncEvent,
}

/// Writes the lines of a run.
pub struct Output {
    writer: BufWriter<Stdout>,
    format: Format,
    timestamps: timestamp::Formatter,
    /// How to write times of text in a readable form; `None` if the user did not ask for it.
    pretty: Option<Pretty>,
    json: EventJson,
    line: String,
    error: Option<io::Error>,
    recorder: Option<Recorder>,
}

impl Output {
    /// Takes over standard output.
    pub fn new(format: Format) -> io::Result<Self> {
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER_SIZE, Stdout::new()?),
            format,
            timestamps: timestamp::Formatter::default(),
            pretty: None,
            json: EventJson::default(),
            line: String::new(),
            error: None,
            recorder: None,
        })
    }

    /// Writes times of text in a readable form from now on.
    pub fn make_pretty(&mut self, colour: bool) {
        self.pretty = Some(Pretty { colour });
    }

    /// Also writes each event to a file from now on.
    pub fn record(&mut self, path: &Path) -> io::Result<()> {
        self.recorder = Some(Recorder::create(path)?);
        Ok(())
    }

    /// Removes and returns the first error of the file to which events are also written.
    pub fn take_record_error(&mut self) -> Option<io::Error> {
        self.recorder.as_mut()?.take_error()
    }

    /// Returns the first error. Nothing is written after it.
    pub fn error(&self) -> Option<&io::Error> {
        self.error.as_ref()
    }

    /// Removes and returns the first error.
    pub fn take_error(&mut self) -> Option<io::Error> {
        self.error.take()
    }

    /// Writes the fields of the events. Only JSON has this line: in text, each event has the names.
    pub fn fields(&mut self, fields: &[Column]) {
        #[derive(Serialize)]
        struct Line<'a> {
            kind: &'static str,
            fields: &'a [Column],
        }
        if self.format == Format::Json {
            self.line(&Line { kind: "fields", fields });
        }
    }

    /// Writes one event. `source` is a name that needs no escaping, `text` the plugin's text for the event if it has one,
    /// and `row` the event's fields if some are selected.
    pub fn event(&mut self, number: u64, source: &str, event: &Event<'_>, text: Option<&[u8]>, row: Option<&Row>) {
        let line = EventLine {
            number,
            source,
            text,
            row,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.event(&line, event);
        }
        self.attempt(|output| match output.format {
            Format::Text => output.event_text(event, text, row),
            Format::Json => output.json.event(&mut output.writer, &line, event),
        });
    }

    /// Writes one async event. `source` is the name of the open source, and `row` the event's fields if some are selected.
    pub fn async_event(&mut self, number: u64, source: &str, event: &AsyncEvent, row: Option<&Row>) {
        let members = AsyncMembers {
            kind: "async_event",
            number: Some(number),
            source: Some(source),
            plugin: None,
            row,
        };
        if let Some(recorder) = &mut self.recorder {
            recorder.async_event(&members, event);
        }
        self.attempt(|output| output.write_async(&members, event));
    }

    /// Writes the events of the plugins' states.
    pub fn state(&mut self, events: &[StateEvent]) {
        for StateEvent { plugin, event } in events {
            let members = AsyncMembers {
                kind: "state_event",
                number: None,
                source: None,
                plugin: Some(plugin),
                row: None,
            };
            self.attempt(|output| output.write_async(&members, event));
        }
    }

    /// Writes one event of a capture file: its name and parameters in place of a payload.
    pub fn raw_event(&mut self, number: u64, source: &str, event: &RawEvent<'_>, row: Option<&Row>) {
        self.line.clear();
        params::write_text(event, &mut self.line);
        if let Some(recorder) = &mut self.recorder {
            recorder.raw_event(number, source, event, &self.line);
        }
        self.attempt(|output| match output.format {
            Format::Text => output.text_line(event.timestamp(), row),
            Format::Json => {
                let text = Some(output.line.as_bytes());
                let line = EventLine {
                    number,
                    source,
                    text,
                    row,
                };
                output.json.raw_event(&mut output.writer, &line, event)
            }
        });
    }

    /// Writes one log line.
    pub fn log(&mut self, record: &Record) {
        #[derive(Serialize)]
        struct Line<'a> {
            kind: &'static str,
            severity: &'a str,
            text: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            plugin: Option<&'a str>,
        }
        self.line(&Line {
            kind: "log",
            severity: record.severity,
            text: &record.text,
            plugin: record.plugin.as_deref(),
        });
    }

    /// Writes metrics: in text, a line with name and value for each.
    pub fn metrics(&mut self, metrics: &[Metric]) {
        #[derive(Serialize)]
        struct Line<'a> {
            kind: &'static str,
            metrics: &'a [Metric],
        }
        match self.format {
            Format::Json => self.line(&Line {
                kind: "metrics",
                metrics,
            }),
            Format::Text => {
                for metric in metrics {
                    self.line.clear();
                    escape::line(&mut self.line, &metric.name);
                    self.attempt(|output| writeln!(output.writer, "{} {}", output.line, metric.value));
                }
            }
        }
    }

    /// Writes the reply to a command: its error, or the metrics if it asked for them.
    pub fn reply(&mut self, id: u64, error: Option<&str>, metrics: Option<&[Metric]>) {
        #[derive(Serialize)]
        struct Line<'a> {
            kind: &'static str,
            id: u64,
            error: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            metrics: Option<&'a [Metric]>,
        }
        self.line(&Line {
            kind: "reply",
            id,
            error,
            metrics,
        });
    }

    /// Writes the entries of a state table.
    pub fn table(&mut self, name: &str, rows: &Rows) {
        match self.format {
            Format::Text => {
                let text = table_text(name, rows);
                self.attempt(|output| output.writer.write_all(text.as_bytes()));
            }
            Format::Json => self.line(&table_json(name, rows)),
        }
    }

    /// Writes the last line.
    pub fn end(&mut self, end: &End<'_>) {
        self.line(end);
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) {
        self.attempt(|output| output.writer.flush());
        if let Some(recorder) = &mut self.recorder {
            recorder.flush();
        }
    }

    fn attempt(&mut self, action: impl FnOnce(&mut Self) -> io::Result<()>) {
        if self.error.is_none() {
            self.error = action(self).err();
        }
    }

    fn line(&mut self, line: &impl Serialize) {
        self.attempt(|output| {
            serde_json::to_writer(&mut output.writer, line)?;
            output.writer.write_all(b"\n")
        });
    }

    fn write_async(&mut self, members: &AsyncMembers<'_>, event: &AsyncEvent) -> io::Result<()> {
        match self.format {
            Format::Json => self.json.async_event(&mut self.writer, members, event),
            Format::Text => {
                self.line.clear();
                members.write_text(event, &mut self.line);
                self.text_line(event.timestamp(), members.row)
            }
        }
    }

    fn event_text(&mut self, event: &Event<'_>, text: Option<&[u8]>, row: Option<&Row>) -> io::Result<()> {
        self.line.clear();
        escape::line(
            &mut self.line,
            &String::from_utf8_lossy(text.unwrap_or(event.payload())),
        );
        self.text_line(event.timestamp(), row)
    }

    /// Writes an event as text: its time, the text in `line`, and its fields.
    fn text_line(&mut self, timestamp: u64, row: Option<&Row>) -> io::Result<()> {
        match &self.pretty {
            Some(pretty) => pretty.write_time(&mut self.writer, timestamp)?,
            None => self.timestamps.write(&mut self.writer, timestamp)?,
        }
        self.writer.write_all(b" ")?;
        self.writer.write_all(self.line.as_bytes())?;
        self.writer.write_all(row.map_or(b"", Row::bytes))?;
        self.writer.write_all(b"\n")?;
        self.line.shrink_to(KEPT_CAPACITY);
        Ok(())
    }
}
