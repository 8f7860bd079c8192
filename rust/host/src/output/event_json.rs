//! The JSON objects of events, one a line.

use std::borrow::Cow;
use std::io::{self, Write};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use falco_plugin_schema::RawEvent;
use serde::Serialize;

use crate::abi::{AsyncEvent, Event};
use crate::output::async_line::AsyncMembers;
use crate::output::params;
use crate::output::row::Row;
use crate::text::escape;

/// The capacity to which a buffer shrinks after an unusually large event, in bytes.
const KEPT_CAPACITY: usize = 1024 * 1024;

/// The members of the line of an event that the event lacks.
pub(super) struct EventLine<'a> {
    pub(super) number: u64,
    /// A name that needs no escaping, or that of a recording.
    pub(super) source: &'a str,
    /// The plugin's text for the event, if it has one; for an event of a capture file, its name and parameters.
    pub(super) text: Option<&'a [u8]>,
    /// The fields, if some are selected.
    pub(super) row: Option<&'a Row>,
}

/// Writes events as JSON.
#[derive(Default)]
pub(super) struct EventJson {
    json: Vec<u8>,
    base64: String,
    source: Vec<u8>,
}

impl EventJson {
    /// Writes an event of a plugin.
    pub(super) fn event(&mut self, out: &mut impl Write, line: &EventLine<'_>, event: &Event<'_>) -> io::Result<()> {
        self.source.clear();
        escape::json(&mut self.source, line.source);
        write!(
            out,
            r#"{{"kind":"event","number":{},"timestamp":{},"source":""#,
            line.number,
            event.timestamp()
        )?;
        out.write_all(&self.source)?;
        out.write_all(br#"","text":""#)?;
        let data = String::from_utf8_lossy(event.payload());
        let escaped = |buffer: &mut Vec<u8>, text: &str| {
            buffer.clear();
            escape::json(buffer, text);
        };
        escaped(
            &mut self.json,
            &line.text.map_or(Cow::Borrowed(&*data), String::from_utf8_lossy),
        );
        out.write_all(&self.json)?;
        if let Cow::Borrowed(data) = data {
            out.write_all(br#"","data":""#)?;
            // Without a text of the plugin, the text is the data, which is escaped already.
            if line.text.is_some() {
                escaped(&mut self.json, data);
            }
            out.write_all(&self.json)?;
        } else {
            out.write_all(br#"","data_base64":""#)?;
            self.base64.clear();
            BASE64.encode_string(event.payload(), &mut self.base64);
            out.write_all(self.base64.as_bytes())?;
        }
        out.write_all(b"\"")?;
        if let Some(row) = line.row {
            out.write_all(br#","fields":{"#)?;
            out.write_all(row.bytes())?;
            out.write_all(b"}")?;
        }
        out.write_all(b"}\n")?;
        self.shrink();
        Ok(())
    }

    /// Writes an async event.
    pub(super) fn async_event(
        &mut self,
        out: &mut impl Write,
        members: &AsyncMembers<'_>,
        event: &AsyncEvent,
    ) -> io::Result<()> {
        self.json.clear();
        members.write_json(event, &mut self.json)?;
        self.end(out, members.row)
    }

    /// Writes an event of a capture file: its name and parameters instead of a payload.
    pub(super) fn raw_event(
        &mut self,
        out: &mut impl Write,
        line: &EventLine<'_>,
        event: &RawEvent<'_>,
    ) -> io::Result<()> {
        #[derive(Serialize)]
        struct Head<'a> {
            kind: &'static str,
            number: u64,
            timestamp: u64,
            source: &'a str,
            text: &'a str,
            name: &'a str,
            #[serde(rename = "type")]
            code: u16,
            thread_id: Option<i64>,
            params: serde_json::Value,
            raw_base64: &'a str,
        }
        self.base64.clear();
        BASE64.encode_string(event.bytes(), &mut self.base64);
        self.json.clear();
        let head = Head {
            kind: "event",
            number: line.number,
            timestamp: event.timestamp(),
            source: line.source,
            text: &String::from_utf8_lossy(line.text.unwrap_or_default()),
            name: &event.name(),
            code: event.code(),
            thread_id: event.thread_id(),
            params: params::to_json(event),
            raw_base64: &self.base64,
        };
        serde_json::to_writer(&mut self.json, &head)?;
        self.end(out, line.row)
    }

    /// Writes the object in the buffer, with the fields of the event.
    fn end(&mut self, out: &mut impl Write, row: Option<&Row>) -> io::Result<()> {
        // The row consists of the members of an object.
        if let Some(row) = row {
            self.json.pop();
            self.json.extend_from_slice(br#","fields":{"#);
            self.json.extend_from_slice(row.bytes());
            self.json.extend_from_slice(b"}}");
        }
        self.json.push(b'\n');
        out.write_all(&self.json)?;
        self.shrink();
        Ok(())
    }

    fn shrink(&mut self) {
        self.json.shrink_to(KEPT_CAPACITY);
        self.base64.shrink_to(KEPT_CAPACITY);
    }
}
