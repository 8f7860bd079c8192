//! Files that belong to the process, and are removed when it exits.
//!
//! Python is never finalised in a native host, so its own exit handlers do not run.

use std::fs;
use std::path::PathBuf;
use std::sync::{Mutex, Once, PoisonError};

use crate::fork;

static FOLDERS: Mutex<Vec<PathBuf>> = Mutex::new(Vec::new());

/// Removes a folder with everything in it when the process exits normally, but not when a child does that it has forked.
/// If the process is killed, the folder remains.
pub fn remove_at_exit(folder: PathBuf) {
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler exists as long as the process, because the extension module is never unloaded. If there is
        // no memory for it, the folders remain.
        let _ = unsafe { libc::atexit(remove) };
    });
    FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).push(folder);
}

extern "C" fn remove() {
    if fork::is_child() {
        return;
    }
    for folder in FOLDERS.lock().unwrap_or_else(PoisonError::into_inner).drain(..) {
        // Nobody can be informed while the process exits. The next process that makes such a folder removes this one.
        let _ = fs::remove_dir_all(folder);
    }
}
