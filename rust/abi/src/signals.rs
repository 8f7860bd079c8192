//! Signals of a thread, and of a forked child.

use std::mem;
use std::ptr;

/// Blocks all signals on this thread, and leaves them to the other threads of the process.
pub fn block_all() {
    // SAFETY: `set` is filled before it is used, and the mask of this thread alone is changed.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigfillset(&mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &set, ptr::null_mut());
    }
}

/// Gives a child that Python forked default signal handlers, and unblocks all signals. The host's handlers act on the host's
/// state, and often only set a flag there. So a child that kept them, or the mask of the thread that forked it, could not be
/// terminated. Ignored signals stay ignored.
pub fn reset_in_child() {
    // SAFETY: both structs are valid when zeroed, and filled before they are used. The calls may be made in a forked child,
    // and change this process alone, which has one thread.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let mut action = mem::zeroed::<libc::sigaction>();
            // It fails for the signals that the C library keeps to itself.
            if libc::sigaction(signal, ptr::null(), &mut action) == 0
                && action.sa_sigaction != libc::SIG_DFL
                && action.sa_sigaction != libc::SIG_IGN
            {
                action.sa_sigaction = libc::SIG_DFL;
                action.sa_flags = 0;
                libc::sigaction(signal, &action, ptr::null_mut());
            }
        }
        let mut none = mem::zeroed();
        libc::sigemptyset(&mut none);
        libc::pthread_sigmask(libc::SIG_SETMASK, &none, ptr::null_mut());
    }
}
