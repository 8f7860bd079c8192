//! The C boundary: a loaded library, the plugin it initialised and the source that one opened.
//!
//! The three borrow each other in this order, so that `close` comes before `destroy` and `destroy` before `dlclose`.

use std::ffi::{CStr, CString, OsStr, c_char, c_void};
use std::marker::PhantomData;
use std::mem::size_of;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;
use std::ptr::{self, NonNull};

use falco_plugin_api::{
    ss_instance_t, ss_plugin_event, ss_plugin_event_input, ss_plugin_init_input, ss_plugin_rc,
    ss_plugin_rc_SS_PLUGIN_EOF as EOF, ss_plugin_rc_SS_PLUGIN_FAILURE as FAILURE,
    ss_plugin_rc_SS_PLUGIN_NOT_SUPPORTED as NOT_SUPPORTED, ss_plugin_rc_SS_PLUGIN_SUCCESS as SUCCESS,
    ss_plugin_rc_SS_PLUGIN_TIMEOUT as TIMEOUT, ss_plugin_schema_type,
    ss_plugin_schema_type_SS_PLUGIN_SCHEMA_JSON as SCHEMA_JSON, ss_plugin_t,
};

use crate::abi::elf;
use crate::abi::event::{self, Event, Fault};
use crate::abi::extraction::{self, Extract, ExtractFields, Values};
use crate::command::error::Error;
use crate::output::log::Owner;
use crate::select::column::Column;

/// What the host puts where a plugin must put something else, to see whether it did.
const UNSET_CODE: ss_plugin_rc = 0x5EED;
const UNSET_NUMBER: u32 = 0x5EED_5EED;
/// More events at once than any plugin means: a number that was never set, or a wild one.
const MOST_EVENTS: u32 = 1 << 20;
/// Where libscap cuts the messages of open and next_batch, and where the host cuts others.
const SOURCE_MESSAGE: usize = 255;
const MESSAGE: usize = 1023;

type GetText = unsafe extern "C-unwind" fn() -> *const c_char;
type GetNumber = unsafe extern "C-unwind" fn() -> u32;
type GetSchema = unsafe extern "C-unwind" fn(*mut ss_plugin_schema_type) -> *const c_char;
type Init = unsafe extern "C-unwind" fn(*const ss_plugin_init_input, *mut ss_plugin_rc) -> *mut ss_plugin_t;
type Destroy = unsafe extern "C-unwind" fn(*mut ss_plugin_t);
type GetLastError = unsafe extern "C-unwind" fn(*mut ss_plugin_t) -> *const c_char;
type Open = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *const c_char, *mut ss_plugin_rc) -> *mut ss_instance_t;
type Close = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *mut ss_instance_t);
type NextBatch = unsafe extern "C-unwind" fn(
    *mut ss_plugin_t,
    *mut ss_instance_t,
    *mut u32,
    *mut *mut *mut ss_plugin_event,
) -> ss_plugin_rc;
type GetProgress = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *mut ss_instance_t, *mut u32) -> *const c_char;
type GetEventTypes = unsafe extern "C-unwind" fn(*mut u32, *mut ss_plugin_t) -> *const u16;
type EventToString = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *const ss_plugin_event_input) -> *const c_char;

/// The symbols that every plugin has.
struct Required {
    get_required_api_version: GetText,
    get_version: GetText,
    get_name: GetText,
    get_description: GetText,
    get_contact: GetText,
    init: Init,
    destroy: Destroy,
    get_last_error: GetLastError,
}

/// A shared library that has what a plugin must have.
pub struct Library {
    handle: Handle,
    required: Required,
}

