//! The columns of a run: fields with their arguments, and the plugins that extract them.

use std::ffi::CString;

use serde::Serialize;

use crate::abi::{FieldQuery, Type, ValueFault, Values};
use crate::describe::{Description, Field};
use crate::select::error::{Error, MalformedField};
use crate::select::plugins::EventPlugins;
use crate::select::request::{self, Request};

/// The similarity from which a name is suggested for one that does not exist, from 0 to 1.
const SUGGESTED_FROM: f64 = 0.8;
/// The most names that are suggested.
const MOST_SUGGESTIONS: usize = 3;

/// The fields that the user asks for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Selection {
    /// Lists of fields, as [`request::parse_fields`] reads them.
    pub lists: Vec<String>,
    /// Whether to add all fields that need no argument.
    pub all: bool,
}

/// One field with one argument, which is extracted from each event.
#[derive(Debug, Serialize)]
pub struct Column {
    /// The field with its argument, as the user asked for it.
    pub asked: String,
    pub name: String,
    pub argument: Option<String>,
    #[serde(rename = "type")]
    pub type_: Type,
    pub is_list: bool,
    /// The name of the plugin that has the field.
    plugin: String,
    /// The index of the plugin that has the field. The plugin that runs has index 0.
    #[serde(skip)]
    pub plugin_index: usize,
    #[serde(skip)]
    pub query: FieldQuery,
}

impl Column {
    /// Extracts the column from an event. Returns `None` if the event does not have the field.
    pub fn extract<'v>(&self, plugins: &'v mut impl EventPlugins) -> Result<Option<Values<'v>>, ValueFault> {
        plugins.extract(self.plugin_index, &self.query)
    }

    /// Returns the error for malformed values of this column.
    pub fn malformed(&self, number: u64, fault: ValueFault) -> MalformedField {
        MalformedField {
            number,
            field: self.asked.clone(),
            fault,
        }
    }
}

/// Returns the columns for events of `source`, or `None` if no fields are selected. If two plugins have the same field,
/// the first one extracts it.
pub fn select(selection: &Selection, plugins: &[&Description], source: &str) -> Result<Option<Vec<Column>>, Error> {
    if selection.lists.is_empty() && !selection.all {
        return Ok(None);
    }
    let mut columns: Vec<Column> = Vec::new();
    for list in &selection.lists {
        for request in request::parse_fields(list).map_err(Error)? {
            let column = find(&request, plugins, source).map_err(Error)?;
            add(&mut columns, column);
        }
    }
    if selection.all {
        for (plugin_index, id, field) in fields(plugins, source) {
            if !field.argument.is_required {
                let column = column(&Request::plain(&field.name), plugins, plugin_index, id).map_err(Error)?;
                add(&mut columns, column);
            }
        }
    }
    Ok(Some(columns))
}

/// Adds a column, unless the user asked for it already.
fn add(columns: &mut Vec<Column>, column: Column) {
    if columns.iter().all(|other| other.asked != column.asked) {
        columns.push(column);
    }
}

/// Returns all fields that apply to events of a source: the index of the plugin, the index in its list, and the field.
fn fields<'d>(plugins: &'d [&'d Description], source: &'d str) -> impl Iterator<Item = (usize, usize, &'d Field)> {
    let plugins = plugins.iter().enumerate();
    let applying = plugins.filter(move |(_, plugin)| plugin.extracts_from(source));
    applying.flat_map(|(index, plugin)| {
        let fields = plugin.fields.iter().enumerate();
        fields.map(move |(id, field)| (index, id, field))
    })
}

