//! The fields of each event: asked of the plugins that have them, and shown.

use crate::abi::event::Event;
use crate::abi::extractor::Extractor;
use crate::abi::source::Batch;
use crate::abi::values::{Fault, Values};
use crate::command::error::Error;
use crate::output::payload::{Payloads, Summary};
use crate::output::row::{Row, Style};
use crate::select::column::Column;

/// Asks the plugin that has a field: the source's own, or one of the others.
pub fn ask<'v, 'b>(
    column: &Column,
    batch: &'v mut Batch<'b>,
    extractors: &'v mut [Extractor<'_>],
    event: &Event<'b>,
    number: u64,
) -> Result<Option<Values<'v>>, Fault> {
    match column.plugin_index.checked_sub(1) {
        None => batch.extract(event, number, column),
        Some(index) => extractors[index].extract(event, number, batch.source_name(), column),
    }
}

pub struct Fields<'p> {
    columns: &'p [Column],
    /// Which of the columns some event has had.
    seen: Vec<bool>,
    row: Row,
    payloads: Payloads,
}

impl<'p> Fields<'p> {
    pub fn new(columns: &'p [Column], style: Style) -> Self {
        Self {
            columns,
            seen: vec![false; columns.len()],
            row: Row::new(style),
            payloads: Payloads::default(),
        }
    }

    /// Extracts all of them from one event: by the source's own plugin, and by the others.
    pub fn extract<'b>(
        &mut self,
        batch: &mut Batch<'b>,
        extractors: &mut [Extractor<'_>],
        event: &Event<'b>,
        number: u64,
    ) -> Result<&Row, Error> {
        self.row.clear();
        self.payloads.add(number, event.payload());
        for (column, seen) in self.columns.iter().zip(&mut self.seen) {
            let values = ask(column, batch, extractors, event, number);
            let pushed = values.and_then(|values| {
                *seen |= values.is_some();
                self.row.push(column, values.as_ref())
            });
            pushed.map_err(|fault| Error::Field {
                number,
                field: column.asked.clone(),
                fault,
            })?;
        }
        Ok(&self.row)
    }

    /// What no event has had.
    pub fn never_present(&self) -> Vec<&'p str> {
        let unseen = self.columns.iter().zip(&self.seen).filter(|(_, seen)| !**seen);
        unseen.map(|(column, _)| column.asked.as_str()).collect()
    }

    /// Returns which payloads were not valid JSON, if some payload was meant to be.
    pub fn invalid_json(&self) -> Option<Summary> {
        self.payloads.summary()
    }
}
