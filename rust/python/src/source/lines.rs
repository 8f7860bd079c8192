//! `LinesInstance`.

use std::ffi::OsString;
use std::mem;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering, fence};
use std::sync::{Mutex, PoisonError};

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch as EngineBatch;
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::lines::{self as engine, Options, Progress, Source, Start};
use pyo3::exceptions::{PyTypeError, PyValueError};
use pyo3::gc::{PyTraverseError, PyVisit};
use pyo3::prelude::*;
use pyo3::types::{PyBytes, PyString};

use crate::convert::buffers::duplicate;
use crate::convert::options;
use crate::errors::{os_error, to_python};
use crate::event::batch::{self, EventBatch};
use crate::interpreter::log;
use crate::source::context::Context;
use crate::source::driver::{Callbacks, Driven, optional_callable};
use crate::source::pull::{already_running, fill_batch, try_lock};

/// Lines of a file, a pipe or a socket as events, without any Python: they are read and split while the GIL is free.
///
/// An event is a line without its separator. An empty line is an empty event. If the separator is a newline, a carriage
/// return in front of it belongs to the separator. At the end of the input, the bytes behind the last separator are an
/// event too. A line longer than ``event_size`` is cut to it, however long it is, and the log reports it. Lines are
/// delivered immediately.
///
/// A UTF-8 byte order mark at the beginning of a file is left out. NULs at the beginning of a line are skipped, unless
/// the separator contains a NUL: they are a hole, which ``copytruncate`` leaves if the writer does not append. UTF-16
/// is reported in the log, and not converted.
///
/// A regular file whose name ends with ``.gz`` or ``.zst`` is decompressed, and read once even with ``follow``. If it
/// is cut off or damaged, the lines before the fault are events, and then an ``OSError`` ends the source.
///
/// **Following** a path is like ``tail -F``. The path need not exist yet. If another file appears at the path, the old
/// one is read to its end first. It is also read for as long as the new one is empty, because its writer may still use
/// it. Files that appear and are renamed between two checks are read too, if they have the log's name with a number or
/// a date. If the bytes that were read last are no longer in the file, it was truncated: it is read from its beginning,
/// and the log reports it. Lines that are written between the last check and a truncation are lost. If a file cannot be
/// read, that is logged and tried again. Files are checked every 20 ms. If ``file`` is an object with ``fileno()``,
/// growth and truncation are noticed, but not another file with its name. A FIFO is read further after its writers have
/// closed it; an unfinished line ends when they do. A file of ``/proc`` is read once.
///
/// Args:
///     file: a path, or an object with ``fileno()``, such as a pipe, a stream socket or an open file. Its descriptor is
///         duplicated, so that it may be closed, and its flags are left alone. What the object has read into a buffer
///         of its own is not seen; of a regular file the object's own place does not matter, only ``start`` does.
///     separator: what ends a line, one byte or more.
///     timestamp: a JSON pointer to the event's time in a line of JSON, such as ``"/time"``, in one of the forms that
///         ``parse_timestamp`` reads. A line without such a time gets no timestamp, as if this option were not set. The
///         log reports such lines at most once a minute for each cause, with a count.
///     follow: whether to go on at the end of a file.
///     start: where a regular file is begun: bytes from its beginning (of its content, if it is compressed); ``"end"``,
///         behind its last separator; or the ``cursor`` of an instance before. A cursor also finds its file if the file
///         was renamed in its folder or compressed since; the rest of that file is then read first. If the file is
///         shorter than the position, or is not the cursor's file, it is read from its beginning, and the log reports
///         how much is lost.
///     context: parent of the instance's context; cancelling it ends the source.
///     timeout: seconds or a ``timedelta`` that ``next_batch`` waits for a line at most; 0 takes what is there.
///     close: is called once when the source is closed, after the context was cancelled.
///     batch_size: events in a batch, 1 to 2**32 - 1.
///     event_size: bytes of the largest payload of one event, 1 to 2**32 - 39.
///     progress: returns how much has been read, 0 to 1, and a text, instead of what ``progress()`` says without it.
///
/// Raises:
///     OSError: the file cannot be opened or read; but a path that is followed need not exist.
///     TypeError: the file is no path and has no ``fileno()``, or an option is of a wrong type.
///     ValueError: the pointer is none, or leads to several values; an option is out of range, or has no meaning for
///         such a file; a socket is one of datagrams, or is given by its path.
#[pyclass(frozen, weakref, module = "falco_plugin.source")]
pub(crate) struct LinesInstance {
    engine: Mutex<engine::LinesInstance>,
    progress: Progress,
    pub(crate) context: Py<Context>,
    events: Mutex<Py<EventBatch>>,
    pub(crate) callbacks: Callbacks,
    pub(crate) driven: Driven,
    closed: AtomicBool,
}

impl LinesInstance {
    /// One batch, without the GIL. `None` where another thread is at it.
    pub(crate) fn fill(&self, memory: &mut EngineBatch) -> Option<Result<usize, Error>> {
        let result = try_lock(&self.engine)?.next_batch(memory);
        // With the one in `close`: either that finds the lock free, or this that it is closed.
        fence(Ordering::SeqCst);
        if self.closed.load(Ordering::Relaxed) {
            // Closed meanwhile, when `close` found the lock held.
            if let Some(mut engine) = try_lock(&self.engine) {
                engine.close();
            }
        }
        Some(result)
    }

    /// The error that the next call would have told.
    pub(crate) fn take_pending_error(&self) -> Option<Error> {
        try_lock(&self.engine)?.take_pending_error()
    }

