//! The capabilities of a plugin. A plugin has a capability if it exports its symbols.

use falco_plugin_api_table::Capability;
use serde::{Serialize, Serializer};

use crate::describe::error::Error;

/// Returns the capabilities of a library that `has` certain symbols. Fails if it has only some required symbols of a
/// capability, or none of any.
pub fn resolve(has: impl Fn(&str) -> bool) -> Result<Vec<Capability>, Error> {
    let mut capabilities = Vec::new();
    for capability in Capability::ALL {
        let required = capability.functions().filter(|function| function.is_required);
        let (present, lacking): (Vec<_>, Vec<_>) =
            required.map(|function| function.symbol).partition(|symbol| has(symbol));
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

/// Serializes capabilities as their names in the plugin API.
pub fn serialize<S: Serializer>(capabilities: &[Capability], serializer: S) -> Result<S::Ok, S::Error> {
    let names: Vec<_> = capabilities.iter().map(|capability| capability.name()).collect();
    names.serialize(serializer)
}
