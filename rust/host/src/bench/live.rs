//! The extraction of fields from each event as it arrives, as in Falco.

use std::time::Instant;

use serde::Serialize;

use super::clock::nanoseconds;
use super::histogram::{Histogram, Latency};
use crate::abi::{Batch, Event, Extractor};
use crate::select::{Column, MalformedField, OfSource};

/// Extracts columns from each event, and times each call.
pub struct Live<'c> {
    /// Each column with the number of events that have it, and the durations of its calls.
    columns: Vec<(&'c Column, u64, Histogram)>,
}

/// The calls that extracted one column.
#[derive(Debug, Serialize)]
pub struct Calls<'c> {
    #[serde(flatten)]
    pub column: &'c Column,
    pub count: u64,
    pub present: u64,
    pub latency: Option<Latency>,
}

impl<'c> Live<'c> {
    /// Makes the extraction of these columns.
    pub fn new(columns: &'c [Column]) -> Self {
        let columns = columns.iter().map(|column| (column, 0, Histogram::default()));
        Self {
            columns: columns.collect(),
        }
    }

    /// Extracts all columns from one event.
    pub fn extract<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        extractors: &mut [Extractor<'_>],
        event: &Event<'b>,
        number: u64,
    ) -> Result<(), MalformedField> {
        let source = batch.source_name();
        let mut before = Instant::now();
        for (column, present, calls) in &mut self.columns {
            let mut plugins = OfSource {
                own: &mut *batch,
                extractors: &mut *extractors,
                event,
                number,
                source,
            };
            let values = column.extract(&mut plugins);
            let values = values.map_err(|fault| column.malformed(number, fault))?;
            *present += u64::from(values.is_some());
            let after = Instant::now();
            calls.add(nanoseconds(after - before), 1);
            before = after;
        }
        Ok(())
    }

    /// Returns the calls of each column, for so many events.
    pub fn calls(self, events: u64) -> Vec<Calls<'c>> {
        let calls = self.columns.into_iter().map(|(column, present, histogram)| Calls {
            column,
            count: events,
            present,
            latency: Latency::new(&histogram),
        });
        calls.collect()
    }
}
