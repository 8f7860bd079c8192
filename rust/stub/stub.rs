//! The library in front: what Falco loads.
//!
//! It carries a manifest and the plugin's modules behind its own end, answers static questions from the manifest, and
//! on init opens Python's library and the SDK's extension module, to which it forwards everything else. It holds no
//! thread, and nothing calls back into it but during init, so it may be unloaded. `falco-plugin build` fills in
//! `APPENDED` and hides the symbols of capabilities that the plugin lacks.
//!
//! No standard library: it is compiled by one call of rustc, needs only libc, and takes a few KB.

#![no_std]

mod appended;
mod libc;
mod message;
mod permissions;
#[path = "../abi/src/table.rs"]
#[allow(dead_code)]
mod table;

use core::ffi::{CStr, c_char, c_int, c_void};
use core::panic::PanicInfo;
use core::{ptr, slice};

use appended::{Appended, Parts};
use message::Text;
use permissions::Path;
use table::{START_SYMBOL, Start, StartReply, StartRequest, Table};

/// The lowest plugin API version that carries each struct field that is read: `log_fn` of the init input came with
/// Falco 0.38.
const REQUIRED_API_VERSION: &CStr = c"3.5.0";
/// The same of a library with fields: their extraction input has `value_offsets` from this version on.
const REQUIRED_API_VERSION_OF_FIELDS: &CStr = c"3.11.0";

/// The type of plugin events, and how many types there are to name.
static EVENT_TYPES: [u16; 1] = [322];
const SCHEMA_NONE: i32 = 0;
const SCHEMA_JSON: i32 = 1;

const FAILURE: i32 = 1;

#[used]
#[unsafe(link_section = ".data")]
static mut APPENDED: Appended = Appended {
    marker: *b"\x7ffalco.appended!",
    offset: 0,
    manifest_len: 0,
    archive_len: 0,
    crc32: 0,
};

/// What was read from the library's own file while it was being loaded; only read afterwards.
struct Library {
    /// Absolute, links followed.
    path: *mut c_char,
    /// As the host named it, but absolute.
    named: Path,
    /// What `parts` lies in.
    memory: *mut c_void,
    parts: Option<Parts<'static>>,
    /// Why there are no parts.
    problem: Text,
}

static mut LIBRARY: Library = Library {
    path: ptr::null_mut(),
    named: Path::new(),
    memory: ptr::null_mut(),
    parts: None,
    problem: Text::new(),
};

/// `ss_plugin_t`: the SDK's state, or why there is none.
pub struct State {
    table: *const Table,
    inner: *mut c_void,
    problem: Text,
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: unsafe extern "C" fn() = load;

#[used]
#[unsafe(link_section = ".fini_array")]
static ON_UNLOAD: unsafe extern "C" fn() = unload;

/// Runs inside dlopen: the working directory is still the one that a relative path was meant for.
unsafe extern "C" fn load() {
    // SAFETY: dlopen runs this once, before anyone can look up a symbol; nothing else touches the statics meanwhile.
    unsafe {
        let library = &mut *(&raw mut LIBRARY);
        name(&mut library.named);
        if let Err(problem) = read_parts(library) {
            library.problem.push("this plugin library ");
            library.problem.push(problem);
            library.problem.push(": build it again with 'falco-plugin build'");
        }
    }
}

unsafe extern "C" fn unload() {
    // SAFETY: dlclose runs this once, when nobody uses the library any more; both are from malloc or NULL.
    unsafe {
        libc::free(LIBRARY.path.cast());
        libc::free(LIBRARY.memory);
    }
}

/// The path by which the host loads this library: whoever can change a link on it chooses what is loaded next time.
fn name(path: &mut Path) {
    let mut info = libc::DlInfo::default();
    // SAFETY: plain libc calls: the name is a string of the dynamic linker's, the folder NULL or one from malloc.
    unsafe {
        if libc::dladdr((&raw const APPENDED).cast(), &mut info) == 0 {
            return;
        }
        let file = CStr::from_ptr(info.file_name).to_bytes();
        if file.first() != Some(&b'/') {
            let folder = libc::getcwd(ptr::null_mut(), 0);
            if !folder.is_null() {
                path.push(CStr::from_ptr(folder).to_bytes());
            }
            libc::free(folder.cast());
            path.push(b"/");
        }
        path.push(file);
    }
}

/// # Safety
/// Called once, by `load`.
unsafe fn read_parts(library: &mut Library) -> Result<(), &'static str> {
    // SAFETY: plain libc calls on values made here; APPENDED is only ever written in the file, hence the volatile read.
    unsafe {
        let appended = (&raw const APPENDED).read_volatile();
        if appended.offset == 0 {
            return Err("has no plugin in it");
        }
        let mut info = libc::DlInfo::default();
        if libc::dladdr((&raw const APPENDED).cast(), &mut info) == 0 {
            return Err("does not find its own file");
        }
        library.path = libc::realpath(info.file_name, ptr::null_mut());
        let file = libc::open(info.file_name, libc::O_RDONLY | libc::O_CLOEXEC);
        if library.path.is_null() || file < 0 {
            return Err("cannot read its own file");
        }
        library.memory = read(file, &appended);
        libc::close(file);
        if !library.memory.is_null() {
            let bytes = slice::from_raw_parts(library.memory.cast(), appended.len().unwrap_or(0));
            library.parts = Parts::new(bytes, &appended);
        }
        match library.parts {
            Some(_) => Ok(()),
            None => Err("was cut, stripped or changed after it was built"),
        }
    }
}

