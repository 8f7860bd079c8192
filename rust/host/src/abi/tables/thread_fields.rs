//! Values of the fields of threads and file descriptors, in the form that libs gives them.

use std::collections::HashMap;
use std::ffi::CString;
use std::sync::Arc;

use falco_plugin_api::{
    ss_plugin_state_type_SS_PLUGIN_ST_BOOL as BOOL, ss_plugin_state_type_SS_PLUGIN_ST_UINT8 as UINT8,
    ss_plugin_state_type_SS_PLUGIN_ST_UINT16 as UINT16, ss_plugin_state_type_SS_PLUGIN_ST_UINT32 as UINT32,
};

use crate::abi::tables::builtin::{BuiltIn, Entry, Field, Schema, Value};
use crate::scap::Content;
use crate::scap::Content::{Number, Strings, Text};

/// The fields of a table by their names.
#[derive(Default)]
pub(super) struct Fields(pub(super) HashMap<String, Arc<Field>>);

impl Fields {
    pub(super) fn of(schema: &Schema) -> Self {
        let named = |field: Arc<Field>| (field.name.to_string_lossy().into_owned(), field);
        Self(schema.fields().into_iter().map(named).collect())
    }

    /// Sets a field. Bits that its type does not have are cut off, and so is a string from its first NUL on.
    pub(super) fn set(&self, entry: &Entry, name: &str, content: &Content<'_>) {
        let field = &self.0[name];
        let value = match content {
            Number(bits) => Value::Bits(match field.kind {
                BOOL => u64::from(*bits != 0),
                UINT8 => *bits & u64::from(u8::MAX),
                UINT16 => *bits & u64::from(u16::MAX),
                UINT32 => *bits & u64::from(u32::MAX),
                _ => *bits,
            }),
            Text(text) if name == "exe_path" => Value::Text(c_string(text.strip_suffix(b" (deleted)").unwrap_or(text))),
            Text(text) => Value::Text(c_string(text)),
            Content::Name(text) => Value::Text(c_string(text.as_bytes())),
            Strings(strings) => {
                if let Some(list) = self.table(entry, name) {
                    set_list(&list, strings);
                }
                return;
            }
        };
        entry.set(field, value);
    }

    pub(super) fn number(&self, entry: &Entry, name: &str) -> u64 {
        match entry.get(&self.0[name]) {
            Value::Bits(bits) => bits,
            _ => 0,
        }
    }

    pub(super) fn text(&self, entry: &Entry, name: &str) -> Vec<u8> {
        match entry.get(&self.0[name]) {
            Value::Text(text) => text.into_bytes(),
            _ => Vec::new(),
        }
    }

    pub(super) fn table(&self, entry: &Entry, name: &str) -> Option<Arc<BuiltIn>> {
        match entry.get(&self.0[name]) {
            Value::Table(table) => Some(table),
            _ => None,
        }
    }
}

/// Replaces the entries of a sub-table with one string each, or with two that `=` separates.
fn set_list(list: &BuiltIn, strings: &[u8]) {
    list.clear();
    let strings = strings.strip_suffix(b"\0").unwrap_or(strings);
    if strings.is_empty() {
        return;
    }
    let fields = list.schema.fields();
    for (index, string) in strings.split(|&byte| byte == 0).enumerate() {
        let entry = list.new_entry();
        match fields.as_slice() {
            [first, second] => {
                let Some(equals) = string.iter().position(|&byte| byte == b'=') else {
                    return;
                };
                entry.set(first, Value::Text(c_string(subsystem(&string[..equals]))));
                entry.set(second, Value::Text(c_string(&string[equals + 1..])));
            }
            [first, ..] => entry.set(first, Value::Text(c_string(string))),
            [] => {}
        }
        list.insert(index as i128, entry);
    }
}

/// Returns the name of a subsystem of control groups as libs has it.
fn subsystem(name: &[u8]) -> &[u8] {
    match name.strip_suffix(b"_cgroup").unwrap_or(name) {
        b"perf" => b"perf_event",
        b"mem" => b"memory",
        b"io" => b"blkio",
        name => name,
    }
}

pub(super) fn copy_entries(from: Option<Arc<BuiltIn>>, to: Option<Arc<BuiltIn>>) {
    if let (Some(from), Some(to)) = (from, to) {
        for (key, entry) in from.entries() {
            to.insert(key, entry.copy());
        }
    }
}

/// Returns a path without `.`, `..` and empty parts. A relative one begins at `folder`.
pub(super) fn joined(folder: &[u8], path: &[u8]) -> Vec<u8> {
    let folder = if path.starts_with(b"/") { b"" } else { folder };
    let mut parts: Vec<&[u8]> = Vec::new();
    for part in [folder, path]
        .into_iter()
        .flat_map(|path| path.split(|&byte| byte == b'/'))
    {
        match part {
            b"" | b"." => {}
            b".." => drop(parts.pop()),
            part => parts.push(part),
        }
    }
    let mut joined = Vec::new();
    for part in parts {
        joined.push(b'/');
        joined.extend_from_slice(part);
    }
    joined
}

/// Returns the path of a folder as libs has it, with a slash at its end.
pub(super) fn folder(mut path: Vec<u8>) -> Vec<u8> {
    path.push(b'/');
    path
}

fn c_string(bytes: &[u8]) -> CString {
    let text = bytes.split(|&byte| byte == 0).next().unwrap_or_default();
    CString::new(text).unwrap_or_default()
}
