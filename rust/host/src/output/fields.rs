//! The fields of each event, extracted and written.

use crate::abi::{Batch, Event, Extractor};
use crate::output::payload::{Payloads, Summary};
use crate::output::row::{Row, Style};
use crate::select::{Column, MalformedField};

/// Extracts the columns from each event.
pub struct Fields<'p> {
    columns: &'p [Column],
    /// For each column, whether some event has had the field.
    is_seen: Vec<bool>,
    row: Row,
    payloads: Payloads,
}

impl<'p> Fields<'p> {
    /// Makes the extraction of these columns, which writes in a style.
    pub fn new(columns: &'p [Column], style: Style) -> Self {
        Self {
            columns,
            is_seen: vec![false; columns.len()],
            row: Row::new(style),
            payloads: Payloads::default(),
        }
    }

    /// Extracts all columns from one event: by the source's plugin, and by the `extractors` of the other plugins.
    pub fn extract<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        extractors: &mut [Extractor<'_>],
        event: &Event<'b>,
        number: u64,
    ) -> Result<&Row, MalformedField> {
        self.row.clear();
        self.payloads.add(number, event.payload());
        for (column, is_seen) in self.columns.iter().zip(&mut self.is_seen) {
            let values = column.extract(batch, extractors, event, number);
            let pushed = values.and_then(|values| {
                *is_seen |= values.is_some();
                self.row.push(column, values.as_ref())
            });
            pushed.map_err(|fault| column.malformed(number, fault))?;
        }
        Ok(&self.row)
    }

    /// Returns the columns that no event has had.
    pub fn never_present(&self) -> Vec<&'p str> {
        let unseen = self.columns.iter().zip(&self.is_seen).filter(|(_, is_seen)| !**is_seen);
        unseen.map(|(column, _)| column.asked.as_str()).collect()
    }

    /// Returns how many payloads were not valid JSON, if some payload was meant to be JSON.
    pub fn invalid_json(&self) -> Option<Summary> {
        self.payloads.summary()
    }
}
