//! Counts for each requested field and argument how often it was present. Only for tests of rules, because each count
//! takes a lock.

use std::collections::BTreeMap;
use std::sync::{Mutex, PoisonError};

use super::argument::Argument;
use super::field::Field;

/// The most pairs of field and argument that are counted. Arguments come from rules, so there are few.
const MAX_COUNTED: usize = 10_000;

/// The counts of one plugin.
#[derive(Debug, Default)]
pub(super) struct Requests {
    counts: Mutex<BTreeMap<Requested, Count>>,
}

/// A field by its number, and the argument with which a rule names it.
#[derive(Debug, PartialEq, Eq, PartialOrd, Ord)]
struct Requested {
    field: usize,
    key: Option<String>,
    index: Option<u64>,
}

#[derive(Debug, Default)]
struct Count {
    present: u64,
    absent: u64,
}

impl Requests {
    /// Counts the first request for a field of an event.
    #[cold]
    pub(super) fn count(&self, field: usize, argument: &Argument<'_>, is_present: bool) {
        let requested = Requested {
            field,
            key: argument.key.map(str::to_owned),
            index: argument.index,
        };
        let mut counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        if counts.len() >= MAX_COUNTED && !counts.contains_key(&requested) {
            return;
        }
        let count = counts.entry(requested).or_default();
        *if is_present {
            &mut count.present
        } else {
            &mut count.absent
        } += 1;
    }

    /// Returns the counts as JSON: for each field, written as in rules, in how many events it was present and absent.
    pub(super) fn to_json(&self, fields: &[Field]) -> String {
        let counts = self.counts.lock().unwrap_or_else(PoisonError::into_inner);
        let pairs = counts.iter().map(|(requested, count)| {
            let name = &fields[requested.field].name;
            let name = match (&requested.key, requested.index) {
                (Some(key), _) => format!("{name}[{key}]"),
                (None, Some(index)) => format!("{name}[{index}]"),
                (None, None) => name.clone(),
            };
            (name, vec![count.present, count.absent].into())
        });
        serde_json::Value::Object(pairs.collect()).to_string()
    }
}
