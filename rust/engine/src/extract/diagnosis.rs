//! Counts why fields are absent, for each field and cause, and reports it once in a while.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use super::problem::{Found, Problem};
use super::{Argument, Field, JsonReader};
use crate::json::{Fault, FaultKind};

/// Time between two reports of one cause: a source with only bad events must not fill the log of the host.
const BETWEEN_REPORTS: Duration = Duration::from_secs(60);
/// How much of an argument a report shows.
const MOST_ARGUMENT: usize = 100;

/// Reports a message to the operator.
pub type Report = Box<dyn Fn(&str) + Send + Sync>;

/// Counts the problems of one plugin's fields.
pub(super) struct Diagnosis {
    counts: Mutex<Vec<Count>>,
    report: Report,
}

impl std::fmt::Debug for Diagnosis {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Diagnosis")
            .field("counts", &self.counts)
            .finish_non_exhaustive()
    }
}

/// Counts of one cause. Their number is bounded by the number of fields and of kinds of faults.
#[derive(Debug)]
struct Count {
    cause: Cause,
    unreported: u64,
    /// The first event that was not reported yet: the beginning of the next report.
    example: String,
    reported: Option<Instant>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A payload cannot be read as JSON, or not all of it.
    Payload(FaultKind),
    /// A field's value is not of its type.
    Field(usize, Found),
}

impl Diagnosis {
    pub(super) fn new(report: Report) -> Self {
        Self {
            counts: Mutex::default(),
            report,
        }
    }

    /// Counts a problem of an event, and reports it unless its cause was reported within the last minute.
    #[cold]
    pub(super) fn note(
        &self,
        problem: Problem,
        event: u64,
        field: (usize, &Field),
        argument: &Argument<'_>,
        now: Instant,
    ) {
        let (index, field) = field;
        let cause = match problem {
            Problem::Fault(Fault { kind, .. }) => Cause::Payload(kind),
            Problem::Mismatch { found, .. } => Cause::Field(index, found),
        };
        let message = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let index = counts
                .iter()
                .position(|count| count.cause == cause)
                .unwrap_or(counts.len());
            if index == counts.len() {
                counts.push(Count {
                    cause,
                    unreported: 0,
                    example: String::new(),
                    reported: None,
                });
            }
            let count = &mut counts[index];
            if count.unreported == 0 {
                count.example = example(problem, event, field, argument);
            }
            count.unreported += 1;
            let is_recent = |reported: Instant| now.duration_since(reported) < BETWEEN_REPORTS;
            (!count.reported.is_some_and(is_recent)).then(|| count.take(now))
        };
        // The lock is released first, because the host's log may be slow.
        if let Some(message) = message {
            (self.report)(&message);
        }
    }

    /// Reports the counts that were not reported yet. Called before the plugin is destroyed.
    pub(super) fn finish(&self, now: Instant) {
        let messages: Vec<_> = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let unreported = counts.iter_mut().filter(|count| count.unreported > 0);
            unreported.map(|count| count.take(now)).collect()
        };
        for message in messages {
            (self.report)(&message);
        }
    }
}

impl Count {
    /// Makes the message about the events that were not reported yet.
    fn take(&mut self, now: Instant) -> String {
        let count = std::mem::take(&mut self.unreported);
        self.reported = Some(now);
        let what = match self.cause {
            Cause::Payload(_) => "payloads",
            Cause::Field(..) => "values",
        };
        match count {
            1 => self.example.clone(),
            count => format!("{}; the first of {count} such {what}", self.example),
        }
    }
}

/// Describes one problem: its cause and position, without any content of the event.
fn example(problem: Problem, event: u64, field: &Field, argument: &Argument<'_>) -> String {
    match problem {
        Problem::Fault(Fault { offset, kind }) => {
            format!("event {event} is not valid JSON at byte {offset}: {kind}; its fields are read as far as possible")
        }
        Problem::Mismatch { offset, found } => {
            let reader = field.json();
            let pointer = reader.map_or("", |reader| reader.pattern().text());
            let declared = reader.map_or("", JsonReader::type_name);
            let mut name = field.name.clone();
            let mut pointer = pointer.to_owned();
            if let Some(key) = argument.key {
                let key: String = key.chars().take(MOST_ARGUMENT).collect();
                let _ = write!(name, "[{key}]");
                if pointer == "{pointer}" {
                    pointer = key;
                }
            } else if let Some(index) = argument.index {
                let _ = write!(name, "[{index}]");
            }
            format!("field {name}: {pointer} is {found}, declared {declared}, in event {event} at byte {offset}")
        }
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;
    use crate::extract::{ArgumentMode, FieldType, Reader};

    fn field() -> Field {
        Field {
            name: "p.num".into(),
            kind: FieldType::Uint64,
            index: ArgumentMode::None,
            key: ArgumentMode::None,
            reader: Reader::Json(Arc::new(JsonReader::new("/user/name", FieldType::Uint64).unwrap())),
        }
    }

    #[test]
    fn causes_are_reported_first_once_a_minute_and_at_the_end() {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&messages);
        let diagnosis = Diagnosis::new(Box::new(move |message| {
            reported.lock().unwrap().push(message.to_owned())
        }));
        let said = || std::mem::take(&mut *messages.lock().unwrap());
        let field = field();
        let start = Instant::now();
        let note = |seconds, event, problem| {
            let now = start + Duration::from_secs(seconds);
            diagnosis.note(problem, event, (0, &field), &Argument::default(), now);
        };
        let mismatch = Problem::Mismatch {
            offset: 17,
            found: Found::String,
        };
        let fault = Problem::Fault(Fault {
            offset: 31,
            kind: FaultKind::InvalidUtf8,
        });
        note(0, 3, mismatch);
        assert_eq!(
            said(),
            ["field p.num: /user/name is a string, declared int, in event 3 at byte 17"]
        );
        note(1, 4, fault);
        assert_eq!(
            said(),
            ["event 4 is not valid JSON at byte 31: invalid UTF-8; its fields are read as far as possible"]
        );
        note(2, 5, mismatch);
        note(59, 6, mismatch);
        assert!(said().is_empty());
        note(60, 7, mismatch);
        assert_eq!(
            said(),
            ["field p.num: /user/name is a string, declared int, in event 5 at byte 17; the first of 3 such values"]
        );
        note(61, 8, fault);
        assert!(!said().is_empty());
        note(62, 9, fault);
        diagnosis.finish(start + Duration::from_secs(63));
        assert_eq!(
            said(),
            ["event 9 is not valid JSON at byte 31: invalid UTF-8; its fields are read as far as possible"]
        );
        diagnosis.finish(start + Duration::from_secs(64));
        assert!(said().is_empty());
    }
}
