//! The host of the endurance tests, which `tests/soak` starts. It drives plugins of this SDK for a long time, and
//! computes each event in advance.
//!
//! It writes one JSON object per line: `{"sample": …}` with quantities that must not grow, `{"fault": …}` for each fault, and
//! `{"total": …}` at the end. The exit status is 0 if there was no fault, 1 if there was one, and 2 if the test cannot run.
//!
//! | module | purpose |
//! |---|---|
//! | [`soak`], [`lane`] | the soak, and one of its threads that reload the plugin |
//! | [`loaded`], [`open_source`], [`spec`], [`kind`] | its plugins and sources |
//! | [`reader`], [`expected`], [`plan`] | the check of all events that a source delivers |
//! | [`watcher`] | the check of metrics, and changes of the configuration |
//! | [`lines`] | the writer of the files and FIFOs that some sources read |
//! | [`totals`] | counts of the soak's actions |
//! | [`reloads`] | reloads several plugins together, as Falco does |
//! | [`captures`] | captures with plugins that parse, share tables, send async events and have routines |
//! | [`report`], [`process`], [`random`] | output, memory and threads, pseudo-random numbers |

mod captures;
mod expected;
mod kind;
mod lane;
mod lines;
mod loaded;
mod open_source;
mod plan;
mod process;
mod random;
mod reader;
mod reloads;
mod report;
mod soak;
mod spec;
mod totals;
mod watcher;

use std::env;
use std::process::ExitCode;

const USAGE: &str = "\
usage: endurance soak SEED SECONDS FOLDER LIBRARY…
       endurance reloads COUNT MILLISECONDS INTERPRETERS LIBRARY[,VARIANT…] PARAMS [LIBRARY[,VARIANT…] PARAMS …]
       endurance captures SEED SECONDS LIBRARY…";

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
    process::limit_free_memory();
    match arguments.as_slice() {
        ["soak", seed, seconds, folder, versions @ ..] if !versions.is_empty() => {
            soak::run(number(seed), number(seconds), folder, versions);
        }
        ["reloads", count, milliseconds, interpreters, plugins @ ..]
            if !plugins.is_empty() && plugins.len() % 2 == 0 =>
        {
            reloads::run(number(count), number(milliseconds), number(interpreters), plugins);
        }
        ["captures", seed, seconds, libraries @ ..] if !libraries.is_empty() => {
            captures::run(number(seed), number(seconds), libraries);
        }
        _ => report::abort(USAGE),
    }
    ExitCode::from(u8::from(report::has_faults()))
}

fn number(text: &str) -> u64 {
    text.parse()
        .unwrap_or_else(|_| report::abort(format!("expected a number, got {text}")))
}
