//! The library's own file: its path, the manifest, the archive and the bundle.

use core::cell::UnsafeCell;
use core::ffi::{CStr, c_char, c_int, c_void};
use core::sync::atomic::{AtomicI32, Ordering};
use core::{ptr, slice};

use falco_plugin_bundle::file::File;
use falco_plugin_bundle::format::HASH_LEN;

use crate::appended::{Appended, Parts};
use crate::libc;
use crate::message::Message;
use crate::path::Path;

#[used]
#[unsafe(link_section = ".data")]
pub static mut APPENDED: Appended = Appended {
    marker: *b"\x7ffalco.appended!",
    offset: 0,
    manifest_len: 0,
    archive_len: 0,
    bundle_len: 0,
    hash: [0; HASH_LEN],
    index_hash: [0; HASH_LEN],
};

/// The problem of a library that is not what was built.
pub const DAMAGED: &str = "this plugin library was cut, stripped or changed after it was built: build it again with \
                           'falco-plugin build'";
const UNREADABLE: &str =
    "this plugin library cannot read its own file: check that the file exists and that Falco's user may read it";

/// The content of the library's own file. It is read while the library is being loaded, and does not change afterwards.
pub struct Image {
    /// The absolute path, with all links resolved.
    pub path: *mut c_char,
    /// The absolute path by which the host named the library, with its links.
    pub named: Path,
    /// The memory that `parts` refers to.
    memory: *mut c_void,
    pub parts: Option<Parts<'static>>,
    /// The bundle of a self-contained library.
    pub bundle: Option<Bundle>,
    /// Why there are no parts; empty if there are.
    pub problem: Message,
}

/// The bundle in the library's file. The file stays open until the library is unloaded, so it can be replaced by another
/// file before init.
pub struct Bundle {
    descriptor: AtomicI32,
    /// The device and the inode of the file. Another plugin may close all descriptors of the process, after which the
    /// number stands for any other file.
    identity: Option<(u64, u64)>,
    offset: u64,
    len: u64,
    index_hash: [u8; HASH_LEN],
}

impl Bundle {
    /// Returns the file. Opens it again if its descriptor was closed.
    pub fn file(&self) -> File {
        let mut descriptor = self.descriptor.load(Ordering::Acquire);
        if identity(descriptor) != self.identity {
            descriptor = self.open_again(descriptor);
        }
        File {
            descriptor,
            offset: self.offset,
            len: self.len,
            index_hash: self.index_hash,
        }
    }

    /// Returns a new descriptor of the same file, or one that cannot be read if another file is at the path by now.
    fn open_again(&self, closed: c_int) -> c_int {
        // SAFETY: the path is NUL-terminated. A bundle exists only if there is one.
        let opened = unsafe { libc::open(get().path, libc::O_RDONLY | libc::O_CLOEXEC) };
        if opened >= 0 && identity(opened) == self.identity {
            let exchanged = self
                .descriptor
                .compare_exchange(closed, opened, Ordering::AcqRel, Ordering::Acquire);
            let Err(other) = exchanged else { return opened };
            // SAFETY: another init has opened the file, so nothing uses this descriptor.
            unsafe { libc::close(opened) };
            return other;
        }
        // SAFETY: the descriptor is this function's, or -1, which close refuses.
        unsafe { libc::close(opened) };
        -1
    }

    fn close(&self) {
        let descriptor = self.descriptor.load(Ordering::Acquire);
        if identity(descriptor) == self.identity {
            // SAFETY: the descriptor is that of the library's file, which nothing uses any more.
            unsafe { libc::close(descriptor) };
        }
    }
}

/// Returns the device and the inode of an open file; `None` if it is not open.
fn identity(descriptor: c_int) -> Option<(u64, u64)> {
    let mut stat = libc::Stat::default();
    // SAFETY: the struct is valid for writes.
    (unsafe { libc::fstat(descriptor, &mut stat) } == 0).then_some((stat.dev, stat.ino))
}

struct Shared(UnsafeCell<Image>);

// SAFETY: only `on_load` and `on_unload` write the image, while nothing else of the library can run.
unsafe impl Sync for Shared {}

