//! Standard error: messages, and a live line that they replace.

use std::io::{self, IsTerminal, Write};
use std::sync::{Mutex, PoisonError};

use crate::text::escape;

/// Returns to the start of the line and clears it.
const CLEAR: &[u8] = b"\r\x1b[K";
/// The width of a live line in characters. A wider line could wrap, and a wrapped line cannot be cleared.
const LIVE_WIDTH: usize = 79;

/// Whether the last write was a live line. It also makes threads write one after another.
static LIVE_SHOWN: Mutex<bool> = Mutex::new(false);

/// Returns whether standard error is a terminal that can clear a line.
pub fn is_terminal() -> bool {
    io::stderr().is_terminal() && !is_dumb()
}

/// Returns whether standard output is a terminal on which the user wants colours.
pub fn has_colour() -> bool {
    let is_refused = std::env::var_os("NO_COLOR").is_some_and(|value| !value.is_empty());
    io::stdout().is_terminal() && !is_dumb() && !is_refused
}

/// Returns whether the terminal has no escape sequences.
fn is_dumb() -> bool {
    std::env::var_os("TERM").is_none_or(|term| term.is_empty() || term == "dumb")
}

/// Writes `text` as one line: control characters are escaped.
pub fn message(text: &str) {
    let mut line = String::with_capacity(text.len() + 1);
    escape::line(&mut line, text);
    line.push('\n');
    write(line.as_bytes(), false);
}

/// Writes a text of several lines, such as a traceback.
pub fn lines(text: &str) {
    let mut lines = String::with_capacity(text.len() + 1);
    for line in text.lines() {
        escape::line(&mut lines, line);
        lines.push('\n');
    }
    write(lines.as_bytes(), false);
}

/// Replaces the live line.
pub fn live(text: &str) {
    let mut line = String::new();
    escape::line(&mut line, text);
    let mut out = CLEAR.to_vec();
    out.extend(line.chars().take(LIVE_WIDTH).collect::<String>().as_bytes());
    write(&out, true);
}

/// Clears the live line.
pub fn clear() {
    write(b"", false);
}

fn write(bytes: &[u8], live: bool) {
    let mut shown = LIVE_SHOWN.lock().unwrap_or_else(PoisonError::into_inner);
    let mut stderr = io::stderr().lock();
    // Ignore errors: there is no other place to report that standard error is closed.
    if *shown && !live {
        let _ = stderr.write_all(CLEAR);
    }
    let _ = stderr.write_all(bytes);
    *shown = live;
}
