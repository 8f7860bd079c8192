//! Children that were forked from the host's process.
//!
//! A child made by `fork` has one thread and a copy of all memory. In it some locks, such as the GIL, may never be
//! released. It must not wait for such a lock, and must not continue as a second host with the connections and cursors of
//! the first.

use std::ffi::CStr;
use std::mem;
use std::os::fd::RawFd;
use std::ptr;
use std::sync::Once;
use std::sync::atomic::{AtomicBool, AtomicI32, AtomicU64, Ordering};

/// Whether this process is a child. It is set before `fork` returns in the child. It is never set in the host: `vfork` and
/// `posix_spawn`, which share the host's memory until they start a program, do not call the handlers of `fork`.
static IS_CHILD: AtomicBool = AtomicBool::new(false);

/// The error of all calls in a child.
pub(crate) const IN_CHILD: &CStr =
    c"this process was forked from the one in which the plugin was initialised, and only \
                                    that one can use it: load plugins after forking, so run Falco in the foreground";

/// The value for "no descriptor".
const NONE: RawFd = -1;
/// The ends of a pipe that is never written to. Only the host's process has the writing end, so the reading end reports a
/// hang-up when that process ends, whatever ends it. The pipe is made before Python forks for the first time.
static READING_END: AtomicI32 = AtomicI32::new(NONE);
static WRITING_END: AtomicI32 = AtomicI32::new(NONE);
/// The inode of the pipe.
static INODE: AtomicU64 = AtomicU64::new(0);
/// In a child, its own descriptor of the reading end, and the session in which it was forked.
static CHILD_END: AtomicI32 = AtomicI32::new(NONE);
static SESSION: AtomicI32 = AtomicI32::new(0);

/// Sets [`is_child`] in all children that are forked from now on.
pub(crate) fn watch() {
    extern "C" fn in_child() {
        IS_CHILD.store(true, Ordering::Relaxed);
        let end = WRITING_END.swap(NONE, Ordering::Relaxed);
        // The plugin may have closed all descriptors, so that the number may now be that of another file.
        if end != NONE && is_of_pipe(end) {
            // SAFETY: it is the pipe's writing end, which nothing uses. close may be called in a forked child.
            unsafe { libc::close(end) };
        }
    }
    static ONCE: Once = Once::new();
    ONCE.call_once(|| {
        // SAFETY: the handler only makes calls that are allowed in a forked child. It exists as long as the process,
        // because the extension module is never unloaded. If there is no memory for it, children are not recognised.
        let _ = unsafe { libc::pthread_atfork(None, None, Some(in_child)) };
    });
}

/// Returns whether this process is a child. The result only changes if the caller forks.
#[inline]
pub fn is_child() -> bool {
    IS_CHILD.load(Ordering::Relaxed)
}

/// Ends the process if it is a child. It is called when user code returns, so that a child that was forked there does not
/// continue in the host's code.
#[inline]
pub fn end_child() {
    if is_child() {
        end();
    }
}

/// Makes the pipe that reports the end of the host to children. It is called before Python forks.
pub fn prepare() {
    static ONCE: Once = Once::new();
    if is_child() {
        return;
    }
    ONCE.call_once(|| {
        let mut ends = [NONE; 2];
        // SAFETY: `ends` has space for both descriptors.
        if unsafe { libc::pipe2(ends.as_mut_ptr(), libc::O_CLOEXEC) } == 0 {
            INODE.store(inode_of(ends[0]).unwrap_or_default(), Ordering::Relaxed);
            READING_END.store(ends[0], Ordering::Relaxed);
            WRITING_END.store(ends[1], Ordering::Relaxed);
        }
    });
}

/// Makes a child that Python forked send SIGTERM to itself when the host's process ends. A child that has started its own
/// session by then is a daemon, and continues to run.
///
/// The child opens the pipe again, and the kernel sends SIGIO when the writing end is closed. `PR_SET_PDEATHSIG` is not
/// used, because it would end the child with the thread that forked it, and Falco tries plugins before a reload on a thread
/// that ends. A thread that waits for the host is not used, because it would keep the child alive when its other threads
/// end.
pub fn end_with_host() {
    let end = READING_END.load(Ordering::Relaxed);
    if end != NONE && !is_of_pipe(end) {
        // The plugin has closed all descriptors, so that the number may now be that of another file.
        return;
    }
    if end == NONE || !signals_end_of(end) {
        write_line(
            "falco-plugin: a process that the plugin forked cannot detect the end of its host, and may outlive it: mount \
             /proc, and raise the limit of open files",
        );
    }
    // The host may already have ended.
    on_end_of_host(libc::SIGIO);
}

/// Requests SIGIO for the end of the pipe. The process that gets the signal is a property of the open file description, so
/// each child opens its own. Returns whether that succeeded.
fn signals_end_of(end: RawFd) -> bool {
    let path = format!("/proc/self/fd/{end}\0");
    // SAFETY: the path ends with a NUL. `action` is valid when zeroed, and its function has the type for SA_RESTART alone.
    // The other calls take numbers, and fail for an invalid one.
    unsafe {
        let own = libc::open(
            path.as_ptr().cast(),
            libc::O_RDONLY | libc::O_NONBLOCK | libc::O_CLOEXEC,
        );
        CHILD_END.store(own, Ordering::Relaxed);
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

/// Ends the child if the host has ended. The pipe is checked, because kernels before 5.6 also send the signal when another
/// child closes its end.
extern "C" fn on_end_of_host(_signal: libc::c_int) {
    let mut polled = libc::pollfd {
        fd: CHILD_END.load(Ordering::Relaxed),
        events: 0,
        revents: 0,
    };
    // SAFETY: the calls are allowed in a signal handler, and `errno` is restored. `polled` is valid while it is used; poll
    // ignores a negative descriptor.
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
    // SAFETY: the struct is valid when zeroed, and is the caller's to be written.
    unsafe {
        let mut status = mem::zeroed::<libc::stat>();
        (libc::fstat(descriptor, &mut status) == 0).then_some(status.st_ino)
    }
}

/// Makes a child that user code forked end with [`end`]. Otherwise the C library would run all exit handlers of the host
/// in it.
pub fn end_at_exit() {
    extern "C" fn at_exit() {
        end();
    }
    // SAFETY: the handler exists as long as the process, because the extension module is never unloaded.
    let _ = unsafe { libc::atexit(at_exit) };
}

/// Ends the child without its exit handlers, because they belong to the host.
#[cold]
fn end() -> ! {
    write_line(
        "falco-plugin: a process that the plugin forked returned to the code of its host, and was ended: end it with \
         os._exit(), or start it with subprocess or multiprocessing",
    );
    // SAFETY: may be called at any time.
    unsafe { libc::_exit(1) }
}

/// Writes a line to stderr without taking a lock: another thread may have held it when the child was forked.
pub(crate) fn write_line(message: &str) {
    let line = format!("{message}\n");
    // SAFETY: the bytes are valid during the call. If stderr is closed, the message is lost.
    let _ = unsafe { libc::write(libc::STDERR_FILENO, line.as_ptr().cast(), line.len()) };
}
