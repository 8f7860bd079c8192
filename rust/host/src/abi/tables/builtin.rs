//! Tables of the host: entries with fixed fields, to which plugins can add some.

use std::collections::BTreeMap;
use std::ffi::{CStr, CString};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use falco_plugin_api::{
    self as c, ss_plugin_state_data, ss_plugin_state_type, ss_plugin_state_type_SS_PLUGIN_ST_BOOL as BOOL,
    ss_plugin_state_type_SS_PLUGIN_ST_STRING as STRING, ss_plugin_state_type_SS_PLUGIN_ST_TABLE as TABLE,
};

/// The fields of a table's entries. All sub-tables of one field share them.
#[derive(Debug)]
pub(super) struct Schema {
    pub(super) name: CString,
    pub(super) key_type: ss_plugin_state_type,
    fields: Mutex<Vec<Arc<Field>>>,
    /// Whether plugins can add fields.
    is_extensible: bool,
}

/// A field. It exists as long as its table; its address is its accessor.
#[derive(Debug)]
pub(super) struct Field {
    pub(super) name: CString,
    pub(super) kind: ss_plugin_state_type,
    pub(super) is_read_only: bool,
    index: usize,
    pub(super) subtable: Option<Arc<Schema>>,
}

/// A table of the host.
#[derive(Debug)]
pub(super) struct BuiltIn {
    pub(super) schema: Arc<Schema>,
    entries: Mutex<BTreeMap<i128, Arc<Entry>>>,
}

/// An entry of a table of the host.
#[derive(Debug)]
pub(super) struct Entry {
    schema: Arc<Schema>,
    values: Mutex<Vec<Value>>,
}

/// The value of a field.
#[derive(Debug, Clone)]
pub(super) enum Value {
    /// The bits of a number or of a boolean.
    Bits(u64),
    Text(CString),
    Table(Arc<BuiltIn>),
}

impl Schema {
    pub(super) fn new(name: &str, key_type: ss_plugin_state_type, is_extensible: bool) -> Self {
        Self {
            name: CString::new(name).unwrap_or_default(),
            key_type,
            fields: Mutex::default(),
            is_extensible,
        }
    }

    /// Adds a field that all entries have.
    pub(super) fn with(self, name: &str, kind: ss_plugin_state_type, is_read_only: bool) -> Self {
        self.push(&CString::new(name).unwrap_or_default(), kind, is_read_only, None);
        self
    }

    /// Adds a field that is a sub-table.
    pub(super) fn with_subtable(self, name: &str, subtable: Self) -> Self {
        let name = CString::new(name).unwrap_or_default();
        self.push(&name, TABLE, true, Some(Arc::new(subtable)));
        self
    }

    fn push(
        &self,
        name: &CStr,
        kind: ss_plugin_state_type,
        is_read_only: bool,
        subtable: Option<Arc<Self>>,
    ) -> Arc<Field> {
        let mut fields = lock(&self.fields);
        let field = Arc::new(Field {
            name: name.to_owned(),
            kind,
            is_read_only,
            index: fields.len(),
            subtable,
        });
        fields.push(field.clone());
        field
    }

    pub(super) fn fields(&self) -> Vec<Arc<Field>> {
        lock(&self.fields).clone()
    }

    /// Returns a field if it has the type.
    pub(super) fn field(&self, name: &CStr, kind: ss_plugin_state_type) -> Result<Arc<Field>, String> {
        let found = self.fields().into_iter().find(|field| field.name.as_c_str() == name);
        match found {
            Some(field) if field.kind == kind => Ok(field),
            Some(_) => Err(format!("incompatible data types for field: {}", name.to_string_lossy())),
            None => Err(format!(
                "undefined field '{}' in table '{}'",
                name.to_string_lossy(),
                self.name.to_string_lossy()
            )),
        }
    }

    /// Adds a field of a plugin, or returns the one with this name and type.
    pub(super) fn add_field(&self, name: &CStr, kind: ss_plugin_state_type) -> Result<Arc<Field>, String> {
        let text = name.to_string_lossy();
        if kind == TABLE {
            return Err(format!("can't add dynamic field of type table: {text}"));
        }
        if !self.is_extensible {
            return Err(format!(
                "can't add the field {text} to the table '{}'",
                self.name.to_string_lossy()
            ));
        }
        if self.fields().iter().any(|field| field.name.as_c_str() == name) {
            return self.field(name, kind);
        }
        Ok(self.push(name, kind, false, None))
    }
}

impl BuiltIn {
    pub(super) fn new(schema: Arc<Schema>) -> Self {
        Self {
            schema,
            entries: Mutex::default(),
        }
    }

    pub(super) fn len(&self) -> usize {
        lock(&self.entries).len()
    }

    pub(super) fn get(&self, key: i128) -> Option<Arc<Entry>> {
        lock(&self.entries).get(&key).cloned()
    }

    pub(super) fn insert(&self, key: i128, entry: Arc<Entry>) {
        lock(&self.entries).insert(key, entry);
    }

