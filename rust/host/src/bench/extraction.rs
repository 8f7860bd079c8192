//! What extracting fields costs: from events that were kept, while the source rests.

use std::ffi::CStr;
use std::time::{Duration, Instant};

use serde::Serialize;

use super::clock::nanoseconds;
use super::slices::{Cost, Slices};
use crate::abi::event::{Event, OwnedEvent};
use crate::abi::extractor::Extractor;
use crate::command::error::Error;
use crate::select::column::Column;
use crate::signals;

const MOST_EVENTS: usize = 128;
const MOST_BYTES: usize = 8 * 1024 * 1024;
/// More time tells nothing new.
const ENOUGH: Duration = Duration::from_millis(200);
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

/// `kept` is not empty. A third of the time is for the first extractions, a third for those that follow, a third for all
/// fields together; but each measurement takes a slice at least.
pub fn measure<'c>(
    columns: &'c [Column],
    kept: &Kept,
    extractors: &mut [Extractor<'_>],
    source: &CStr,
    time: Duration,
) -> Result<Fields<'c>, Error> {
    let events: Vec<_> = kept.events.iter().map(OwnedEvent::event).collect();
    let third = time / 3;
    let share = third / u32::try_from(columns.len()).unwrap_or(u32::MAX);
    let mut host = Host {
        extractors,
        source,
        number: 0,
    };
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
        columns: alone.collect::<Result<_, Error>>()?,
        together: host.first(&events, columns, third)?,
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

    fn first(&mut self, events: &[Event<'_>], columns: &[Column], time: Duration) -> Result<Option<Cost>, Error> {
        cost(events.len() as u64, time, || {
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

    fn again(&mut self, events: &[Event<'_>], column: &Column, time: Duration) -> Result<Option<Cost>, Error> {
        // Event by event, so that fields which take long each time do not take 64 times as long as the time.
        cost(AGAIN, time, || {
            self.number += 1;
            let event = &events[self.number as usize % events.len()];
            self.ask(event, column)?;
            let start = Instant::now();
            for _ in 0..AGAIN {
                self.ask(event, column)?;
            }
            Ok(start.elapsed())
        })
    }

    fn ask(&mut self, event: &Event<'_>, column: &Column) -> Result<(), Error> {
        let extractor = &mut self.extractors[column.plugin_index];
        let values = extractor.extract(event, self.number, self.source, column);
        values.map(drop).map_err(|fault| fault_of(self.number, column, fault))
    }
}

fn fault_of(number: u64, column: &Column, fault: crate::abi::values::Fault) -> Error {
    Error::Field {
        number,
        field: column.asked.clone(),
        fault,
    }
}

/// Repeats a round, which does something `count` times, until the time is up or enough is known of it.
fn cost(count: u64, time: Duration, mut round: impl FnMut() -> Result<Duration, Error>) -> Result<Option<Cost>, Error> {
    let start = Instant::now();
    let mut slices = Slices::default();
    loop {
        slices.add(nanoseconds(round()?), count);
        let is_enough = start.elapsed() >= time.min(ENOUGH) && slices.whole() > 0;
        if is_enough || signals::interrupted() {
            return Ok(slices.cost());
        }
    }
}
