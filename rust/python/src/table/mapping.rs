//! `Table`: a mapping of keys to entries.

use std::borrow::Cow;
use std::sync::Arc;

use falco_plugin_engine::table::{ChangeKind, Data, Entry as EngineEntry, EntryId, FieldId, HostTable, OwnTable};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PyList, PyType};

use crate::convert::buffers::is_shared;
use crate::errors::to_python as engine_error;
use crate::imports;
use crate::interpreter::fast::OneArgument;
use crate::interpreter::gil_cell::GilCell;
use crate::table::convert::{Converted, from_python, to_python};
use crate::table::entry::{Entry, HostEntry, State};
use crate::table::shape::{Shape, Spec};
use crate::table::target::Target;

/// A state table: a mapping of keys to entries, which other plugins can share.
///
/// A plugin class declares its tables with ``Table.of`` and ``Table.new``. The annotation gives the type of the
/// keys (``int``, ``str`` or ``bool``) and the class of the entries, a subclass of :class:`Entry`.
///
/// A table of the plugin itself (``Table.new``) works everywhere: from any thread, without a host, and from other
/// plugins without Python. A table of the host or of another plugin (``Table.of``) works only while the host
/// calls the plugin, on the thread of that call. In fields it can only be read.
#[pyclass(frozen, module = "falco_plugin")]
pub(crate) struct Table {
    pub(super) target: Target,
    pub(super) shape: Arc<Shape>,
    /// The object of the last entry of a host's table. It is reused for the next one, unless something else refers to it:
    /// making an object takes longer than getting the entry.
    last: GilCell<Option<Py<Entry>>>,
}

impl Table {
    pub(crate) fn host(table: Arc<dyn HostTable>, shape: Arc<Shape>) -> Self {
        Self {
            target: Target::Host(table),
            shape,
            last: GilCell::new(None),
        }
    }

    /// Makes an empty table of this plugin.
    pub(crate) fn own(py: Python<'_>, spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Spec {
            shape,
            request,
            records_changes,
        } = Spec::read(spec)?;
        let target = Target::new(&request, records_changes).map_err(|error| engine_error(py, error))?;
        Ok(Self {
            target,
            shape,
            last: GilCell::new(None),
        })
    }

    /// Returns the engine's table, if it is one of this plugin.
    pub(crate) fn engine_own(&self) -> Option<&Arc<OwnTable>> {
        match &self.target {
            Target::Own { table, .. } => Some(table),
            Target::Host(_) => None,
        }
    }

    /// Returns the field of an attribute, if the table is one of this plugin.
    pub(crate) fn own_field(&self, attribute: usize) -> Option<FieldId> {
        match &self.target {
            Target::Own { fields, .. } => fields.get(attribute).copied(),
            Target::Host(_) => None,
        }
    }

    /// Returns the engine's table, if it is one of the host or of another plugin.
    pub(crate) fn engine_host(&self) -> Option<&Arc<dyn HostTable>> {
        match &self.target {
            Target::Own { .. } => None,
            Target::Host(table) => Some(table),
        }
    }

    #[inline]
    fn key<'a>(&self, key: &'a Bound<'_, PyAny>) -> PyResult<Converted<'a>> {
        from_python(self.target.key_type(), key, || {
            format!("a key of the table {}", self.target.name())
        })
    }

    /// Returns the entry with a key, or nothing for the key `None`.
    #[inline]
    fn find_optional<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        if key.is_none() { Ok(None) } else { self.find(key) }
    }

    /// Returns the entry with a key.
    #[inline]
    fn find<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Option<Bound<'py, PyAny>>> {
        let py = key.py();
        let key = self.key(key)?;
        match &self.target {
            Target::Own { table, fields } => {
                let entry = table.get(key.data()).map_err(|error| engine_error(py, error))?;
                let state = entry.map(|entry| self.own_state(entry, fields));
                state.map(|state| Entry::make(py, &self.shape, state)).transpose()
            }
            Target::Host(table) => {
                let entry = table.get(key.data()).map_err(|error| engine_error(py, error))?;
                entry.map(|entry| self.host_entry(py, table, entry)).transpose()
            }
        }
    }

    /// Returns the object of an entry of a host's table.
    #[inline]
    fn host_entry<'py>(
        &self,
        py: Python<'py>,
        table: &Arc<dyn HostTable>,
        entry: EntryId,
    ) -> PyResult<Bound<'py, PyAny>> {
        let unshared = self.last.with(py, |last| {
            let last = last.as_ref().map(|last| last.bind(py));
            last.filter(|last| !is_shared(last)).cloned()
        });
        if let Some(last) = unshared {
            last.get().change_to(entry);
            return Ok(last.into_any());
        }
        let state = State::Host {
            table: Arc::clone(table),
            entry: HostEntry::new(entry),
            shape: Arc::clone(&self.shape),
        };
        let made = Entry::make(py, &self.shape, state)?;
        if self.shape.is_reusable {
            let kept = made.cast::<Entry>()?.clone().unbind();
            let old = self.last.replace(py, Some(kept));
            drop(old);
        }
        Ok(made)
    }

    /// Releases the last entry, unless something else refers to its object. Called before the table is changed or
    /// iterated over, for which the owner of the table may need an entry that is held.
    pub(super) fn release_last(&self, py: Python<'_>) {
        let last = self.last.replace(py, None);
        drop(last);
    }

    pub(super) fn own_state(&self, entry: Arc<EngineEntry>, fields: &Arc<[FieldId]>) -> State {
        State::Own {
            entry,
            fields: Arc::clone(fields),
            shape: Arc::clone(&self.shape),
        }
    }
}