impl Library {
    /// Loads the library as the host does. Its constructors run, nothing else of it does.
    pub fn load(path: &Path) -> Result<Self, Error> {
        // Without a slash the linker would look in its own folders, and find what was not meant.
        let path = std::path::absolute(path).map_err(|source| Error::Open {
            path: path.to_owned(),
            source,
        })?;
        elf::check(&path)?;
        let handle = Handle::open(&path)?;
        let mut missing = Vec::new();
        macro_rules! required {
            ($($field:ident: $type:ty),+ $(,)?) => {{
                $(
                    let name = concat!("plugin_", stringify!($field));
                    // SAFETY: the plugin API gives the symbol of this name this type.
                    let $field = unsafe { handle.symbol::<$type>(name) };
                    if $field.is_none() {
                        missing.push(name);
                    }
                )+
                match ($($field,)+) {
                    ($(Some($field),)+) => Some(Required { $($field),+ }),
                    _ => None,
                }
            }};
        }
        let required = required! {
            get_required_api_version: GetText,
            get_version: GetText,
            get_name: GetText,
            get_description: GetText,
            get_contact: GetText,
            init: Init,
            destroy: Destroy,
            get_last_error: GetLastError,
        };
        match required {
            Some(required) => Ok(Self { handle, required }),
            None => Err(Error::NotAPlugin { path, missing }),
        }
    }

    pub fn has(&self, symbol: &str) -> bool {
        self.handle.address(symbol).is_some()
    }

    pub fn required_api_version(&self) -> Result<String, Error> {
        self.required_text(
            "plugin_get_required_api_version",
            self.required.get_required_api_version,
        )
    }

    pub fn version(&self) -> Result<String, Error> {
        self.required_text("plugin_get_version", self.required.get_version)
    }

    pub fn name(&self) -> Result<String, Error> {
        self.required_text("plugin_get_name", self.required.get_name)
    }

    pub fn description(&self) -> Result<String, Error> {
        self.required_text("plugin_get_description", self.required.get_description)
    }

    pub fn contact(&self) -> Result<String, Error> {
        self.required_text("plugin_get_contact", self.required.get_contact)
    }

    /// The plugin id; 0 if there is none.
    pub fn id(&self) -> u32 {
        // SAFETY: the plugin API gives the symbol of this name this type.
        let get = unsafe { self.handle.symbol::<GetNumber>("plugin_get_id") };
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures.
        get.map_or(0, |get| unsafe { get() })
    }

    pub fn event_source(&self) -> Option<String> {
        self.optional_text("plugin_get_event_source")
    }

    pub fn extract_event_sources(&self) -> Option<String> {
        self.optional_text("plugin_get_extract_event_sources")
    }

    pub fn fields(&self) -> Option<String> {
        self.optional_text("plugin_get_fields")
    }

    /// The JSON schema of the configuration, if the plugin has one.
    pub fn schema(&self) -> Result<Option<String>, Error> {
        // SAFETY: the plugin API gives the symbol of this name this type.
        let Some(get) = (unsafe { self.handle.symbol::<GetSchema>("plugin_get_init_schema") }) else {
            return Ok(None);
        };
        let mut kind = UNSET_NUMBER;
        // SAFETY: static getters may be called at any time while the library is loaded; `kind` is writable.
        let schema = unsafe { get(&raw mut kind) };
        if kind == UNSET_NUMBER {
            return Err(Error::Unset {
                function: "get_init_schema",
                what: "schema_type",
            });
        }
        // SAFETY: a plugin returns NULL or a NUL-terminated string, good until the next call of the same function.
        let schema = unsafe { text(schema) };
        Ok(schema.filter(|schema| kind == SCHEMA_JSON && !schema.is_empty()))
    }

    fn required_text(&self, name: &str, get: GetText) -> Result<String, Error> {
        // SAFETY: static getters may be called at any time while the library is loaded, which `self` ensures. What
        // they return is NULL or NUL-terminated and good until the next call of the same function.
        unsafe { text(get()) }.ok_or_else(|| Error::Refused(format!("{name} returned NULL")))
    }

    fn optional_text(&self, name: &str) -> Option<String> {
        // SAFETY: the plugin API gives all symbols that are asked for here this type.
        let get = unsafe { self.handle.symbol::<GetText>(name) }?;
        // SAFETY: as in `required_text`.
        unsafe { text(get()) }
    }
}

/// What `dlopen` returned, until `dlclose`.
struct Handle(NonNull<c_void>);

