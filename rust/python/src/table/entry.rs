//! `Entry`: the base of the classes whose attributes are the fields of a table.

use std::cell::RefCell;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falco_plugin_engine::table::{self as engine, DataType, EntryId, FieldId, HostTable};
use pyo3::exceptions::{PyAttributeError, PyTypeError};
use pyo3::prelude::*;
use pyo3::types::{PyDict, PyTuple, PyType};

use crate::errors::to_python as engine_error;
use crate::imports;
use crate::interpreter::fast::new_object;
use crate::table::attribute::Attribute;
use crate::table::convert::{from_python, to_python};
use crate::table::mapping::Table;
use crate::table::shape::Shape;

/// The base of ``falco_plugin.Entry``. Not public.
#[pyclass(frozen, subclass, name = "BaseEntry", module = "falco_plugin._core")]
pub(crate) struct Entry {
    state: State,
}

/// The location of an entry's values.
pub(crate) enum State {
    /// In a table of this plugin.
    Own {
        entry: Arc<engine::Entry>,
        fields: Arc<[FieldId]>,
        shape: Arc<Shape>,
    },
    /// In a table of the host or of another plugin, for the duration of a call.
    Host {
        table: Arc<dyn HostTable>,
        entry: HostEntry,
        shape: Arc<Shape>,
    },
    /// Here, because user code has made the entry, and no table has it.
    Detached {
        values: Mutex<Vec<Option<Py<PyAny>>>>,
        /// Whether the values are a copy of those that a host's table had during an iteration.
        is_copy: bool,
    },
}

/// The entry of a host's table that an object has. The object is reused for another entry.
pub(crate) struct HostEntry {
    // Both change only while nothing but the table refers to the object, so no thread sees parts of two entries, and
    // `Relaxed` is enough.
    call: AtomicU64,
    index: AtomicUsize,
}

impl HostEntry {
    pub(crate) fn new(entry: EntryId) -> Self {
        Self {
            call: entry.call.into(),
            index: entry.index.into(),
        }
    }

    #[inline]
    fn get(&self) -> EntryId {
        EntryId {
            call: self.call.load(Ordering::Relaxed),
            index: self.index.load(Ordering::Relaxed),
        }
    }

    #[inline]
    fn set(&self, entry: EntryId) {
        self.call.store(entry.call, Ordering::Relaxed);
        self.index.store(entry.index, Ordering::Relaxed);
    }
}

thread_local! {
    /// The state of the entry that this thread is making of a class in Python, whose constructor takes it.
    static PENDING: RefCell<Option<State>> = const { RefCell::new(None) };
}

impl Drop for Entry {
    fn drop(&mut self) {
        if let State::Host { table, entry, .. } = &self.state {
            table.release(entry.get());
        }
    }
}

