//! Reads the lines of a file, a pipe or a socket as events, without calling user code.

mod compressed;
mod cursor;
mod encoding;
mod error;
mod input;
mod instance;
mod open;
mod options;
mod progress;
mod rotated;
mod separator;
mod splitter;
mod timestamp;

pub use cursor::Cursor;
pub use error::ReadError;
pub use instance::LinesInstance;
pub use options::{Options, Source, Start, Warn};
pub use progress::Progress;

#[cfg(test)]
mod tests;
