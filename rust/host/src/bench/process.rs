//! Memory and CPU time of this process.

use std::fs;
use std::mem::MaybeUninit;
use std::time::Duration;

/// Returns the CPU time of all threads.
pub fn cpu_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is writable and has the type that the call writes. If the call fails, it is still valid, as zeroes.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// Returns the resident memory in KiB, or `None` if the system does not report it.
pub fn resident_kib() -> Option<u64> {
    status("VmRSS:")
}

/// Returns the largest resident memory so far, in KiB.
pub fn peak_kib() -> Option<u64> {
    status("VmHWM:")
}

/// Returns the number of a line in the status file.
fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