/// Returns the column of a requested field.
fn find(request: &Request, plugins: &[&Description], source: &str) -> Result<Column, String> {
    let mut applying = fields(plugins, source);
    if let Some((plugin, id, _)) = applying.find(|(_, _, field)| field.name == request.name) {
        return column(request, plugins, plugin, id);
    }
    let name = &request.name;
    let elsewhere = plugins
        .iter()
        .find(|plugin| plugin.fields.iter().any(|field| field.name == *name));
    if let Some(plugin) = elsewhere {
        let sources = plugin.sources().collect::<Vec<_>>().join(", ");
        return Err(format!(
            "the field {name} does not apply to events of the source {source}: the plugin {} extracts it only from \
             {sources}",
            plugin.name
        ));
    }
    let suggestions = similar(name, fields(plugins, source).map(|(_, _, field)| field.name.as_str()));
    let hint = match suggestions.as_slice() {
        [] => "falco-plugin info lists the fields".to_owned(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    Err(format!("no loaded plugin has the field {name}: {hint}"))
}

/// Returns the names that are most similar to one that does not exist. Names that end with it come first.
fn similar<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let similarity = |other: &str| match other.strip_suffix(name) {
        Some(start) if start.ends_with('.') => 1.0,
        _ => strsim::normalized_damerau_levenshtein(name, other),
    };
    let mut similar: Vec<_> = names.map(|other| (similarity(other), other)).collect();
    similar.retain(|(similarity, _)| *similarity >= SUGGESTED_FROM);
    similar.sort_by(|a, b| b.0.total_cmp(&a.0));
    similar
        .into_iter()
        .take(MOST_SUGGESTIONS)
        .map(|(_, name)| name)
        .collect()
}

/// Returns the column of the field `id` of a plugin, after checking the argument.
fn column(request: &Request, plugins: &[&Description], plugin_index: usize, id: usize) -> Result<Column, String> {
    let field = &plugins[plugin_index].fields[id];
    let (accepted, name) = (field.argument, &field.name);
    let index = match (&request.argument, accepted.kind()) {
        (None, Some(kind)) if accepted.is_required => {
            return Err(format!("the field {name} needs an argument: {name}[{kind}]"));
        }
        (Some(_), None) => return Err(format!("the field {name} takes no argument")),
        (Some(argument), _) if accepted.is_index => match index(argument) {
            None if !accepted.is_key => {
                let zeros = argument.starts_with('0') && argument.bytes().all(|byte| byte.is_ascii_digit());
                let remedy = match zeros {
                    true => "write it without leading zeros",
                    false => "write a whole number from 0 to 2**64 - 1",
                };
                return Err(format!(
                    "the argument of the field {name} must be an index, got {argument:?}: {remedy}"
                ));
            }
            index => index,
        },
        _ => None,
    };
    let c_string =
        |text: &str| CString::new(text).map_err(|_| format!("the argument of the field {name} contains a NUL"));
    let key = request.argument.as_deref().filter(|_| accepted.is_key);
    Ok(Column {
        asked: request.asked.clone(),
        name: name.clone(),
        argument: request.argument.clone(),
        type_: field.type_,
        is_list: field.is_list,
        plugin: plugins[plugin_index].name.clone(),
        plugin_index,
        query: FieldQuery {
            id: u32::try_from(id).map_err(|_| format!("the plugin has too many fields before {name}"))?,
            name: c_string(name)?,
            type_: field.type_,
            is_list: field.is_list,
            has_argument: request.argument.is_some(),
            key: key.map(c_string).transpose()?,
            index,
        },
    })
}

/// Reads an index as Falco does. Returns `None` for anything but digits without leading zeros.
fn index(argument: &str) -> Option<u64> {
    let digits = argument.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = argument.len() > 1 && argument.starts_with('0');
    argument.parse().ok().filter(|_| digits && !leading_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn index_accepts_what_falco_accepts() {
        for (argument, expected) in [
            ("0", Some(0)),
            ("17", Some(17)),
            ("18446744073709551615", Some(u64::MAX)),
            ("18446744073709551616", None),
            ("007", None),
            ("+1", None),
            ("-1", None),
            ("", None),
            ("1a", None),
        ] {
            assert_eq!(index(argument), expected, "{argument}");
        }
    }

    #[test]
    fn similar_names_are_suggested() {
        let names = ["ka.verb", "ka.target.name", "ka.target.namespace", "ka.user.name"];
        assert_eq!(similar("ka.verbs", names.into_iter()), ["ka.verb"]);
        assert_eq!(similar("ka.targt.name", names.into_iter()), ["ka.target.name"]);
        assert_eq!(similar("name", names.into_iter()), ["ka.target.name", "ka.user.name"]);
        assert_eq!(similar("evt.time", names.into_iter()), [""; 0]);
    }
}
