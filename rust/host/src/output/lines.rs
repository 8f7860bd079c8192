//! The lines of a run on standard output: fields, events, log lines and, at the end, metrics and totals.

use std::borrow::Cow;
use std::io::{self, BufWriter, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::abi::{Event, Metric};
use crate::output::format::Format;
use crate::output::log::Record;
use crate::output::payload;
use crate::output::row::Row;
use crate::output::stdout::Stdout;
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

/// Writes the lines of a run.
pub struct Output {
    writer: BufWriter<Stdout>,
    format: Format,
    timestamps: timestamp::Formatter,
    json: Vec<u8>,
    base64: String,
    line: String,
    error: Option<io::Error>,
}

impl Output {
    /// Takes over standard output.
    pub fn new(format: Format) -> io::Result<Self> {
        Ok(Self {
            writer: BufWriter::with_capacity(BUFFER_SIZE, Stdout::new()?),
            format,
            timestamps: timestamp::Formatter::default(),
            json: Vec::new(),
            base64: String::new(),
            line: String::new(),
            error: None,
        })
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
        self.attempt(|output| match output.format {
            Format::Text => output.event_text(event, text, row),
            Format::Json => output.event_json(number, source, event, text, row),
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

    /// Writes the last line.
    pub fn end(&mut self, end: &End<'_>) {
        self.line(end);
    }

    /// Writes what is buffered.
    pub fn flush(&mut self) {
        self.attempt(|output| output.writer.flush());
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

    fn event_text(&mut self, event: &Event<'_>, text: Option<&[u8]>, row: Option<&Row>) -> io::Result<()> {
        self.line.clear();
        escape::line(
            &mut self.line,
            &String::from_utf8_lossy(text.unwrap_or(event.payload())),
        );
        self.timestamps.write(&mut self.writer, event.timestamp())?;
        self.writer.write_all(b" ")?;
        self.writer.write_all(self.line.as_bytes())?;
        self.writer.write_all(row.map_or(b"", Row::bytes))?;
        self.writer.write_all(b"\n")?;
        self.line.shrink_to(KEPT_CAPACITY);
        Ok(())
    }

    fn event_json(
        &mut self,
        number: u64,
        source: &str,
        event: &Event<'_>,
        text: Option<&[u8]>,
        row: Option<&Row>,
    ) -> io::Result<()> {
        write!(
            self.writer,
            r#"{{"kind":"event","number":{number},"timestamp":{},"source":"{source}","text":""#,
            event.timestamp()
        )?;
        let data = String::from_utf8_lossy(event.payload());
        let escaped = |buffer: &mut Vec<u8>, text: &str| {
            buffer.clear();
            escape::json(buffer, text);
        };
        escaped(
            &mut self.json,
            &text.map_or(Cow::Borrowed(&*data), String::from_utf8_lossy),
        );
        self.writer.write_all(&self.json)?;
        if let Cow::Borrowed(data) = data {
            self.writer.write_all(br#"","data":""#)?;
            // Without a text of the plugin, the text is the data, which is escaped already.
            if text.is_some() {
                escaped(&mut self.json, data);
            }
            self.writer.write_all(&self.json)?;
        } else {
            self.writer.write_all(br#"","data_base64":""#)?;
            self.base64.clear();
            BASE64.encode_string(event.payload(), &mut self.base64);
            self.writer.write_all(self.base64.as_bytes())?;
        }
        self.writer.write_all(b"\"")?;
        if let Some(row) = row {
            self.writer.write_all(br#","fields":{"#)?;
            self.writer.write_all(row.bytes())?;
            self.writer.write_all(b"}")?;
        }
        self.writer.write_all(b"}\n")?;
        self.json.shrink_to(KEPT_CAPACITY);
        self.base64.shrink_to(KEPT_CAPACITY);
        Ok(())
    }
}