impl Entry {
    /// Makes an entry of the class of a shape.
    #[inline]
    pub(crate) fn make<'py>(py: Python<'py>, shape: &Shape, state: State) -> PyResult<Bound<'py, PyAny>> {
        let replaced = PENDING.replace(Some(state));
        debug_assert!(replaced.is_none());
        let made = new_object(shape.entry_class.bind(py));
        // Taken already, unless the constructor was not reached.
        drop(PENDING.take());
        made
    }

    /// Makes the object that of another entry of the same table of the host, and releases the entry that it had. Only the
    /// table may refer to the object.
    #[inline]
    pub(crate) fn change_to(&self, new: EntryId) {
        if let State::Host { table, entry, .. } = &self.state {
            let old = entry.get();
            entry.set(new);
            // Those of an earlier call have been released.
            if old.call == new.call {
                table.release(old);
            }
        }
    }

    /// Returns the value of an attribute by its index.
    #[inline]
    pub(crate) fn read<'py>(&self, py: Python<'py>, index: usize) -> PyResult<Bound<'py, PyAny>> {
        match &self.state {
            State::Own { entry, fields, shape } => {
                let field = fields.get(index).ok_or_else(no_field)?;
                let stored = entry.get(*field).map_err(|error| match field.kind {
                    DataType::Table => no_subtable(shape, index),
                    _ => engine_error(py, error),
                })?;
                to_python(py, stored.data())
            }
            State::Host { table, entry, shape } => read_host(py, table, entry.get(), shape, index),
            State::Detached { values, is_copy } => {
                let value = lock(values).get(index).and_then(|value| {
                    let value = value.as_ref()?;
                    Some(value.bind(py).clone())
                });
                value.ok_or_else(|| {
                    PyAttributeError::new_err(if *is_copy {
                        "sub-tables are not part of the entries that values() returns: get the entry by its key"
                    } else {
                        "the attribute is not set"
                    })
                })
            }
        }
    }

    /// Changes the value of an attribute by its index.
    #[inline]
    pub(crate) fn write(&self, index: usize, value: &Bound<'_, PyAny>) -> PyResult<()> {
        let py = value.py();
        match &self.state {
            State::Own { entry, fields, shape } => {
                let field = fields.get(index).ok_or_else(no_field)?;
                let value = from_python(field.kind, value, || subject(shape, index))?;
                entry.set(*field, value.data()).map_err(|error| engine_error(py, error))
            }
            State::Host { table, entry, shape } => {
                let kind = table.fields().get(index).ok_or_else(no_field)?.kind;
                let Some(kind) = kind else {
                    return Err(PyAttributeError::new_err(format!(
                        "{} cannot be set: the table {} does not have the field",
                        subject(shape, index),
                        table.name()
                    )));
                };
                let value = from_python(kind, value, || subject(shape, index))?;
                table
                    .write(entry.get(), index, value.data())
                    .map_err(|error| engine_error(py, error))
            }
            State::Detached { is_copy: true, .. } => Err(PyAttributeError::new_err(
                "the entries that values() returns for a table of the host or of another plugin are copies: get the entry by \
                 its key to change it",
            )),
            State::Detached { values, is_copy: false } => {
                let mut values = lock(values);
                let slot = values.get_mut(index).ok_or_else(no_field)?;
                let old = slot.replace(value.clone().unbind());
                drop(values);
                drop(old);
                Ok(())
            }
        }
    }

    /// Returns whether user code has made the entry, so that it has only values that user code chose.
    pub(crate) fn is_made_by_user(&self) -> bool {
        matches!(self.state, State::Detached { is_copy: false, .. })
    }

    /// Returns the values of an entry that user code has made, by the index of their attributes. The value of an
    /// entry in a table is read from it.
    pub(crate) fn values<'py>(&self, py: Python<'py>, count: usize) -> PyResult<Vec<Option<Bound<'py, PyAny>>>> {
        if let State::Detached { values, .. } = &self.state {
            let values = lock(values);
            return Ok(values
                .iter()
                .map(|value| value.as_ref().map(|value| value.bind(py).clone()))
                .collect());
        }
        let values = (0..count).map(|index| {
            let value = self.read(py, index)?;
            // A sub-table is not copied to another entry.
            Ok((!value.is_instance_of::<Table>()).then_some(value))
        });
        values.collect()
    }
}

/// Reads a field of an entry of a host's table.
#[inline]
pub(crate) fn read_host<'py>(
    py: Python<'py>,
    table: &Arc<dyn HostTable>,
    entry: EntryId,
    shape: &Arc<Shape>,
    index: usize,
) -> PyResult<Bound<'py, PyAny>> {
    let field = table.fields().get(index).ok_or_else(no_field)?;
    if field.kind.is_none() {
        return Ok(py.None().into_bound(py));
    }
    if let Some(shape) = &shape.attributes[index].subtable {
        let subtable = table.subtable(entry, index).map_err(|error| engine_error(py, error))?;
        return Ok(Bound::new(py, Table::host(subtable, Arc::clone(shape)))?.into_any());
    }
    let mut value = None;
    let read = table.read(entry, index, &mut |data| value = Some(to_python(py, data)));
    read.map_err(|error| engine_error(py, error))?;
    value.ok_or_else(no_field)?
}

