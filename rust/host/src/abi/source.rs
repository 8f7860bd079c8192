//! An open source and its batches.

use std::ffi::{CStr, CString, OsStr};
use std::marker::PhantomData;

use falco_plugin_api::{
    ss_instance_t, ss_plugin_event, ss_plugin_rc_SS_PLUGIN_EOF as EOF, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_NOT_SUPPORTED as NOT_SUPPORTED, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS,
    ss_plugin_rc_SS_PLUGIN_TIMEOUT as TIMEOUT,
};
use falco_plugin_api_table::signatures;

use crate::abi::error::Error;
use crate::abi::event::{self, Event, EventFault};
use crate::abi::extraction::{Extract, event_input};
use crate::abi::extractor::Extractor;
use crate::abi::library::UNSET_NUMBER;
use crate::abi::parsing::Parse;
use crate::abi::plugin::{Plugin, UNSET_CODE};
use crate::abi::query::FieldQuery;
use crate::abi::strings::{bytes, c_string, text};
use crate::abi::values::{ValueFault, Values};

/// The most events that a batch may have. A larger number is one that the plugin did not set.
const MOST_EVENTS: u32 = 1 << 20;
/// The length to which libscap cuts the messages of `open` and `next_batch`, in bytes.
const MESSAGE_LENGTH: usize = 255;

/// The result of a call of `next_batch` that did not fail.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Success,
    Timeout,
    Eof,
}

/// An open event source. Dropping it calls `close`.
pub struct Source<'p> {
    plugin: &'p Plugin<'p>,
    instance: *mut ss_instance_t,
    close: signatures::close,
    next_batch: signatures::next_batch,
    get_progress: Option<signatures::get_progress>,
    event_to_string: Option<signatures::event_to_string>,
    extract: Option<Extract>,
    parse: Option<Parse>,
    id: u32,
    name: CString,
}

// SAFETY: the plugin API allows calls from any thread if they do not overlap. `open` borrows the plugin mutably, so the
// source alone uses it; the caller of `open_shared` ensures that the plugin allows overlapping calls. The source itself
// is called only by `&mut self`.
unsafe impl Send for Source<'_> {}

impl<'p> Source<'p> {
    /// Opens the event source of a plugin. `id` is the plugin's id and `name` the source's name: the host sets the former
    /// in events, and passes the latter to extraction.
    pub fn open(plugin: &'p mut Plugin<'_>, params: &OsStr, id: u32, name: &str) -> Result<Self, Error> {
        // SAFETY: the plugin is borrowed mutably, so no other call uses it.
        unsafe { Self::open_shared(plugin, params, id, name) }
    }

    /// Opens an event source of a plugin that may have other open sources. Falco does not do this.
    ///
    /// # Safety
    /// Either no other call uses the plugin while the source exists, or the plugin supports several sources, and
    /// concurrent calls from several threads. A concurrent call must not invalidate what another thread received.
    pub unsafe fn open_shared(plugin: &'p Plugin<'_>, params: &OsStr, id: u32, name: &str) -> Result<Self, Error> {
        let functions = &plugin.library.functions;
        let (Some(open), Some(close), Some(next_batch)) = (functions.open, functions.close, functions.next_batch)
        else {
            return Err(Error::NotASource);
        };
        let (extract, parse) = (plugin.extract()?, plugin.parse()?);
        let params = c_string(params)?;
        let name = c_string(OsStr::new(name))?;
        let mut code = UNSET_CODE;
        // SAFETY: the state is that of an initialised plugin, `params` is NUL-terminated, `code` is writable.
        let instance = unsafe { open(plugin.state, params.as_ptr(), &raw mut code) };
        // As in libscap, `close` is called also after a failure, and with NULL.
        let source = Self {
            plugin,
            instance,
            close,
            next_batch,
            get_progress: functions.get_progress,
            event_to_string: functions.event_to_string,
            extract,
            parse,
            id,
            name,
        };
        match code {
            SUCCESS => Ok(source),
            UNSET_CODE => Err(Error::Unset {
                function: "open",
                what: "rc",
            }),
            _ => Err(plugin.failure("open", MESSAGE_LENGTH)),
        }
    }

