//! The function that the host calls with each entry of a table.

use falco_plugin_api::{ss_plugin_bool, ss_plugin_table_entry_t, ss_plugin_table_iterator_state_t};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::EntryId;

use super::foreign::Foreign;
use crate::guard::guard;

/// An iteration over the entries of a table.
pub(super) struct Visit<'a> {
    table: &'a Foreign,
    visit: &'a mut dyn FnMut(EntryId) -> bool,
    result: Result<(), Error>,
    /// Whether `visit` has ended the iteration.
    is_stopped: bool,
}

impl<'a> Visit<'a> {
    pub(super) fn new(table: &'a Foreign, visit: &'a mut dyn FnMut(EntryId) -> bool) -> Self {
        Self {
            table,
            visit,
            result: Ok(()),
            is_stopped: false,
        }
    }

    /// Returns whether the iteration was ended before the last entry.
    pub(super) fn finish(self) -> Result<bool, Error> {
        self.result.map(|()| self.is_stopped)
    }

    /// Visits an entry. It never unwinds, because the host may be written in any language.
    ///
    /// # Safety
    /// `state` is a `Visit` that nothing else uses, and `entry` is an entry of its table that is valid during the call.
    pub(super) unsafe extern "C-unwind" fn next(
        state: *mut ss_plugin_table_iterator_state_t,
        entry: *mut ss_plugin_table_entry_t,
    ) -> ss_plugin_bool {
        // SAFETY: the caller's promise.
        let Some(visit) = (unsafe { state.cast::<Visit<'_>>().as_mut() }) else {
            return 0;
        };
        let visited = guard(|| {
            let id = visit.table.take(entry, None, false)?;
            let goes_on = (visit.visit)(id);
            visit.table.forget(id)?;
            Ok(goes_on)
        });
        match visited {
            Ok(true) => return 1,
            Ok(false) => visit.is_stopped = true,
            Err(error) => visit.result = Err(error),
        }
        0
    }
}
