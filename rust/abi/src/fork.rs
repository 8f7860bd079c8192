//! Children of the host's process.
//!
//! A child made by `fork` has one thread, a copy of all memory, and locks that nobody will ever release, the GIL among
//! them. It must not go on as a second host with the first one's connections and cursors, nor wait for such a lock.

use std::ffi::CStr;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// Set in a child before `fork` returns there, and never in the host itself: what starts a program instead, such as
/// `vfork` and `posix_spawn`, shares the host's memory until then, and calls no handlers.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// The answer to the calls that a child makes.
pub(crate) const IN_CHILD: &CStr =
    c"this process was forked from the one in which the plugin was initialised, and only \
                                    that one can use it: load plugins after forking, so run Falco in the foreground";

/// No descriptor.
const NONE: RawFd = -1;
/// The ends of a pipe into which nobody writes. Only the host's process has its writing end, so reading it ends when that
/// process does, however it ends. Made before the first child that Python forks.
static HOST_LIVES: AtomicI32 = AtomicI32::new(NONE);
static HELD_BY_HOST: AtomicI32 = AtomicI32::new(NONE);
/// The pipe's inode.
static INODE: AtomicU64 = AtomicU64::new(0);
/// In a child: its own reading end, and the session that it was forked in.
static OWN_END: AtomicI32 = AtomicI32::new(NONE);
static SESSION: AtomicI32 = AtomicI32::new(0);

/// Notices forks from now on.
pub(crate) fn watch() {
    extern "C" fn in_child() {
        IS_CHILD.store(true, Ordering::Relaxed);
        let held = HELD_BY_HOST.swap(NONE, Ordering::Relaxed);
        // A plugin may have closed all descriptors, and the number may be that of another file.
        if held != NONE && is_of_pipe(held) {
            // SAFETY: it is the pipe's writing end, which nobody uses. May be called in a forked child.
            unsafe { libc::close(held) };
        }
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler makes no calls but those that a forked child may make. It lives as long as the process,
        // because the library that this is part of is never closed. Without memory for it, children are not noticed.
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

/// Makes the pipe by which a child notices that its host has ended. Called before Python forks.
pub fn prepare() {
    static ONCE: Once = Once::new();
    if is_child() {
        return;
    }
    ONCE.call_once(|| {
        let mut ends = [NONE; 2];
        // SAFETY: `ends` has room for both descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == 0 {
            INODE.store(inode_of(ends[0]).unwrap_or_default(), Ordering::Relaxed);
            HOST_LIVES.store(ends[0], Ordering::Relaxed);
            HELD_BY_HOST.store(ends[1], Ordering::Relaxed);
        }
    });
}

/// Makes a child that Python forked send SIGTERM to itself when the host's process ends. A child that has begun its own
/// session by then is a daemon, and continues to run.
///
/// `PR_SET_PDEATHSIG` would end the child with the thread that forked it, such as the one on which Falco tries a plugin
/// before a reload. A thread that waits would keep the child alive when its other threads end. So the child opens the pipe
/// once more, and the kernel sends SIGIO when the pipe's writing end is gone.
pub fn end_with_host() {
    let end = HOST_LIVES.load(Ordering::Relaxed);
    if end != NONE && !is_of_pipe(end) {
        // The process that forked this one has closed all descriptors, and the number may be that of another file.
        return;
    }
    if end == NONE || !signals_end_of(end) {
        write_line(
            "falco-plugin: a process that the plugin forked cannot see the end of its host, and may outlive it: mount \
             /proc, and raise the limit of open files",
        );
    }
    // The host may have ended before.
    on_end_of_host(libc::SIGIO);
}

/// Requests SIGIO at the end of the pipe. The process that gets the signal is a property of the open file description,
/// so each child opens its own.
fn signals_end_of(end: RawFd) -> bool {
    let path = format!("/proc/self/fd/{end}\0");
    // SAFETY: the path ends with a NUL. `action` is valid when zeroed, and its function is of the kind for no flag but
    // SA_RESTART. The other calls take numbers, and fail for a wrong one.
    unsafe {
        let own = libc::open(
            path.as_ptr().cast(),
            libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC,
        );
        OWN_END.store(own, Ordering::Relaxed);
        SESSION.store(libc::getsid(0), Ordering::Relaxed);
        let mut action = mem::zeroed::<libc::sigaction>();
        action.sa_sigaction = on_end_of_host as extern "C" fn(libc::c_int) as libc::sighandler_t;
        action.sa_flags = libc::SA_RESTART;
        own != NONE
            && libc::sigaction(libc::SIGIO, &action, ptr::null_mut()) == 0
            && libc::fcntl(own, libc::F_SETOWN, libc::getpid()) == 0
            && libc::fcntl(own, libc::F_SETFL, libc::O_NONBLOCK | libc::O_ASYNC) == 0
    }
}

/// Kernels before 5.6 also send the signal when another child closes its end, so the pipe is checked.
extern "C" fn on_end_of_host(_signal: libc::c_int) {
    let mut polled = libc::pollfd {
        fd: OWN_END.load(Ordering::Relaxed),
        events: 0,
        revents: 0,
    };
    // SAFETY: the calls may be made in a signal handler, which leaves `errno` as it was; `polled` is valid while it is used.
    // A negative descriptor is not polled.
    unsafe {
        let errno = *libc::__errno_location();
        if libc::poll(&mut polled, 1, 0) == 1
            && polled.revents & libc::POLLHUP != 0
            && libc::getsid(0) == SESSION.load(Ordering::Relaxed)
        {
            libc::kill(libc::getpid(), libc::SIGTERM);
        }
        *libc::__errno_location() = errno;
    }
}

/// Returns whether a descriptor is still an end of the pipe.
fn is_of_pipe(descriptor: RawFd) -> bool {
    inode_of(descriptor) == Some(INODE.load(Ordering::Relaxed))
}

/// Returns the inode of an open file; each pipe has its own.
fn inode_of(descriptor: RawFd) -> Option<u64> {
    // SAFETY: the struct is valid when zeroed, and has room for the answer.
    unsafe {
        let mut status = mem::zeroed::<libc::stat>();
        (libc::fstat(descriptor, &mut status) == 0).then_some(status.st_ino)
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
