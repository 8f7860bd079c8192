//! The configuration, checked against the plugin's schema.

pub mod check;
pub mod keys;
pub mod node;
pub mod rules;
pub mod validation;