impl Handle {
    fn open(path: &Path) -> Result<Self, Error> {
        let name = c_string(path.as_os_str())?;
        // SAFETY: `name` is NUL-terminated. Whether the library's constructors behave is the plugin's promise, as it is
        // to the host.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        NonNull::new(handle).map(Self).ok_or_else(|| {
            // SAFETY: after a failure dlerror returns NULL or a string that is good until the next dl* call of this
            // thread; none comes before it is copied.
            let message = unsafe { text(libc::dlerror()) };
            Error::Load(message.unwrap_or_else(|| path.display().to_string()))
        })
    }

    fn address(&self, name: &str) -> Option<NonNull<c_void>> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is open until `self` is dropped, and `name` is NUL-terminated.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }

    /// # Safety
    /// `F` is the type of a function pointer, and the symbol, where it exists, is a function of this type.
    unsafe fn symbol<F: Copy>(&self, name: &str) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        let address = self.address(name)?.as_ptr();
        // SAFETY: the sizes agree, and the caller says that a function of this type is at the address, which is not
        // NULL.
        Some(unsafe { std::mem::transmute_copy::<*mut c_void, F>(&address) })
    }
}

impl Drop for Handle {
    fn drop(&mut self) {
        // SAFETY: the handle is open, and what borrowed the library is gone.
        unsafe { libc::dlclose(self.0.as_ptr()) };
    }
}

/// An initialised plugin.
pub struct Plugin<'l> {
    library: &'l Library,
    state: *mut ss_plugin_t,
    owner: &'static Owner,
}

impl<'l> Plugin<'l> {
    /// The owner is never freed, so that even a thread that a plugin leaves behind may log.
    pub fn init(library: &'l Library, config: &OsStr, owner: &'static Owner) -> Result<Self, Error> {
        let config = c_string(config)?;
        let input = ss_plugin_init_input {
            config: config.as_ptr(),
            owner: owner.as_ptr(),
            get_owner_last_error: Some(crate::output::log::get_owner_last_error),
            tables: ptr::null(),
            log_fn: Some(crate::output::log::log),
        };
        let mut code = UNSET_CODE;
        // SAFETY: the input and what it points to are good for the whole call, `code` is writable.
        let state = unsafe { (library.required.init)(&raw const input, &raw mut code) };
        // From here on a state that the plugin returned is destroyed, whatever the code says.
        let plugin = Self { library, state, owner };
        match code {
            SUCCESS => Ok(plugin),
            UNSET_CODE => Err(Error::Unset {
                function: "init",
                what: "rc",
            }),
            // The host asks for the message only where there is a state to ask.
            _ if state.is_null() => Err(Error::FailedSilently("init")),
            _ => Err(plugin.failure("init", MESSAGE)),
        }
    }

    /// What extracts its fields from the events of plugins; None where it has none, or has them for other events only.
    fn extract(&self) -> Result<Option<Extract>, Error> {
        let handle = &self.library.handle;
        // SAFETY: the plugin API gives the symbols of these names these types.
        let (function, event_types) = unsafe {
            (
                handle.symbol::<ExtractFields>("plugin_extract_fields"),
                handle.symbol::<GetEventTypes>("plugin_get_extract_event_types"),
            )
        };
        let extract = function.map(|function| Extract {
            state: self.state,
            owner: self.owner.as_ptr(),
            function,
        });
        let Some(get) = event_types else {
            return Ok(extract);
        };
        let mut count = UNSET_NUMBER;
        // SAFETY: the state is that of an initialised plugin, which is not used from elsewhere; `count` is writable.
        let types = unsafe { get(&raw mut count, self.state) };
        match count {
            UNSET_NUMBER => Err(Error::Unset {
                function: "get_extract_event_types",
                what: "numtypes",
            }),
            0 => Ok(extract),
            _ if types.is_null() => Ok(extract),
            count => {
                // SAFETY: the plugin says that it has `count` types there, good until it is destroyed.
                let types = unsafe { std::slice::from_raw_parts(types, count as usize) };
                Ok(extract.filter(|_| types.contains(&event::PLUGIN_EVENT)))
            }
        }
    }

