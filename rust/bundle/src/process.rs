//! Self-contained Pythons of the process. Each has its own copy of libpython, in local scope and under a unique name.

use core::ffi::{CStr, c_int, c_ulong, c_void};

use crate::folder::PATH_SIZE;
use crate::library::Library;
use crate::memory_file;
use crate::text::Text;

/// Returns the version of a self-contained Python that the process has loaded, as `Py_Version` has it, and whether that
/// Python is free-threaded.
pub fn find_python() -> Option<(c_ulong, bool)> {
    let mut found = None;
    each_library(&mut |library| {
        let version = library.symbol(c"Py_Version").cast::<c_ulong>();
        if !version.is_null() {
            // A function that only free-threaded Pythons have.
            let is_free_threaded = !library.symbol(c"_Py_DecRefShared").is_null();
            // SAFETY: libpython is never unloaded. The symbol is a constant of this type.
            found = Some((unsafe { *version }, is_free_threaded));
        }
        version.is_null()
    });
    found
}

/// Calls `visit` with the address of a symbol in each library that was opened from a bundle and that has it. Continues
/// as long as `visit` returns true.
pub fn each_symbol(name: &CStr, visit: &mut dyn FnMut(*mut c_void) -> bool) {
    each_library(&mut |library| {
        let address = library.symbol(name);
        address.is_null() || visit(address)
    });
}

/// Calls `visit` with each library that was opened from a bundle, as long as `visit` returns true.
fn each_library(visit: &mut dyn FnMut(&Library) -> bool) {
    let mut number = 0;
    while let Some(path) = memory_library(number) {
        if Library::find(path.as_c_str()).is_some_and(|library| !visit(&library)) {
            break;
        }
        number += 1;
    }
}

/// Returns the path of the loaded library with this number, counting those that were opened from a bundle.
fn memory_library(number: usize) -> Option<Text<PATH_SIZE>> {
    struct Search {
        remaining: usize,
        found: Option<Text<PATH_SIZE>>,
    }
    unsafe extern "C" fn visit(info: *mut libc::dl_phdr_info, _size: usize, search: *mut c_void) -> c_int {
        // SAFETY: the dynamic linker passes a valid struct, whose name is NULL or NUL-terminated, and the pointer from
        // below. The dynamic linker's lock is held, so nothing is opened here.
        unsafe {
            let search = &mut *search.cast::<Search>();
            if (*info).dlpi_name.is_null() {
                return 0;
            }
            let name = CStr::from_ptr((*info).dlpi_name).to_bytes();
            if !memory_file::is_path(name) {
                return 0;
            }
            if search.remaining > 0 {
                search.remaining -= 1;
                return 0;
            }
            search.found = Text::join(&[name]);
            1
        }
    }
    let mut search = Search {
        remaining: number,
        found: None,
    };
    // SAFETY: the callback gets a pointer to `search`, which outlives the call.
    unsafe { libc::dl_iterate_phdr(Some(visit), (&raw mut search).cast()) };
    search.found
}