/// What was appended, in memory from malloc; NULL where the file has less.
fn read(file: c_int, appended: &Appended) -> *mut c_void {
    let (Some(len), Ok(offset)) = (appended.len(), i64::try_from(appended.offset)) else {
        return ptr::null_mut();
    };
    // SAFETY: plain libc calls, and what is read stays within the `len` bytes of `memory`.
    unsafe {
        let memory = libc::malloc(len);
        let mut done = 0;
        while !memory.is_null() && done < len {
            let place = memory.cast::<u8>().add(done).cast();
            let count = libc::pread(file, place, len - done, offset.wrapping_add(done as i64));
            if count <= 0 {
                libc::free(memory);
                return ptr::null_mut();
            }
            done += count as usize;
        }
        memory
    }
}

/// A value of the manifest; "" where there is none.
fn manifest(name: &CStr) -> &'static CStr {
    // SAFETY: written by `load` only.
    let parts = unsafe { &(*(&raw const LIBRARY)).parts };
    parts.as_ref().map_or(c"", |parts| parts.value(name))
}

/// Python's library, the SDK's extension module and the Python executable of an environment, and the folders that code
/// is imported from, a line each.
struct Environment<'a> {
    libpython: &'a CStr,
    core: &'a CStr,
    python: &'a CStr,
    folders: &'a CStr,
}

impl Environment<'_> {
    /// Whether nobody but root can change what would be run: the files, `pyvenv.cfg`, and all code.
    fn is_safe(&self, problem: &mut Text) -> bool {
        let sdk = Path::of(self.core.to_bytes());
        let mut folders = self.folders.to_bytes().split(|&byte| byte == b'\n');
        [self.libpython, self.core, self.python]
            .iter()
            .all(|file| permissions::check_file(file.to_bytes(), problem))
            && permissions::check_configuration(self.python.to_bytes(), problem)
            && permissions::check_code(sdk.folder(), problem)
            && folders.all(|folder| folder.is_empty() || permissions::check_code(folder, problem))
    }
}

/// What a Python is asked first, with its standard library alone: which folders of code it has. A line each.
const FOLDERS: &CStr = match CStr::from_bytes_with_nul(concat!(include_str!("folders.py"), "\0").as_bytes()) {
    Ok(question) => question,
    Err(_) => panic!(),
};
/// What it is asked once these are checked: where its parts are.
const LOCATION: &CStr = c"from falco_plugin._build import environment; environment.print_location()";

/// Of `environment.print_location`: how many files it names, and room for its answer.
const FILES: usize = 3;
const PLACE: usize = 32768;

