//! The guard around all code of a plugin that the host calls.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

use falco_plugin_engine::error::Error;

use crate::fork;

/// Runs code of the plugin. It must neither unwind into the host, nor continue in a forked child.
///
/// # Errors
/// Those of the code; a panic; or this process is a child that was forked from the host.
#[inline]
pub(crate) fn guard<T>(code: impl FnOnce() -> Result<T, Error>) -> Result<T, Error> {
    if fork::is_child() {
        return Err(Error::text(fork::IN_CHILD.to_string_lossy()));
    }
    let result = catch_unwind(AssertUnwindSafe(code));
    // The code may have forked.
    fork::end_child();
    result.unwrap_or_else(|panic| {
        Err(Error::text(format!(
            "panic in the plugin SDK, please report it: {}",
            message(&*panic)
        )))
    })
}

fn message(panic: &(dyn Any + Send)) -> &str {
    panic
        .downcast_ref::<&str>()
        .copied()
        .or_else(|| panic.downcast_ref::<String>().map(String::as_str))
        .unwrap_or("no message")
}
