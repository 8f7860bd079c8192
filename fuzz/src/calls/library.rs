//! The plugin libraries of `fuzz/plugins`, each loaded once.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use std::sync::{LazyLock, OnceLock, PoisonError, RwLock};

use falco_plugin_abi::api::Functions;
use falco_plugin_host::abi::Type;
use falco_plugin_host::describe::Field;

use super::memory::{output, read_string};

const NAMES: [&str; 4] = ["sources", "fields", "plain", "state"];
const UNSET: u32 = 0x5EED_5EED;

static LIBRARIES: LazyLock<[Library; NAMES.len()]> = LazyLock::new(|| NAMES.map(Library::load));

pub(super) struct Library {
    path: CString,
    loaded: RwLock<Loaded>,
    /// The types of its fields, and whether they are lists.
    pub(super) fields: Vec<(Type, bool)>,
    pub(super) id: u32,
    /// The strings that it returned first.
    strings: OnceLock<Vec<Option<String>>>,
}

#[derive(Clone, Copy)]
struct Loaded {
    /// The handle of `dlopen`.
    handle: *mut c_void,
    functions: Functions,
}

// SAFETY: handles of dlopen may be used by any thread.
unsafe impl Send for Loaded {}
// SAFETY: as above.
unsafe impl Sync for Loaded {}

impl Library {
    pub(super) fn get(number: u8) -> &'static Self {
        &LIBRARIES[usize::from(number) % NAMES.len()]
    }

    fn load(name: &str) -> Self {
        // The fuzzer's libraries are built with its sanitizer.
        let folder = if cfg!(fuzzing) { "asan/plugins" } else { "plugins" };
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/fuzz")
            .join(folder);
        let path = path.join(name).with_extension("so");
        let path = CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL");
        let loaded = Loaded::open(&path);
        // SAFETY: static getters may be called at any time. The strings stay valid until the library is unloaded.
        let (fields, id) = unsafe {
            (
                loaded.functions.get_fields.and_then(|get| read_string(get())),
                loaded.functions.get_id.map_or(0, |get| get()),
            )
        };
        let fields: Vec<_> = fields.map_or_else(Vec::new, |fields| serde_json::from_str(fields).expect("JSON"));
        let fields = fields
            .iter()
            .enumerate()
            .map(|(index, entry)| Field::read(index, entry));
        let fields = fields.map(|field| field.map(|field| (field.type_, field.is_list)));
        Self {
            path,
            loaded: RwLock::new(loaded),
            fields: fields.collect::<Result<_, _>>().expect("the host accepts the fields"),
            id,
            strings: OnceLock::new(),
        }
    }

    /// Returns the functions of the library, valid until it is reloaded.
    pub(super) fn functions(&self) -> Functions {
        self.loaded.read().unwrap_or_else(PoisonError::into_inner).functions
    }

    /// Unloads the library and loads it again. There must be no state of it.
    pub(super) fn reload(&self) {
        let mut loaded = self.loaded.write().unwrap_or_else(PoisonError::into_inner);
        // SAFETY: the handle is open, and nothing of the library is used any more.
        unsafe { libc::dlclose(loaded.handle) };
        *loaded = Loaded::open(&self.path);
    }

    /// Reads all metadata.
    ///
    /// # Panics
    /// If it is not the same as before.
    pub(super) fn describe(&self, without_outputs: bool) {
        let functions = self.functions();
        let getters = [
            Some(functions.get_required_api_version),
            Some(functions.get_name),
            Some(functions.get_version),
            Some(functions.get_description),
            Some(functions.get_contact),
            functions.get_event_source,
            functions.get_extract_event_sources,
            functions.get_fields,
            functions.get_parse_event_sources,
            functions.get_async_events,
            functions.get_async_event_sources,
        ];
        let read = |getter: Option<unsafe extern "C-unwind" fn() -> *const c_char>| {
            // SAFETY: static getters may be called at any time. The string stays valid until the library is unloaded.
            unsafe { read_string(getter?()) }.map(str::to_owned)
        };
        let strings: Vec<_> = getters.into_iter().map(read).collect();
        assert!(strings[..5].iter().all(Option::is_some));
        assert_eq!(*self.strings.get_or_init(|| strings.clone()), strings);
        describe_with_outputs(&functions, without_outputs);
    }
}

fn describe_with_outputs(functions: &Functions, without_outputs: bool) {
    let (mut kind, mut count) = (UNSET, UNSET);
    // SAFETY: static getters may be called at any time. Outputs are NULL or writable, and there are `count`
    // types.
    unsafe {
        if let Some(get) = functions.get_init_schema {
            let schema = read_string(get(output(&mut kind, without_outputs)));
            let is_json = schema.is_some_and(|schema| !schema.is_empty());
            assert!(without_outputs || kind == u32::from(is_json));
        }
        if let Some(get) = functions.get_extract_event_types {
            let types = get(output(&mut count, without_outputs), ptr::null_mut());
            if !without_outputs && functions.get_event_source.is_some() {
                assert!(std::slice::from_raw_parts(types, count as usize) == [322]);
            }
        }
    }
}

impl Loaded {
    /// # Panics
    /// If the library was not built.
    fn open(path: &CStr) -> Self {
        // SAFETY: the path is NUL-terminated. The library was built for this.
        let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        if handle.is_null() {
            // SAFETY: after a failure there is a message, until the next call of its kind.
            let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
            panic!(
                "{}: build it with `make test-rust` or `make fuzz`",
                reason.to_string_lossy()
            );
        }
        // SAFETY: the handle is open, and the symbols of a plugin library are functions of the plugin API.
        let functions = unsafe { Functions::find(|symbol| libc::dlsym(handle, symbol.as_ptr())) };
        Self {
            handle,
            functions: functions.expect("a library has the functions of every plugin"),
        }
    }
}
