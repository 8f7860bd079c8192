//! Files of events, which are read in place of a plugin's source: recordings, which have a JSON object a line as `--record`
//! and `--json` write them, and plain files, of which each line is the payload of an event.

use std::borrow::Cow;
use std::fs::File;
use std::io::{BufRead, BufReader};
use std::os::fd::AsRawFd;
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD as BASE64;
use falco_plugin_schema::{ASYNC_EVENT, PLUGIN_EVENT, RawEvent};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::command::error::Error;
use crate::command::setup::UNREGISTERED;
use crate::text::timestamp;

/// The name of the file that stands for standard input.
const STANDARD_INPUT: &str = "-";
/// The size of the buffer for reading, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;
/// The longest time that a read of a pipe waits before an interruption is noticed, in milliseconds.
const WAIT: libc::c_int = 50;
/// The thread id of events that belong to no thread.
const NO_THREAD: u64 = u64::MAX;
/// The kinds of lines that `--json` writes beside those of events.
const OTHER_KINDS: [&str; 7] = ["fields", "state_event", "log", "table", "metrics", "reply", "end"];

/// The content of a file of events.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Content {
    /// A JSON object a line.
    Records,
    /// The payload of an event a line.
    Lines,
}

/// A line of a recording.
#[derive(Deserialize)]
struct Record<'a> {
    #[serde(borrow)]
    kind: Option<Cow<'a, str>>,
    timestamp: Option<u64>,
    #[serde(borrow)]
    source: Option<Cow<'a, str>>,
    /// The name of an async event.
    #[serde(borrow)]
    name: Option<Cow<'a, str>>,
    /// A string, or JSON that is the payload itself.
    #[serde(borrow)]
    data: Option<&'a RawValue>,
    #[serde(borrow)]
    data_base64: Option<Cow<'a, str>>,
    /// The whole event.
    #[serde(borrow)]
    raw_base64: Option<Cow<'a, str>>,
}

/// The result of a read.
pub enum Read<'f> {
    Event {
        bytes: &'f [u8],
        /// The name of the source; `None` if the line has the whole event, in which the id of the plugin names it.
        source: Option<&'f str>,
    },
    /// No event has come within a short time.
    Pending,
    End,
}

/// The events of a file.
pub struct EventFile {
    path: PathBuf,
    content: Content,
    reader: BufReader<File>,
    /// The size of a regular file.
    size: Option<u64>,
    offset: u64,
    line_number: u64,
    /// The line that is being read.
    line: Vec<u8>,
    event: Vec<u8>,
    source: String,
    /// The source of lines that name none.
    default_source: String,
    /// The ids of the loaded plugins that have a source.
    ids: Vec<(String, u32)>,
}

impl EventFile {
    /// Opens a file. `ids` has the names of the sources of the loaded plugins, with their ids.
    pub fn open(
        path: &Path,
        content: Content,
        default_source: &str,
        ids: impl Iterator<Item = (String, u32)>,
    ) -> Result<Self, Error> {
        let fail = |error| Error::Unreadable {
            path: path.to_owned(),
            error,
        };
        let file = match path.to_str() {
            Some(STANDARD_INPUT) => File::open("/dev/stdin"),
            _ => File::open(path),
        };
        let file = file.map_err(fail)?;
        let metadata = file.metadata().map_err(fail)?;
        if metadata.is_dir() {
            return Err(fail(std::io::ErrorKind::IsADirectory.into()));
        }
        Ok(Self {
            path: path.to_owned(),
            content,
            reader: BufReader::with_capacity(BUFFER_SIZE, file),
            size: metadata.is_file().then_some(metadata.len()),
            offset: 0,
            line_number: 0,
            line: Vec::new(),
            event: Vec::new(),
            source: String::new(),
            default_source: default_source.to_owned(),
            ids: ids.collect(),
        })
    }

    /// Returns the part of a regular file that was read, from 0 to 1.
    pub fn progress(&self) -> Option<f64> {
        let size = self.size.filter(|size| *size > 0)?;
        Some((self.offset as f64 / size as f64).min(1.0))
    }

