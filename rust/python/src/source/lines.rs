//! `LinesInstance`: each line of a file, a pipe or a socket is an event.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::Arc;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch as EngineBatch;
use falco_plugin_engine::source::lines::{self as engine, Options, Progress, Source, Start};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::buffers::duplicate;
use crate::convert::options;
use crate::errors::{os_error, to_python};
use crate::event::batch::EventBatch;
use crate::imports;
use crate::interpreter::log;
use crate::source::context::Context;
use crate::source::core::{CommonOptions, Core, Engine};

/// An event source that makes an event of each line of a file, a pipe or a socket.
///
/// The lines are read and split in Rust, with the GIL released. They are delivered immediately. A line is an event
/// without its separator, and an empty line is an empty event. If the separator is a newline, a carriage return before
/// it belongs to the separator. At the end of the input, the bytes after the last separator are an event too. A line
/// that is longer than ``event_size`` is cut to that size, and the log reports it.
///
/// A UTF-8 byte order mark at the beginning of a file is left out. NULs at the beginning of a line are skipped, unless
/// the separator contains a NUL: they are a hole, which ``copytruncate`` leaves if the writer does not append. UTF-16
/// is reported in the log, and not converted.
///
/// A regular file whose name ends with ``.gz`` or ``.zst`` is decompressed. It is read once, even with ``follow``. If
/// such a file is cut off or damaged, the lines before the fault are events, and then an ``OSError`` ends the source.
///
/// **Following** a path is like ``tail -F``:
///
/// - The path need not exist yet. The file is checked every 20 ms.
/// - If another file appears at the path, the old file is read to its end first. The old file is also read as long as
///   the new one is empty, because its writer may still use it.
/// - Files that appear and are renamed between two checks are read too, if their name is the log's name with a number
///   or a date.
/// - If the bytes that were read last are no longer in the file, it was truncated. It is then read from its beginning,
///   and the log reports it. Lines that are written between the last check and a truncation are lost.
/// - If the file cannot be read, the log reports it, and reading is tried again.
/// - If ``file`` is an object with ``fileno()``, growth and truncation are noticed, but another file at its path is
///   not.
/// - A FIFO is read further after its writers have closed it. An unfinished line ends when they do.
/// - A file of ``/proc`` is read once.
///
/// Args:
///     file: a path, or an object with ``fileno()``, such as a pipe, a stream socket or an open file. The descriptor is
///         duplicated, so the object may be closed; its flags are not changed. Bytes that the object has already read
///         into a buffer are not seen. The current position of a regular file does not matter: reading begins at
///         ``start``.
///     separator: the bytes that end a line, one or more.
///     timestamp: a JSON pointer to the event's time in a line of JSON, such as ``"/time"``. The time has one of the
///         forms that ``parse_timestamp`` reads. A line without such a time gets no timestamp, as if this option were
///         not set. The log reports such lines with a count, at most once a minute for each cause.
///     follow: whether to continue at the end of a file.
///     start: the position at which to begin in a regular file: a number of bytes from its beginning (of its content,
///         if it is compressed); ``"end"``, which is after its last separator; or the ``cursor`` of an earlier
///         instance. A cursor also finds its file if that was renamed in its folder or compressed in the meantime. The
///         rest of that file is then read first. If the file is shorter than the position, or is not the cursor's file,
///         it is read from its beginning, and the log reports how much is lost.
///     context: the parent of the instance's context. Cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a first line. With 0 it does not wait.
///     close: is called once when the source is closed, after the context was cancelled.
///     batch_size: the number of events in a batch at most, 1 to 2**32 - 1.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///     progress: returns how much has been read: a fraction from 0 to 1, and a string. It replaces the result of the
///         method ``progress``.
///
/// Raises:
///     OSError: the file cannot be opened or read. A path that is followed need not exist.
///     TypeError: the file is neither a path nor an object with ``fileno()``, or an option has a wrong type.
///     ValueError: the pointer is malformed, or leads to several values; an option is out of range, or does not apply
///         to such a file; a socket is a datagram socket, or is given by its path.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct LinesInstance {
    pub(crate) core: Arc<Core<Lines>>,
    progress: Progress,
}

