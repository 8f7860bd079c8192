//! The fields of each event, extracted and written.

use crate::abi::{Event, PLUGIN_EVENT};
use crate::output::payload::{Payloads, Summary};
use crate::output::row::{Row, Style};
use crate::select::{Column, EventPlugins, MalformedField};

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
            row: Row::new(style, columns),
            payloads: Payloads::default(),
        }
    }

    /// Extracts all columns from one event by the plugins.
    pub fn extract(
        &mut self,
        plugins: &mut impl EventPlugins,
        event: &Event<'_>,
        number: u64,
    ) -> Result<&Row, MalformedField> {
        self.row.clear();
        if event.code() == PLUGIN_EVENT {
            self.payloads.add(number, event.payload());
        }
        for (column, is_seen) in self.columns.iter().zip(&mut self.is_seen) {
            let values = column.extract(plugins);
            let pushed = values.and_then(|values| {
                *is_seen |= values.is_some();
                self.row.push(column, values.as_ref())
            });
            pushed.map_err(|fault| column.malformed(number, fault))?;
        }
        Ok(&self.row)
    }

    /// Returns the columns of an event whose source has none of the plugins' fields.
    pub fn absent(&mut self, number: u64) -> Result<&Row, MalformedField> {
        self.row.clear();
        for column in self.columns {
            self.row
                .push(column, None)
                .map_err(|fault| column.malformed(number, fault))?;
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