impl OneArgument for Table {
    const NAME: &str = "get";

    #[inline]
    fn call<'py>(this: &Bound<'py, Self>, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        match this.get().find_optional(key)? {
            Some(entry) => Ok(entry),
            None => Ok(this.py().None().into_bound(this.py())),
        }
    }

    fn general() -> &'static PyOnceLock<Py<PyAny>> {
        static GENERAL: PyOnceLock<Py<PyAny>> = PyOnceLock::new();
        &GENERAL
    }
}

#[pymethods]
impl Table {
    /// Declares a table of the host or of another plugin, which is opened when the plugin is initialised.
    ///
    /// If the table or one of its fields does not exist, init fails with a message that lists those that do. A
    /// plugin that owns a table must be loaded before those that use it.
    ///
    /// Args:
    ///     name: the name of the table, such as ``"threads"``.
    ///     optional: the plugin works without the table. The attribute is then ``None`` if there is no such table.
    #[staticmethod]
    #[pyo3(signature = (name, *, optional = false))]
    fn of<'py>(py: Python<'py>, name: &Bound<'py, PyAny>, optional: bool) -> PyResult<Bound<'py, PyAny>> {
        imports::DECLARED_TABLE.call(py, (name, false, optional, false))
    }

    /// Declares a table of this plugin, which other plugins and the host can read and change.
    ///
    /// Args:
    ///     name: the name of the table. No other plugin may have a table with this name, so begin it with the plugin's.
    ///     record_changes: keep what other plugins and the host change, for ``changes``.
    #[staticmethod]
    #[pyo3(name = "new", signature = (name, *, record_changes = false))]
    fn declare<'py>(py: Python<'py>, name: &Bound<'py, PyAny>, record_changes: bool) -> PyResult<Bound<'py, PyAny>> {
        imports::DECLARED_TABLE.call(py, (name, true, false, record_changes))
    }