    /// Reads the next event.
    pub fn next_event(&mut self) -> Result<Read<'_>, Error> {
        loop {
            match self.read_line() {
                Ok(Line::Whole) => {}
                Ok(Line::Pending) => return Ok(Read::Pending),
                Ok(Line::End) => return Ok(Read::End),
                Err(error) => {
                    return Err(Error::Unreadable {
                        path: self.path.clone(),
                        error,
                    });
                }
            }
            let line = std::mem::take(&mut self.line);
            let encoded = match self.content {
                Content::Lines => self.encode_payload(&line).map(|()| true),
                Content::Records => self.encode_record(&line),
            };
            self.line = line;
            self.line.clear();
            match encoded {
                Ok(true) => break,
                Ok(false) => {}
                Err(reason) => {
                    return Err(Error::Recorded {
                        path: self.path.clone(),
                        line: self.line_number,
                        reason,
                    });
                }
            }
        }
        Ok(Read::Event {
            bytes: &self.event,
            source: (!self.source.is_empty()).then_some(&self.source),
        })
    }

    /// Reads the next line that is not empty, without its end.
    fn read_line(&mut self) -> std::io::Result<Line> {
        loop {
            if self.reader.buffer().is_empty() && self.size.is_none() && !is_readable(self.reader.get_ref())? {
                return Ok(Line::Pending);
            }
            let available = self.reader.fill_buf()?;
            let newline = available.iter().position(|byte| *byte == b'\n');
            let taken = newline.map_or(available.len(), |at| at + 1);
            self.line.extend_from_slice(&available[..newline.unwrap_or(taken)]);
            let is_end = available.is_empty();
            self.reader.consume(taken);
            self.offset += taken as u64;
            if newline.is_some() || is_end {
                self.line_number += 1;
                if self.line.last() == Some(&b'\r') {
                    self.line.pop();
                }
                match (self.line.is_empty(), is_end) {
                    (false, _) => return Ok(Line::Whole),
                    (true, true) => return Ok(Line::End),
                    (true, false) => {}
                }
            }
        }
    }

    /// Encodes the event of a line of a recording. Returns false if the line is not an event.
    fn encode_record(&mut self, line: &[u8]) -> Result<bool, String> {
        let record: Record<'_> = serde_json::from_slice(line).map_err(|error| {
            format!("expected a JSON object as --record writes it ({error}): a plain file of events needs --events")
        })?;
        let kind = record.kind.as_deref().unwrap_or("event");
        if OTHER_KINDS.contains(&kind) {
            return Ok(false);
        }
        let decode = |text: &str| BASE64.decode(text).map_err(|error| format!("not base64: {error}"));
        let data: Cow<'_, [u8]> = match (&record.data, &record.data_base64, &record.raw_base64) {
            (None, None, Some(raw)) => {
                self.event = decode(raw)?;
                self.source.clear();
                return check_raw(&self.event).map(|()| true);
            }
            (Some(data), None, None) => match data.get().starts_with('"') {
                true => serde_json::from_str::<String>(data.get())
                    .map_err(|error| format!("the member data: {error}"))?
                    .into_bytes()
                    .into(),
                false => data.get().as_bytes().into(),
            },
            (None, Some(data), None) => decode(data)?.into(),
            (None, None, None) => {
                return Err("the event has neither data nor data_base64: a plain file of events needs --events".into());
            }
            _ => return Err("the event has several of data, data_base64 and raw_base64: leave one".into()),
        };
        let source = record.source.filter(|source| !source.is_empty());
        self.source = source.map_or_else(|| self.default_source.clone(), Cow::into_owned);
        if self.source.contains('\0') {
            return Err("the name of the source contains a NUL".into());
        }
        match kind {
            "event" => self.encode(PLUGIN_EVENT, record.timestamp, &[&data])?,
            "async_event" => {
                let name = record.name.ok_or("the async event has no name")?;
                if name.contains('\0') {
                    return Err("the name of the async event contains a NUL".into());
                }
                let name = [name.as_bytes(), b"\0"].concat();
                self.encode(ASYNC_EVENT, record.timestamp, &[&name, &data])?;
            }
            kind => return Err(format!("the kind {kind:?} is not known: expected event or async_event")),
        }
        Ok(true)
    }

    fn encode_payload(&mut self, payload: &[u8]) -> Result<(), String> {
        self.source.clone_from(&self.default_source);
        self.encode(PLUGIN_EVENT, None, &[payload])
    }

    /// Encodes an event of a plugin: header, lengths of the parameters, the plugin's id and the other parameters.
    fn encode(&mut self, code: u16, time: Option<u64>, params: &[&[u8]]) -> Result<(), String> {
        let id = self.ids.iter().find(|(name, _)| *name == self.source);
        let id = id.map_or(UNREGISTERED, |(_, id)| *id).to_ne_bytes();
        let params: Vec<&[u8]> = std::iter::once(&id[..]).chain(params.iter().copied()).collect();
        let length = 26 + params.iter().map(|param| 4 + param.len()).sum::<usize>();
        let length = u32::try_from(length).map_err(|_| "the event is longer than 4 GiB".to_owned())?;
        self.event.clear();
        self.event.extend(time.unwrap_or_else(timestamp::now).to_ne_bytes());
        self.event.extend(NO_THREAD.to_ne_bytes());
        self.event.extend(length.to_ne_bytes());
        self.event.extend(code.to_ne_bytes());
        self.event.extend((params.len() as u32).to_ne_bytes());
        // Each is shorter than the event.
        self.event
            .extend(params.iter().flat_map(|param| (param.len() as u32).to_ne_bytes()));
        for param in params {
            self.event.extend_from_slice(param);
        }
        Ok(())
    }
}

enum Line {
    Whole,
    Pending,
    End,
}

/// Checks a whole event of a recording: plugins read its parameters without checks.
fn check_raw(event: &[u8]) -> Result<(), String> {
    let fault = "the event in raw_base64 is damaged";
    let raw = RawEvent::new(event).ok_or(fault)?;
    let params = raw.params();
    let is_whole = params.len() == raw.param_count() as usize
        && (0..params.len()).all(|position| params.bytes(position).is_some());
    is_whole.then_some(()).ok_or_else(|| fault.to_owned())
}

/// Waits a short time until a pipe has data or its end.
fn is_readable(file: &File) -> std::io::Result<bool> {
    let mut polled = libc::pollfd {
        fd: file.as_raw_fd(),
        events: libc::POLLIN,
        revents: 0,
    };
    // SAFETY: one valid pollfd, of an open file.
    match unsafe { libc::poll(&raw mut polled, 1, WAIT) } {
        -1 => match std::io::Error::last_os_error() {
            error if error.kind() == std::io::ErrorKind::Interrupted => Ok(false),
            error => Err(error),
        },
        0 => Ok(false),
        _ => Ok(true),
    }
}
