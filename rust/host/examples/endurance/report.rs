//! The lines on standard output.

use std::fmt::Display;
use std::io::{self, Write};
use std::process;
use std::sync::atomic::{AtomicUsize, Ordering};

use serde_json::{Value, json};

/// The number of faults at which the test ends.
const MOST_FAULTS: usize = 20;

static FAULTS: AtomicUsize = AtomicUsize::new(0);

/// Reports an unexpected result of a plugin. May be called from any thread.
pub fn fault(text: impl Display) {
    line(&json!({"fault": text.to_string()}));
    if FAULTS.fetch_add(1, Ordering::Relaxed) + 1 >= MOST_FAULTS {
        process::exit(1);
    }
}

/// Returns whether there was a fault.
pub fn has_faults() -> bool {
    FAULTS.load(Ordering::Relaxed) > 0
}

/// Ends the process, because the test cannot run.
pub fn abort(reason: impl Display) -> ! {
    eprintln!("endurance: {reason}");
    process::exit(2);
}

/// Writes one line.
pub fn line(value: &Value) {
    let mut out = io::stdout().lock();
    if let Err(error) = writeln!(out, "{value}").and_then(|()| out.flush()) {
        abort(error);
    }
}