    pub(crate) fn events_object(&self, py: Python<'_>) -> Py<EventBatch> {
        self.events.lock().unwrap_or_else(PoisonError::into_inner).clone_ref(py)
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
        let options = Options {
            separator: separator.map_or_else(|| Ok(b"\n".to_vec()), bytes)?,
            timestamp: timestamp.map(pointer).transpose()?,
            follow,
            start: start.map_or(Ok(Start::Offset(0)), start_at)?,
            timeout: timeout.map_or(Ok(DEFAULT_TIMEOUT), |value| options::duration("timeout", value))?,
        };
        let events = Py::new(py, EventBatch::holding(batch::sized(batch_size, event_size)?))?;
        let callbacks = Callbacks::new(
            optional_callable("close", close)?,
            optional_callable("progress", progress)?,
        );
        let (source, name) = source(file)?;
        let context = Context::for_instance(py, context.as_ref())?;
        let warn = Box::new(|text: &str| Python::attach(|py| log::warn(py, text)));
        let engine = {
            let context = context.get().engine.clone();
            py.detach(|| engine::LinesInstance::new(source, name, options, context, warn))
        };
        let engine = engine.map_err(|error| to_python(py, error))?;
        Ok(Self {
            progress: engine.progress(),
            engine: Mutex::new(engine),
            context,
            events: Mutex::new(events),
            callbacks,
            driven: Driven::default(),
            closed: AtomicBool::new(false),
        })
    }

    /// The instance's context, cancelled when it is closed.
    #[getter]
    fn context(&self, py: Python<'_>) -> Py<Context> {
        self.context.clone_ref(py)
    }

    /// The batch that the host reads; another may be set before ``open`` returns (``sdk.Events``).
    #[getter]
    fn events(&self, py: Python<'_>) -> Py<EventBatch> {
        self.events_object(py)
    }

    #[setter]
    fn set_events(&self, events: Py<EventBatch>) {
        let mut held = self.events.lock().unwrap_or_else(PoisonError::into_inner);
        let old = mem::replace(&mut *held, events);
        drop(held);
        drop(old);
    }

    /// Where the first line begins that the host is not done with, in bytes from the beginning of the file; of a
    /// stream, from where reading began.
    ///
    /// The host is done with a batch when it comes back for the next. A line that was cut counts when its end was read.
    /// After a rotation it is a place in the new file, from when the host has taken the rest of the old one.
    #[getter]
    fn position(&self) -> u64 {
        self.progress.position()
    }

    /// The position as a text that ``start`` takes, for the plugin to keep; ``None`` for a stream, and as long as
    /// there is no file.
    ///
    /// It identifies its file by up to 256 bytes in front of the position, by inode and by path. Each line is delivered
    /// at least once, however often the plugin is restarted. If the file was rotated while the plugin did not run, the
    /// rest of it is read if it is found, as described for ``start``. The text is printable ASCII.
    #[getter]
    fn cursor(&self) -> Option<String> {
        self.progress.cursor().map(|cursor| cursor.to_string())
    }

    /// Appends lines to the batch until it is full, or there is none for now; waits for one (``sdk.NextBatcher``).
    ///
    /// Returns:
    ///     How many were appended, at least 1.
    ///
    /// Raises:
    ///     Timeout: there is no line for now.
    ///     EOF: the source has ended.
    ///     BatchFullError: the batch was full already.
    ///     OSError: it cannot be read, once; ``EOF`` from then on. What stops a call that has events is raised by the
    ///         next.
    #[pyo3(signature = (batch, /))]
    fn next_batch(&self, batch: &Bound<'_, EventBatch>) -> PyResult<usize> {
        self.driven.check(batch.py())?;
        let py = batch.py();
        fill_batch(batch, |memory| {
            py.detach(|| {
                self.fill(memory)
                    .unwrap_or_else(|| Err(already_running(&self.context.get().engine)))
            })
        })
    }

    /// How much of the file the host is done with, 0 to 1, and as a text, such as "12.3 MiB of 40 MiB"; of a stream
    /// 0.0, and how much was read. With a callback, what that says.
    fn progress(&self, py: Python<'_>) -> PyResult<(f64, String)> {
        self.callbacks.progress_or(py, || py.detach(|| self.progress.report()))
    }

    /// Cancels the context, closes a stream, then calls the close callback. Idempotent.
    fn close(&self, py: Python<'_>) -> PyResult<()> {
        if self.closed.swap(true, Ordering::Relaxed) {
            return Ok(());
        }
        fence(Ordering::SeqCst);
        py.detach(|| {
            self.context.get().engine.cancel();
            // Where next_batch runs on another thread, it sees the cancelled context and does this itself.
            if let Some(mut engine) = try_lock(&self.engine) {
                engine.close();
            }
        });
        self.callbacks.close(py)
    }

    fn __traverse__(&self, visit: PyVisit<'_>) -> Result<(), PyTraverseError> {
        visit.call(&self.context)?;
        self.callbacks.traverse(&visit)
    }

    fn __clear__(&self) {
        self.callbacks.clear();
    }
}

/// What is read, and what it is called.
fn source(file: &Bound<'_, PyAny>) -> PyResult<(Source, String)> {
    let py = file.py();
    if file.hasattr("fileno")? {
        let descriptor: i32 = file.call_method0("fileno")?.extract()?;
        let name = file
            .getattr("name")
            .and_then(|name| py.import("os")?.call_method1("fsdecode", (name,)));
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
    let path = py.import("os")?.call_method1("fsdecode", (file,)).map_err(|error| {
        if error.is_instance_of::<PyTypeError>(py) {
            wrong_type("file", "a path, or have fileno()", file)
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

fn wrong_type(name: &str, wanted: &str, value: &Bound<'_, PyAny>) -> PyErr {
    match value.get_type().name() {
        Ok(kind) => PyTypeError::new_err(format!("{name} must be {wanted}, not {kind}")),
        Err(error) => error,
    }
}
