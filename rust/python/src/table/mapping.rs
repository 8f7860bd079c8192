//! `Table`: a mapping of keys to entries.

use std::sync::{Arc, Mutex};

use falco_plugin_engine::table::{ChangeKind, Data, DataType, FieldId, HostTable, OwnTable};
use pyo3::exceptions::{PyKeyError, PyTypeError};
use pyo3::prelude::*;
use pyo3::sync::PyOnceLock;
use pyo3::types::{PyIterator, PyList, PyType};

use crate::errors::to_python as engine_error;
use crate::imports;
use crate::interpreter::fast::OneArgument;
use crate::table::convert::{Converted, from_python, to_python};
use crate::table::entry::{Entry, State, read_host, subject};
use crate::table::shape::{Shape, Spec};

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
    target: Target,
    shape: Arc<Shape>,
}

#[derive(Debug, Clone)]
enum Target {
    Own {
        table: Arc<OwnTable>,
        /// The fields by the index of their attributes.
        fields: Arc<[FieldId]>,
    },
    Host(Arc<dyn HostTable>),
}

impl Table {
    pub(crate) fn host(table: Arc<dyn HostTable>, shape: Arc<Shape>) -> Self {
        Self {
            target: Target::Host(table),
            shape,
        }
    }

    /// Makes an empty table of this plugin.
    pub(crate) fn own(py: Python<'_>, spec: &Bound<'_, PyAny>) -> PyResult<Self> {
        let Spec {
            shape,
            request,
            records_changes,
        } = Spec::read(spec)?;
        let key = request.key.own_type().unwrap_or(DataType::Int64);
        let fields: Vec<_> = request
            .fields
            .iter()
            .filter_map(|field| Some((field.name.as_str(), field.kind.own_type()?)))
            .collect();
        let mut table = OwnTable::new(&request.name, key, &fields).map_err(|error| engine_error(py, error))?;
        if records_changes {
            table = table.recording();
        }
        let mut ids = table.fields().into_iter().map(|field| field.id);
        // A table that replaces one of the host has no sub-tables.
        let absent = FieldId {
            index: u32::MAX,
            kind: DataType::Table,
        };
        let fields = request.fields.iter().map(|field| match field.kind.own_type() {
            Some(_) => ids.next().unwrap_or(absent),
            None => absent,
        });
        let fields = fields.collect();
        Ok(Self {
            target: Target::Own {
                table: Arc::new(table),
                fields,
            },
            shape,
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

    fn key_type(&self) -> DataType {
        match &self.target {
            Target::Own { table, .. } => table.key_type(),
            Target::Host(table) => table.key_type(),
        }
    }

    fn table_name(&self) -> String {
        match &self.target {
            Target::Own { table, .. } => table.name().to_string_lossy().into_owned(),
            Target::Host(table) => table.name().to_owned(),
        }
    }

    #[inline]
    fn key<'a>(&self, key: &'a Bound<'_, PyAny>) -> PyResult<Converted<'a>> {
        from_python(self.key_type(), key, || {
            format!("a key of the table {}", self.table_name())
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
        let state = match &self.target {
            Target::Own { table, fields } => {
                let entry = table.get(key.data()).map_err(|error| engine_error(py, error))?;
                entry.map(|entry| self.own_state(entry, fields))
            }
            Target::Host(table) => {
                let entry = table.get(key.data()).map_err(|error| engine_error(py, error))?;
                entry.map(|entry| State::Host {
                    table: Arc::clone(table),
                    entry,
                    shape: Arc::clone(&self.shape),
                })
            }
        };
        state.map(|state| Entry::make(py, &self.shape, state)).transpose()
    }

    fn own_state(&self, entry: Arc<falco_plugin_engine::table::Entry>, fields: &Arc<[FieldId]>) -> State {
        State::Own {
            entry,
            fields: Arc::clone(fields),
            shape: Arc::clone(&self.shape),
        }
    }

    /// Returns the values of an entry, converted to the types of the table's fields, with the indices of the
    /// fields.
    fn values_of(&self, entry: &Bound<'_, PyAny>) -> PyResult<Vec<(usize, Converted<'static>)>> {
        let py = entry.py();
        let class = self.shape.entry_class.bind(py);
        if !entry.is_instance(class)? {
            return Err(PyTypeError::new_err(format!(
                "an entry of the table {} must be {}, got {}",
                self.table_name(),
                self.shape.class_name,
                entry.get_type().name()?
            )));
        }
        let values = entry.cast::<Entry>()?.get().values(py, self.shape.attributes.len())?;
        let mut converted = Vec::with_capacity(values.len());
        for (index, value) in values.into_iter().enumerate() {
            let kind = match &self.target {
                Target::Own { fields, .. } => fields.get(index).map(|field| field.kind),
                Target::Host(table) => table.fields().get(index).and_then(|field| field.kind),
            };
            let (Some(value), Some(kind)) = (value, kind) else {
                continue;
            };
            // The entry may be one of a table in which the field is optional and missing.
            if !value.is_none() {
                let value = from_python(kind, &value, || subject(&self.shape, index))?;
                converted.push((index, value.into_owned()));
            }
        }
        Ok(converted)
    }

    /// Makes an entry of the engine with values.
    fn new_entry(
        py: Python<'_>,
        table: &OwnTable,
        fields: &[FieldId],
        values: &[(usize, Converted<'_>)],
    ) -> PyResult<Arc<falco_plugin_engine::table::Entry>> {
        let entry = table.new_entry();
        for (index, value) in values {
            entry
                .set(fields[*index], value.data())
                .map_err(|error| engine_error(py, error))?;
        }
        Ok(entry)
    }

    /// Copies the values of all entries of a host's table, because each is valid only while the host visits it.
    fn copies<'py>(&self, py: Python<'py>, table: &Arc<dyn HostTable>) -> PyResult<Vec<Bound<'py, PyAny>>> {
        let mut rows = Vec::new();
        let mut failed = None;
        let visited = table.for_each(&mut |entry| {
            let attributes = self.shape.attributes.iter().enumerate();
            let row: PyResult<Vec<_>> = attributes
                .map(|(index, attribute)| {
                    if attribute.subtable.is_some() {
                        return Ok(None);
                    }
                    let value = read_host(py, table, entry, &self.shape, index)?;
                    Ok(Some(value.unbind()))
                })
                .collect();
            match row {
                Ok(row) => rows.push(row),
                Err(error) => failed = Some(error),
            }
            failed.is_none()
        });
        if let Some(error) = failed {
            return Err(error);
        }
        visited.map_err(|error| engine_error(py, error))?;
        rows.into_iter()
            .map(|row| {
                let state = State::Detached {
                    values: Mutex::new(row),
                    is_copy: true,
                };
                Entry::make(py, &self.shape, state)
            })
            .collect()
    }

    /// Returns the keys and entries of a table of this plugin.
    fn own_items<'py>(&self, py: Python<'py>) -> PyResult<Vec<(Bound<'py, PyAny>, State)>> {
        match &self.target {
            Target::Own { table, fields } => table
                .entries()
                .into_iter()
                .map(|(key, entry)| Ok((to_python(py, key.borrowed())?, self.own_state(entry, fields))))
                .collect(),
            Target::Host(table) => Err(PyTypeError::new_err(format!(
                "the keys of the table {} cannot be listed, because the plugin API passes only entries: use values(), and a \
                 field that has the key",
                table.name()
            ))),
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
    fn name(&self) -> String {
        self.table_name()
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
        let converted = self.key(key)?;
        let removed = match &self.target {
            Target::Own { table, .. } => table.remove(converted.data()),
            Target::Host(table) => table.remove(converted.data()),
        };
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
        let found = match &self.target {
            Target::Own { table, .. } => table.get(key.data()).map(|entry| entry.is_some()),
            Target::Host(table) => table.get(key.data()).map(|entry| {
                if let Some(entry) = entry {
                    table.release(entry);
                }
                entry.is_some()
            }),
        };
        found.map_err(|error| engine_error(py, error))
    }

    fn __len__(&self, py: Python<'_>) -> PyResult<usize> {
        match &self.target {
            Target::Own { table, .. } => Ok(table.len()),
            Target::Host(table) => {
                let len = table.len().map_err(|error| engine_error(py, error))?;
                Ok(usize::try_from(len)?)
            }
        }
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
        match &self.target {
            Target::Own { table, .. } => table.clear(),
            Target::Host(table) => table.clear().map_err(|error| engine_error(py, error))?,
        }
        Ok(())
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
                self.table_name()
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
        format!("<Table {} of {}>", self.table_name(), self.shape.class_name)
    }
}
