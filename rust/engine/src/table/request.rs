//! The tables and fields that a plugin declares, and which of the existing ones they mean.

use crate::error::Error;

use super::data::DataType;
use crate::words::did_you_mean;

/// A kind of values, which may have several types.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Any integer type.
    Int,
    String,
    Bool,
    Table,
}

impl Kind {
    pub fn includes(self, kind: DataType) -> bool {
        match self {
            Self::Int => kind.range().is_some(),
            Self::String => kind == DataType::String,
            Self::Bool => kind == DataType::Bool,
            Self::Table => kind == DataType::Table,
        }
    }

    /// Returns the type of values of this kind in fields that the plugin adds, and in its own tables. `None` for tables.
    pub fn own_type(self) -> Option<DataType> {
        match self {
            Self::Int => Some(DataType::Int64),
            Self::String => Some(DataType::String),
            Self::Bool => Some(DataType::Bool),
            Self::Table => None,
        }
    }

    fn name(self) -> &'static str {
        match self {
            Self::Int => "int",
            Self::String => "str",
            Self::Bool => "bool",
            Self::Table => "a sub-table",
        }
    }
}

/// The declaration of a table of the host or of another plugin.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableRequest {
    pub name: String,
    pub key: Kind,
    pub fields: Vec<FieldRequest>,
    /// Whether the plugin works without the table.
    pub is_optional: bool,
}

/// The declaration of a field of such a table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldRequest {
    pub name: String,
    pub kind: Kind,
    /// Whether the plugin adds the field to the table.
    pub is_added: bool,
    /// Whether the plugin works without the field.
    pub is_optional: bool,
    /// The keys and fields of a sub-table. `None` for other kinds.
    pub subtable: Option<SubtableRequest>,
}

/// The declaration of the keys and fields of a sub-table.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SubtableRequest {
    pub key: Kind,
    pub fields: Vec<FieldRequest>,
}

/// A table that exists (`ss_plugin_table_info`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TableInfo {
    pub name: String,
    /// `None` if the type is one that this SDK does not know.
    pub key: Option<DataType>,
}

/// A field that exists (`ss_plugin_table_fieldinfo`).
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FieldInfo {
    pub name: String,
    /// `None` if the type is one that this SDK does not know.
    pub kind: Option<DataType>,
    pub is_read_only: bool,
}

/// Which field a declaration means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Choice {
    Existing {
        kind: DataType,
        is_read_only: bool,
    },
    /// The field is added with this type.
    Add(DataType),
    /// There is no such field, and it is optional.
    Absent,
}

/// Returns the type of the keys of the table that a declaration means; `None` if there is none and it is optional.
///
/// # Errors
/// There is no such table, or its keys are of another kind.
pub fn choose_table(request: &TableRequest, existing: &[TableInfo]) -> Result<Option<DataType>, Error> {
    let name = &request.name;
    let Some(info) = existing.iter().find(|info| info.name == *name) else {
        if request.is_optional {
            return Ok(None);
        }
        return Err(Error::text(format!(
            "there is no table {name} (existing tables: {}):{} load the plugin that has it before this one, or declare it \
             with optional=True",
            list(existing.iter().map(|info| (info.name.as_str(), info.key))),
            did_you_mean(name, existing.iter().map(|info| info.name.as_str()))
        )));
    };
    check_key(name, request.key, info.key).map(Some)
}

/// Returns the type of the keys of a table if it is of the declared kind.
///
/// # Errors
/// It is not.
pub fn check_key(table: &str, declared: Kind, found: Option<DataType>) -> Result<DataType, Error> {
    match found {
        Some(kind) if declared.includes(kind) => Ok(kind),
        _ => Err(Error::text(format!(
            "the keys of the table {table} have the type {}, but they are declared as {}",
            name_of(found),
            declared.name()
        ))),
    }
}

/// Returns which field of a table a declaration means.
///
/// # Errors
/// There is no such field, or its values are of another kind.
pub fn choose_field(table: &str, request: &FieldRequest, existing: &[FieldInfo]) -> Result<Choice, Error> {
    let name = &request.name;
    match existing.iter().find(|info| info.name == *name) {
        Some(info) => match info.kind {
            Some(kind) if request.kind.includes(kind) => Ok(Choice::Existing {
                kind,
                is_read_only: info.is_read_only,
            }),
            found => Err(Error::text(format!(
                "the field {name} of the table {table} has the type {}, but it is declared as {}",
                name_of(found),
                request.kind.name()
            ))),
        },
        None if request.is_added => match request.kind.own_type() {
            Some(kind) => Ok(Choice::Add(kind)),
            None => Err(Error::text(format!(
                "the field {name} cannot be added to the table {table}: hosts do not allow plugins to add sub-tables"
            ))),
        },
        None if request.is_optional => Ok(Choice::Absent),
        None => Err(Error::text(format!(
            "the table {table} has no field {name} (existing fields: {}):{} declare it as {} | None if the plugin works \
             without it, or set it to added() to add it",
            list(existing.iter().map(|info| (info.name.as_str(), info.kind))),
            did_you_mean(name, existing.iter().map(|info| info.name.as_str())),
            request.kind.name()
        ))),
    }
}

