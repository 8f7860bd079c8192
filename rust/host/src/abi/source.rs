//! An open source and its batches.

use std::ffi::{CStr, CString, OsStr};
use std::marker::PhantomData;

use falco_plugin_api::{
    ss_instance_t, ss_plugin_event, ss_plugin_rc_SS_PLUGIN_EOF as EOF, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_NOT_SUPPORTED as NOT_SUPPORTED, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS,
    ss_plugin_rc_SS_PLUGIN_TIMEOUT as TIMEOUT,
};

use crate::abi::event::{self, Event, Fault};
use crate::abi::extraction::{Extract, event_input};
use crate::abi::extractor::Extractor;
use crate::abi::functions::{Close, EventToString, GetProgress, NextBatch, Open};
use crate::abi::library::UNSET_NUMBER;
use crate::abi::plugin::{Plugin, UNSET_CODE};
use crate::abi::strings::{bytes, c_string, text};
use crate::abi::values::{self, Values};
use crate::command::error::Error;
use crate::select::column::Column;

/// More events at once than any plugin means: a number that was never set, or a wild one.
const MOST_EVENTS: u32 = 1 << 20;
/// Where libscap cuts the messages of open and next_batch.
const SOURCE_MESSAGE: usize = 255;

/// How a call of `next_batch` ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Code {
    Success,
    Timeout,
    Eof,
}

/// An open source.
pub struct Source<'p> {
    plugin: &'p Plugin<'p>,
    instance: *mut ss_instance_t,
    close: Close,
    next_batch: NextBatch,
    get_progress: Option<GetProgress>,
    event_to_string: Option<EventToString>,
    extract: Option<Extract>,
    id: u32,
    name: CString,
}

// SAFETY: the plugin API allows calls on another thread than the one that opened, as long as they do not overlap. An open
// source has its plugin to itself, as `open` borrows it mutably, and it is itself moved or borrowed mutably, never shared.
unsafe impl Send for Source<'_> {}

impl<'p> Source<'p> {
    pub fn open(plugin: &'p mut Plugin<'_>, params: &OsStr, id: u32, name: &str) -> Result<Self, Error> {
        let handle = &plugin.library.handle;
        // SAFETY: the plugin API gives the symbols of these names these types.
        let (open, close, next_batch, get_progress, event_to_string) = unsafe {
            (
                handle.symbol::<Open>("plugin_open"),
                handle.symbol::<Close>("plugin_close"),
                handle.symbol::<NextBatch>("plugin_next_batch"),
                handle.symbol::<GetProgress>("plugin_get_progress"),
                handle.symbol::<EventToString>("plugin_event_to_string"),
            )
        };
        let (Some(open), Some(close), Some(next_batch)) = (open, close, next_batch) else {
            return Err(Error::NoSource(plugin.library.name()?));
        };
        let extract = plugin.extract()?;
        let params = c_string(params)?;
        let name = c_string(OsStr::new(name))?;
        let mut code = UNSET_CODE;
        // SAFETY: the state is that of an initialised plugin, `params` is NUL-terminated, `code` is writable.
        let instance = unsafe { open(plugin.state, params.as_ptr(), &raw mut code) };
        // As in libscap, close is called whatever open returned, NULL included.
        let source = Self {
            plugin,
            instance,
            close,
            next_batch,
            get_progress,
            event_to_string,
            extract,
            id,
            name,
        };
        match code {
            SUCCESS => Ok(source),
            UNSET_CODE => Err(Error::Unset {
                function: "open",
                what: "rc",
            }),
            _ => Err(plugin.failure("open", SOURCE_MESSAGE)),
        }
    }

