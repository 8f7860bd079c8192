//! The types of fields.

use falco_plugin_api::{
    ss_plugin_field_type_FTYPE_ABSTIME as ABSTIME, ss_plugin_field_type_FTYPE_BOOL as BOOL,
    ss_plugin_field_type_FTYPE_IPADDR as IPADDR, ss_plugin_field_type_FTYPE_IPNET as IPNET,
    ss_plugin_field_type_FTYPE_RELTIME as RELTIME, ss_plugin_field_type_FTYPE_STRING as STRING,
    ss_plugin_field_type_FTYPE_UINT64 as UINT64,
};
use serde::Serialize;

/// The type of a field's values.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Type {
    String,
    Uint64,
    Bool,
    Abstime,
    Reltime,
    Ipaddr,
    Ipnet,
}

impl Type {
    pub const ALL: [Self; 7] = [
        Self::String,
        Self::Uint64,
        Self::Bool,
        Self::Abstime,
        Self::Reltime,
        Self::Ipaddr,
        Self::Ipnet,
    ];

    /// Returns the type's name in lists of fields.
    pub fn name(self) -> &'static str {
        match self {
            Self::String => "string",
            Self::Uint64 => "uint64",
            Self::Bool => "bool",
            Self::Abstime => "abstime",
            Self::Reltime => "reltime",
            Self::Ipaddr => "ipaddr",
            Self::Ipnet => "ipnet",
        }
    }

    /// Returns the type's number in the plugin API.
    pub fn code(self) -> u32 {
        match self {
            Self::String => STRING,
            Self::Uint64 => UINT64,
            Self::Bool => BOOL,
            Self::Abstime => ABSTIME,
            Self::Reltime => RELTIME,
            Self::Ipaddr => IPADDR,
            Self::Ipnet => IPNET,
        }
    }
}
