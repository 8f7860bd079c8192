//! The live line on a terminal: the number of events, their rate, and the progress of their source.

use std::time::{Duration, Instant};

use crate::command::capture::Totals;
use crate::output::console;
use crate::text::count::format_count;

/// The time between two updates.
const INTERVAL: Duration = Duration::from_millis(200);

/// The live line. Dropping it clears the line.
pub struct Live {
    start: Instant,
    next: Instant,
    shown_events: u64,
    shown_at: Instant,
}

impl Live {
    /// Begins a live line; returns `None` if standard error is not a terminal that can clear a line.
    pub fn begin(start: Instant) -> Option<Self> {
        console::is_terminal().then(|| Self {
            start,
            next: start + INTERVAL,
            shown_events: 0,
            shown_at: start,
        })
    }

    /// Shows the line, if its time has come. `progress` returns the progress from 0 to 1, and its description.
    pub fn update(&mut self, totals: &Totals, progress: impl FnOnce() -> (Option<f64>, Option<String>)) {
        let now = Instant::now();
        if now < self.next {
            return;
        }
        let rate = (totals.events - self.shown_events) as f64 / (now - self.shown_at).as_secs_f64();
        let seconds = (now - self.start).as_secs_f64();
        let mut line = format!("{}, {rate:.0}/s, {seconds:.0} s", format_count(totals.events, "event"));
        match progress() {
            (_, Some(description)) => line += &format!(", {description}"),
            (Some(fraction), None) => line += &format!(", {:.1} %", fraction * 100.0),
            (None, None) => {}
        }
        console::live(&line);
        (self.shown_events, self.shown_at, self.next) = (totals.events, now, now + INTERVAL);
    }
}

impl Drop for Live {
    fn drop(&mut self) {
        console::clear();
    }
}
