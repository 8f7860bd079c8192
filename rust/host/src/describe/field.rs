//! One field, as the plugin that extracts it describes it, checked by the rules of the host.

use serde::Deserialize;
use serde_json::Value;

use crate::abi::types::Type;
use crate::command::error::Error;

#[derive(Debug, Clone)]
pub struct Field {
    pub name: String,
    pub type_: Type,
    pub is_list: bool,
    pub argument: Argument,
    pub display: Option<String>,
    pub desc: String,
    pub add_output: bool,
    /// `hidden`, `info`, `conversation`; others mean nothing to the host.
    pub properties: Vec<String>,
}

/// What stands in the brackets of `name[argument]`.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub struct Argument {
    pub is_required: bool,
    pub is_index: bool,
    pub is_key: bool,
}

impl Argument {
    /// What it may be; None where there is none.
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
struct Told {
    name: String,
    #[serde(rename = "type")]
    type_: String,
    desc: String,
    // To the host a key that is null is one that is not there; the Go SDK writes some so.
    is_list: Option<bool>,
    arg: Option<Argument>,
    display: Option<String>,
    add_output: Option<bool>,
    properties: Option<Vec<String>>,
}

impl Field {
    /// Reads and checks one entry of `plugin_get_fields`.
    pub fn read(index: usize, value: &Value) -> Result<Self, Error> {
        let refuse = |reason| Err(Error::Refused(reason));
        let told = match Told::deserialize(value) {
            Ok(told) if told.name.is_empty() => return refuse(format!("field {index} of the plugin has no name")),
            Ok(told) => told,
            Err(error) => return refuse(format!("field {index} of the plugin: {error}")),
        };
        let Some(type_) = Type::ALL.into_iter().find(|type_| type_.name() == told.type_) else {
            return refuse(format!(
                "the field {} has the type {:?}, which does not exist",
                told.name, told.type_
            ));
        };
        if told.desc.is_empty() {
            return refuse(format!("the field {} has no desc", told.name));
        }
        let argument = told.arg.unwrap_or_default();
        if argument.is_required && argument.kind().is_none() {
            return refuse(format!(
                "the field {} requires an argument that is neither index nor key",
                told.name
            ));
        }
        Ok(Self {
            name: told.name,
            type_,
            is_list: told.is_list.unwrap_or_default(),
            argument,
            display: told.display,
            desc: told.desc,
            add_output: told.add_output.unwrap_or_default(),
            properties: told.properties.unwrap_or_default(),
        })
    }
}