/// Returns the subject of a message about an attribute.
pub(crate) fn subject(shape: &Shape, index: usize) -> String {
    format!("{}.{}", shape.class_name, shape.attributes[index].name)
}

#[cold]
fn no_field() -> PyErr {
    PyAttributeError::new_err("the entry has no such field")
}

#[cold]
fn no_subtable(shape: &Shape, index: usize) -> PyErr {
    PyAttributeError::new_err(format!(
        "{} cannot be read: the tables that make_table returns have no sub-tables: test it with run(…, table_contents=…)",
        subject(shape, index)
    ))
}

/// Locks the values of an entry. The lock is never held while Python code runs.
fn lock(values: &Mutex<Vec<Option<Py<PyAny>>>>) -> MutexGuard<'_, Vec<Option<Py<PyAny>>>> {
    values.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Returns the attributes of an entry class, by their index.
fn attributes_of<'py>(class: &Bound<'py, PyType>) -> PyResult<Vec<Bound<'py, Attribute>>> {
    let attributes = class.getattr("__falco_attributes__")?.cast_into::<PyTuple>()?;
    attributes
        .iter()
        .map(|attribute| Ok(attribute.cast_into::<Attribute>()?))
        .collect()
}

#[pymethods]
impl Entry {
    #[new]
    #[classmethod]
    #[pyo3(signature = (**values))]
    fn new(class: &Bound<'_, PyType>, values: Option<&Bound<'_, PyDict>>) -> PyResult<Self> {
        if let Some(state) = PENDING.take() {
            return Ok(Self { state });
        }
        let py = class.py();
        let given = values.map_or(0, |values| values.len());
        let mut found = 0;
        let mut made = Vec::new();
        let mut missing = Vec::new();
        for attribute in attributes_of(class)? {
            let attribute = attribute.get();
            let value = match values
                .map(|values| values.get_item(attribute.name()))
                .transpose()?
                .flatten()
            {
                Some(value) => {
                    found += 1;
                    Some(value)
                }
                None => attribute.default_of(py),
            };
            if value.is_none() && attribute.is_required() {
                missing.push(attribute.name().to_owned());
            }
            made.push(value.map(Bound::unbind));
        }
        let name = class.name()?;
        if found < given {
            let names: Vec<String> = attributes_of(class)?
                .iter()
                .map(|attribute| attribute.get().name().to_owned())
                .collect();
            let unknown = values
                .into_iter()
                .flat_map(|values| values.keys())
                .map(|key| key.to_string());
            let unknown: Vec<String> = unknown.filter(|key| !names.contains(key)).collect();
            return Err(PyTypeError::new_err(format!(
                "{name} has no attribute {} (attributes: {})",
                unknown.join(", "),
                names.join(", ")
            )));
        }
        if !missing.is_empty() {
            let message = imports::MISSING_ATTRIBUTES.call(py, (class, missing))?;
            return Err(PyTypeError::new_err(message.unbind()));
        }
        Ok(Self {
            state: State::Detached {
                values: Mutex::new(made),
                is_copy: false,
            },
        })
    }

    fn __repr__(slf: &Bound<'_, Self>) -> PyResult<String> {
        let py = slf.py();
        let class = slf.get_type();
        let mut parts = Vec::new();
        for (index, attribute) in attributes_of(&class)?.iter().enumerate() {
            let name = attribute.get().name().to_owned();
            match slf.get().read(py, index) {
                Ok(value) => parts.push(format!("{name}={}", value.repr()?)),
                Err(_) => parts.push(format!("{name}=<not readable>")),
            }
        }
        Ok(format!("{}({})", class.name()?, parts.join(", ")))
    }
}
