//! One state with its instances, and the calls on them.

use std::ffi::{CStr, CString, c_char, c_void};
use std::net::IpAddr;
use std::ptr;

use arbitrary::Arbitrary;
use falco_plugin_api::{
    ss_plugin_event, ss_plugin_event_input, ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer,
    ss_plugin_extract_value_offsets, ss_plugin_field_extract_input, ss_plugin_init_input,
};
use falco_plugin_engine::event::{HEADER_LEN, encode_header};
use falco_plugin_host::abi::Event as Checked;
use falco_plugin_host::abi::Type;

use super::library::Library;
use super::owner::{self, Owner};

const MOST_INSTANCES: usize = 3;
const UNSET: i32 = 0x5EED;
const SUCCESS: i32 = 0;
const FAILURE: i32 = 1;
const TIMEOUT: i32 = -1;
const EOF: i32 = 2;
const KINDS: [&str; 9] = [
    "pull", "push", "items", "async", "custom", "lines", "none", "retry", "unknown",
];
/// Steps of a source, as `fuzz/plugins/sources.py` reads them.
const STEPS: &[u8; 16] = b"jjjbeltxrkcgniv.";

type Init = unsafe extern "C" fn(*const ss_plugin_init_input, *mut i32) -> *mut c_void;
type Destroy = unsafe extern "C" fn(*mut c_void);
type GetText = unsafe extern "C" fn(*mut c_void) -> *const c_char;
type Open = unsafe extern "C" fn(*mut c_void, *const c_char, *mut i32) -> *mut c_void;
type Close = unsafe extern "C" fn(*mut c_void, *mut c_void);
type NextBatch = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut u32, *mut *mut *mut ss_plugin_event) -> i32;
type GetProgress = unsafe extern "C" fn(*mut c_void, *mut c_void, *mut u32) -> *const c_char;
type ListOpenParams = unsafe extern "C" fn(*mut c_void, *mut i32) -> *const c_char;
type EventToString = unsafe extern "C" fn(*mut c_void, *const ss_plugin_event_input) -> *const c_char;
type ExtractFields =
    unsafe extern "C" fn(*mut c_void, *const ss_plugin_event_input, *const ss_plugin_field_extract_input) -> i32;

#[derive(Debug, Arbitrary)]
pub(super) enum Call<'a> {
    Describe {
        without_places: bool,
    },
    Init {
        library: u8,
        config: Config<'a>,
        without_rc: bool,
    },
    Destroy,
    Open {
        params: Params<'a>,
        without_rc: bool,
    },
    Close {
        instance: u8,
        without_state: bool,
    },
    NextBatch {
        instance: u8,
        without: Without,
    },
    Progress {
        instance: u8,
        without: Without,
    },
    ListOpenParams {
        without_rc: bool,
    },
    LastError,
    Text(Option<Event<'a>>),
    Extract {
        event: Option<Event<'a>>,
        fields: Option<Vec<Asked<'a>>>,
        with_places: bool,
        without_input: bool,
    },
}

impl Call<'_> {
    /// A good start.
    pub(super) fn initialise(library: u8) -> Self {
        Self::Init {
            library,
            config: Config::Good,
            without_rc: false,
        }
    }
}

