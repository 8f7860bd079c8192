//! The threads that read one source and check all that it delivers.

use std::ffi::CString;
use std::sync::{Arc, LazyLock};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_host::abi::{Batch, Code, Error, Event, FieldQuery, Source, Type, Value};

use crate::expected::Expected;
use crate::kind::Kind;
use crate::plan;
use crate::random::{Dice, mix};
use crate::spec::{Flags, Limits, SourceSpec};
use crate::{report, totals};

/// The longest time without an event.
const STALLED: Duration = Duration::from_secs(60);
/// The message of all exceptions that the plugin is asked to raise.
const REQUESTED_FAILURE: &str = "requested failure";

/// The field with the number of the event.
static NUMBER: LazyLock<FieldQuery> = LazyLock::new(|| query(0, "soak.number", Type::String));
/// The field whose method raises an exception for some events.
static FAILING: LazyLock<FieldQuery> = LazyLock::new(|| query(1, "soak.failing", Type::Uint64));

fn query(id: u32, name: &str, type_: Type) -> FieldQuery {
    FieldQuery {
        id,
        name: CString::new(name).unwrap_or_default(),
        type_,
        is_list: false,
        has_argument: false,
        key: None,
        index: None,
    }
}

/// Returns whether an error is an exception that the plugin was asked to raise.
pub fn is_requested(error: &Error) -> bool {
    matches!(error, Error::Failed { message, .. } if message.contains(REQUESTED_FAILURE))
}

/// Reads a source until it ends, or the host closes it.
pub struct Reader<'s> {
    source: Source<'s>,
    expected: Expected,
    spec: Arc<SourceSpec>,
    flags: Arc<Flags>,
    limits: Limits,
    dice: Dice,
    last_event: Instant,
    has_ended: bool,
}

impl<'s> Reader<'s> {
    pub fn new(
        source: Source<'s>,
        expected: Expected,
        spec: Arc<SourceSpec>,
        flags: Arc<Flags>,
        limits: Limits,
        dice: Dice,
    ) -> Self {
        Self {
            source,
            expected,
            spec,
            flags,
            limits,
            dice,
            last_event: Instant::now(),
            has_ended: false,
        }
    }

    /// Reads on one thread after another.
    pub fn run(&mut self) {
        while !self.is_over() {
            totals::THREADS.add(1);
            thread::scope(|scope| {
                scope.spawn(|| self.read_on_one_thread());
            });
        }
    }

    /// Returns whether the source has delivered everything.
    pub fn has_ended(&self) -> bool {
        self.has_ended
    }

    fn is_over(&self) -> bool {
        self.has_ended
            || self.flags.accepted() >= self.limits.events
            || self.limits.until.is_some_and(|until| Instant::now() >= until)
            || self.flags.is_stopped()
    }

    fn read_on_one_thread(&mut self) {
        let end = self.flags.accepted().saturating_add(self.limits.events_per_thread);
        while !self.is_over() && self.flags.accepted() < end {
            if let Err(problem) = self.read_batch() {
                self.fault(problem);
                self.flags.stop();
            }
            if self.last_event.elapsed() > STALLED {
                self.fault(format!("nothing for {} s", STALLED.as_secs()));
                self.flags.stop();
            }
            if self.dice.one_in(64) && self.source.progress().0.is_none() {
                self.fault("the progress is not a part of 100 %");
            }
            if self.dice.one_in(32) {
                self.dice.sleep_below(5000);
            }
        }
    }

    /// Reports a fault of this source.
    fn fault(&self, problem: impl std::fmt::Display) {
        let (kind, key) = (self.spec.kind.name(), self.spec.key);
        report::fault(format!(
            "{kind} {key:016x}, after {} events: {problem}",
            self.flags.accepted()
        ));
    }

    fn read_batch(&mut self) -> Result<(), String> {
        let mut batch = self.source.next_batch().map_err(|error| error.to_string())?;
        let count = batch.len();
        for index in 0..count {
            let event = batch.event(index, || 0).map_err(|fault| fault.to_string())?;
            let payload = event.payload();
            self.expected.accept(payload).map_err(|wrong| wrong.to_string())?;
            self.flags.accept();
            let totals = &totals::KINDS[self.spec.kind as usize];
            totals.events.add(1);
            totals.bytes.add(payload.len() as u64);
            totals::EMPTY_EVENTS.add(u64::from(payload.is_empty()));
            let number = self.flags.accepted();
            if self.dice.one_in(16) {
                extract_fields(&mut batch, &event, number)?;
            }
            if self.dice.one_in(64) && batch.event_to_string(&event, number).is_none() {
                return Err("event_to_string returned NULL".into());
            }
        }
        if count > 0 {
            self.last_event = Instant::now();
        }
        let result = batch.into_result();
        if count > 0 && !matches!(result, Ok(Code::Success)) {
            return Err(format!("next_batch returned {result:?} with {count} events"));
        }
        match result {
            Ok(Code::Eof) if !self.spec.fails => self.finish(),
            Err(error) if self.spec.fails && is_requested(&error) => {
                totals::RAISED_BY_SOURCES.add(1);
                self.finish();
            }
            Ok(Code::Success | Code::Timeout) => {
                // A file that is followed has no end.
                if self.spec.kind == Kind::File && self.flags.accepted() == u64::from(self.spec.count) {
                    self.finish();
                }
            }
            other => return Err(format!("the source ended with {other:?}")),
        }
        Ok(())
    }

    /// Checks that the source has delivered everything.
    fn finish(&mut self) {
        for problem in self.expected.finish() {
            self.fault(format!("the source ended, but {problem}"));
        }
        self.has_ended = true;
        totals::ENDS.add(1);
    }
}

/// Extracts both fields from an event.
fn extract_fields<'b>(batch: &mut Batch<'b>, event: &Event<'b>, number: u64) -> Result<(), String> {
    let due = plan::read_head(event.payload()).map(|(_, number)| number);
    totals::FIELDS.add(2);
    let hexadecimal = match extract(batch, event, number, &NUMBER)? {
        Some(Value::String(digits)) => u32::from_str_radix(digits, 16).ok(),
        _ => None,
    };
    if hexadecimal != due {
        return Err(format!("soak.number is {hexadecimal:?} instead of {due:?}"));
    }
    let raises = due.is_some_and(|number| mix(number.into()).is_multiple_of(16));
    let expected = due.filter(|_| !raises).map(|number| Value::Number(number.into()));
    let failing = extract(batch, event, number, &FAILING)?;
    if failing != expected {
        return Err(format!("soak.failing is {failing:?} instead of {expected:?}"));
    }
    totals::RAISED_BY_FIELDS.add(u64::from(raises));
    Ok(())
}

/// Extracts a field that has one value at most.
fn extract<'v, 'b>(
    batch: &'v mut Batch<'b>,
    event: &Event<'b>,
    number: u64,
    query: &FieldQuery,
) -> Result<Option<Value<'v>>, String> {
    let values = batch.extract(event, number, query).map_err(|fault| fault.to_string())?;
    let value = values.and_then(|values| values.iter().next());
    value.transpose().map_err(|fault| fault.to_string())
}