static IMAGE: Shared = Shared(UnsafeCell::new(Image {
    path: ptr::null_mut(),
    named: Path::new(),
    memory: ptr::null_mut(),
    parts: None,
    bundle: None,
    problem: Message::new(),
}));

/// Returns the image of this library.
pub fn get() -> &'static Image {
    // SAFETY: only `on_load` writes it, before anything else of the library can run.
    unsafe { &*IMAGE.0.get() }
}

/// Returns a value of the manifest; "" if there is no such name, or no manifest.
pub fn manifest(name: &CStr) -> &'static CStr {
    get().parts.as_ref().map_or(c"", |parts| parts.value(name))
}

#[used]
#[unsafe(link_section = ".init_array")]
static ON_LOAD: unsafe extern "C" fn() = on_load;

#[used]
#[unsafe(link_section = ".fini_array")]
static ON_UNLOAD: unsafe extern "C" fn() = on_unload;

/// Runs inside `dlopen`, while the working directory is still the one that a relative path is relative to.
unsafe extern "C" fn on_load() {
    // SAFETY: dlopen runs this once, before anything can look up a symbol, and nothing else writes the image.
    unsafe {
        let image = &mut *IMAGE.0.get();
        find_name(&mut image.named);
        if let Err(problem) = read_parts(image) {
            image.problem.push(problem);
        }
    }
}

unsafe extern "C" fn on_unload() {
    // SAFETY: dlclose runs this once, when the library is no longer used. Both pointers are from malloc or NULL.
    unsafe {
        let image = &*IMAGE.0.get();
        libc::free(image.path.cast());
        libc::free(image.memory);
        if let Some(bundle) = &image.bundle {
            bundle.close();
        }
    }
}

/// Writes the path by which the host loads this library. Its links matter: who can change one of them chooses what is
/// loaded next time.
fn find_name(path: &mut Path) {
    let mut info = libc::DlInfo::default();
    // SAFETY: plain libc calls. The name is a string of the dynamic linker's, the folder NULL or one from malloc.
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
/// Only `on_load` calls this, once.
unsafe fn read_parts(image: &mut Image) -> Result<(), &'static str> {
    // SAFETY: plain libc calls on values made here. APPENDED is only changed in the file, so it is read volatile.
    unsafe {
        let appended = (&raw const APPENDED).read_volatile();
        if appended.offset == 0 {
            return Err("this plugin library does not contain a plugin: build it again with 'falco-plugin build'");
        }
        let mut info = libc::DlInfo::default();
        if libc::dladdr((&raw const APPENDED).cast(), &mut info) == 0 {
            return Err(UNREADABLE);
        }
        image.path = libc::realpath(info.file_name, ptr::null_mut());
        let file = libc::open(info.file_name, libc::O_RDONLY | libc::O_CLOEXEC);
        if image.path.is_null() || file < 0 {
            return Err(UNREADABLE);
        }
        image.memory = read(file, &appended);
        image.bundle = appended.bundle_offset().map(|offset| Bundle {
            descriptor: AtomicI32::new(file),
            identity: identity(file),
            offset,
            len: appended.bundle_len,
            index_hash: appended.index_hash,
        });
        if image.bundle.is_none() {
            libc::close(file);
        }
        if !image.memory.is_null() {
            let bytes = slice::from_raw_parts(image.memory.cast(), appended.len().unwrap_or(0));
            image.parts = Parts::new(bytes, &appended);
        }
        match image.parts {
            Some(_) => Ok(()),
            None => Err(DAMAGED),
        }
    }
}

/// Reads what was appended into memory from malloc. Returns NULL if the file is shorter.
fn read(file: c_int, appended: &Appended) -> *mut c_void {
    let (Some(len), Ok(offset)) = (appended.len(), i64::try_from(appended.offset)) else {
        return ptr::null_mut();
    };
    // SAFETY: plain libc calls, which write at most `len` bytes to `memory`.
    unsafe {
        let memory = libc::malloc(len);
        let mut done = 0;
        while !memory.is_null() && done < len {
            let rest = memory.cast::<u8>().add(done).cast();
            let count = libc::pread(file, rest, len - done, offset.wrapping_add(done as i64));
            if count <= 0 {
                libc::free(memory);
                return ptr::null_mut();
            }
            done += count as usize;
        }
        memory
    }
}
