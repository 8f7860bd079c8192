//! Why Falco would refuse a plugin.

use crate::abi::{self, ApiVersion};

/// Why Falco would refuse a plugin.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Abi(#[from] abi::Error),
    #[error("the plugin needs plugin API {theirs}, but this host has {ours}")]
    ApiVersion { theirs: ApiVersion, ours: ApiVersion },
    #[error("the plugin defines {}, but not {}", has.join(", "), lacks.join(", "))]
    Partial {
        has: Vec<&'static str>,
        lacks: Vec<&'static str>,
    },
    /// The metadata breaks another rule of Falco.
    #[error("{0}")]
    Refused(String),
}
