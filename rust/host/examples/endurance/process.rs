//! Memory, descriptors and threads of this process.

use std::fs;
use std::path::Path;

use serde_json::{Value, json};

use crate::report;

const ARENAS: libc::c_int = 2;
/// The size from which a block is returned to the system when it is freed, in bytes.
const MMAP_THRESHOLD: libc::c_int = 128 << 10;

/// Makes malloc keep little free memory. By default, glibc keeps it in one arena for nearly each thread, in which a leak
/// could hide.
pub fn limit_free_memory() {
    // SAFETY: takes numbers. No other thread allocates yet.
    unsafe {
        libc::mallopt(libc::M_ARENA_MAX, ARENAS);
        libc::mallopt(libc::M_MMAP_THRESHOLD, MMAP_THRESHOLD);
    }
}

/// Returns a sample of the quantities that must not grow. `python` is the JSON of a plugin's suggested open parameters,
/// which describe the interpreter.
pub fn sample(python: &str) -> Value {
    // SAFETY: takes no arguments and returns numbers.
    let heap = unsafe { libc::mallinfo2() };
    let python: Value = serde_json::from_str(python).unwrap_or_else(|error| report::abort(error));
    json!({
        "rss_kib": resident_kib(),
        "heap_kib": (heap.uordblks + heap.hblkhd) / 1024,
        // The folder itself is open while its entries are counted.
        "descriptors": entries("/proc/self/fd") - 1,
        "maps": mappings(),
        "threads": threads(),
        "python": python,
    })
}

/// Returns the number of threads.
pub fn threads() -> usize {
    entries("/proc/self/task")
}

/// Returns the number of mappings of memory.
fn mappings() -> usize {
    let maps = fs::read_to_string("/proc/self/maps").unwrap_or_else(|error| report::abort(error));
    maps.lines().count()
}

fn entries(folder: impl AsRef<Path>) -> usize {
    fs::read_dir(folder)
        .unwrap_or_else(|error| report::abort(error))
        .count()
}

fn resident_kib() -> u64 {
    let status = fs::read_to_string("/proc/self/statm").unwrap_or_else(|error| report::abort(error));
    let pages: Option<u64> = status.split_whitespace().nth(1).and_then(|pages| pages.parse().ok());
    // SAFETY: takes a number and accesses no memory.
    let page = unsafe { libc::sysconf(libc::_SC_PAGESIZE) };
    pages.unwrap_or_default() * page.unsigned_abs() / 1024
}
