//! Numbers with their noun.

use std::fmt::Display;

/// `1 event`, `2 events`; `of` is the singular.
pub fn counted(number: impl Display, of: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {of}{plural}")
}
