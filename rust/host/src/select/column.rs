//! Which fields of which plugins are extracted from the events of a source.

use std::ffi::CString;

use serde::Serialize;

use crate::abi::types::Type;
use crate::describe::description::Description;
use crate::describe::field::Field;
use crate::select::request::{self, Request};

/// How alike two names must be for one to be offered for the other.
const CLOSE: f64 = 0.8;
const MOST_OFFERED: usize = 3;

/// What the user asked for.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Lists of fields, as [`request::parse`] reads them.
    pub lists: Vec<String>,
    /// Also all fields that need no argument.
    pub all: bool,
}

/// One field with one argument: what is extracted from each event.
#[derive(Debug, Serialize)]
pub struct Column {
    pub asked: String,
    pub name: String,
    pub argument: Option<String>,
    #[serde(rename = "type")]
    pub type_: Type,
    pub is_list: bool,
    /// The name of the plugin.
    plugin: String,
    /// Which of the plugins it is.
    #[serde(skip)]
    pub plugin_index: usize,
    /// Its place in the plugin's list of fields.
    #[serde(skip)]
    pub id: u32,
    #[serde(skip)]
    pub c_name: CString,
    /// The argument as a key and as an index. Of a field that takes both, a number is both.
    #[serde(skip)]
    pub key: Option<CString>,
    #[serde(skip)]
    pub index: Option<u64>,
}

/// The columns for events of `source`, or None where none are wanted. Of two plugins that have a field, the first counts.
pub fn select(wanted: &Wanted, plugins: &[&Description], source: &str) -> Result<Option<Vec<Column>>, String> {
    if wanted.lists.is_empty() && !wanted.all {
        return Ok(None);
    }
    let mut columns: Vec<Column> = Vec::new();
    for list in &wanted.lists {
        for request in request::parse(list)? {
            let column = find(&request, plugins, source)?;
            add(&mut columns, column);
        }
    }
    if wanted.all {
        for (plugin_index, id, field) in fields(plugins, source) {
            if !field.argument.is_required {
                let column = column(&Request::plain(&field.name), plugins, plugin_index, id)?;
                add(&mut columns, column);
            }
        }
    }
    Ok(Some(columns))
}

fn add(columns: &mut Vec<Column>, column: Column) {
    if columns.iter().all(|other| other.asked != column.asked) {
        columns.push(column);
    }
}

/// All fields that apply to events of a source: the plugin, the place in its list, and the field.
fn fields<'d>(plugins: &'d [&'d Description], source: &'d str) -> impl Iterator<Item = (usize, usize, &'d Field)> {
    let plugins = plugins.iter().enumerate();
    let applying = plugins.filter(move |(_, plugin)| plugin.extracts_from(source));
    applying.flat_map(|(index, plugin)| {
        let fields = plugin.fields.iter().enumerate();
        fields.map(move |(id, field)| (index, id, field))
    })
}

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
            "the field {name} is not for these events, of source {source}: the plugin {} extracts it from {sources} only",
            plugin.name
        ));
    }
    let offered = close(name, fields(plugins, source).map(|(_, _, field)| field.name.as_str()));
    let offer = match offered.as_slice() {
        [] => "falco-plugin info lists them".to_owned(),
        names => format!("did you mean {}?", names.join(", ")),
    };
    Err(format!("no loaded plugin has the field {name}: {offer}"))
}

/// The names that are most like one that does not exist; those that end with it before all others.
fn close<'n>(name: &str, names: impl Iterator<Item = &'n str>) -> Vec<&'n str> {
    let likeness = |other: &str| match other.strip_suffix(name) {
        Some(start) if start.ends_with('.') => 1.0,
        _ => strsim::normalized_damerau_levenshtein(name, other),
    };
    let mut close: Vec<_> = names.map(|other| (likeness(other), other)).collect();
    close.retain(|(likeness, _)| *likeness >= CLOSE);
    close.sort_by(|a, b| b.0.total_cmp(&a.0));
    close.into_iter().take(MOST_OFFERED).map(|(_, name)| name).collect()
}

fn column(request: &Request, plugins: &[&Description], plugin_index: usize, id: usize) -> Result<Column, String> {
    let field = &plugins[plugin_index].fields[id];
    let (takes, name) = (field.argument, &field.name);
    let index = match (&request.argument, takes.kind()) {
        (None, Some(kind)) if takes.is_required => {
            return Err(format!("the field {name} needs an argument: {name}[{kind}]"));
        }
        (Some(_), None) => return Err(format!("the field {name} takes no argument")),
        (Some(argument), _) if takes.is_index => match index(argument) {
            None if !takes.is_key => {
                let zeros = argument.starts_with('0') && argument.bytes().all(|byte| byte.is_ascii_digit());
                let remedy = match zeros {
                    true => "give it without leading zeros",
                    false => "give a whole number from 0 to 2**64 - 1",
                };
                return Err(format!(
                    "the field {name} takes an index, which {argument:?} is not: {remedy}"
                ));
            }
            index => index,
        },
        _ => None,
    };
    let c_string = |text: &str| CString::new(text).map_err(|_| format!("the field {name} is given a NUL"));
    let key = request.argument.as_deref().filter(|_| takes.is_key);
    Ok(Column {
        asked: request.asked.clone(),
        name: name.clone(),
        argument: request.argument.clone(),
        type_: field.type_,
        is_list: field.is_list,
        plugin: plugins[plugin_index].name.clone(),
        plugin_index,
        id: u32::try_from(id).map_err(|_| format!("the field {name} is beyond what a plugin can have"))?,
        c_name: c_string(name)?,
        key: key.map(c_string).transpose()?,
        index,
    })
}

/// A number as the host reads indexes.
fn index(argument: &str) -> Option<u64> {
    let digits = argument.bytes().all(|byte| byte.is_ascii_digit());
    let leading_zero = argument.len() > 1 && argument.starts_with('0');
    argument.parse().ok().filter(|_| digits && !leading_zero)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_index_is_a_number_as_the_host_reads_it() {
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
    fn names_that_are_nearly_right_are_offered() {
        let names = ["ka.verb", "ka.target.name", "ka.target.namespace", "ka.user.name"];
        assert_eq!(close("ka.verbs", names.into_iter()), ["ka.verb"]);
        assert_eq!(close("ka.targt.name", names.into_iter()), ["ka.target.name"]);
        assert_eq!(close("name", names.into_iter()), ["ka.target.name", "ka.user.name"]);
        assert_eq!(close("evt.time", names.into_iter()), [""; 0]);
    }
}
