//! Text in a readable form: times, and fields on lines below their event.

use std::io::{self, Write};

use crate::text::timestamp;

const DIM: &str = "\x1b[2m";
const CYAN: &str = "\x1b[36m";
const RESET: &str = "\x1b[0m";

/// How to write readable text.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Pretty {
    pub colour: bool,
}

impl Pretty {
    /// Writes the time of an event.
    pub fn write_time(self, out: &mut impl Write, time: u64) -> io::Result<()> {
        let time = timestamp::readable(time);
        match self.colour {
            true => write!(out, "{DIM}{time}{RESET} "),
            false => write!(out, "{time} "),
        }
    }

    /// Begins the line of a field. `width` is that of the longest name.
    pub fn write_name(self, out: &mut Vec<u8>, name: &str, width: usize) {
        let [begin, end] = if self.colour { [CYAN, RESET] } else { [""; 2] };
        let space = width.saturating_sub(name.chars().count());
        // Writing to a vector cannot fail.
        let _ = write!(out, "\n    {begin}{name}{end}{:space$}  ", "");
    }

    /// Writes the sign of a field that the event does not have.
    pub fn write_absent(self, out: &mut Vec<u8>) {
        let [begin, end] = if self.colour { [DIM, RESET] } else { [""; 2] };
        let _ = write!(out, "{begin}-{end}");
    }
}
