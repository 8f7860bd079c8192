//! Reads JSON payloads that may be damaged, as far as a look-up needs.
//!
//! A fault costs at most the value that contains it. [`scan`] finds where values begin and end, [`tree`] finds a value
//! by its [`pointer`], [`text`] and [`number`] decode values, and [`fault`] describes why a value could not be read.
//! [`documents`] splits a payload that holds several documents.

mod blocks;
mod document;
pub mod documents;
mod fault;
mod node;
pub mod number;
mod pointer;
pub mod scan;
mod spans;
mod string;
pub mod text;
mod tree;

pub use document::Document;
pub use fault::{Fault, FaultKind};
pub(crate) use node::ValueRef;
pub use pointer::{ArgumentMode, Pattern, PatternError, parse_index};
pub(crate) use pointer::{Step, Token, tokens};
pub use spans::Spans;
pub use string::string_end;
pub(crate) use tree::Tree;
