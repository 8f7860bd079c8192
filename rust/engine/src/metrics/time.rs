//! A counter of time.

use std::time::{Duration, Instant};

use super::Counter;

/// Counts the duration of calls, in nanoseconds. Calls on several threads add up.
#[derive(Debug, Default)]
pub struct TimeCounter(Counter);

/// The calls for one in this many events are measured, on average. Reading the clock would cost a noticeable part of the
/// time of a short call.
const EVENTS_PER_SAMPLE: u64 = 16;

impl TimeCounter {
    /// Returns the counter of nanoseconds.
    pub fn nanoseconds(&self) -> &Counter {
        &self.0
    }

    /// Runs code and adds its duration.
    #[inline]
    pub fn measure<R>(&self, code: impl FnOnce() -> R) -> R {
        let start = Instant::now();
        let result = code();
        self.add(start.elapsed());
        result
    }

    /// Runs code that is called for single events, and adds an estimate of its duration. `number` is that of the event among
    /// those of its thread.
    #[inline]
    pub fn sample<R>(&self, number: u64, code: impl FnOnce() -> R) -> R {
        let start = is_due(number).then(Instant::now);
        // The only call of the code, so that it is inlined here.
        let result = code();
        if let Some(start) = start {
            self.add(start.elapsed() * EVENTS_PER_SAMPLE as u32);
        }
        result
    }

    #[cold]
    fn add(&self, duration: Duration) {
        self.0.add(u64::try_from(duration.as_nanos()).unwrap_or(u64::MAX));
    }
}

/// Returns whether the calls for an event are measured, by its number among those of a thread.
///
/// The multiples of an irrational number are spread evenly between 0 and 1, and so are those of each second or each third
/// event. So the choice favours no kind of event, however a plugin's events take turns. It needs no state.
#[inline]
fn is_due(number: u64) -> bool {
    /// 2^64 times the golden ratio without its whole part.
    const GOLDEN: u64 = 0x9e37_79b9_7f4a_7c15;
    number.wrapping_mul(GOLDEN) < u64::MAX / EVENTS_PER_SAMPLE
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
        for number in 0..100 {
            assert_eq!(time.sample(number, || 7), 7);
        }
        assert!(time.nanoseconds().value() > measured);
    }

    #[test]
    fn one_in_sixteen_events_is_due_however_kinds_take_turns() {
        for kinds in [1, 2, 3, 5, 8, 16, 128] {
            for kind in 0..kinds {
                let numbers = (0..16_000).map(|index| index * kinds + kind);
                let due = numbers.filter(|number| is_due(*number)).count();
                assert!((980..=1020).contains(&due), "{due} of kind {kind} of {kinds}");
            }
        }
    }
}
