//! The end of `run`: its result and totals, and what it has found about fields and payloads.

use std::io;
use std::path::Path;

use crate::command::capture::{Ending, Totals, write_log};
use crate::command::error::Error;
use crate::output::payload::Summary;
use crate::output::{End, Format, Log, Output, console};
use crate::text::count::format_count;

/// The findings of the whole run about fields and payloads.
pub struct Findings<'p> {
    /// `None` if no fields are selected.
    pub never_present: Option<Vec<&'p str>>,
    pub invalid_json: Option<Summary>,
}

/// Writes how the run ended. `totals` is `None` if the source was not open, and `dropped` counts dropped async events.
pub fn finish(
    output: &mut Output,
    log: &Log,
    format: Format,
    result: Result<Ending, Error>,
    totals: Option<Totals>,
    findings: &Findings<'_>,
    dropped: u64,
) -> Result<(), Error> {
    if matches!(result, Ok(Ending::Unread)) {
        return Ok(());
    }
    let (result_name, description) = match &result {
        Ok(Ending::Eof) => ("eof", "the source ended"),
        Ok(Ending::Limit) => ("limit", "the limit was reached"),
        Ok(Ending::Seconds) => ("seconds", "the time is up"),
        Ok(Ending::Interrupted) => ("interrupted", "interrupted"),
        Ok(Ending::Unread) | Err(_) => ("failure", "failed"),
    };
    if format == Format::Json {
        let error = result.as_ref().err().map(ToString::to_string);
        let totals = totals.unwrap_or_default();
        write_log(output, log);
        output.end(&End {
            kind: "end",
            result: result_name,
            error: error.as_deref(),
            events: totals.events,
            async_events: Some(totals.async_events).filter(|count| *count > 0),
            dropped_async_events: Some(dropped).filter(|count| *count > 0),
            bytes: totals.bytes,
            batches: totals.batches,
            timeouts: totals.timeouts,
            seconds: totals.time.as_secs_f64(),
            never_present: findings.never_present.as_deref(),
            invalid_json: findings.invalid_json.as_ref(),
        });
    }
    output.flush();
    if let (Format::Text, Some(totals)) = (format, totals) {
        console::message(&format!("{totals}: {description}"));
        if dropped > 0 {
            console::message(&format!("{} dropped", format_count(dropped, "async event")));
        }
        let never_present = findings.never_present.as_deref().unwrap_or_default();
        if totals.events > 0 && !never_present.is_empty() {
            console::message(&format!("never present: {}", never_present.join(", ")));
        }
        if let Some(summary) = &findings.invalid_json {
            console::message(&summary.to_string());
        }
    }
    result?;
    match output.take_error() {
        Some(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(Error::Output(error)),
        _ => Ok(()),
    }
}

/// Returns the error of a file that cannot be written.
pub fn unwritable(path: &Path, error: io::Error) -> Error {
    Error::Unwritable {
        path: path.to_owned(),
        error,
    }
}