    /// Asks for a batch. A failure that came with events is in the batch, to be seen after them.
    // Or else the batch would be copied on its way, which takes longer than a fast plugin's call.
    #[inline(always)]
    pub fn next_batch(&mut self) -> Result<Batch<'_>, Error> {
        let mut count = UNSET_NUMBER;
        let mut events = event::UNSET;
        // SAFETY: state and instance are open, and the plugin is not called from elsewhere (`&mut self`); both
        // out-parameters are writable.
        let code = unsafe { (self.next_batch)(self.plugin.state, self.instance, &raw mut count, &raw mut events) };
        let result = match code {
            SUCCESS => Ok(Code::Success),
            TIMEOUT => Ok(Code::Timeout),
            EOF => Ok(Code::Eof),
            FAILURE | NOT_SUPPORTED => Err(Box::new(self.plugin.failure("next_batch", SOURCE_MESSAGE))),
            other => Err(Box::new(Error::UnknownCode(other))),
        };
        match count {
            0 => {}
            // A plugin's own failure says more than what it forgot in failing.
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

    /// What extracts its plugin's fields from events that are no longer in a batch. The source does nothing meanwhile.
    pub fn extractor(&mut self) -> Extractor<'_> {
        Extractor {
            extract: self.extract,
            plugin: PhantomData,
        }
    }

    /// How far the plugin is, 0 to 1, and its own words for it.
    pub fn progress(&mut self) -> (Option<f64>, Option<String>) {
        let Some(get) = self.get_progress else {
            return (None, None);
        };
        let mut hundredths = UNSET_NUMBER;
        // SAFETY: as in `next_batch`. The text is NULL or NUL-terminated and good until the next call.
        let words = unsafe { text(get(self.plugin.state, self.instance, &raw mut hundredths)) };
        let fraction = (hundredths <= 10_000).then(|| f64::from(hundredths) / 10_000.0);
        (fraction, words.filter(|words| !words.is_empty()))
    }
}

impl Drop for Source<'_> {
    fn drop(&mut self) {
        // SAFETY: the state is not yet destroyed, the instance came from open and is closed only here; close takes NULL.
        unsafe { (self.close)(self.plugin.state, self.instance) };
    }
}

/// What one call of `next_batch` gave. It borrows the source, so that its memory stays: the plugin may use it again only
/// in the next call.
pub struct Batch<'b> {
    source: &'b Source<'b>,
    events: *mut *mut ss_plugin_event,
    count: usize,
    /// In a box, as the host's own share of a call is to stay small.
    result: Result<Code, Box<Error>>,
    memory: PhantomData<&'b mut [u8]>,
}

impl<'b> Batch<'b> {
    pub fn len(&self) -> usize {
        self.count
    }

    pub fn is_empty(&self) -> bool {
        self.count == 0
    }

    pub fn timed_out(&self) -> bool {
        matches!(self.result, Ok(Code::Timeout))
    }

    pub fn source_name(&self) -> &CStr {
        &self.source.name
    }

    /// How the call ended, to be acted on after its events.
    pub fn into_result(self) -> Result<Code, Error> {
        self.result.map_err(|error| *error)
    }

    /// Checks the event at `index` and fills it in.
    ///
    /// # Panics
    /// If there is no such event.
    #[inline]
    pub fn event(&mut self, index: usize, now: impl FnOnce() -> u64) -> Result<Event<'b>, Fault> {
        assert!(index < self.count, "no event {index} in a batch of {}", self.count);
        // SAFETY: the plugin says that it has `count` pointers there, and the index is below it.
        let event = unsafe { self.events.add(index).read() };
        // SAFETY: the plugin leaves the event to the host until the next call of next_batch or close, and neither can
        // come within `'b`: the source is borrowed.
        unsafe { Event::check(event, self.source.id, now) }
    }

    /// The plugin's own words for an event, good until it is asked for the next.
    pub fn event_to_string(&mut self, event: &Event<'b>, number: u64) -> Option<&[u8]> {
        let get = self.source.event_to_string?;
        let input = event_input(event, number, &self.source.name);
        // SAFETY: the state is open and not used from elsewhere; the input is good for the whole call. The text is NULL
        // or NUL-terminated and good until the next call, which `&mut self` holds back.
        unsafe { bytes(get(self.source.plugin.state, &raw const input)) }
    }

    /// The values of a field of the source's own plugin, good until it is asked for the next.
    pub fn extract(
        &mut self,
        event: &Event<'b>,
        number: u64,
        column: &Column,
    ) -> Result<Option<Values<'_>>, values::Fault> {
        let Some(extract) = self.source.extract else {
            return Ok(None);
        };
        let input = event_input(event, number, &self.source.name);
        // SAFETY: the state is open and not used from elsewhere, the event was checked, and `&mut self` holds back the
        // next call.
        unsafe { extract.call(&input, column) }
    }
}
