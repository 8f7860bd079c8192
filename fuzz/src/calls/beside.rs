//! Calls that any thread may make while another thread is in a call on the same state.

use std::ptr;
use std::thread;

use arbitrary::Arbitrary;
use falco_plugin_abi::api::types::ss_plugin_t;

use super::call::Call;
use super::outside::{self, Added, Use};
use super::slot::{self, Slot};

#[derive(Debug, Arbitrary)]
pub(super) struct Beside<'a> {
    table: u8,
    uses: Vec<Use<'a>>,
    /// How often the metrics are read.
    metrics: u8,
}

/// A state, for calls that are allowed on any thread.
struct Shared(*mut ss_plugin_t);

// SAFETY: see the type.
unsafe impl Send for Shared {}

/// Uses the own tables of a state and reads its metrics, while a call on it runs if there is one.
pub(super) fn run(slot: &mut Slot, beside: &Beside<'_>, call: Option<&Call<'_>>) {
    let tables = slot
        .owner
        .and_then(|owner| owner.with_tables(|tables| Added(tables.added.clone())));
    let tables = tables.unwrap_or(Added(Vec::new()));
    tables.0.iter().for_each(outside::check);
    let (functions, state) = (slot.functions(), Shared(slot.state));
    thread::scope(|scope| {
        scope.spawn(move || {
            let Shared(state) = { state };
            outside::use_table(&tables, beside.table, &beside.uses);
            for _ in 0..beside.metrics % 4 {
                slot::check_metrics(&functions, if state.is_null() { ptr::null_mut() } else { state }, false);
            }
        });
        // Only when no other call runs, a state may begin and end.
        match call {
            None | Some(Call::Init { .. } | Call::Destroy) => {}
            Some(call) => super::run(slot, call),
        }
    });
}
