//! The libraries, as `fuzz/plugins` builds them, loaded once and with what they say of themselves.

use std::ffi::{CStr, CString, c_char, c_void};
use std::path::Path;
use std::ptr;
use std::sync::atomic::{AtomicPtr, Ordering};
use std::sync::{LazyLock, OnceLock};

use falco_plugin_host::abi::Type;
use falco_plugin_host::describe::Field;

const NAMES: [&str; 3] = ["sources", "fields", "plain"];
const UNSET: u32 = 0x5EED_5EED;

static LIBRARIES: LazyLock<[Library; NAMES.len()]> = LazyLock::new(|| NAMES.map(Library::load));

pub(super) struct Library {
    path: CString,
    handle: AtomicPtr<c_void>,
    /// The types of its fields, and whether they are lists.
    pub(super) fields: Vec<(Type, bool)>,
    pub(super) id: u32,
    said: OnceLock<Vec<Option<String>>>,
}

impl Library {
    pub(super) fn get(number: u8) -> &'static Self {
        &LIBRARIES[usize::from(number) % NAMES.len()]
    }

    fn load(name: &str) -> Self {
        // The fuzzer's are built with its sanitizer.
        let folder = if cfg!(fuzzing) { "asan/plugins" } else { "plugins" };
        let path = Path::new(env!("CARGO_MANIFEST_DIR"))
            .join("../target/fuzz")
            .join(folder);
        let path = path.join(name).with_extension("so");
        let path = CString::new(path.into_os_string().into_encoded_bytes()).expect("no NUL");
        let mut library = Self {
            handle: AtomicPtr::new(open(&path)),
            path,
            fields: Vec::new(),
            id: 0,
            said: OnceLock::new(),
        };
        if let Some(Some(fields)) = library.text(c"plugin_get_fields") {
            let entries: Vec<_> = serde_json::from_str(&fields).expect("fields are JSON");
            let fields = entries.iter().enumerate().map(|(at, entry)| Field::read(at, entry));
            let fields = fields.map(|field| field.map(|field| (field.type_, field.is_list)));
            library.fields = fields
                .collect::<Result<_, _>>()
                .expect("fields are as the host reads them");
        }
        // SAFETY: the API gives the symbol of this name this type.
        if let Some(get) = unsafe { library.symbol::<unsafe extern "C" fn() -> u32>(c"plugin_get_id") } {
            // SAFETY: static getters may be called at any time.
            library.id = unsafe { get() };
        }
        library
    }

    /// A function of the library, if it has it.
    ///
    /// # Safety
    /// `F` is the type of a function pointer, and the one that the symbol has.
    pub(super) unsafe fn symbol<F: Copy>(&self, name: &CStr) -> Option<F> {
        const { assert!(size_of::<F>() == size_of::<*mut c_void>()) };
        // SAFETY: the handle is open.
        let address = unsafe { libc::dlsym(self.handle.load(Ordering::Relaxed), name.as_ptr()) };
        // SAFETY: the sizes agree, and the type is the caller's promise.
        (!address.is_null()).then(|| unsafe { std::mem::transmute_copy(&address) })
    }

    /// Loads it anew. Nobody has a state of it.
    pub(super) fn reload(&self) {
        // SAFETY: the handle is open, and nothing that came from it is left.
        unsafe { libc::dlclose(self.handle.load(Ordering::Relaxed)) };
        self.handle.store(open(&self.path), Ordering::Relaxed);
    }

    /// What a static getter says; `None` where it is not there.
    fn text(&self, name: &CStr) -> Option<Option<String>> {
        // SAFETY: the API gives all that are asked for here this type.
        let get = unsafe { self.symbol::<unsafe extern "C" fn() -> *const c_char>(name) }?;
        // SAFETY: static getters may be called at any time; the text is NULL or stays until the library is unloaded.
        Some(unsafe { super::slot::text(get()) }.map(str::to_owned))
    }

    /// Asks for all that does not change, which must be the same whenever it is asked.
    pub(super) fn describe(&self, without_places: bool) {
        let names = [
            c"plugin_get_required_api_version",
            c"plugin_get_name",
            c"plugin_get_version",
            c"plugin_get_description",
            c"plugin_get_contact",
            c"plugin_get_event_source",
            c"plugin_get_extract_event_sources",
            c"plugin_get_fields",
        ];
        let said: Vec<_> = names.iter().map(|name| self.text(name).flatten()).collect();
        assert!(said[..5].iter().all(Option::is_some));
        assert_eq!(*self.said.get_or_init(|| said.clone()), said);
        self.describe_by_numbers(without_places);
    }

    fn describe_by_numbers(&self, without_places: bool) {
        let (mut kind, mut count) = (UNSET as i32, UNSET);
        let kind_at = if without_places { ptr::null_mut() } else { &raw mut kind };
        let count_at = if without_places {
            ptr::null_mut()
        } else {
            &raw mut count
        };
        type Schema = unsafe extern "C" fn(*mut i32) -> *const c_char;
        type Types = unsafe extern "C" fn(*mut u32, *mut c_void) -> *const u16;
        // SAFETY: the API gives the symbols of these names these types; places are NULL or writable, and of the types
        // as many are there as it says.
        unsafe {
            if let Some(get) = self.symbol::<Schema>(c"plugin_get_init_schema") {
                let schema = super::slot::text(get(kind_at));
                assert!(without_places || kind == i32::from(schema.is_some_and(|schema| !schema.is_empty())));
            }
            if let Some(get) = self.symbol::<Types>(c"plugin_get_extract_event_types") {
                let types = get(count_at, ptr::null_mut());
                assert!(without_places || std::slice::from_raw_parts(types, count as usize) == [322]);
            }
        }
    }
}

fn open(path: &CStr) -> *mut c_void {
    // SAFETY: the path is NUL-terminated; the library is one that was built for this.
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
    if handle.is_null() {
        // SAFETY: after a failure there is a text, until the next call of its kind.
        let reason = unsafe { CStr::from_ptr(libc::dlerror()) };
        panic!(
            "{}: it is built by `make test-rust` and `make fuzz`",
            reason.to_string_lossy()
        );
    }
    handle
}
