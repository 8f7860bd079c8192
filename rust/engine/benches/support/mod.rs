//! Payloads and settings that the benchmarks share.
#![allow(dead_code, reason = "no benchmark uses all of it")]

use std::time::{Duration, Instant};

use criterion::{Bencher, Criterion};

/// A line of a service's log, 300 bytes, with the level near the beginning and the trace id at the end.
pub const LINE: &[u8] = include_bytes!("line.json");
/// A Kubernetes audit event of 1.9 KB.
pub const AUDIT: &[u8] = include_bytes!("audit.json");

/// Returns short measurements, for interactive use. Options of the command line change them.
pub fn criterion() -> Criterion {
    Criterion::default()
        .warm_up_time(Duration::from_millis(200))
        .measurement_time(Duration::from_secs(1))
        .sample_size(50)
        .without_plots()
}

/// Measures the time of one event, if a call makes several events and returns their number.
pub fn measure_event(bencher: &mut Bencher<'_>, mut next_batch: impl FnMut() -> usize) {
    bencher.iter_custom(|wanted| {
        let start = Instant::now();
        let mut made = 0;
        while made < wanted {
            made += next_batch() as u64;
        }
        start.elapsed().mul_f64(wanted as f64 / made as f64)
    });
}
