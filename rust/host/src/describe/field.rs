//! One entry of a plugin's list of fields, checked by Falco's rules.

use serde::Deserialize;
use serde_json::Value;

use crate::abi::Type;
use crate::describe::error::Error;

/// A field that a plugin extracts.
#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub type_: Type,
    pub is_list: bool,
    pub argument: Argument,
    pub display: Option<String>,
    pub desc: String,
    pub add_output: bool,
    /// `hidden`, `info` or `conversation`. Falco ignores others.
    pub properties: Vec<String>,
}

/// The arguments that a field accepts in the brackets of `name[argument]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Argument {
    pub is_required: bool,
    pub is_index: bool,
    pub is_key: bool,
}

impl Argument {
    /// Returns what the argument may be, or `None` if the field takes none.
    pub fn kind(self) -> Option<&'static str> {
        match (self.is_index, self.is_key) {
            (true, true) => Some("index or key"),
            (true, false) => Some("index"),
            (false, true) => Some("key"),
            (false, false) => None,
        }
    }
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Entry {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    desc: String,
    // As in Falco, null means absent. The Go SDK writes some members as null.
    is_list: Option<bool>,
    arg: Option<Argument>,
    display: Option<String>,
    add_output: Option<bool>,
    properties: Option<Vec<String>>,
}

impl Field {
    /// Reads and checks the entry at `index` of a list of fields.
    pub fn read(index: usize, value: &Value) -> Result<Self, Error> {
        let refuse = |reason| Err(Error::Refused(reason));
        let entry = match Entry::deserialize(value) {
            Ok(entry) if entry.name.is_empty() => return refuse(format!("field {index} of the plugin has no name")),
            Ok(entry) => entry,
            Err(error) => return refuse(format!("field {index} of the plugin: {error}")),
        };
        let Some(type_) = Type::ALL.into_iter().find(|type_| type_.name() == entry.type_) else {
            return refuse(format!(
                "the field {} has the unknown type {:?}",
                entry.name, entry.type_
            ));
        };
        if entry.desc.is_empty() {
            return refuse(format!("the field {} has no desc", entry.name));
        }
        let argument = entry.arg.unwrap_or_default();
        if argument.is_required && argument.kind().is_none() {
            return refuse(format!(
                "the field {} requires an argument that is neither index nor key",
                entry.name
            ));
        }
        Ok(Self {
            name: entry.name,
            type_,
            is_list: entry.is_list.unwrap_or_default(),
            argument,
            display: entry.display,
            desc: entry.desc,
            add_output: entry.add_output.unwrap_or_default(),
            properties: entry.properties.unwrap_or_default(),
        })
    }
}
