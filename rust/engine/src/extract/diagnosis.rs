//! Counts why fields are absent, for each field and cause, and reports the counts.

use std::fmt::Write as _;
use std::sync::{Mutex, PoisonError};
use std::time::Instant;

use super::argument::Argument;
use super::field::Field;
use super::json::JsonReader;
use super::problem::{ActualType, Problem};
use crate::json::{Fault, FaultKind};
use crate::throttle::Throttle;

/// How many characters of an argument a report shows.
const MAX_ARGUMENT: usize = 100;

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

/// The count of one cause. The number of causes is limited by the numbers of fields and of kinds of faults.
#[derive(Debug)]
struct Count {
    cause: Cause,
    events: Throttle,
    /// The description of the first unreported event, with which the next report begins.
    example: String,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Cause {
    /// A payload, or a part of it, cannot be read as JSON.
    Payload(FaultKind),
    /// A field's value is not of its type.
    Field(usize, ActualType),
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
    pub(super) fn count(
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
                    events: Throttle::default(),
                    example: String::new(),
                });
            }
            let count = &mut counts[index];
            if count.events.unreported() == 0 {
                count.example = describe(problem, event, field, argument);
            }
            count.events.count(now).map(|events| count.report(events))
        };
        // Report without the lock, because the host's log may be slow.
        if let Some(message) = message {
            (self.report)(&message);
        }
    }

    /// Returns how many payloads cannot be read as JSON.
    pub(super) fn faulty_payloads(&self) -> u64 {
        self.total(|cause| matches!(cause, Cause::Payload(_)))
    }

    /// Returns how many values are not of their field's type.
    pub(super) fn mistyped_values(&self) -> u64 {
        self.total(|cause| matches!(cause, Cause::Field(..)))
    }

    fn total(&self, is_counted: impl Fn(Cause) -> bool) -> u64 {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let counts = counts.iter().filter(|count| is_counted(count.cause));
        counts.map(|count| count.events.total()).sum()
    }

    /// Reports the counts since the last report. Call it before the plugin is destroyed.
    pub(super) fn finish(&self, now: Instant) {
        let messages: Vec<_> = {
            let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
            let counts = counts
                .iter_mut()
                .map(|count| (count.events.take_unreported(now), count));
            let unreported = counts.filter(|(events, _)| *events > 0);
            unreported.map(|(events, count)| count.report(events)).collect()
        };
        for message in messages {
            (self.report)(&message);
        }
    }
}

impl Count {
    /// Returns the report of a number of events, the first of which is the example.
    fn report(&self, events: u64) -> String {
        let what = match self.cause {
            Cause::Payload(_) => "payloads",
            Cause::Field(..) => "values",
        };
        match events {
            1 => self.example.clone(),
            events => format!("{}; the first of {events} such {what}", self.example),
        }
    }
}

/// Describes a problem by its cause and position, without any content of the event.
fn describe(problem: Problem, event: u64, field: &Field, argument: &Argument<'_>) -> String {
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
                let key: String = key.chars().take(MAX_ARGUMENT).collect();
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
    use std::time::Duration;

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
    fn cause_is_reported_immediately_once_a_minute_and_at_the_end() {
        let messages = Arc::new(Mutex::new(Vec::new()));
        let reported = Arc::clone(&messages);
        let diagnosis = Diagnosis::new(Box::new(move |message| {
            reported.lock().unwrap().push(message.to_owned())
        }));
        let take_messages = || std::mem::take(&mut *messages.lock().unwrap());
        let field = field();
        let start = Instant::now();
        let count = |seconds, event, problem| {
            let now = start + Duration::from_secs(seconds);
            diagnosis.count(problem, event, (0, &field), &Argument::default(), now);
        };
        let mismatch = Problem::Mismatch {
            offset: 17,
            found: ActualType::String,
        };
        let fault = Problem::Fault(Fault {
            offset: 31,
            kind: FaultKind::InvalidUtf8,
        });
        count(0, 3, mismatch);
        assert_eq!(
            take_messages(),
            ["field p.num: /user/name is a string, declared int, in event 3 at byte 17"]
        );
        count(1, 4, fault);
        assert_eq!(
            take_messages(),
            ["event 4 is not valid JSON at byte 31: invalid UTF-8; its fields are read as far as possible"]
        );
        count(2, 5, mismatch);
        count(59, 6, mismatch);
        assert!(take_messages().is_empty());
        count(60, 7, mismatch);
        assert_eq!(
            take_messages(),
            ["field p.num: /user/name is a string, declared int, in event 5 at byte 17; the first of 3 such values"]
        );
        count(61, 8, fault);
        assert!(!take_messages().is_empty());
        count(62, 9, fault);
        diagnosis.finish(start + Duration::from_secs(63));
        assert_eq!(
            take_messages(),
            ["event 9 is not valid JSON at byte 31: invalid UTF-8; its fields are read as far as possible"]
        );
        diagnosis.finish(start + Duration::from_secs(64));
        assert!(take_messages().is_empty());
        assert_eq!((diagnosis.mistyped_values(), diagnosis.faulty_payloads()), (4, 3));
    }
}
