//! Counts of the soak's actions.

use std::sync::atomic::{AtomicU64, Ordering};

use serde_json::{Map, Value, json};

use crate::kind::Kind;

/// A counter that all threads may increase.
#[derive(Default)]
pub struct Count(AtomicU64);

impl Count {
    pub const fn new() -> Self {
        Self(AtomicU64::new(0))
    }

    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// The totals of one kind of source.
pub struct KindTotals {
    pub opens: Count,
    pub events: Count,
    pub bytes: Count,
}

pub static KINDS: [KindTotals; Kind::ALL.len()] = [const {
    KindTotals {
        opens: Count::new(),
        events: Count::new(),
        bytes: Count::new(),
    }
}; Kind::ALL.len()];

macro_rules! totals {
    ($($constant:ident $name:literal)+) => {
        $(pub static $constant: Count = Count::new();)+

        /// Returns all totals as JSON.
        pub fn to_json() -> Value {
            let kinds = Kind::ALL.iter().zip(&KINDS).map(|(kind, totals)| {
                let totals = json!({
                    "opens": totals.opens.get(),
                    "events": totals.events.get(),
                    "bytes": totals.bytes.get(),
                });
                (kind.name().to_owned(), totals)
            });
            let mut all = Map::new();
            all.insert("kinds".into(), Value::Object(kinds.collect()));
            $(all.insert($name.into(), $constant.get().into());)+
            Value::Object(all)
        }
    };
}

totals! {
    LOADS "loads"
    INITS "inits"
    UNLOADS "unloads"
    THREADS "threads"
    ENDS "ends"
    CLOSES_MIDWAY "closes_midway"
    ROTATIONS "rotations"
    EMPTY_EVENTS "empty_events"
    FIELDS "fields"
    RAISED_BY_INIT "raised_by_init"
    RAISED_BY_OPEN "raised_by_open"
    RAISED_BY_SOURCES "raised_by_sources"
    RAISED_BY_FIELDS "raised_by_fields"
    RETRIES "retries"
    METRICS "metrics"
    CONFIGURATIONS "configurations"
    RAISED_BY_SET_CONFIG "raised_by_set_config"
}
