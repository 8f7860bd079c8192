//! A counter of time.

use std::cell::Cell;
use std::time::{Duration, Instant};

use super::Counter;

/// Counts the duration of calls, in nanoseconds. Calls on several threads add up.
#[derive(Debug, Default)]
pub struct TimeCounter(Counter);

/// One in this many calls for single events is measured, on average. Reading the clock would cost a noticeable part of
/// the time of a short call.
const CALLS_PER_SAMPLE: u32 = 16;

impl TimeCounter {
    /// Returns the counter of nanoseconds.
    pub fn nanoseconds(&self) -> &Counter {
        &self.0
    }

    /// Runs code and adds its duration.
    #[inline]
    pub fn measure<R>(&self, code: impl FnOnce() -> R) -> R {
        self.measure_for(1, code)
    }

    /// Runs code that is called for single events, and adds an estimate of its duration.
    #[inline]
    pub fn sample<R>(&self, code: impl FnOnce() -> R) -> R {
        if Sampler::is_due() {
            self.measure_for(CALLS_PER_SAMPLE, code)
        } else {
            code()
        }
    }

    fn measure_for<R>(&self, calls: u32, code: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = code();
        self.0.add(nanoseconds(start.elapsed() * calls));
        result
    }
}

fn nanoseconds(duration: Duration) -> u64 {
    u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX)
}

/// Chooses the calls of a thread that are measured.
///
/// The distances between them are random: with a fixed distance, a plugin with as many fields would have the same field
/// measured for each event.
#[derive(Clone, Copy)]
struct Sampler {
    /// Calls before the next one that is measured.
    left: u32,
    random: u32,
}

impl Sampler {
    #[inline]
    fn is_due() -> bool {
        thread_local!(static SAMPLER: Cell<Sampler> = const { Cell::new(Sampler { left: 0, random: 1 }) });
        let mut sampler = SAMPLER.get();
        let is_due = sampler.left == 0;
        if is_due {
            sampler.draw();
        } else {
            sampler.left -= 1;
        }
        SAMPLER.set(sampler);
        is_due
    }

    /// Draws the distance to the next measured call, [`CALLS_PER_SAMPLE`] on average.
    fn draw(&mut self) {
        self.random ^= self.random << 13;
        self.random ^= self.random >> 17;
        self.random ^= self.random << 5;
        // From 0 to twice the average less 2, because the measured call itself is one of the calls.
        self.left = self.random % (2 * CALLS_PER_SAMPLE - 1);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn measure_and_sample_add_durations() {
        let time = TimeCounter::default();
        assert_eq!(time.measure(|| 7), 7);
        let measured = time.nanoseconds().value();
        assert!(measured > 0);
        // More calls than the longest distance between two that are measured.
        for _ in 0..2 * CALLS_PER_SAMPLE {
            assert_eq!(time.sample(|| 7), 7);
        }
        assert!(time.nanoseconds().value() > measured);
    }

    #[test]
    fn one_in_sixteen_calls_is_due_on_average() {
        let mut sampler = Sampler { left: 0, random: 1 };
        let draws: Vec<u32> = (0..10_000)
            .map(|_| {
                sampler.draw();
                sampler.left + 1
            })
            .collect();
        let average = f64::from(draws.iter().sum::<u32>()) / draws.len() as f64;
        assert!((average - f64::from(CALLS_PER_SAMPLE)).abs() < 0.5, "{average}");
        assert_eq!((draws.iter().min(), draws.iter().max()), (Some(&1), Some(&31)));
    }
}