/// What a call on an instance is not given.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum Without {
    Nothing,
    State,
    Instance,
    Places,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Config<'a> {
    NoInput,
    Null,
    Good,
    Any(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
pub(super) enum Params<'a> {
    Null,
    Any(&'a [u8]),
    Source(u8, &'a [u8]),
}

/// What the host hands back for text and fields.
#[derive(Debug, Arbitrary)]
pub(super) struct Event<'a> {
    number: u64,
    source: Option<&'a [u8]>,
    memory: Memory<'a>,
}

#[derive(Debug, Arbitrary)]
enum Memory<'a> {
    Null,
    /// One of an instance's last batch.
    Batch {
        instance: u8,
        index: u8,
    },
    /// One that is as it must be.
    Payload(u64, &'a [u8]),
    /// Any bytes, as long as they say.
    Any(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
pub(super) struct Asked<'a> {
    /// A field's, the first that there is not, or one far from it.
    id: u8,
    index: u64,
    key: Option<&'a [u8]>,
    present: bool,
    list: u32,
}

/// A place for a state, which may be empty: all calls are made nevertheless.
pub(super) struct Slot {
    library: &'static Library,
    state: *mut c_void,
    owner: Option<&'static Owner>,
    instances: Vec<Opened>,
}

/// An open instance with the events of its last batch.
struct Opened {
    instance: *mut c_void,
    events: Vec<*mut ss_plugin_event>,
}

// SAFETY: handles may be used on any thread, by one at a time, which has the slot to itself.
unsafe impl Send for Slot {}

impl Default for Slot {
    fn default() -> Self {
        Self {
            library: Library::get(0),
            state: ptr::null_mut(),
            owner: None,
            instances: Vec::new(),
        }
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        if std::thread::panicking() {
            return;
        }
        while !self.instances.is_empty() {
            self.close(0, false);
        }
        self.destroy();
    }
}

impl Slot {
    pub(super) fn uses(&self, library: &Library) -> bool {
        ptr::eq(self.library, library) && (!self.state.is_null() || !self.instances.is_empty())
    }

    pub(super) fn call(&mut self, call: &Call<'_>) {
        match call {
            Call::Describe { without_places } => self.library.describe(*without_places),
            Call::Init {
                library,
                config,
                without_rc,
            } => self.init(Library::get(*library), config, *without_rc),
            Call::Destroy => self.destroy(),
            Call::Open { params, without_rc } => self.open(params, *without_rc),
            Call::Close {
                instance,
                without_state,
            } => self.close(*instance, *without_state),
            Call::NextBatch { instance, without } => self.next_batch(*instance, *without),
            Call::Progress { instance, without } => self.progress(*instance, *without),
            Call::ListOpenParams { without_rc } => self.list_open_params(*without_rc),
            Call::LastError => drop(self.last_error()),
            Call::Text(event) => self.text(event.as_ref()),
            Call::Extract {
                event,
                fields,
                with_places,
                without_input,
            } => {
                self.extract(event.as_ref(), fields.as_deref(), *with_places, *without_input);
            }
        }
    }

    /// # Safety
    /// `F` is the type of the function of this name.
    unsafe fn function<F: Copy>(&self, name: &CStr) -> Option<F> {
        // SAFETY: the caller's promise.
        unsafe { self.library.symbol(name) }
    }

    fn init(&mut self, library: &'static Library, config: &Config<'_>, without_rc: bool) {
        self.destroy();
        // What is left of another library is closed by that one.
        if !self.instances.is_empty() {
            return;
        }
        self.library = library;
        let text = match config {
            Config::Any(bytes) => c_string(bytes),
            Config::Good => c"{}".into(),
            Config::NoInput | Config::Null => CString::default(),
        };
        let owner = Owner::new();
        let input = ss_plugin_init_input {
            config: if let Config::Null = config {
                ptr::null()
            } else {
                text.as_ptr()
            },
            owner: owner.as_ptr(),
            get_owner_last_error: Some(owner::last_error),
            tables: ptr::null(),
            log_fn: Some(owner::log),
        };
        let input_at = if let Config::NoInput = config {
            ptr::null()
        } else {
            &raw const input
        };
        let mut code = UNSET;
        // SAFETY: the input is good for the call, its owner and log until destroy; the code is NULL or writable.
        unsafe {
            let init = self.function::<Init>(c"plugin_init").expect("every plugin has it");
            self.state = init(input_at, place(&mut code, without_rc));
        }
        self.owner = Some(owner);
        assert!(!self.state.is_null(), "a failed init has a state too");
        if !without_rc {
            assert!(matches!(code, SUCCESS | FAILURE), "init: {code}");
            assert!(code == SUCCESS || !self.last_error().is_empty());
        }
    }

    fn destroy(&mut self) {
        // SAFETY: the state is NULL or one of init, and is not used afterwards.
        unsafe {
            let destroy = self
                .function::<Destroy>(c"plugin_destroy")
                .expect("every plugin has it");
            destroy(std::mem::replace(&mut self.state, ptr::null_mut()));
        }
        if let Some(owner) = self.owner.take() {
            owner.leaves();
        }
    }

    fn last_error(&self) -> String {
        // SAFETY: the state is NULL or one of init; the text stays until this thread's next call.
        unsafe {
            let get = self
                .function::<GetText>(c"plugin_get_last_error")
                .expect("every plugin has it");
            text(get(self.state)).expect("there is always a text").to_owned()
        }
    }

    fn open(&mut self, params: &Params<'_>, without_rc: bool) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(open) = (unsafe { self.function::<Open>(c"plugin_open") }) else {
            return;
        };
        if self.instances.len() == MOST_INSTANCES {
            return;
        }
        let text = match params {
            Params::Null => CString::default(),
            Params::Any(bytes) => c_string(bytes),
            Params::Source(kind, steps) => {
                let kind = KINDS[usize::from(*kind) % KINDS.len()];
                let steps: Vec<_> = steps.iter().map(|step| STEPS[usize::from(step % 16)]).collect();
                c_string(&[kind.as_bytes(), b" ", &steps].concat())
            }
        };
        let params = if let Params::Null = params {
            ptr::null()
        } else {
            text.as_ptr()
        };
        let mut code = UNSET;
        // SAFETY: the state is NULL or one of init, the text is NUL-terminated, the code is NULL or writable.
        let instance = unsafe { open(self.state, params, place(&mut code, without_rc)) };
        if !without_rc {
            assert!(matches!(code, SUCCESS | FAILURE), "open: {code}");
            assert_eq!(code == SUCCESS, !instance.is_null());
            assert!(code == SUCCESS || !self.last_error().is_empty());
        }
        if !instance.is_null() {
            self.instances.push(Opened {
                instance,
                events: Vec::new(),
            });
        }
    }

    /// Closes an instance, or nothing.
    fn close(&mut self, instance: u8, without_state: bool) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(close) = (unsafe { self.function::<Close>(c"plugin_close") }) else {
            return;
        };
        let opened = self.index(instance).map(|index| self.instances.swap_remove(index));
        let state = if without_state { ptr::null_mut() } else { self.state };
        // SAFETY: handles are NULL, or of init and open; the instance is not used afterwards.
        unsafe { close(state, opened.map_or(ptr::null_mut(), |opened| opened.instance)) };
    }

    /// One of the instances, or none.
    fn index(&self, instance: u8) -> Option<usize> {
        let index = usize::from(instance) % (self.instances.len() + 1);
        (index < self.instances.len()).then_some(index)
    }

    fn handles(&self, index: Option<usize>, without: Without) -> (*mut c_void, *mut c_void) {
        let state = if without == Without::State {
            ptr::null_mut()
        } else {
            self.state
        };
        let instance = index.filter(|_| without != Without::Instance);
        (
            state,
            instance.map_or(ptr::null_mut(), |index| self.instances[index].instance),
        )
    }

    fn next_batch(&mut self, instance: u8, without: Without) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(next_batch) = (unsafe { self.function::<NextBatch>(c"plugin_next_batch") }) else {
            return;
        };
        let index = self.index(instance);
        let (state, instance) = self.handles(index, without);
        let (mut count, mut events) = (UNSET as u32, falco_plugin_host::abi::UNSET);
        let without_places = without == Without::Places;
        // SAFETY: handles are NULL, or of init and open and used by this thread alone; places are NULL or writable.
        let code = unsafe {
            next_batch(
                state,
                instance,
                place(&mut count, without_places),
                place(&mut events, without_places),
            )
        };
        assert!(matches!(code, SUCCESS | FAILURE | TIMEOUT | EOF), "next_batch: {code}");
        if code == FAILURE && state == self.state {
            assert!(!self.last_error().is_empty());
        }
        // What was handed over before is the plugin's again.
        if let Some(index) = index.filter(|_| !instance.is_null()) {
            self.instances[index].events.clear();
        }
        if without_places {
            return;
        }
        assert_eq!(code == SUCCESS, count > 0);
        if code != SUCCESS {
            return;
        }
        // SAFETY: the plugin says that it has so many events there, good until the next call on the instance.
        let events = unsafe { std::slice::from_raw_parts(events, count as usize) };
        for &event in events {
            // SAFETY: as above, and nobody else has it.
            let checked = unsafe { Checked::check(event, self.library.id, || 1) };
            let checked = checked.unwrap_or_else(|fault| panic!("{fault}"));
            touch(checked.payload());
        }
        if let Some(index) = index {
            self.instances[index].events = events.to_vec();
        }
    }

    fn progress(&mut self, instance: u8, without: Without) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(progress) = (unsafe { self.function::<GetProgress>(c"plugin_get_progress") }) else {
            return;
        };
        let (state, instance) = self.handles(self.index(instance), without);
        let mut hundredths = UNSET as u32;
        // SAFETY: as for next_batch; the text stays until the next call.
        let told = unsafe {
            text(progress(
                state,
                instance,
                place(&mut hundredths, without == Without::Places),
            ))
        };
        assert!(told.is_some());
        assert!(without == Without::Places || hundredths <= 10_000);
    }

    fn list_open_params(&self, without_rc: bool) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(list) = (unsafe { self.function::<ListOpenParams>(c"plugin_list_open_params") }) else {
            return;
        };
        let mut code = UNSET;
        // SAFETY: the state is NULL or one of init, the code is NULL or writable; the text stays until the next call.
        let told = unsafe { text(list(self.state, place(&mut code, without_rc))) };
        if without_rc {
            return;
        }
        assert!(matches!(code, SUCCESS | FAILURE), "list_open_params: {code}");
        assert_eq!(code == SUCCESS, told.is_some());
        match told {
            Some(told) => drop(serde_json::from_str::<Vec<serde_json::Value>>(told).expect("a list")),
            None => assert!(!self.last_error().is_empty()),
        }
    }

    fn text(&self, event: Option<&Event<'_>>) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(get) = (unsafe { self.function::<EventToString>(c"plugin_event_to_string") }) else {
            return;
        };
        self.with_event(event, |input| {
            // SAFETY: the state is NULL or one of init, the event NULL or good; the text stays until the next call.
            let _ = unsafe { text(get(self.state, input)) };
        });
    }

    fn extract(&self, event: Option<&Event<'_>>, asked: Option<&[Asked<'_>]>, with_places: bool, without_input: bool) {
        // SAFETY: the API gives the symbol of this name this type.
        let Some(extract) = (unsafe { self.function::<ExtractFields>(c"plugin_extract_fields") }) else {
            return;
        };
        let keys: Vec<_> = asked
            .into_iter()
            .flatten()
            .map(|asked| asked.key.map(c_string))
            .collect();
        let mut fields: Vec<_> = asked
            .into_iter()
            .flatten()
            .zip(&keys)
            .map(|(asked, key)| self.field(asked, key))
            .collect();
        let mut places = ss_plugin_extract_value_offsets {
            start: ptr::dangling_mut(),
            length: ptr::dangling_mut(),
        };
        let input = ss_plugin_field_extract_input {
            owner: ptr::null_mut(),
            get_owner_last_error: None,
            num_fields: fields.len() as u32,
            fields: if asked.is_some() {
                fields.as_mut_ptr()
            } else {
                ptr::null_mut()
            },
            // SAFETY: optional functions, of which there are none.
            table_reader: unsafe { std::mem::zeroed() },
            table_reader_ext: ptr::null_mut(),
            value_offsets: if with_places { &raw mut places } else { ptr::null_mut() },
        };
        let length = self.with_event(event, |event| {
            let input = if without_input { ptr::null() } else { &raw const input };
            // SAFETY: the state is NULL or one of init, event and input are NULL or good for the call.
            let code = unsafe { extract(self.state, event, input) };
            assert!(matches!(code, SUCCESS | FAILURE), "extract_fields: {code}");
            assert!(code == SUCCESS || !self.last_error().is_empty());
            // SAFETY: NULL, or an event that is good and has a header.
            let event = unsafe { event.as_ref() }.filter(|event| !event.evt.is_null());
            // SAFETY: as above.
            event
                .filter(|_| code == SUCCESS)
                .map(|event| unsafe { event.evt.read_unaligned() }.len)
        });
        // Of a failed call the host reads nothing.
        let Some(length) = length else { return };
        for field in &fields {
            self.check_values(field);
        }
        if let [field] = &fields[..]
            && with_places
            && field.res_len > 0
        {
            let count = field.res_len as usize;
            // SAFETY: there are as many places as values.
            let (starts, lengths) = unsafe {
                (
                    std::slice::from_raw_parts(places.start, count),
                    std::slice::from_raw_parts(places.length, count),
                )
            };
            let ends = starts.iter().zip(lengths).map(|(start, len)| start.checked_add(*len));
            assert!(ends.flatten().filter(|end| *end <= length).count() == count);
        }
    }

    fn field(&self, asked: &Asked<'_>, key: &Option<CString>) -> ss_plugin_extract_field {
        let known = self.library.fields.len() as u32;
        let id = match asked.id {
            u8::MAX => u32::MAX,
            id => u32::from(id) % (known + 1),
        };
        ss_plugin_extract_field {
            res: Pointer {
                u64_: ptr::dangling_mut(),
            },
            res_len: u64::MAX,
            field_id: id,
            field: ptr::null(),
            arg_key: key.as_deref().map_or(ptr::null(), CStr::as_ptr),
            arg_index: asked.index,
            arg_present: asked.present.into(),
            ftype: self
                .library
                .fields
                .get(id as usize)
                .map_or(0, |(type_, _)| type_.code()),
            flist: asked.list,
        }
    }

    fn check_values(&self, field: &ss_plugin_extract_field) {
        let count = field.res_len as usize;
        if count == 0 {
            return;
        }
        let (type_, is_list) = self.library.fields[field.field_id as usize];
        assert!(is_list || count == 1);
        // SAFETY: the plugin says that it has so many values of the field's type there, good until the next call.
        unsafe {
            match type_ {
                Type::String => {
                    for &value in std::slice::from_raw_parts(field.res.str_, count) {
                        assert!(text(value).is_some());
                    }
                }
                Type::Bool => {
                    assert!(
                        std::slice::from_raw_parts(field.res.boolean, count)
                            .iter()
                            .all(|value| *value <= 1)
                    );
                }
                Type::Uint64 | Type::Abstime | Type::Reltime => {
                    touch(std::slice::from_raw_parts(field.res.u64_, count));
                }
                Type::Ipaddr | Type::Ipnet => {
                    for value in std::slice::from_raw_parts(field.res.buf, count) {
                        let bytes = std::slice::from_raw_parts(value.ptr.cast::<u8>(), value.len as usize);
                        let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                        v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
                            .expect("an address");
                    }
                }
            }
        }
    }

    /// Runs code on an event as the host passes it.
    fn with_event<R>(&self, event: Option<&Event<'_>>, code: impl FnOnce(*const ss_plugin_event_input) -> R) -> R {
        let Some(event) = event else { return code(ptr::null()) };
        let source = event.source.map(c_string);
        let mut memory: Box<[u8]> = match event.memory {
            Memory::Payload(timestamp, payload) => [&encode_header(timestamp, payload.len() as u32), payload]
                .concat()
                .into(),
            Memory::Any(bytes) => {
                let mut bytes = bytes.to_vec();
                bytes.resize(bytes.len().max(HEADER_LEN), 0);
                let len = bytes.len() as u32;
                bytes[16..20].copy_from_slice(&len.to_le_bytes());
                bytes.into()
            }
            Memory::Null | Memory::Batch { .. } => Box::default(),
        };
        let evt = match event.memory {
            Memory::Null => ptr::null(),
            Memory::Batch { instance, index } => {
                let events = self
                    .index(instance)
                    .map_or(&[][..], |instance| &self.instances[instance].events);
                events
                    .get(usize::from(index))
                    .map_or(ptr::null(), |event| event.cast_const())
            }
            Memory::Payload(..) | Memory::Any(_) => memory.as_mut_ptr().cast_const().cast(),
        };
        code(&ss_plugin_event_input {
            evt,
            evtnum: event.number,
            evtsrc: source.as_deref().map_or(ptr::null(), CStr::as_ptr),
        })
    }
}

fn c_string(bytes: &[u8]) -> CString {
    let end = bytes.iter().position(|byte| *byte == 0).unwrap_or(bytes.len());
    CString::new(&bytes[..end]).expect("it was cut at the first NUL")
}

fn place<T>(value: &mut T, without: bool) -> *mut T {
    if without { ptr::null_mut() } else { value }
}

/// A text of the plugin, which is UTF-8.
///
/// # Safety
/// NULL, or a NUL-terminated string that stays for `'t`.
pub(super) unsafe fn text<'t>(text: *const c_char) -> Option<&'t str> {
    if text.is_null() {
        return None;
    }
    // SAFETY: the caller's promise.
    let text = unsafe { CStr::from_ptr(text) };
    Some(text.to_str().expect("a plugin's text is UTF-8"))
}

/// Reads all of it, for the sanitizer to see.
fn touch<T: Clone>(values: &[T]) {
    std::hint::black_box(values.to_vec());
}
