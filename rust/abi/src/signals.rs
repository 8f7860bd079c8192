//! Signal masks and signal handlers.

use std::mem;
use std::ptr;

/// Blocks all signals on this thread, so that other threads of the process handle them.
pub fn block_all() {
    // SAFETY: `set` is filled before it is used, and the mask of this thread alone is changed.
    unsafe {
        let mut set = mem::zeroed();
        libc::sigfillset(&mut set);
        libc::pthread_sigmask(libc::SIG_SETMASK, &set, ptr::null_mut());
    }
}

/// Sets default signal handlers in a child that Python forked, and unblocks all signals. Ignored signals stay ignored.
///
/// The host's handlers often only set a flag for the host's main loop. A child that kept them, or the mask of the thread
/// that forked it, could not be terminated.
pub fn reset_in_child() {
    // SAFETY: both structs are valid when zeroed, and filled before they are used. The calls are allowed in a forked child.
    // They only change this process, which has one thread.
    unsafe {
        for signal in 1..=libc::SIGRTMAX() {
            let mut action = mem::zeroed::<libc::sigaction>();
            // sigaction fails for the signals that the C library reserves.
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
