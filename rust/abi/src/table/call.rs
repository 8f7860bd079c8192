//! The entries that the plugin has taken during a call of the host.

use falco_plugin_api::{
    ss_plugin_table_entry_t, ss_plugin_table_reader_vtable_ext, ss_plugin_table_t, ss_plugin_table_writer_vtable_ext,
};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::table::{Data, EntryId, OwnedData};
use std::ptr;

/// The call of the host that a thread is in, if it is in one.
pub(super) struct Call {
    /// How many calls are nested. The outermost one is the call.
    depth: usize,
    pub(super) reader: *const ss_plugin_table_reader_vtable_ext,
    pub(super) writer: *const ss_plugin_table_writer_vtable_ext,
    /// The number of the call, which is different for each call of all threads. 0 until an entry is obtained.
    serial: u64,
    entries: Vec<Taken>,
}

/// The number of entries that a thread keeps memory for between calls.
const KEPT_ENTRIES: usize = 256;
/// The number of entries among which [`Call::find`] searches for one that was obtained already.
const SEARCHED: usize = 16;

// SAFETY: the pointers are those of a call, which are used only on its thread and while it runs. Between calls there are
// none.
unsafe impl Send for Call {}

/// An entry that was obtained from a table.
#[derive(Debug)]
struct Taken {
    handle: Handle,
    /// `None` if the key is not known, or if the table may have another entry with the key now.
    key: Option<OwnedData>,
    /// How often the entry was obtained and not released. An entry with 0 is no longer valid.
    uses: usize,
    /// Whether the host expects that the entry is released.
    is_owned: bool,
}

/// The addresses of an entry and of its table.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Handle {
    pub(super) table: *mut ss_plugin_table_t,
    pub(super) entry: *mut ss_plugin_table_entry_t,
}

impl Default for Call {
    fn default() -> Self {
        Self {
            depth: 0,
            reader: ptr::null(),
            writer: ptr::null(),
            serial: 0,
            entries: Vec::new(),
        }
    }
}

impl Call {
    #[inline]
    pub(super) fn begin(
        &mut self,
        reader: *const ss_plugin_table_reader_vtable_ext,
        writer: *const ss_plugin_table_writer_vtable_ext,
    ) {
        if self.depth == 0 {
            (self.reader, self.writer) = (reader, writer);
        }
        self.depth += 1;
    }

    /// Ends the innermost call. If it was the outermost one, returns the entries to release with their functions.
    #[inline]
    pub(super) fn end(&mut self) -> Option<Leftover> {
        self.depth -= 1;
        if self.depth > 0 {
            return None;
        }
        let reader = std::mem::replace(&mut self.reader, ptr::null());
        self.writer = ptr::null();
        self.serial = 0;
        if self.entries.is_empty() {
            return None;
        }
        let entries = std::mem::take(&mut self.entries);
        Some(Leftover { reader, entries })
    }

    /// Takes back the memory of the entries of a call that has ended.
    #[inline]
    pub(super) fn reuse(&mut self, mut leftover: Leftover) {
        leftover.entries.clear();
        if leftover.entries.capacity() > KEPT_ENTRIES {
            leftover.entries.shrink_to(KEPT_ENTRIES);
        }
        if self.entries.is_empty() {
            self.entries = leftover.entries;
        }
    }

    pub(super) fn is_open(&self) -> bool {
        self.depth > 0
    }

    /// Returns the number of the call, 0 if it has none yet.
    pub(super) fn serial(&self) -> u64 {
        self.serial
    }

    /// Keeps an entry until it is released. `next_serial` returns the number of the call if it has none yet.
    pub(super) fn take(
        &mut self,
        handle: Handle,
        key: Option<OwnedData>,
        is_owned: bool,
        next_serial: impl FnOnce() -> u64,
    ) -> EntryId {
        if self.serial == 0 {
            self.serial = next_serial();
        }
        self.entries.push(Taken {
            handle,
            key,
            uses: 1,
            is_owned,
        });
        EntryId {
            call: self.serial,
            index: self.entries.len() - 1,
        }
    }

    /// Takes the entry with a key again, if it is among those that were obtained last. The Rust SDK locks an entry until it is
    /// released, so taking it twice from the host would fail there.
    #[inline]
    pub(super) fn find(&mut self, table: *mut ss_plugin_table_t, key: Data<'_>) -> Option<EntryId> {
        let first = self.entries.len().saturating_sub(SEARCHED);
        let found = self.entries[first..].iter_mut().position(|taken| {
            let is_it = taken.uses > 0
                && taken.handle.table == table
                && taken.key.as_ref().is_some_and(|known| known.borrowed() == key);
            taken.uses += usize::from(is_it);
            is_it
        })?;
        Some(EntryId {
            call: self.serial,
            index: first + found,
        })
    }

    /// Forgets the key of taken entries, because the table no longer has them under it. `None` stands for all keys.
    pub(super) fn forget(&mut self, table: *mut ss_plugin_table_t, key: Option<Data<'_>>) {
        for taken in &mut self.entries {
            let is_changed = key.is_none_or(|key| taken.key.as_ref().is_some_and(|known| known.borrowed() == key));
            if taken.handle.table == table && is_changed {
                taken.key = None;
            }
        }
    }

    /// Returns the addresses of an entry.
    ///
    /// # Errors
    /// The entry was obtained during another call, or was released.
    #[inline]
    pub(super) fn handle(&self, id: EntryId) -> Result<Handle, Error> {
        self.taken(id)
            .and_then(|index| self.entries.get(index))
            .filter(|taken| taken.uses > 0)
            .map(|taken| taken.handle)
            .ok_or_else(ended)
    }

    /// Takes an entry once more.
    pub(super) fn retain(&mut self, id: EntryId) {
        let taken = self.taken(id).and_then(|index| self.entries.get_mut(index));
        if let Some(taken) = taken.filter(|taken| taken.uses > 0) {
            taken.uses += 1;
        }
    }

    /// Releases an entry. Returns its addresses if it was the last use, so that the host's entry must be released.
    #[inline]
    pub(super) fn release(&mut self, id: EntryId) -> Option<Handle> {
        let index = self.taken(id)?;
        let taken = self.entries.get_mut(index).filter(|taken| taken.uses > 0)?;
        taken.uses -= 1;
        if taken.uses > 0 {
            return None;
        }
        let released = taken.is_owned.then_some(taken.handle);
        while self.entries.last().is_some_and(|taken| taken.uses == 0) {
            self.entries.pop();
        }
        released
    }

    /// Returns the position of an entry of this call.
    #[inline]
    fn taken(&self, id: EntryId) -> Option<usize> {
        (id.call == self.serial && self.serial != 0).then_some(id.index)
    }
}

/// The entries that were not released during a call.
pub(super) struct Leftover {
    pub(super) reader: *const ss_plugin_table_reader_vtable_ext,
    entries: Vec<Taken>,
}

impl Leftover {
    /// Returns the entries that must be released, the last one first.
    pub(super) fn handles(&self) -> impl Iterator<Item = Handle> {
        let entries = self.entries.iter().rev();
        entries
            .filter(|taken| taken.uses > 0 && taken.is_owned)
            .map(|taken| taken.handle)
    }
}

#[cold]
fn ended() -> Error {
    Error::text(
        "this entry was read during an earlier call of the host, and only that call could use it: keep its values, or get \
         it again by its key",
    )
}
