//! Fields of each event as it arrives, as Falco extracts them.

use std::time::Instant;

use serde::Serialize;

use super::clock::nanoseconds;
use super::histogram::{Histogram, Latency};
use crate::abi::event::Event;
use crate::abi::extractor::Extractor;
use crate::abi::source::Batch;
use crate::command::error::Error;
use crate::output::fields;
use crate::select::column::Column;

pub struct Live<'c> {
    columns: Vec<(&'c Column, u64, Histogram)>,
}

/// The calls that extracted one field.
#[derive(Debug, Serialize)]
pub struct Calls<'c> {
    #[serde(flatten)]
    pub column: &'c Column,
    pub count: u64,
    pub present: u64,
    pub latency: Option<Latency>,
}

impl<'c> Live<'c> {
    pub fn new(columns: &'c [Column]) -> Self {
        let columns = columns.iter().map(|column| (column, 0, Histogram::default()));
        Self {
            columns: columns.collect(),
        }
    }

    pub fn extract<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        extractors: &mut [Extractor<'_>],
        event: &Event<'b>,
        number: u64,
    ) -> Result<(), Error> {
        let mut before = Instant::now();
        for (column, present, calls) in &mut self.columns {
            let values = fields::ask(column, batch, extractors, event, number);
            let values = values.map_err(|fault| Error::Field {
                number,
                field: column.asked.clone(),
                fault,
            })?;
            *present += u64::from(values.is_some());
            let after = Instant::now();
            calls.add(nanoseconds(after - before), 1);
            before = after;
        }
        Ok(())
    }

    pub fn calls(self, events: u64) -> Vec<Calls<'c>> {
        let calls = self.columns.into_iter().map(|(column, present, histogram)| Calls {
            column,
            count: events,
            present,
            latency: Latency::of(&histogram),
        });
        calls.collect()
    }
}