/// The environment that built the library, or the one that `FALCO_PLUGIN_PYTHON` names. `place` holds the answer of the
/// latter.
fn environment<'a>(place: &'a mut [u8; PLACE], problem: &mut Text) -> Option<Environment<'a>> {
    let built = Environment {
        libpython: manifest(c"libpython"),
        core: manifest(c"core"),
        python: manifest(c"python"),
        folders: manifest(c"folders"),
    };
    // SAFETY: NULL or a NUL-terminated string, copied before anything else runs.
    let other = unsafe { libc::getenv(c"FALCO_PLUGIN_PYTHON".as_ptr()) };
    // SAFETY: as above.
    if other.is_null() || unsafe { *other } == 0 {
        return built.is_safe(problem).then_some(built);
    }
    // SAFETY: as above.
    let path = unsafe { CStr::from_ptr(other) }.to_bytes();
    if path[0] != b'/' {
        problem.push("FALCO_PLUGIN_PYTHON must be an absolute path, such as /opt/falco-python/bin/python");
        return None;
    }
    if !permissions::check_file(path, problem) || !permissions::check_unasked(path, problem) {
        return None;
    }
    let no_python = |problem: &mut Text| {
        problem.push("FALCO_PLUGIN_PYTHON names ");
        problem.push_c(other);
        problem.push(", which is no Python with falco-plugin-sdk: install it there, or name another");
        None
    };
    // SAFETY: `other` is a NUL-terminated string.
    if !unsafe { ask(other, &[c"-I", c"-S"], FOLDERS, place) } {
        return no_python(problem);
    }
    let mut folders = place.split(|&byte| matches!(byte, b'\n' | 0));
    if !folders.all(|folder| folder.is_empty() || permissions::check_code(folder, problem)) {
        return None;
    }
    // SAFETY: as above.
    if !unsafe { ask(other, &[c"-I"], LOCATION, place) } || place.iter().filter(|&&byte| byte == b'\n').count() <= FILES
    {
        return no_python(problem);
    }
    // The answer: a line for each file, turned into strings; the rest are the folders.
    let mut starts = [0; FILES + 1];
    let mut line = 0;
    for index in 0..place.len() {
        if place[index] == b'\n' && line < FILES {
            place[index] = 0;
            line += 1;
            starts[line] = index + 1;
        }
    }
    let at = |line: usize| CStr::from_bytes_until_nul(&place[starts[line]..]).unwrap_or_default();
    let other = Environment {
        libpython: at(0),
        core: at(1),
        python: at(2),
        folders: at(3),
    };
    other.is_safe(problem).then_some(other)
}

/// What the SDK asks for each folder that Python imports from, once it runs: [`StartRequest::check_code`].
unsafe extern "C" fn check_code(folder: *const c_char, problem: *mut c_char, size: usize) -> bool {
    let mut text = Text::new();
    // SAFETY: the caller's promise: a NUL-terminated string, and room for `size` bytes.
    unsafe {
        let safe = permissions::check_code(CStr::from_ptr(folder).to_bytes(), &mut text);
        text.copy_to(problem, size);
        safe
    }
}

/// Runs a Python on a question, and reads its answer: all of it, or none. Only done where the variable asks for it.
///
/// # Safety
/// `python` is a NUL-terminated string.
unsafe fn ask(python: *const c_char, flags: &[&CStr], question: &CStr, answer: &mut [u8; PLACE]) -> bool {
    let mut arguments = [ptr::null(); 6];
    arguments[0] = python;
    for (place, flag) in arguments[1..].iter_mut().zip(flags) {
        *place = flag.as_ptr();
    }
    arguments[flags.len() + 1] = c"-c".as_ptr();
    arguments[flags.len() + 2] = question.as_ptr();
    answer.fill(0);
    // SAFETY: plain libc calls on values made here; the child gets the pipe's writing end as stdout, and nothing
    // to read.
    unsafe {
        let mut pipe = [0; 2];
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return false;
        }
        let mut actions = libc::SpawnActions::default();
        libc::posix_spawn_file_actions_init(&mut actions);
        libc::posix_spawn_file_actions_addopen(&mut actions, 0, c"/dev/null".as_ptr(), libc::O_RDONLY, 0);
        libc::posix_spawn_file_actions_adddup2(&mut actions, pipe[1], 1);
        let mut child = 0;
        let nothing: [*const c_char; 1] = [ptr::null()];
        let spawned = libc::posix_spawn(
            &mut child,
            python,
            &actions,
            ptr::null(),
            arguments.as_ptr(),
            nothing.as_ptr(),
        );
        libc::posix_spawn_file_actions_destroy(&mut actions);
        libc::close(pipe[1]);
        let mut len = 0;
        while spawned == 0 && len < answer.len() - 1 {
            let count = libc::read(pipe[0], answer.as_mut_ptr().add(len).cast(), answer.len() - 1 - len);
            if count < 0 && *libc::errno() == libc::EINTR {
                continue;
            }
            if count <= 0 {
                break;
            }
            len += count as usize;
        }
        libc::close(pipe[0]);
        // Where the host has its children reaped, there is no status.
        let whole = len < answer.len() - 1 && answer[..len].ends_with(b"\n");
        let mut status = 0;
        if spawned == 0 {
            while libc::waitpid(child, &mut status, 0) < 0 && *libc::errno() == libc::EINTR {}
        }
        whole && spawned == 0 && status == 0
    }
}