    /// Gets the next batch. If the call failed, but returned events, the failure is in the batch.
    // Force inlining: copying the batch takes longer than the call of a fast plugin.
    #[inline(always)]
    pub fn next_batch(&mut self) -> Result<Batch<'_>, Error> {
        let mut count = UNSET_NUMBER;
        let mut events = event::UNSET;
        // SAFETY: state and instance are open, and no other call uses them, as `open` requires. Both out-parameters are
        // writable.
        let code = unsafe { (self.next_batch)(self.plugin.state, self.instance, &raw mut count, &raw mut events) };
        let result = match code {
            SUCCESS => Ok(Code::Success),
            TIMEOUT => Ok(Code::Timeout),
            EOF => Ok(Code::Eof),
            FAILURE | NOT_SUPPORTED => Err(Box::new(self.plugin.failure("next_batch", MESSAGE_LENGTH))),
            other => Err(Box::new(Error::UnknownCode(other))),
        };
        match count {
            0 => {}
            // The plugin's failure is more useful than a number that it did not set while failing.
            UNSET_NUMBER => {
                return Err(result.err().map_or(
                    Error::Unset {
                        function: "next_batch",
                        what: "nevts",
                    },
                    |error| *error,
                ));
            }
            count if count > MOST_EVENTS => {
                return Err(Error::TooManyEvents {
                    count,
                    most: MOST_EVENTS,
                });
            }
            _ if events == event::UNSET => {
                return Err(Error::Unset {
                    function: "next_batch",
                    what: "evts",
                });
            }
            count if events.is_null() => return Err(Error::NoArray(count)),
            _ => {}
        }
        Ok(Batch {
            source: self,
            events,
            count: count as usize,
            result,
            memory: PhantomData,
        })
    }

    /// Gets the metrics of the source's plugin, and returns their number.
    pub fn count_metrics(&mut self) -> Result<usize, Error> {
        self.plugin.count_metrics()
    }

    /// Returns the source's plugin, for the calls at the beginning of a capture.
    pub fn plugin(&mut self) -> &Plugin<'p> {
        self.plugin
    }

    /// Returns an extractor of the source's plugin, for events that are no longer in a batch.
    pub fn extractor(&mut self) -> Extractor<'_> {
        Extractor {
            extract: self.extract.clone(),
            parse: self.parse.clone(),
            plugin: self.plugin,
        }
    }

    /// Returns the source's progress from 0 to 1, and its description by the plugin. Each is `None` if the plugin did not
    /// return a valid one.
    pub fn progress(&mut self) -> (Option<f64>, Option<String>) {
        let Some(get) = self.get_progress else {
            return (None, None);
        };
        let mut hundredths = UNSET_NUMBER;
        // SAFETY: as in `next_batch`. The string is NULL or NUL-terminated, and stays valid until the next call.
        let description = unsafe { text(get(self.plugin.state, self.instance, &raw mut hundredths)) };
        let fraction = (hundredths <= 10_000).then(|| f64::from(hundredths) / 10_000.0);
        (fraction, description.filter(|text| !text.is_empty()))
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // SAFETY: the state is not yet destroyed. The instance came from open, is closed only here, and may be NULL.
        unsafe { (self.close)(self.plugin.state, self.instance) };
    }
}

/// The events and the result of one call of `next_batch`. A batch borrows its source, because the plugin may reuse the
/// memory of the events in the next call.
pub struct Batch<'b> {
    source: &'b Source<'b>,
    events: *mut *mut ss_plugin_event,
    count: usize,
    /// The error is boxed to keep a batch small.
    result: Result<Code, Box<Error>>,
    memory: PhantomData<&'b mut [u8]>,
}

impl<'b> Batch<'b> {
    /// Returns the number of events.
    pub fn len(&self) -> usize {
        self.count
    }

    /// Returns whether there are no events.
    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Returns whether the call returned TIMEOUT.
    pub fn is_timeout(&self) -> bool {
        matches!(self.result, Ok(Code::Timeout))
    }

    /// Returns the name of the event source.
    pub fn source_name(&self) -> &'b CStr {
        &self.source.name
    }

    /// Returns the result of the call. As in Falco, the events come first. Fails if a call succeeded without events.
    pub fn into_result(self) -> Result<Code, Error> {
        match self.result {
            Ok(Code::Success) if self.count == 0 => Err(Error::NoEvent),
            result => result.map_err(|error| *error),
        }
    }

    /// Checks the event at `index`, and sets the members that the plugin leaves to the host. If the event has no
    /// timestamp, it gets the result of `now`.
    ///
    /// # Panics
    /// If there is no such event.
    #[inline]
    pub fn event(&mut self, index: usize, now: impl FnOnce() -> u64) -> Result<Event<'b>, EventFault> {
        assert!(index < self.count, "no event {index} in a batch of {}", self.count);
        // SAFETY: the plugin ensures that the array has `count` pointers, and the index is below `count`.
        let event = unsafe { self.events.add(index).read() };
        // SAFETY: the plugin leaves the event to the host until the next call of next_batch or close. The source is borrowed,
        // so neither can happen within `'b`.
        unsafe { Event::check(event, self.source.id, now) }
    }

    /// Returns the plugin's text for an event, if it has one. It stays valid until the next call.
    pub fn event_to_string(&mut self, event: &Event<'b>, number: u64) -> Option<&[u8]> {
        let get = self.source.event_to_string?;
        let input = event_input(event, number, &self.source.name);
        // SAFETY: no other call uses the state, as `open` requires, and the input is valid for the whole call. The string
        // is NULL or NUL-terminated and stays valid until the next call, which `&mut self` prevents.
        unsafe { bytes(get(self.source.plugin.state, &raw const input)) }
    }

    /// Passes an event to the source's plugin, if it parses events of its type. Returns whether the plugin succeeded.
    pub fn parse(&mut self, event: &Event<'_>, number: u64) -> Result<bool, Error> {
        let Some(parse) = &self.source.parse else {
            return Ok(true);
        };
        // SAFETY: no other call uses the state, as `open` requires. The event was checked.
        unsafe { parse.call(event, number, &self.source.name) }
    }

    /// Extracts a field of the source's plugin from an event. Returns `None` if the event does not have the field. The
    /// values stay valid until the next call.
    pub fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        query: &FieldQuery,
    ) -> Result<Option<Values<'_>>, ValueFault> {
        let Some(extract) = &self.source.extract else {
            return Ok(None);
        };
        // SAFETY: no other call uses the state, as `open` requires. The event was checked. `&mut self` prevents the next
        // call while the values are in use.
        unsafe { extract.call(event, number, &self.source.name, query) }
    }
}
