//! The cost of extracting fields from events that were kept, while the source is idle.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::clock::nanoseconds;
use super::slices::{Cost, Slices};
use crate::abi::{Event, Extractor, OwnedEvent};
use crate::select::{Column, MalformedField};
use crate::signals;

/// The most events that are kept.
const MOST_EVENTS: usize = 128;
/// The total size at which no more events are kept, in bytes.
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// The longest time of one measurement. More time does not make it more exact.
const ENOUGH: Duration = Duration::from_millis(200);
/// How often a field is extracted again from one event: so often that reading the clock costs little in comparison.
const AGAIN: u64 = 64;

/// The first events of the source.
#[derive(Default)]
pub struct Kept {
    events: Vec<OwnedEvent>,
    bytes: usize,
}

impl Kept {
    /// Returns whether no event was kept.
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    /// Returns whether no more events are kept.
    pub fn is_full(&self) -> bool {
        self.events.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    /// Keeps a copy of an event.
    pub fn add(&mut self, event: &Event<'_>) {
        let event = OwnedEvent::copy(event);
        self.bytes += event.size();
        self.events.push(event);
    }

    /// Returns the events.
    pub(super) fn events(&self) -> Vec<Event<'_>> {
        self.events.iter().map(OwnedEvent::event).collect()
    }
}

/// The cost of the columns of the events that were kept.
#[derive(Debug, Serialize)]
pub struct Fields<'c> {
    /// The number of events.
    pub events: usize,
    pub columns: Vec<Field<'c>>,
    /// The cost of extracting all columns of an event, one after another.
    pub together: Option<Cost>,
}

/// The cost of one column.
#[derive(Debug, Serialize)]
pub struct Field<'c> {
    #[serde(flatten)]
    pub column: &'c Column,
    /// The number of events that have the field.
    pub present: u64,
    /// The cost of the first extraction from an event.
    pub first: Option<Cost>,
    /// The cost of each further extraction from the same event.
    pub again: Option<Cost>,
}

/// Measures the extraction of columns from the kept events, of which there must be at least one. A third of the time is
/// for first extractions, a third for further ones, and a third for all columns together. Each measurement takes at least
/// one slice.
pub fn measure<'c>(
    columns: &'c [Column],
    kept: &Kept,
    extractors: &mut [Extractor<'_>],
    source: &CStr,
    time: Duration,
) -> Result<Fields<'c>, MalformedField> {
    let events = kept.events();
    let third = time / 3;
    let share = third / u32::try_from(columns.len()).unwrap_or(u32::MAX);
    let mut host = Host::new(extractors, source);
    let alone = columns.iter().map(|column| {
        Ok(Field {
            column,
            present: host.check(&events, column)?,
            first: host.first(&events, std::slice::from_ref(column), share)?,
            again: host.again(&events, column, share)?,
        })
    });
    Ok(Fields {
        events: events.len(),
        columns: alone.collect::<Result<_, MalformedField>>()?,
        together: host.first(&events, columns, third)?,
    })
}

/// Extracts from kept events.
pub(super) struct Host<'h, 'p> {
    extractors: &'h mut [Extractor<'p>],
    source: &'h CStr,
    /// The number of the last event. Each use of a kept event has a new number, so that it is a new event to the plugin.
    number: u64,
}

impl<'h, 'p> Host<'h, 'p> {
    pub(super) fn new(extractors: &'h mut [Extractor<'p>], source: &'h CStr) -> Self {
        Self {
            extractors,
            source,
            number: 0,
        }
    }

    /// Checks all values of a column, and returns the number of events that have the field.
    pub(super) fn check(&mut self, events: &[Event<'_>], column: &Column) -> Result<u64, MalformedField> {
        let mut present = 0;
        for event in events {
            self.number += 1;
            let number = self.number;
            let extractor = &mut self.extractors[column.plugin_index];
            let values = extractor.extract(event, number, self.source, &column.query);
            let is_present = values.and_then(|values| {
                let Some(values) = values else { return Ok(false) };
                values.iter().try_for_each(|value| value.map(drop)).map(|()| true)
            });
            present += u64::from(is_present.map_err(|fault| column.malformed(number, fault))?);
        }
        Ok(present)
    }

    /// Measures the first extraction of columns from each event.
    fn first(
        &mut self,
        events: &[Event<'_>],
        columns: &[Column],
        time: Duration,
    ) -> Result<Option<Cost>, MalformedField> {
        cost(events.len() as u64, time, || {
            let start = Instant::now();
            self.extract_all(events, columns)?;
            Ok(start.elapsed())
        })
    }

    /// Measures further extractions of a column from one event.
    fn again(&mut self, events: &[Event<'_>], column: &Column, time: Duration) -> Result<Option<Cost>, MalformedField> {
        // Measure event by event: for a slow field, all events would take 64 times the time limit.
        cost(AGAIN, time, || {
            self.number += 1;
            let event = &events[self.number as usize % events.len()];
            self.extract(event, column)?;
            let start = Instant::now();
            for _ in 0..AGAIN {
                self.extract(event, column)?;
            }
            Ok(start.elapsed())
        })
    }

    /// Extracts columns from each event, for the first time.
    pub(super) fn extract_all(&mut self, events: &[Event<'_>], columns: &[Column]) -> Result<(), MalformedField> {
        for event in events {
            self.number += 1;
            for column in columns {
                self.extract(event, column)?;
            }
        }
        Ok(())
    }

    fn extract(&mut self, event: &Event<'_>, column: &Column) -> Result<(), MalformedField> {
        let extractor = &mut self.extractors[column.plugin_index];
        let values = extractor.extract(event, self.number, self.source, &column.query);
        values.map(drop).map_err(|fault| column.malformed(self.number, fault))
    }
}

/// Repeats a round, which does something `count` times, until the time is over or the cost is known well enough.
pub(super) fn cost<E>(
    count: u64,
    time: Duration,
    mut round: impl FnMut() -> Result<Duration, E>,
) -> Result<Option<Cost>, E> {
    let start = Instant::now();
    let mut slices = Slices::default();
    loop {
        slices.add(nanoseconds(round()?), count);
        let is_enough = start.elapsed() >= time.min(ENOUGH) && slices.full() > 0;
        if is_enough || signals::is_interrupted() {
            return Ok(slices.cost());
        }
    }
}
