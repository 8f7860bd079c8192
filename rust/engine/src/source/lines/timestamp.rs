//! Reads the time of a line of JSON, and reports lines whose time cannot be read.

use std::time::Instant;

use crate::error::Error;
use crate::event::NO_TIMESTAMP;
use crate::extract::TimestampReader;
use crate::throttle::Throttle;
use crate::time::TimeError;

/// Reads the time at a JSON pointer, and reports times that it cannot read.
#[derive(Debug)]
pub(super) struct Timestamp {
    reader: TimestampReader,
    reports: Reports,
}

impl Timestamp {
    /// Creates a reader. `source` is the input's name in reports.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if the pointer is not valid, or names several values.
    pub(super) fn new(source: &str, pointer: &str) -> Result<Self, Error> {
        Ok(Self {
            reader: TimestampReader::new(pointer).map_err(Error::InvalidOption)?,
            reports: Reports::new(source, pointer),
        })
    }

    /// Returns the time of a line in nanoseconds since the epoch, or [`NO_TIMESTAMP`]. If it cannot be read, calls
    /// `position` for the line's position, and `warn` if a report is due.
    pub(super) fn read(&mut self, line: &[u8], position: impl FnOnce() -> u64, warn: impl Fn(&str)) -> u64 {
        let (nanoseconds, problem) = match self.reader.read(line) {
            Ok(time) if time.has_zone => return time.nanoseconds,
            Ok(time) => (time.nanoseconds, Problem::NoZone),
            Err(None) => (NO_TIMESTAMP, Problem::NoValue),
            Err(Some(TimeError::NotATime)) => (NO_TIMESTAMP, Problem::NotATime),
            Err(Some(TimeError::OutOfRange)) => (NO_TIMESTAMP, Problem::OutOfRange),
        };
        if let Some(report) = self.reports.count(problem, position(), Instant::now()) {
            warn(&report);
        }
        nanoseconds
    }

    /// Logs the number of lines since the last report. Call it when the source ends.
    pub(super) fn finish(&mut self, warn: impl Fn(&str)) {
        for report in self.reports.take_remaining(Instant::now()) {
            warn(&report);
        }
    }
}

/// Why a line has no time, or a doubtful one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Problem {
    NoValue,
    NotATime,
    OutOfRange,
    NoZone,
}

impl Problem {
    /// Returns what the pointer finds, and what to do about it.
    fn describe(self) -> (&'static str, &'static str) {
        match self {
            Self::NoValue => ("no value", "check the pointer, and that each line is a JSON object"),
            Self::NotATime => (
                "a value that is not a time",
                "write RFC 3339, or a number since the epoch",
            ),
            Self::OutOfRange => (
                "a time before 1970 or after 2554",
                "check the clock of the writer, and the unit of numbers",
            ),
            Self::NoZone => ("a time without a time zone", "write the zone, such as Z or +01:00"),
        }
    }
}

/// Counts the lines with each problem. Reports a problem at most once a minute, and times without a zone once in all.
#[derive(Debug)]
struct Reports {
    /// The beginning of each report: the input and the pointer.
    subject: String,
    counts: [(Problem, Count); 3],
    has_reported_zone: bool,
}

#[derive(Debug, Default)]
struct Count {
    lines: Throttle,
    last_position: u64,
}

impl Reports {
    fn new(source: &str, pointer: &str) -> Self {
        let problems = [Problem::NoValue, Problem::NotATime, Problem::OutOfRange];
        Self {
            subject: format!("{source}: timestamp {pointer:?}"),
            counts: problems.map(|problem| (problem, Count::default())),
            has_reported_zone: false,
        }
    }