type Lines = engine::LinesInstance;

impl Engine for Lines {
    const RUNS_PYTHON: bool = false;

    fn next_batch(&mut self, batch: &mut EngineBatch) -> Result<usize, Error> {
        self.next_batch(batch)
    }

    fn take_pending_error(&mut self) -> Option<Error> {
        self.take_pending_error()
    }

    fn close(&mut self) {
        self.close();
    }
}

#[pymethods]
impl LinesInstance {
    #[new]
    #[pyo3(
        signature = (
            file, /, *, separator = None, timestamp = None, follow = false, start = None, context = None,
            timeout = None, close = None, batch_size = None, event_size = None, progress = None
        ),
        text_signature = "(file, /, *, separator=b'\\n', timestamp=None, follow=False, start=0, context=None, \
                          timeout=0.03, close=None, batch_size=128, event_size=262144, progress=None)"
    )]
    #[expect(clippy::too_many_arguments, reason = "keyword options of Python")]
    fn new(
        file: &Bound<'_, PyAny>,
        separator: Option<&Bound<'_, PyAny>>,
        timestamp: Option<&Bound<'_, PyAny>>,
        follow: bool,
        start: Option<&Bound<'_, PyAny>>,
        context: Option<Py<Context>>,
        timeout: Option<&Bound<'_, PyAny>>,
        close: Option<&Bound<'_, PyAny>>,
        batch_size: Option<&Bound<'_, PyAny>>,
        event_size: Option<&Bound<'_, PyAny>>,
        progress: Option<&Bound<'_, PyAny>>,
    ) -> PyResult<Self> {
        let py = file.py();
        let separator = separator.map_or_else(|| Ok(b"\n".to_vec()), bytes)?;
        let timestamp = timestamp.map(pointer).transpose()?;
        let start = start.map_or(Ok(Start::Offset(0)), start_at)?;
        let memory = options::batch(batch_size, event_size)?;
        let (source, name) = source(file)?;
        let options = CommonOptions::parse(py, context.as_ref(), timeout, close, progress)?;
        let engine_options = Options {
            separator,
            timestamp,
            follow,
            start,
            timeout: options.timeout,
        };
        let warn = Box::new(|message: &str| Python::attach(|py| log::warn(py, message)));
        let context = options.context.get().engine.clone();
        let lines = py
            .detach(|| Lines::new(source, name, engine_options, context, warn))
            .map_err(|error| to_python(py, error))?;
        Ok(Self {
            progress: lines.progress(),
            core: Core::new(py, lines, options, memory, None)?,
        })
    }

    /// The instance's context, cancelled when the instance is closed.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<Context> {
        self.core.context(py)
    }

    /// The batch that the host reads. Another batch may be set before ``open`` returns (``sdk.Events``).
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        self.core.events(py)
    }

    #[setter]
    fn set_events(&self, events: Py<EventBatch>) {
        self.core.set_events(events);
    }

    /// The position of the first line that the host has not acknowledged, in bytes from the beginning of the file.
    ///
    /// For a stream, it counts from where reading began. The host acknowledges a batch when it asks for the next one. A
    /// line that was cut to ``event_size`` counts once its end was read. After a rotation the position refers to the
    /// new file as soon as the host has acknowledged the rest of the old one.
    #[getter]
    fn position(&self) -> u64 {
        self.progress.position()
    }

    /// The position as a string for the option ``start``, which your plugin can save; ``None`` for a stream, and as
    /// long as there is no file.
    ///
    /// A cursor identifies its file by up to 256 bytes before the position, by inode and by path. Each line is
    /// delivered at least once, however often the plugin is restarted. If the file was rotated while the plugin did not
    /// run, the rest of it is read if it is found, as described for ``start``. The string is printable ASCII.
    #[getter]
    fn cursor(&self) -> Option<String> {
        self.progress.cursor().map(|cursor| cursor.to_string())
    }

    /// Appends the available lines to the batch until it is full; waits for a first line (``sdk.NextBatcher``).
    ///
    /// Returns:
    ///     The number of appended events, at least 1.
    ///
    /// Raises:
    ///     Timeout: there is no line for now.
    ///     EOF: the source has ended.
    ///     BatchFullError: the batch was full already.
    ///     PluginError: ``open`` has returned this instance, so only the host may call this method; or another call is
    ///         in progress.
    ///     OSError: the input cannot be read, raised once; later calls raise ``EOF``. If the call has appended events
    ///         before the error, the next call raises it.
    #[pyo3(signature = (batch, /))]
    fn next_batch(&self, batch: &Bound<'_, EventBatch>) -> PyResult<usize> {
        self.core.next_batch(batch)
    }

    /// Returns how much of the file the host has acknowledged: a fraction from 0 to 1, and a string such as
    /// "12.3 MiB of 40 MiB".
    ///
    /// For a stream, the fraction is 0.0 and the string contains how much was read. If there is a ``progress``
    /// callback, it returns the result of the callback instead.
    fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.core.progress_or(py, || py.detach(|| self.progress.report()))
    }

    /// Cancels the context, closes the input, then calls the ``close`` callback. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        self.core.close(py, || ())
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        self.core.traverse(&visit)
    }

    fn __clear__(&self) {
        self.core.clear();
    }
}

