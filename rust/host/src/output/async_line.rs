//! The line of an async event.

use std::io;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Serialize;

use crate::abi::AsyncEvent;
use crate::output::row::Row;
use crate::text::escape;

/// The members of the line of an async event that the event lacks.
pub(super) struct AsyncMembers<'a> {
    pub(super) kind: &'static str,
    pub(super) number: Option<u64>,
    pub(super) source: Option<&'a str>,
    pub(super) plugin: Option<&'a str>,
    pub(super) row: Option<&'a Row>,
}

impl AsyncMembers<'_> {
    /// Writes the line as a JSON object, without the fields of the row.
    pub(super) fn write_json(&self, event: &AsyncEvent, json: &mut Vec<u8>) -> io::Result<()> {
        #[derive(Serialize)]
        struct Line<'a> {
            kind: &'static str,
            #[serde(skip_serializing_if = "Option::is_none")]
            number: Option<u64>,
            timestamp: u64,
            #[serde(skip_serializing_if = "Option::is_none")]
            source: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            plugin: Option<&'a str>,
            name: &'a str,
            #[serde(skip_serializing_if = "Option::is_none")]
            data: Option<&'a str>,
            #[serde(skip_serializing_if = "Option::is_none")]
            data_base64: Option<String>,
        }
        let data = std::str::from_utf8(event.data()).ok();
        let line = Line {
            kind: self.kind,
            number: self.number,
            timestamp: event.timestamp(),
            source: self.source,
            plugin: self.plugin,
            name: &String::from_utf8_lossy(event.name()),
            data,
            data_base64: data.is_none().then(|| BASE64.encode(event.data())),
        };
        Ok(serde_json::to_writer(json, &line)?)
    }

    /// Writes the line as text, without the time and the fields of the row.
    pub(super) fn write_text(&self, event: &AsyncEvent, line: &mut String) {
        if let Some(plugin) = self.plugin {
            escape::line(line, plugin);
            line.push_str(": ");
        }
        line.push('[');
        escape::line(line, &String::from_utf8_lossy(event.name()));
        line.push_str("] ");
        escape::line(line, &String::from_utf8_lossy(event.data()));
    }
}
