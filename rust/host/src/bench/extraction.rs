//! What extracting fields costs: from events that were kept, while the source rests.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::events::nanoseconds;
use super::slices::{Cost, Slices};
use crate::error::Error;
use crate::event::{Event, OwnedEvent};
use crate::library::Extractor;
use crate::selection::Column;
use crate::signals;

const MOST_EVENTS: usize = 128;
const MOST_BYTES: usize = 8 * 1024 * 1024;
const LEAST_TIME: Duration = Duration::from_millis(200);
const LEAST_SLICES: u64 = 3;
/// How often a field is extracted again from one event: enough to make the clock disappear.
const AGAIN: u64 = 64;

/// The first events of the source.
#[derive(Default)]
pub struct Kept {
    events: Vec<OwnedEvent>,
    bytes: usize,
}

impl Kept {
    pub fn is_empty(&self) -> bool {
        self.events.is_empty()
    }

    pub fn is_full(&self) -> bool {
        self.events.len() >= MOST_EVENTS || self.bytes >= MOST_BYTES
    }

    pub fn add(&mut self, event: &Event<'_>) {
        let event = OwnedEvent::of(event);
        self.bytes += event.size();
        self.events.push(event);
    }
}

/// The fields of the events that were kept.
#[derive(Debug, Serialize)]
pub struct Fields<'c> {
    /// How many were kept.
    pub events: usize,
    pub columns: Vec<Field<'c>>,
    /// All fields of an event, one after another.
    pub together: Option<Cost>,
}

#[derive(Debug, Serialize)]
pub struct Field<'c> {
    #[serde(flatten)]
    pub column: &'c Column,
    /// How many of the events had it.
    pub present: u64,
    /// The first time on an event.
    pub first: Option<Cost>,
    /// Once more on the same event.
    pub again: Option<Cost>,
}

/// `kept` is not empty.
pub fn measure<'c>(
    columns: &'c [Column],
    kept: &Kept,
    extractors: &mut [Extractor<'_>],
    source: &CStr,
) -> Result<Fields<'c>, Error> {
    let events: Vec<_> = kept.events.iter().map(OwnedEvent::event).collect();
    let mut host = Host {
        extractors,
        source,
        number: 0,
    };
    let alone = columns.iter().map(|column| {
        Ok(Field {
            column,
            present: host.check(&events, column)?,
            first: host.first(&events, std::slice::from_ref(column))?,
            again: host.again(&events, column)?,
        })
    });
    Ok(Fields {
        events: events.len(),
        columns: alone.collect::<Result<_, Error>>()?,
        together: host.first(&events, columns)?,
    })
}

struct Host<'h, 'p> {
    extractors: &'h mut [Extractor<'p>],
    source: &'h CStr,
    /// Of the last event: each time an event is taken, it is a new one to the plugin.
    number: u64,
}

impl Host<'_, '_> {
    /// Looks at all values, once, and counts the events that have some.
    fn check(&mut self, events: &[Event<'_>], column: &Column) -> Result<u64, Error> {
        let mut present = 0;
        for event in events {
            self.number += 1;
            let number = self.number;
            let extractor = &mut self.extractors[column.plugin_index];
            let values = extractor.extract(event, number, self.source, column);
            let is_present = values.and_then(|values| {
                let Some(values) = values else { return Ok(false) };
                values.iter().try_for_each(|value| value.map(drop)).map(|()| true)
            });
            present += u64::from(is_present.map_err(|fault| fault_of(number, column, fault))?);
        }
        Ok(present)
    }

    fn first(&mut self, events: &[Event<'_>], columns: &[Column]) -> Result<Option<Cost>, Error> {
        cost(events.len() as u64, || {
            let start = Instant::now();
            for event in events {
                self.number += 1;
                for column in columns {
                    self.ask(event, column)?;
                }
            }
            Ok(start.elapsed())
        })
    }

    fn again(&mut self, events: &[Event<'_>], column: &Column) -> Result<Option<Cost>, Error> {
        cost(AGAIN * events.len() as u64, || {
            let mut time = Duration::ZERO;
            for event in events {
                self.number += 1;
                self.ask(event, column)?;
                let start = Instant::now();
                for _ in 0..AGAIN {
                    self.ask(event, column)?;
                }
                time += start.elapsed();
            }
            Ok(time)
        })
    }

    fn ask(&mut self, event: &Event<'_>, column: &Column) -> Result<(), Error> {
        let extractor = &mut self.extractors[column.plugin_index];
        let values = extractor.extract(event, self.number, self.source, column);
        values.map(drop).map_err(|fault| fault_of(self.number, column, fault))
    }
}

fn fault_of(number: u64, column: &Column, fault: crate::extraction::Fault) -> Error {
    Error::Field {
        number,
        field: column.asked.clone(),
        fault,
    }
}

/// Repeats a round, which does something `count` times, until enough is known of it.
fn cost(count: u64, mut round: impl FnMut() -> Result<Duration, Error>) -> Result<Option<Cost>, Error> {
    let start = Instant::now();
    let mut slices = Slices::default();
    loop {
        slices.add(nanoseconds(round()?), count);
        let is_enough = start.elapsed() >= LEAST_TIME && slices.whole() >= LEAST_SLICES;
        if is_enough || signals::interrupted() {
            return Ok(slices.cost());
        }
    }
}