/// Finds the SDK's entry, opening Python and the SDK where the process has them not yet.
fn start(environment: &Environment, problem: &mut Text) -> Option<Start> {
    // SAFETY: all strings are NUL-terminated; the entry has the type that its numbered name stands for.
    unsafe {
        let version = manifest(c"python_version");
        if !libc::dlsym(libc::RTLD_DEFAULT, c"Py_GetVersion".as_ptr()).is_null() {
            // Not called: its buffer may be being filled by another thread. The constant came with Python 3.11; it is
            // looked up second, because another thread may be opening the library just now.
            let present = libc::dlsym(libc::RTLD_DEFAULT, c"Py_Version".as_ptr());
            let mut found = Text::new();
            if present.is_null() {
                found.push("older than 3.11");
            } else {
                let number = *present.cast::<core::ffi::c_ulong>();
                found.push_number((number >> 24) as u8);
                found.push(".");
                found.push_number((number >> 16) as u8);
            }
            if CStr::from_ptr(found.as_ptr()) != version {
                problem.push("this library was built for Python ");
                problem.push_c(version.as_ptr());
                problem.push(", but the process already runs Python ");
                problem.push_c(found.as_ptr());
                problem.push(": build all plugins of one Falco with one Python");
                return None;
            }
        } else if libc::dlopen(environment.libpython.as_ptr(), libc::RTLD_NOW | libc::RTLD_GLOBAL).is_null() {
            // Global: extension modules find Python's symbols through it. Never closed.
            cannot_load(problem, "Python ", version, environment.libpython);
            return None;
        }
        let core = libc::dlopen(environment.core.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL);
        if core.is_null() {
            cannot_load(problem, "falco-plugin-sdk ", manifest(c"sdk_version"), environment.core);
            return None;
        }
        let entry = libc::dlsym(core, START_SYMBOL.as_ptr().cast());
        if entry.is_null() {
            problem.push("this library was built by falco-plugin-sdk ");
            problem.push_c(manifest(c"sdk_version").as_ptr());
            problem.push(", but another version is installed at ");
            problem.push_c(environment.core.as_ptr());
            problem.push(": build it again");
            return None;
        }
        Some(core::mem::transmute::<*mut c_void, Start>(entry))
    }
}

fn cannot_load(problem: &mut Text, what: &str, version: &CStr, path: &CStr) {
    problem.push("cannot load ");
    problem.push(what);
    problem.push_c(version.as_ptr());
    problem.push(" from ");
    problem.push_c(path.as_ptr());
    problem.push(": install it there, build the library again, or set FALCO_PLUGIN_PYTHON (");
    // SAFETY: NULL or a NUL-terminated string.
    problem.push_c(unsafe { libc::dlerror() });
    problem.push(")");
}