    pub(super) fn remove(&self, key: i128) -> bool {
        lock(&self.entries).remove(&key).is_some()
    }

    pub(super) fn clear(&self) {
        lock(&self.entries).clear();
    }

    pub(super) fn entries(&self) -> Vec<(i128, Arc<Entry>)> {
        let entries = lock(&self.entries);
        entries.iter().map(|(key, entry)| (*key, entry.clone())).collect()
    }

    /// Makes an entry that is not in the table yet.
    pub(super) fn new_entry(&self) -> Arc<Entry> {
        Arc::new(Entry {
            schema: self.schema.clone(),
            values: Mutex::default(),
        })
    }

    /// Reads a key as libs does, which knows two types for its own tables.
    ///
    /// # Safety
    /// The key has the type of the table's keys.
    pub(super) unsafe fn key(&self, key: &ss_plugin_state_data) -> Result<i128, String> {
        // SAFETY: the caller's promise.
        unsafe {
            match self.schema.key_type {
                c::ss_plugin_state_type_SS_PLUGIN_ST_INT64 => Ok(key.s64.into()),
                c::ss_plugin_state_type_SS_PLUGIN_ST_UINT64 => Ok(key.u64_.into()),
                _ => Err("unsupported key type".to_owned()),
            }
        }
    }
}

impl Entry {
    /// Returns a value. Numbers that were not set are 0, strings empty.
    pub(super) fn get(&self, field: &Field) -> Value {
        let mut values = lock(&self.values);
        self.fill(&mut values, field.index);
        values[field.index].clone()
    }

    /// Sets a value, which has the type of the field.
    pub(super) fn set(&self, field: &Field, value: Value) {
        let mut values = lock(&self.values);
        self.fill(&mut values, field.index);
        values[field.index] = value;
    }

    /// Returns a value in its C form. A string is valid until the value is changed.
    pub(super) fn read(&self, field: &Field) -> ss_plugin_state_data {
        let mut values = lock(&self.values);
        self.fill(&mut values, field.index);
        let mut out = ss_plugin_state_data { u64_: 0 };
        match &values[field.index] {
            Value::Bits(bits) => out.u64_ = *bits,
            Value::Text(text) => out.str_ = text.as_ptr(),
            Value::Table(_) => {}
        }
        out
    }

    /// Returns a copy of an entry that has no sub-tables.
    pub(super) fn copy(&self) -> Arc<Self> {
        Arc::new(Self {
            schema: self.schema.clone(),
            values: Mutex::new(lock(&self.values).clone()),
        })
    }

    /// Makes the values of all fields that have none yet, if that of `index` is one of them.
    fn fill(&self, values: &mut Vec<Value>, index: usize) {
        if values.len() > index {
            return;
        }
        let fields = self.schema.fields();
        for field in &fields[values.len()..] {
            values.push(match (&field.subtable, field.kind) {
                (Some(schema), _) => Value::Table(Arc::new(BuiltIn::new(schema.clone()))),
                (None, STRING) => Value::Text(CString::default()),
                (None, _) => Value::Bits(0),
            });
        }
    }

    /// Returns whether the field is one of this entry's table.
    pub(super) fn has(&self, field: *const Field) -> bool {
        // Plugins mostly write the fields that they have added, which are the last ones.
        lock(&self.schema.fields)
            .iter()
            .rev()
            .any(|known| Arc::as_ptr(known) == field)
    }
}

/// Reads a value out of its C form.
///
/// # Safety
/// `data` is a value of the type, which is not a table; a string is NUL-terminated and valid during the call.
pub(super) unsafe fn value_of(kind: ss_plugin_state_type, data: &ss_plugin_state_data) -> Result<Value, String> {
    // SAFETY: the caller's promise.
    unsafe {
        Ok(match kind {
            STRING if data.str_.is_null() => return Err("the string is NULL".to_owned()),
            STRING => Value::Text(CStr::from_ptr(data.str_).to_owned()),
            BOOL => Value::Bits(u64::from(data.b != 0)),
            c::ss_plugin_state_type_SS_PLUGIN_ST_INT8 => Value::Bits(data.s8 as u64),
            c::ss_plugin_state_type_SS_PLUGIN_ST_INT16 => Value::Bits(data.s16 as u64),
            c::ss_plugin_state_type_SS_PLUGIN_ST_INT32 => Value::Bits(data.s32 as u64),
            c::ss_plugin_state_type_SS_PLUGIN_ST_UINT8 => Value::Bits(data.u8_.into()),
            c::ss_plugin_state_type_SS_PLUGIN_ST_UINT16 => Value::Bits(data.u16_.into()),
            c::ss_plugin_state_type_SS_PLUGIN_ST_UINT32 => Value::Bits(data.u32_.into()),
            _ => Value::Bits(data.u64_),
        })
    }
}

/// Locks a part of a table. A panic cannot leave half a change behind.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