    /// Counts a line. Returns a report if one is due.
    fn count(&mut self, problem: Problem, position: u64, now: Instant) -> Option<String> {
        let (found, remedy) = problem.describe();
        let subject = format_args!("{} finds {found} in the line at byte {position}", self.subject);
        let Some((_, count)) = self.counts.iter_mut().find(|(counted, _)| *counted == problem) else {
            if self.has_reported_zone {
                return None;
            }
            self.has_reported_zone = true;
            return Some(format!("{subject}; all such times are read as UTC: {remedy}"));
        };
        count.last_position = position;
        count.lines.count(now)?;
        Some(format!(
            "{subject}; the event gets the time of its arrival: {remedy} (lines so far: {})",
            count.lines.total()
        ))
    }

    /// Returns a report for each problem with lines since its last report.
    fn take_remaining(&mut self, now: Instant) -> Vec<String> {
        let mut reports = Vec::new();
        for (problem, count) in &mut self.counts {
            let total = count.lines.total();
            match count.lines.take_unreported(now) {
                0 => {}
                more => reports.push(format!(
                    "{} found {} in further lines, the last one at byte {} (since the last report: {more}, in all: {total})",
                    self.subject,
                    problem.describe().0,
                    count.last_position,
                )),
            }
        }
        reports
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;
    use crate::throttle::REPORT_INTERVAL;

    fn reports() -> Reports {
        Reports::new("app.log", "/time")
    }

    #[test]
    fn problem_is_reported_once_a_minute_with_its_count() {
        let mut reports = reports();
        let start = Instant::now();
        let mut count =
            |position, seconds| reports.count(Problem::NotATime, position, start + Duration::from_secs(seconds));
        assert_eq!(
            count(7, 0).unwrap(),
            "app.log: timestamp \"/time\" finds a value that is not a time in the line at byte 7; the event gets the \
             time of its arrival: write RFC 3339, or a number since the epoch (lines so far: 1)"
        );
        assert_eq!(count(8, 0), None);
        assert_eq!(count(9, 59), None);
        assert_eq!(
            count(70, 60).unwrap(),
            "app.log: timestamp \"/time\" finds a value that is not a time in the line at byte 70; the event gets the \
             time of its arrival: write RFC 3339, or a number since the epoch (lines so far: 4)"
        );
        assert_eq!(count(80, 119), None);
        assert!(count(90, 120).is_some());
    }

    #[test]
    fn each_problem_is_reported_separately() {
        let mut reports = reports();
        let now = Instant::now();
        for (problem, found) in [
            (Problem::NoValue, "finds no value in the line at byte 3"),
            (
                Problem::NotATime,
                "finds a value that is not a time in the line at byte 3",
            ),
            (
                Problem::OutOfRange,
                "finds a time before 1970 or after 2554 in the line at byte 3",
            ),
            (
                Problem::NoZone,
                "finds a time without a time zone in the line at byte 3; all such times are read as UTC",
            ),
        ] {
            let report = reports.count(problem, 3, now).unwrap();
            assert!(report.contains(found), "{report}");
            assert_eq!(reports.count(problem, 4, now), None);
        }
    }

    #[test]
    fn missing_zone_is_reported_once() {
        let mut reports = reports();
        let now = Instant::now();
        assert!(reports.count(Problem::NoZone, 3, now).is_some());
        assert_eq!(reports.count(Problem::NoZone, 3, now + 2 * REPORT_INTERVAL), None);
        assert_eq!(reports.take_remaining(now), Vec::<String>::new());
    }

    #[test]
    fn remaining_lines_are_reported_once_at_the_end() {
        let mut reports = reports();
        let now = Instant::now();
        for position in [1, 2, 3] {
            reports.count(Problem::NoValue, position, now);
            reports.count(Problem::OutOfRange, position * 10, now);
        }
        reports.count(Problem::NotATime, 4, now);
        assert_eq!(
            reports.take_remaining(now),
            [
                "app.log: timestamp \"/time\" found no value in further lines, the last one at byte 3 (since the last \
                 report: 2, in all: 3)",
                "app.log: timestamp \"/time\" found a time before 1970 or after 2554 in further lines, the last one at byte 30 \
                 (since the last report: 2, in all: 3)",
            ]
        );
        assert_eq!(reports.take_remaining(now), Vec::<String>::new());
    }
}
