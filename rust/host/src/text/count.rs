//! Numbers with a noun.

use std::fmt::Display;

/// Returns a number with its noun, such as `1 event` or `2 events`.
pub fn format_count(number: impl Display, noun: &str) -> String {
    let number = number.to_string();
    let plural = if number == "1" { "" } else { "s" };
    format!("{number} {noun}{plural}")
}
