//! What the system says of this process.

use std::fs;
use std::mem::MaybeUninit;
use std::time::Duration;

/// The time that all threads have computed.
pub fn cpu_time() -> Duration {
    let mut time = MaybeUninit::<libc::timespec>::zeroed();
    // SAFETY: `time` is writable and of the type that the call fills in. Zeroes are a valid value, should it fail.
    let time = unsafe {
        libc::clock_gettime(libc::CLOCK_PROCESS_CPUTIME_ID, time.as_mut_ptr());
        time.assume_init()
    };
    Duration::new(time.tv_sec.unsigned_abs(), time.tv_nsec as u32)
}

/// The resident memory in KiB; None where the system has no such file.
pub fn resident_kib() -> Option<u64> {
    status("VmRSS:")
}

/// The most resident memory that there has been, in KiB.
pub fn peak_kib() -> Option<u64> {
    status("VmHWM:")
}

fn status(name: &str) -> Option<u64> {
    let text = fs::read_to_string("/proc/self/status").ok()?;
    let line = text.lines().find_map(|line| line.strip_prefix(name))?;
    line.split_whitespace().next()?.parse().ok()
}
