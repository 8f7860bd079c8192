//! The host's side of a plugin (`ss_plugin_owner_t`).

use std::ffi::c_char;

use falco_plugin_api::{ss_plugin_init_input, ss_plugin_owner_t};

use crate::strings::from_host;

/// A pointer of the host, which only the host follows.
#[derive(Clone, Copy)]
pub(crate) struct Owner(pub(crate) *mut ss_plugin_owner_t);

// SAFETY: the pointer is only passed to functions of the host that may be called from any thread.
unsafe impl Send for Owner {}
// SAFETY: as above.
unsafe impl Sync for Owner {}

/// The host's function that returns the last error of an owner.
#[derive(Clone, Copy)]
pub(crate) struct LastError(Option<unsafe extern "C-unwind" fn(*mut ss_plugin_owner_t) -> *const c_char>);

impl LastError {
    /// # Safety
    /// `input` is valid for reads, and its function usable until the plugin is destroyed.
    pub(crate) unsafe fn new(input: *const ss_plugin_init_input) -> Self {
        // SAFETY: the caller's promise.
        Self(unsafe { (*input).get_owner_last_error })
    }

    /// Returns the last error of an owner; `None` if there is none.
    ///
    /// # Safety
    /// The owner exists, and the plugin is not destroyed.
    pub(crate) unsafe fn of(self, owner: &Owner) -> Option<String> {
        let function = self.0?;
        // SAFETY: the caller's promise. The function returns NULL or a NUL-terminated string.
        let message = unsafe { from_host(function(owner.0)) };
        (!message.is_empty()).then(|| message.into_owned())
    }
}
