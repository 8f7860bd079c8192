//! A library that the dynamic linker has loaded.

use std::ffi::{CString, c_void};
use std::mem::size_of;
use std::path::Path;
use std::ptr::NonNull;

use crate::abi::strings::{c_string, text};
use crate::command::error::Error;

/// What `dlopen` returned, until `dlclose`.
pub struct Handle(NonNull<c_void>);

impl Handle {
    pub fn open(path: &Path) -> Result<Self, Error> {
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

    pub fn address(&self, name: &str) -> Option<NonNull<c_void>> {
        let name = CString::new(name).ok()?;
        // SAFETY: the handle is open until `self` is dropped, and `name` is NUL-terminated.
        NonNull::new(unsafe { libc::dlsym(self.0.as_ptr(), name.as_ptr()) })
    }

    /// # Safety
    /// `F` is the type of a function pointer, and the symbol, where it exists, is a function of this type.
    pub unsafe fn symbol<F: Copy>(&self, name: &str) -> Option<F> {
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
