//! JSON payloads, read as far as a look-up needs, whatever faults they have.
//!
//! A fault costs at most the value that contains it. [`scan`] finds where values begin and end, [`document`] finds a
//! value by its [`pointer`], [`text`] and [`number`] decode values, and [`fault`] describes why a value could not be
//! read.

mod blocks;
mod document;
pub mod documents;
mod fault;
pub mod number;
mod pointer;
pub mod scan;
mod spans;
pub mod text;

pub use document::Document;
pub(crate) use document::{Spot, Tree};
pub use fault::{Fault, FaultKind};
pub use pointer::{ArgumentMode, Pattern, PatternError, array_index};
pub(crate) use pointer::{Step, Token, tokens};
pub use spans::Spans;
