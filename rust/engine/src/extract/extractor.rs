//! Extracts the fields of one plugin.

use std::sync::Arc;
use std::time::Instant;

use super::argument::Argument;
use super::cache::{Cache, EventState, FieldCache};
use super::diagnosis::{Diagnosis, Report};
use super::field::{Field, Reader};
use super::metrics::FieldCounts;
use super::problem::Problem;
use super::requests::Requests;
use super::values::Values;
use crate::event::{Event, EventFilter};
use crate::metrics::{Metrics, Value};
use crate::table::{KeyValue, TableKey};

/// The fields of a plugin.
#[derive(Debug)]
pub struct Extractor {
    fields: Vec<Field>,
    /// The events that have the fields; every event if it is `None`.
    filter: Option<EventFilter>,
    counts: Arc<FieldCounts>,
    diagnosis: Arc<Diagnosis>,
    /// The counts of each field; `None` unless a test of rules needs them.
    requests: Option<Box<Requests>>,
}

impl Extractor {
    /// Creates an extractor. It calls `report` on the extracting thread, at most once a minute for each reason why
    /// fields are absent.
    pub fn new(fields: Vec<Field>, report: Report) -> Self {
        Self {
            fields,
            filter: None,
            counts: Arc::default(),
            diagnosis: Arc::new(Diagnosis::new(report)),
            requests: None,
        }
    }

    /// Adds the counts of fields, and of the reasons why they are absent, to the metrics of a plugin.
    pub fn add_metrics(&self, metrics: &mut Metrics) {
        let count = |read: fn(&FieldCounts) -> u64| {
            let counts = Arc::clone(&self.counts);
            move || Value::Counter(read(&counts))
        };
        let problem = |read: fn(&Diagnosis) -> u64| {
            let diagnosis = Arc::clone(&self.diagnosis);
            move || Value::Counter(read(&diagnosis))
        };
        metrics.add_read(c"sdk_fields_extracted", count(FieldCounts::present));
        metrics.add_read(c"sdk_fields_absent", count(FieldCounts::absent));
        metrics.add_read(c"sdk_fields_mistyped", problem(Diagnosis::mistyped_values));
        metrics.add_read(c"sdk_events_not_json", problem(Diagnosis::faulty_payloads));
    }

    /// Makes the fields absent in events that a filter does not select.
    pub fn with_filter(mut self, filter: EventFilter) -> Self {
        self.filter = Some(filter);
        self
    }

    /// Counts for each field and argument how often it was present. This makes extraction slower.
    pub fn with_request_counts(mut self) -> Self {
        self.requests = Some(Box::default());
        self
    }

    /// Returns the counts of [`Self::with_request_counts`] as JSON: for each field, written as in rules, a list of the
    /// number of events in which it was present and in which it was absent. `None` if they are not counted.
    pub fn request_counts(&self) -> Option<String> {
        self.requests.as_ref().map(|requests| requests.to_json(&self.fields))
    }

    /// Reports the problems since the last report. Call it after the last extraction.
    pub fn finish(&self) {
        self.diagnosis.finish(Instant::now());
    }

    pub fn fields(&self) -> &[Field] {
        &self.fields
    }

    /// Returns the field whose first value is the key of a field that is read from a table. `None` for other fields.
    pub fn key_field(&self, field: usize) -> Option<usize> {
        match &self.fields.get(field)?.reader {
            Reader::Table(reader) => match reader.key() {
                TableKey::Field(key) => Some(key),
                TableKey::Thread => None,
            },
            Reader::Json(_) | Reader::Code => None,
        }
    }

    /// Returns the values of a field, none if it is absent. Calls `code` for a field of user code.
    ///
    /// # Panics
    /// If there is no such field.
    pub fn extract<'c>(
        &self,
        cache: &'c mut Cache,
        event: &Event<'_>,
        field: usize,
        argument: &Argument<'_>,
        code: impl FnOnce(EventState<'_>, &mut Values),
    ) -> &'c Values {
        self.extract_with(cache, event, field, argument, |reader, state, values| match reader {
            Reader::Json(reader) => reader.read(state.document, event.data, argument, values),
            Reader::Table(reader) => {
                reader.read_for_thread(event.thread_id, values);
                None
            }
            Reader::Code => {
                code(state, values);
                None
            }
        })
    }

    /// Returns the values of a field that is read from a table by the value of [`Self::key_field`].
    ///
    /// # Panics
    /// If there is no such field.
    pub fn extract_by_key<'c>(
        &self,
        cache: &'c mut Cache,
        event: &Event<'_>,
        field: usize,
        key: Option<&KeyValue>,
    ) -> &'c Values {
        self.extract_with(cache, event, field, &Argument::default(), |reader, _, values| {
            if let (Reader::Table(reader), Some(key)) = (reader, key) {
                reader.read_for_value(key, values);
            }
            None
        })
    }

    fn extract_with<'c>(
        &self,
        cache: &'c mut Cache,
        event: &Event<'_>,
        field: usize,
        argument: &Argument<'_>,
        make: impl FnOnce(&Reader, EventState<'_>, &mut Values) -> Option<Problem>,
    ) -> &'c Values {
        cache.select(event);
        let serial = cache.serial;
        if cache.large.is_some_and(|large| large != serial) {
            // Free the values only now: the host may read them until the next extraction.
            cache.fields.clear();
            cache.large = None;
        }
        if cache.fields.len() < self.fields.len() {
            cache.fields.resize_with(self.fields.len(), FieldCache::default);
        }
        let kept = &mut cache.fields[field];
        let slot = if let Some(slot) = kept.find(serial, argument) {
            slot
        } else {
            let values = kept.begin(serial, argument);
            let has_fields = self.filter.as_ref().is_none_or(|filter| filter.selects(event));
            let state = EventState {
                serial,
                document: &mut cache.document,
                user_state: &mut cache.user_state,
                is_exclusive: &mut cache.is_exclusive,
            };
            let reader = &self.fields[field].reader;
            let mut problem = match reader {
                _ if !has_fields => None,
                // Only plugins make JSON.
                Reader::Json(_) if !event.has_payload() => None,
                _ => make(reader, state, values),
            };
            if matches!(reader, Reader::Code) {
                problem = cache.document.take_fault().map(Problem::Fault);
            }
            if let Some(problem) = problem {
                // Count a damaged payload once, even if several fields are read from it.
                let is_fault = matches!(problem, Problem::Fault(_));
                if !(is_fault && cache.damaged == Some(serial)) {
                    let field = (field, &self.fields[field]);
                    self.diagnosis
                        .count(problem, event.number, field, argument, Instant::now());
                }
                if is_fault {
                    cache.damaged = Some(serial);
                }
            }
            if values.is_large() {
                cache.large = Some(serial);
            }
            let counts = cache.counts.get_or_insert_with(|| self.counts.add_part());
            let is_present = !values.as_slice().is_empty();
            counts.count(is_present);
            if let Some(requests) = &self.requests {
                requests.count(field, argument, is_present);
            }
            kept.finish()
        };
        kept.values(slot)
    }
}