    #[classmethod]
    fn __class_getitem__<'py>(class: &Bound<'py, PyType>, types: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        imports::GENERIC_ALIAS.call(class.py(), (class, types))
    }

    /// The name of the table.
    #[getter]
    fn name(&self) -> Cow<'_, str> {
        self.target.name()
    }

    /// Returns the entry with a key, or ``default`` if there is none.
    ///
    /// No entry has the key ``None``, so ``event.thread_id`` is a key for events that belong to no thread, too.
    /// The entry of a host's table can be used until the host's call ends.
    ///
    /// Raises:
    ///     TypeError: the key does not have the type of the table's keys.
    ///     ValueError: the key is an ``int`` that the type of the table's keys does not have.
    ///     PluginError: the table is not open here.
    #[pyo3(signature = (key, default = None, /))]
    fn get<'py>(
        &self,
        key: &Bound<'py, PyAny>,
        default: Option<Bound<'py, PyAny>>,
    ) -> PyResult<Option<Bound<'py, PyAny>>> {
        Ok(self.find_optional(key)?.or(default))
    }

    fn __getitem__<'py>(&self, key: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        self.find(key)?.ok_or_else(|| PyKeyError::new_err(key.clone().unbind()))
    }

    fn __setitem__(&self, key: &Bound<'_, PyAny>, entry: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        self.release_last(py);
        let key = self.key(key)?;
        let values = self.values_of(entry)?;
        let added = match &self.target {
            Target::Own { table, fields } => table.insert(key.data(), Self::new_entry(py, table, fields, &values)?),
            Target::Host(table) => {
                let values: Vec<(usize, Data<'_>)> =
                    values.iter().map(|(index, value)| (*index, value.data())).collect();
                table.insert(key.data(), &values).map(|entry| table.release(entry))
            }
        };
        added.map_err(|error| engine_error(py, error))
    }

    fn __delitem__(&self, key: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = key.py();
        self.release_last(py);
        let converted = self.key(key)?;
        let removed = self.target.remove(converted.data());
        if removed.map_err(|error| engine_error(py, error))? {
            return Ok(());
        }
        Err(PyKeyError::new_err(key.clone().unbind()))
    }

    fn __contains__(&self, key: &Bound<'_, PyAny>) -> PyResult<bool> {
        let py = key.py();
        if key.is_none() {
            return Ok(false);
        }
        let key = self.key(key)?;
        let found = self.target.contains(key.data());
        found.map_err(|error| engine_error(py, error))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        let len = self.target.len().map_err(|error| engine_error(py, error))?;
        Ok(usize::try_from(len)?)
    }

    /// Returns the entry with a key. If there is none, adds ``entry`` and returns the one that the table then has.
    ///
    /// In a table of the plugin itself, no other thread can add one in between.
    ///
    /// Raises:
    ///     TypeError: the key or the entry does not have the type of the table's.
    ///     ValueError: an ``int`` is one that the type in the table does not have.
    ///     PluginError: the table is not open here, or cannot be changed here.
    #[pyo3(signature = (key, entry, /))]
    fn setdefault<'py>(&self, key: &Bound<'py, PyAny>, entry: &Bound<'py, PyAny>) -> PyResult<Bound<'py, PyAny>> {
        let py = key.py();
        match &self.target {
            Target::Own { table, fields } => {
                let key = self.key(key)?;
                let made = Self::new_entry(py, table, fields, &self.values_of(entry)?)?;
                let entry = table
                    .get_or_insert(key.data(), made)
                    .map_err(|error| engine_error(py, error))?;
                Entry::make(py, &self.shape, self.own_state(entry, fields))
            }
            Target::Host(_) => {
                if let Some(found) = self.find(key)? {
                    return Ok(found);
                }
                self.__setitem__(key, entry)?;
                self.__getitem__(key)
            }
        }
    }

    /// Removes all entries.
    ///
    /// Raises:
    ///     PluginError: the table is not open here, or cannot be changed here.
    fn clear(&self, py: Python<'_>) -> PyResult<()> {
        self.release_last(py);
        self.target.clear().map_err(|error| engine_error(py, error))
    }

    /// Returns the changes that other plugins and the host have made since the last call, and how many further ones
    /// were dropped.
    ///
    /// A change is ``"added"``, ``"changed"`` or ``"removed"``, with the key of the entry. Several writes of one entry,
    /// one after the other, are one change. At most 4096 changes wait; further ones are dropped and counted. Changes
    /// of the plugin itself are not recorded.
    ///
    /// Raises:
    ///     TypeError: the table does not record changes, because it was declared without ``record_changes=True``.
    fn changes<'py>(&self, py: Python<'py>) -> PyResult<(Bound<'py, PyList>, u64)> {
        let Some(changes) = self.engine_own().and_then(|table| table.take_changes()) else {
            return Err(PyTypeError::new_err(format!(
                "the table {} does not record changes: declare it as Table.new(name, record_changes=True)",
                self.target.name()
            )));
        };
        let recorded = changes.recorded.into_iter().map(|change| {
            let kind = match change.kind {
                ChangeKind::Added => "added",
                ChangeKind::Changed => "changed",
                ChangeKind::Removed => "removed",
            };
            Ok((kind, to_python(py, change.key.borrowed())?))
        });
        let recorded = PyList::new(py, recorded.collect::<PyResult<Vec<_>>>()?)?;
        Ok((recorded, changes.dropped))
    }

    /// Returns all keys, in no particular order. Works only for tables of the plugin itself: the plugin API does
    /// not pass the keys of others.
    ///
    /// Raises:
    ///     TypeError: the table is one of the host or of another plugin.
    fn keys<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let keys: Vec<_> = self.own_items(py)?.into_iter().map(|(key, _)| key).collect();
        PyList::new(py, keys)
    }

    /// Returns all entries, in no particular order.
    ///
    /// For a table of the host or of another plugin, the entries are copies without sub-tables, which cannot be
    /// changed.
    ///
    /// Raises:
    ///     PluginError: the table is not open here.
    fn values<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let entries: Vec<_> = match &self.target {
            Target::Own { table, fields } => table
                .entries()
                .into_iter()
                .map(|(_, entry)| Entry::make(py, &self.shape, self.own_state(entry, fields)))
                .collect::<PyResult<_>>()?,
            Target::Host(table) => self.copies(py, table)?,
        };
        PyList::new(py, entries)
    }

    /// Returns all keys with their entries, in no particular order. Works only for tables of the plugin itself.
    ///
    /// Raises:
    ///     TypeError: the table is one of the host or of another plugin.
    fn items<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyList>> {
        let items = self.own_items(py)?.into_iter();
        let items = items.map(|(key, state)| Ok((key, Entry::make(py, &self.shape, state)?)));
        PyList::new(py, items.collect::<PyResult<Vec<_>>>()?)
    }

    fn __iter__<'py>(&self, py: Python<'py>) -> PyResult<Bound<'py, PyIterator>> {
        self.keys(py)?.try_iter()
    }

    fn __repr__(&self) -> String {
        format!("<Table {} of {}>", self.target.name(), self.shape.class_name)
    }
}