/// A value of the manifest. Where that cannot be read, something that hosts accept: they go on to init, which says what
/// is wrong.
fn told(name: &CStr, unreadable: &'static CStr) -> *const c_char {
    // SAFETY: written by `load` only.
    let readable = unsafe { (*(&raw const LIBRARY)).problem.is_empty() };
    if readable { manifest(name) } else { unreadable }.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_required_api_version() -> *const c_char {
    if manifest(c"fields").is_empty() {
        REQUIRED_API_VERSION.as_ptr()
    } else {
        REQUIRED_API_VERSION_OF_FIELDS.as_ptr()
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_name() -> *const c_char {
    told(c"name", c"unreadable")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_description() -> *const c_char {
    // SAFETY: written by `load` only.
    let problem = unsafe { &(*(&raw const LIBRARY)).problem };
    if problem.is_empty() {
        manifest(c"description").as_ptr()
    } else {
        problem.as_ptr()
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_contact() -> *const c_char {
    manifest(c"contact").as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_version() -> *const c_char {
    told(c"version", c"0.0.0")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_event_source() -> *const c_char {
    told(c"event_source", c"unreadable")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_fields() -> *const c_char {
    told(
        c"fields",
        c"[{\"name\":\"unreadable.library\",\"type\":\"string\",\"desc\":\"Why init fails\"}]",
    )
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_extract_event_sources() -> *const c_char {
    told(c"extract_event_sources", c"[]")
}

/// Always the type of plugin events: a host that is told nothing may hand over events of the system.
///
/// # Safety
/// As the plugin API says: the count is the host's to be written, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_extract_event_types(count: *mut u32, _state: *mut State) -> *const u16 {
    // SAFETY: the caller's promise.
    unsafe { put(count, EVENT_TYPES.len() as u32) };
    EVENT_TYPES.as_ptr()
}

/// # Safety
/// As the plugin API says: the type is the host's to be written, or NULL.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_init_schema(kind: *mut i32) -> *const c_char {
    let schema = manifest(c"schema");
    // SAFETY: the caller's promise.
    unsafe { put(kind, if schema.is_empty() { SCHEMA_NONE } else { SCHEMA_JSON }) };
    schema.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_id() -> u32 {
    // SAFETY: `told` answers with a NUL-terminated string that stays.
    let digits = unsafe { CStr::from_ptr(told(c"id", c"999")) }.to_bytes().iter();
    digits.fold(0, |id: u32, digit| {
        id.wrapping_mul(10).wrapping_add(u32::from(digit.wrapping_sub(b'0')))
    })
}

/// # Safety
/// As the plugin API says: the input is valid during the call, its owner and log function until destroy.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_init(input: *const c_void, rc: *mut i32) -> *mut State {
    // SAFETY: `rc` is the host's to be written, or NULL; what is read of the library does not change any more.
    unsafe {
        put(rc, FAILURE);
        let state = libc::calloc(1, size_of::<State>()).cast::<State>();
        if state.is_null() {
            return state;
        }
        let problem = &mut (*state).problem;
        if input.is_null() {
            problem.push("plugin_init was called without its input");
            return state;
        }
        let library = &*(&raw const LIBRARY);
        let Some(parts) = &library.parts else {
            problem.push_c(library.problem.as_ptr());
            return state;
        };
        if !permissions::check_file(library.named.bytes(), problem) {
            return state;
        }
        let mut place = [0; PLACE];
        let Some(environment) = environment(&mut place, problem) else {
            return state;
        };
        let Some(start) = start(&environment, problem) else {
            return state;
        };
        let request = StartRequest {
            library: library.path,
            core: environment.core.as_ptr(),
            python: environment.python.as_ptr(),
            folders: environment.folders.as_ptr(),
            manifest: parts.manifest.as_ptr(),
            manifest_len: parts.manifest.len(),
            archive: parts.archive.as_ptr(),
            archive_len: parts.archive.len(),
            input,
            check_code,
        };
        let mut reply = StartReply {
            table: ptr::null(),
            state: ptr::null_mut(),
            rc: FAILURE,
        };
        start(&request, &mut reply);
        (*state).table = reply.table;
        (*state).inner = reply.state;
        put(rc, reply.rc);
        state
    }
}

/// # Safety
/// As the plugin API says: a state of `plugin_init`, destroyed once.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_destroy(state: *mut State) {
    // SAFETY: NULL, or a state of `plugin_init`.
    unsafe {
        if let Some((table, inner)) = behind(state) {
            (table.destroy)(inner);
        }
        libc::free(state.cast());
    }
}

/// # Safety
/// As the plugin API says: NULL, or a state of `plugin_init`.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_last_error(state: *mut State) -> *const c_char {
    // SAFETY: NULL, or a state of `plugin_init`.
    unsafe {
        match behind(state) {
            Some((table, inner)) => (table.get_last_error)(inner),
            None if state.is_null() => c"the plugin state is NULL".as_ptr(),
            None => (*state).problem.as_ptr(),
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_open(state: *mut State, params: *const c_char, rc: *mut i32) -> *mut c_void {
    // SAFETY: handles and pointers are passed on as they came; `rc` is the host's to be written, or NULL.
    unsafe {
        put(rc, FAILURE);
        match behind(state) {
            Some((table, inner)) => (table.open)(inner, params, rc),
            None => ptr::null_mut(),
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_close(state: *mut State, instance: *mut c_void) {
    // SAFETY: handles are passed on as they came.
    unsafe {
        if let Some((table, inner)) = behind(state) {
            (table.close)(inner, instance);
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_next_batch(
    state: *mut State,
    instance: *mut c_void,
    nevts: *mut u32,
    evts: *mut *mut *mut c_void,
) -> i32 {
    // SAFETY: handles and pointers are passed on as they came; `nevts` is the host's to be written, or NULL.
    unsafe {
        put(nevts, 0);
        match behind(state) {
            Some((table, inner)) => (table.next_batch)(inner, instance, nevts, evts),
            None => FAILURE,
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_progress(
    state: *mut State,
    instance: *mut c_void,
    progress_pct: *mut u32,
) -> *const c_char {
    // SAFETY: handles and pointers are passed on as they came; `progress_pct` is the host's to be written, or NULL.
    unsafe {
        put(progress_pct, 0);
        match behind(state) {
            Some((table, inner)) => (table.get_progress)(inner, instance, progress_pct),
            None => c"".as_ptr(),
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_list_open_params(state: *mut State, rc: *mut i32) -> *const c_char {
    // SAFETY: handles and pointers are passed on as they came; `rc` is the host's to be written, or NULL.
    unsafe {
        put(rc, FAILURE);
        match behind(state) {
            Some((table, inner)) => (table.list_open_params)(inner, rc),
            None => ptr::null(),
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_event_to_string(state: *mut State, event: *const c_void) -> *const c_char {
    // SAFETY: handles and pointers are passed on as they came.
    unsafe {
        match behind(state) {
            Some((table, inner)) => (table.event_to_string)(inner, event),
            None => ptr::null(),
        }
    }
}

/// # Safety
/// As the plugin API says.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_extract_fields(state: *mut State, event: *const c_void, input: *const c_void) -> i32 {
    // SAFETY: handles and pointers are passed on as they came.
    unsafe {
        match behind(state) {
            Some((table, inner)) => (table.extract_fields)(inner, event, input),
            None => FAILURE,
        }
    }
}

/// The SDK's table and state behind a state of this library, where init got that far.
///
/// # Safety
/// NULL, or a state of `plugin_init`.
unsafe fn behind(state: *mut State) -> Option<(&'static Table, *mut c_void)> {
    // SAFETY: the caller's promise; a table is static in the extension module, which stays loaded.
    unsafe {
        let state = state.as_ref()?;
        Some((state.table.as_ref()?, state.inner))
    }
}

/// # Safety
/// NULL, or valid for a write.
unsafe fn put<T>(place: *mut T, value: T) {
    if !place.is_null() {
        // SAFETY: not NULL, so valid by the caller's promise.
        unsafe { place.write(value) };
    }
}

// The precompiled core library names this in its unwind tables; nothing here unwinds, so it is never called.
core::arch::global_asm!(
    ".globl rust_eh_personality",
    ".hidden rust_eh_personality",
    "rust_eh_personality:"
);

/// Cannot be reached by design; if it is, the process must not go on with half a state.
#[panic_handler]
fn panic(_: &PanicInfo<'_>) -> ! {
    // SAFETY: does not return.
    unsafe { libc::abort() }
}
