//! SIGINT and SIGTERM: the first one ends the run, the second one ends the process.

use std::io;
use std::sync::atomic::{AtomicI32, AtomicU32, Ordering};

/// Counts of signals from this process's parent, and from all other senders, including the terminal. Ctrl-C reaches a
/// whole group of processes, so if the parent passes it on, one Ctrl-C sends two signals.
static FROM_PARENT: AtomicU32 = AtomicU32::new(0);
static FROM_OTHERS: AtomicU32 = AtomicU32::new(0);
static PARENT: AtomicI32 = AtomicI32::new(0);

/// Returns whether there was a signal. As in Falco, it is checked only between two batches.
pub fn is_interrupted() -> bool {
    count() > 0
}

/// Returns how many interruptions there were.
fn count() -> u32 {
    FROM_PARENT
        .load(Ordering::Relaxed)
        .max(FROM_OTHERS.load(Ordering::Relaxed))
}

/// Installs the handler of both signals. Call it before the plugin is loaded: then a plugin that replaces the handler is
/// noticed, as in Falco.
pub fn install() -> io::Result<()> {
    // SAFETY: takes no arguments, accesses no memory and cannot fail.
    PARENT.store(unsafe { libc::getppid() }, Ordering::Relaxed);
    for signal in [libc::SIGINT, libc::SIGTERM] {
        // SAFETY: sigaction is a plain C struct for which all zeroes is a valid value: no flags, an empty mask.
        let mut action: libc::sigaction = unsafe { std::mem::zeroed() };
        let handler: extern "C" fn(libc::c_int, *mut libc::siginfo_t, *mut libc::c_void) = on_signal;
        action.sa_sigaction = handler as libc::sighandler_t;
        // Plugins do not expect interrupted system calls.
        action.sa_flags = libc::SA_RESTART | libc::SA_SIGINFO;
        // SAFETY: `action` is initialised, and the old action is not requested. The handler is async-signal-safe: it only
        // accesses atomics and calls `_exit`.
        if unsafe { libc::sigaction(signal, &action, std::ptr::null_mut()) } != 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

extern "C" fn on_signal(signal: libc::c_int, info: *mut libc::siginfo_t, _context: *mut libc::c_void) {
    // SAFETY: with SA_SIGINFO the kernel passes a valid siginfo, whose sender is 0 if the kernel itself sent the signal.
    let sender = unsafe { (*info).si_pid() };
    let counter = match sender == PARENT.load(Ordering::Relaxed) {
        true => &FROM_PARENT,
        false => &FROM_OTHERS,
    };
    counter.fetch_add(1, Ordering::Relaxed);
    if count() > 1 {
        // SAFETY: `_exit` is async-signal-safe and takes any status.
        unsafe { libc::_exit(128 + signal) };
    }
}