/// Returns names with their types, in alphabetical order.
fn list<'a>(named: impl Iterator<Item = (&'a str, Option<DataType>)>) -> String {
    let mut names: Vec<_> = named
        .map(|(name, kind)| format!("{name} ({})", name_of(kind)))
        .collect();
    names.sort();
    if names.is_empty() {
        return "none".to_owned();
    }
    names.join(", ")
}

fn name_of(kind: Option<DataType>) -> &'static str {
    kind.map_or("unknown", DataType::name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn table(name: &str, key: DataType) -> TableInfo {
        TableInfo {
            name: name.to_owned(),
            key: Some(key),
        }
    }

    fn field(name: &str, kind: Option<DataType>) -> FieldInfo {
        FieldInfo {
            name: name.to_owned(),
            kind,
            is_read_only: false,
        }
    }

    fn request(name: &str, key: Kind, is_optional: bool) -> TableRequest {
        TableRequest {
            name: name.to_owned(),
            key,
            fields: Vec::new(),
            is_optional,
        }
    }

    fn field_request(name: &str, kind: Kind, is_added: bool, is_optional: bool) -> FieldRequest {
        FieldRequest {
            name: name.to_owned(),
            kind,
            is_added,
            is_optional,
            subtable: None,
        }
    }

    #[test]
    fn choose_table_finds_the_type_of_the_keys() {
        let existing = [table("threads", DataType::Int64), table("containers", DataType::String)];
        let choose = |name, key, optional| {
            choose_table(&request(name, key, optional), &existing).map_err(|error| error.to_string())
        };
        assert_eq!(choose("threads", Kind::Int, false), Ok(Some(DataType::Int64)));
        assert_eq!(choose("containers", Kind::String, true), Ok(Some(DataType::String)));
        assert_eq!(choose("other", Kind::Int, true), Ok(None));
        assert_eq!(
            choose("other", Kind::Int, false).unwrap_err(),
            "there is no table other (existing tables: containers (string), threads (int64)): load the plugin that has it \
             before this one, or declare it with optional=True"
        );
        assert_eq!(
            choose("threads", Kind::String, true).unwrap_err(),
            "the keys of the table threads have the type int64, but they are declared as str"
        );
        assert!(
            choose("thraeds", Kind::Int, false)
                .unwrap_err()
                .contains("threads (int64)): did you mean threads? load the plugin")
        );
        let none = choose_table(&request("other", Kind::Int, false), &[]).unwrap_err();
        assert!(none.to_string().contains("(existing tables: none)"));
    }

    #[test]
    fn choose_field_adds_or_leaves_out_a_missing_field() {
        let existing = [
            field("uid", Some(DataType::Uint32)),
            field("comm", Some(DataType::String)),
            field("future", None),
        ];
        let choose = |name, kind, added, optional| {
            choose_field("threads", &field_request(name, kind, added, optional), &existing)
                .map_err(|error| error.to_string())
        };
        let existing = |kind| {
            Ok(Choice::Existing {
                kind,
                is_read_only: false,
            })
        };
        assert_eq!(choose("uid", Kind::Int, false, false), existing(DataType::Uint32));
        assert_eq!(choose("comm", Kind::String, true, false), existing(DataType::String));
        assert_eq!(
            choose("owner", Kind::String, true, true),
            Ok(Choice::Add(DataType::String))
        );
        assert_eq!(
            choose("number", Kind::Int, true, false),
            Ok(Choice::Add(DataType::Int64))
        );
        assert_eq!(choose("other", Kind::Bool, false, true), Ok(Choice::Absent));
        assert_eq!(
            choose("other", Kind::Bool, false, false).unwrap_err(),
            "the table threads has no field other (existing fields: comm (string), future (unknown), uid (uint32)): \
             declare it as bool | None if the plugin works without it, or set it to added() to add it"
        );
        assert!(
            choose("com", Kind::String, false, false)
                .unwrap_err()
                .contains("uid (uint32)): did you mean comm? declare it as str | None")
        );
        assert_eq!(
            choose("uid", Kind::String, true, true).unwrap_err(),
            "the field uid of the table threads has the type uint32, but it is declared as str"
        );
        assert_eq!(
            choose("future", Kind::Int, false, false).unwrap_err(),
            "the field future of the table threads has the type unknown, but it is declared as int"
        );
        assert!(
            choose("children", Kind::Table, true, false)
                .unwrap_err()
                .contains("add sub-tables")
        );
    }
}