/// Opens the input. Returns it with its name for messages.
fn source(file: &Bound<'_, PyAny>) -> PyResult<(Source, String)> {
    let py = file.py();
    if file.hasattr("fileno")? {
        let descriptor: i32 = file.call_method0("fileno")?.extract()?;
        let name = file
            .getattr("name")
            .and_then(|name| imports::FSDECODE.call(py, (name,)));
        // The name of some objects is a number.
        let name = name.and_then(|name| name.extract::<PathBuf>());
        let name = name.map_or_else(
            |_| format!("descriptor {descriptor}"),
            |name| name.display().to_string(),
        );
        return match duplicate(descriptor) {
            Ok(duplicate) => Ok((Source::Descriptor(duplicate), name)),
            Err(error) => Err(os_error(py, &error, &name)),
        };
    }
    let path = imports::FSDECODE.call(py, (file,)).map_err(|error| {
        if error.is_instance_of::<PyTypeError>(py) {
            wrong_type("file", "a path or an object with fileno()", file)
        } else {
            error
        }
    })?;
    let path = PathBuf::from(path.extract::<OsString>()?);
    let name = path.display().to_string();
    Ok((Source::Path(path), name))
}

fn bytes(separator: &Bound<'_, PyAny>) -> PyResult<Vec<u8>> {
    match separator.cast::<PyBytes>() {
        Ok(bytes) => Ok(bytes.as_bytes().to_vec()),
        Err(_) => Err(wrong_type("separator", "bytes", separator)),
    }
}

fn pointer(timestamp: &Bound<'_, PyAny>) -> PyResult<String> {
    match timestamp.cast::<PyString>() {
        Ok(pointer) => pointer.extract(),
        Err(_) => Err(wrong_type("timestamp", "a JSON pointer (str)", timestamp)),
    }
}

fn start_at(start: &Bound<'_, PyAny>) -> PyResult<Start> {
    let Ok(text) = start.cast::<PyString>() else {
        return options::integer("start", start, 0, i64::MAX as u64).map(Start::Offset);
    };
    let text = text.to_cow()?;
    if text == "end" {
        return Ok(Start::End);
    }
    text.parse().map(Start::Cursor).map_err(|()| {
        PyValueError::new_err("start must be a number of bytes, \"end\", or the cursor of a LinesInstance")
    })
}

fn wrong_type(name: &str, expected: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(kind) => PyTypeError::new_err(format!("{name} must be {expected}, got {kind}")),
        Err(error) => error,
    }
}
