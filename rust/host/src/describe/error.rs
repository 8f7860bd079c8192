//! Why Falco would refuse a plugin.

use std::path::PathBuf;

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
    #[error("{} was cut, stripped or changed after it was built: build it again with 'falco-plugin build'", .0.display())]
    Damaged(PathBuf),
    /// The metadata breaks another rule of Falco.
    #[error("{0}")]
    Refused(String),
}
