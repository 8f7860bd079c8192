//! Other self-contained interpreters of the process.

use std::collections::BTreeSet;
use std::ffi::{CStr, CString, c_char};
use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_bundle::process;

use crate::interpreter::start;

/// The names of the plugins that this interpreter has run.
static PLUGINS: Mutex<BTreeSet<CString>> = Mutex::new(BTreeSet::new());

/// Returns the version of this interpreter, as `version_number` returns it, if it has run a plugin of that name; otherwise
/// 0.
type HasRun = unsafe extern "C" fn(plugin: *const c_char) -> u64;
/// The symbol of the function of that type. Its number is increased when the type changes.
const SYMBOL: &CStr = c"falco_plugin_sdk_has_run_1";

/// Adds a plugin to those that this interpreter has run. Returns the version of another interpreter of the process that
/// has run a plugin of that name, if this one has not.
pub(crate) fn add_plugin(name: &str) -> Option<String> {
    let name = CString::new(name).unwrap_or_default();
    if !plugins().insert(name.clone()) {
        return None;
    }
    let mut found = None;
    process::each_symbol(SYMBOL, &mut |address| {
        // SAFETY: the symbol stands for a function of this type, in an extension module that is never unloaded.
        let version = unsafe { std::mem::transmute::<*mut std::ffi::c_void, HasRun>(address)(name.as_ptr()) };
        if address != has_run as HasRun as *mut std::ffi::c_void && version != 0 {
            found = Some(start::format_version(version));
        }
        found.is_none()
    });
    found
}

/// See [`HasRun`].
///
/// # Safety
/// The name is NUL-terminated.
#[unsafe(export_name = "falco_plugin_sdk_has_run_1")]
unsafe extern "C" fn has_run(plugin: *const c_char) -> u64 {
    // SAFETY: the caller's promise.
    let plugin = unsafe { CStr::from_ptr(plugin) };
    if plugins().contains(plugin) {
        start::version_number()
    } else {
        0
    }
}

fn plugins() -> MutexGuard<'static, BTreeSet<CString>> {
    PLUGINS.lock().unwrap_or_else(PoisonError::into_inner)
}
