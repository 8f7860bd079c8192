//! Shared libraries that are loaded until the process ends.

use core::ffi::{CStr, c_char, c_int, c_void};
use core::ptr;

use crate::error::Error;

/// A shared library that is loaded until the process ends.
#[derive(Clone, Copy, Debug)]
pub struct Library(ptr::NonNull<c_void>);

impl Library {
    /// Returns the library that was loaded by this path, or that has this SONAME. Loads nothing.
    pub fn find(name: &CStr) -> Option<Self> {
        Self::open(name, libc::RTLD_NOLOAD)
    }

    /// Loads the library at a path, or the one that the dynamic linker finds by a name. The library's constructors run.
    /// `name` appears in the error.
    pub(crate) fn load(path: &CStr, name: &str) -> Result<Self, Error> {
        Self::open(path, 0).ok_or_else(|| {
            // SAFETY: dlerror returns NULL or a NUL-terminated string, which this thread's next call changes.
            let reason = unsafe {
                let message = libc::dlerror();
                if message.is_null() {
                    c"unknown error"
                } else {
                    CStr::from_ptr(message)
                }
            };
            Error::refused(name, reason)
        })
    }

    fn open(name: &CStr, flag: c_int) -> Option<Self> {
        // SAFETY: the name is NUL-terminated. Code that runs is from the bundle, or from a library of the system.
        let handle = unsafe { libc::dlopen(name.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL | flag) };
        ptr::NonNull::new(handle).map(Self)
    }

    /// Returns the address of a symbol of this library or of one that it needs; NULL if there is none.
    pub fn symbol(self, name: &CStr) -> *mut c_void {
        // SAFETY: the handle is valid, because the library is never closed.
        unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) }
    }

    /// Returns the path by which the dynamic linker knows the library.
    pub fn path(self) -> &'static CStr {
        /// The beginning of glibc's `struct link_map`.
        #[repr(C)]
        struct LinkMap {
            address: usize,
            name: *const c_char,
        }
        let mut map: *const LinkMap = ptr::null();
        // SAFETY: the handle is valid, and the request writes a pointer to a map that lives as long as the library,
        // which is never closed.
        unsafe {
            let result = libc::dlinfo(self.0.as_ptr(), libc::RTLD_DI_LINKMAP, (&raw mut map).cast());
            if result != 0 || map.is_null() || (*map).name.is_null() {
                return c"";
            }
            CStr::from_ptr((*map).name)
        }
    }
}
