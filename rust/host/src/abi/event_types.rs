//! The types of the events that a plugin reads.

use std::ffi::CStr;

use falco_plugin_api_table::signatures;

use crate::abi::error::Error;
use crate::abi::event::{Event, PLUGIN_EVENT};
use crate::abi::library::UNSET_NUMBER;
use crate::abi::plugin::Plugin;

/// The source of system calls, whose events a plugin gets of every type unless it lists types.
const SYSCALL: &CStr = c"syscall";

/// The types of the events that a plugin parses, or extracts fields from.
#[derive(Debug, Clone, Default)]
pub(super) struct EventTypes {
    /// Empty if the plugin lists none.
    codes: Box<[u16]>,
}

impl EventTypes {
    /// Asks an initialised plugin. `name` is that of the function.
    pub(super) fn read(
        plugin: &Plugin<'_>,
        name: &'static str,
        get: Option<signatures::get_extract_event_types>,
    ) -> Result<Self, Error> {
        let Some(get) = get else {
            return Ok(Self::default());
        };
        let mut count = UNSET_NUMBER;
        // SAFETY: the state is that of an initialised plugin, and no other call uses it. `count` is writable.
        let types = unsafe { get(&raw mut count, plugin.state) };
        match count {
            UNSET_NUMBER => Err(Error::Unset {
                function: name,
                what: "numtypes",
            }),
            0 => Ok(Self::default()),
            _ if types.is_null() => Ok(Self::default()),
            count => {
                // SAFETY: the plugin ensures that `types` has `count` elements, which stay valid until it is destroyed.
                let codes = unsafe { std::slice::from_raw_parts(types, count as usize) };
                Ok(Self { codes: codes.into() })
            }
        }
    }

    /// Returns whether Falco passes an event of a source that the plugin reads.
    pub(super) fn contain(&self, event: &Event<'_>, source: &CStr) -> bool {
        match &*self.codes {
            [] => event.code() == PLUGIN_EVENT || source == SYSCALL,
            codes => codes.contains(&event.code()),
        }
    }
}
