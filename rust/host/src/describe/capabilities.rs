//! The capabilities of a plugin. A plugin has a capability if it exports its symbols.

use serde::Serialize;

use crate::describe::error::Error;

/// A capability of a plugin.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub enum Capability {
    #[serde(rename = "sourcing")]
    Sourcing,
    #[serde(rename = "extraction")]
    Extraction,
    #[serde(rename = "parsing")]
    Parsing,
    #[serde(rename = "async events")]
    AsyncEvents,
    #[serde(rename = "listening")]
    Listening,
}

impl Capability {
    /// Returns the capability's name in the plugin API.
    pub fn name(self) -> &'static str {
        match self {
            Self::Sourcing => "sourcing",
            Self::Extraction => "extraction",
            Self::Parsing => "parsing",
            Self::AsyncEvents => "async events",
            Self::Listening => "listening",
        }
    }

    /// Returns the symbols that a plugin with the capability must export.
    pub fn symbols(self) -> &'static [&'static str] {
        match self {
            Self::Sourcing => &["plugin_open", "plugin_close", "plugin_next_batch"],
            Self::Extraction => &["plugin_get_fields", "plugin_extract_fields"],
            Self::Parsing => &["plugin_parse_event"],
            Self::AsyncEvents => &["plugin_get_async_events", "plugin_set_async_event_handler"],
            Self::Listening => &["plugin_capture_open", "plugin_capture_close"],
        }
    }
}

/// Returns the capabilities of a library that `has` certain symbols. Fails if it has only some symbols of a capability,
/// or none of any.
pub fn resolve(has: impl Fn(&str) -> bool) -> Result<Vec<Capability>, Error> {
    use Capability::{AsyncEvents, Extraction, Listening, Parsing, Sourcing};
    let mut capabilities = Vec::new();
    for capability in [Sourcing, Extraction, Parsing, AsyncEvents, Listening] {
        let (present, lacking): (Vec<_>, Vec<_>) = capability.symbols().iter().partition(|symbol| has(symbol));
        match (present.is_empty(), lacking.is_empty()) {
            (true, _) => {}
            (false, true) => capabilities.push(capability),
            (false, false) => {
                return Err(Error::Partial {
                    has: present,
                    lacks: lacking,
                });
            }
        }
    }
    if capabilities.is_empty() {
        return Err(Error::Refused("the plugin has no capability".into()));
    }
    Ok(capabilities)
}
