//! Children of the host's process.
//!
//! A child made by `fork` has one thread, a copy of all memory, and locks that nobody will ever release, the GIL among
//! them. It must not go on as a second host with the first one's connections and cursors, nor wait for such a lock.

use std::ffi::CStr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, Ordering};

/// Set in a child before `fork` returns there, and never in the host itself: what starts a program instead, such as
/// `vfork` and `posix_spawn`, shares the host's memory until then, and calls no handlers.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// The answer to the calls that a child makes.
pub(crate) const IN_CHILD: &CStr =
    c"this process was forked from the one in which the plugin was initialised, and only \
                                    that one can use it: load plugins after forking, so run Falco in the foreground";

/// Notices forks from now on.
pub(crate) fn watch() {
    extern "C" fn in_child() {
        IS_CHILD.store(true, Ordering::Relaxed);
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler only stores to an atomic. It lives as long as the process, because the library that this
        // is part of is never closed. Where there is no memory for it, children are not noticed.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Whether this process is a child. It never changes but by a fork that the caller makes.
#[inline]
pub fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// To be called where the author's code returns: a child that was made there ends here, whatever it was about to do.
#[inline]
pub fn end_child() {
    if is_child() {
        end();
    }
}

/// To be called in a child that the author's code made: where its one thread ends, the C library would go through all
/// that the host does at its end.
pub fn end_at_exit() {
    extern "C" fn at_exit() {
        end();
    }
    // SAFETY: the handler lives as long as the process, as above.
    let _ = unsafe { libc::atexit(at_exit) };
}

/// Runs none of what a process does at its end: all of it belongs to the parent.
#[cold]
fn end() -> ! {
    write_line(
        "falco-plugin: a process that the plugin forked came back into the code of its host, and is ended here: end it \
         with os._exit(), or start it with subprocess or multiprocessing",
    );
    // SAFETY: may be called at any time.
    unsafe { libc::_exit(1) }
}

/// Writes a line to stderr without a lock, which a thread may have held when the child was made.
pub(crate) fn write_line(text: &str) {
    let line = format!("{text}\n");
    // SAFETY: the bytes are valid during the call. Where stderr is gone, there is nowhere left to say so.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}
