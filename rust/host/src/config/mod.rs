//! The configuration of a plugin, and its schema.

mod check;
mod error;
mod keys;
mod node;
mod problem;
mod rules;
mod validation;

pub use check::check;
pub use error::Error;
pub use keys::{Key, Keys, list_keys};
pub use problem::Problem;
pub use validation::find_problems;
