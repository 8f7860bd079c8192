//! Why a measurement failed.

use crate::abi;
use crate::select::MalformedField;

/// Why a measurement failed.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    #[error(transparent)]
    Abi(#[from] abi::Error),
    #[error(transparent)]
    Field(#[from] MalformedField),
}