    fn failure(&self, function: &'static str, most: usize) -> Error {
        // SAFETY: the state is the plugin's, not yet destroyed. The message is NULL or NUL-terminated and good until
        // the next call of the same function.
        let message = unsafe {
            let message = (self.library.required.get_last_error)(self.state);
            bytes(message).map(|message| String::from_utf8_lossy(cut(message, most)).into_owned())
        };
        match message {
            Some(message) if !message.is_empty() => Error::Failed { function, message },
            _ => Error::FailedSilently(function),
        }
    }
}

impl Drop for Plugin<'_> {
    fn drop(&mut self) {
        if !self.state.is_null() {
            // SAFETY: the state came from init, is destroyed only here, and no source is open any more.
            unsafe { (self.library.required.destroy)(self.state) };
        }
    }
}

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
    ) -> Result<Option<Values<'_>>, extraction::Fault> {
        let Some(extract) = self.source.extract else {
            return Ok(None);
        };
        let input = event_input(event, number, &self.source.name);
        // SAFETY: the state is open and not used from elsewhere, the event was checked, and `&mut self` holds back the
        // next call.
        unsafe { extract.call(&input, column) }
    }
}

/// An initialised plugin that extracts fields from the events of another one's source.
pub struct Extractor<'p> {
    extract: Option<Extract>,
    plugin: PhantomData<&'p Plugin<'p>>,
}

// SAFETY: as for a source: it has its plugin to itself, and only `&mut self` calls it.
unsafe impl Send for Extractor<'_> {}

impl<'p> Extractor<'p> {
    pub fn new(plugin: &'p mut Plugin<'_>) -> Result<Self, Error> {
        Ok(Self {
            extract: plugin.extract()?,
            plugin: PhantomData,
        })
    }

    /// The values of a field, good until it is asked for the next.
    pub fn extract(
        &mut self,
        event: &Event<'_>,
        number: u64,
        source: &CStr,
        column: &Column,
    ) -> Result<Option<Values<'_>>, extraction::Fault> {
        let Some(extract) = self.extract else {
            return Ok(None);
        };
        let input = event_input(event, number, source);
        // SAFETY: the plugin is initialised for `'p` and not used from elsewhere, the event was checked, and `&mut self`
        // holds back the next call.
        unsafe { extract.call(&input, column) }
    }
}

fn event_input(event: &Event<'_>, number: u64, source: &CStr) -> ss_plugin_event_input {
    ss_plugin_event_input {
        evt: event.as_ptr(),
        evtnum: number,
        evtsrc: source.as_ptr(),
    }
}

fn c_string(text: &OsStr) -> Result<CString, Error> {
    CString::new(text.as_bytes()).map_err(|_| Error::Usage(format!("{} contains a NUL", text.display())))
}

/// # Safety
/// `text` is NULL or points to a NUL-terminated string that stays for `'t`.
unsafe fn bytes<'t>(text: *const c_char) -> Option<&'t [u8]> {
    // SAFETY: not NULL, so the caller's promise is that of CStr::from_ptr.
    (!text.is_null()).then(|| unsafe { CStr::from_ptr(text) }.to_bytes())
}

/// # Safety
/// `text` is NULL or points to a NUL-terminated string.
unsafe fn text(text: *const c_char) -> Option<String> {
    // SAFETY: the caller's promise; it is copied at once.
    unsafe { bytes(text) }.map(|bytes| String::from_utf8_lossy(bytes).into_owned())
}

/// At most `most` bytes, and no half of a character at the end.
fn cut(bytes: &[u8], most: usize) -> &[u8] {
    let mut end = bytes.len().min(most);
    if end < bytes.len() {
        while end > 0 && bytes[end] & 0xC0 == 0x80 {
            end -= 1;
        }
    }
    &bytes[..end]
}

#[cfg(test)]
mod tests {
    use super::cut;

    #[test]
    fn a_message_is_cut_between_characters() {
        assert_eq!(cut(b"short", 255), b"short");
        assert_eq!(cut(b"longer", 4), b"long");
        assert_eq!(cut("aé".as_bytes(), 2), b"a");
        assert_eq!(cut("é".as_bytes(), 2), "é".as_bytes());
    }
}
