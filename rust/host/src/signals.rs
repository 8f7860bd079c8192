//! SIGINT and SIGTERM: the first asks the capture to end, the second ends the process.

use std::io;
use std::sync::atomic::{AtomicBool, Ordering};

static INTERRUPTED: AtomicBool = AtomicBool::new(false);

/// Whether a signal asked for the end. As in Falco it is looked at between two batches only.
pub fn interrupted() -> bool {
    INTERRUPTED.load(Ordering::Relaxed)
}

/// Takes over both signals. Done before the plugin is loaded, so that a plugin that takes them for itself is seen to.
pub fn install() -> io::Result<()> {
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: sigaction is a plain C struct for which all zeroes is a valid value: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        action.sa_sigaction = on_signal as extern "C" fn(libc::c_int) as libc::sighandler_t;
        // A plugin is not written for interrupted system calls.
        action.sa_flags = libc::SA_RESTART;
        // SAFETY: `action` is initialised, the old action is not asked for, and the handler is async-signal-safe: it
        // touches one atomic and may call `_exit`.
        if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn on_signal(signal: libc::c_int) {
    if INTERRUPTED.swap(true, Ordering::Relaxed) {
        // SAFETY: `_exit` is async-signal-safe and takes any status.
        unsafe { libc::_exit(128 + signal) };
    }
}
