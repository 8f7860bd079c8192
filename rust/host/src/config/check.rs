//! The configuration, checked before init as Falco does: against the plugin's schema. Falco tells the first problem, here
//! all are told.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use crate::command::error::Error;
use crate::config::validation;
use crate::describe::description::Description;

/// How long the check may take. A pattern of the schema can take exponential time, and has no other limit.
const LONGEST: Duration = Duration::from_secs(10);

/// The stack's size, the same as the main thread's: the check is recursive, within the limits of `validation`.
const STACK: usize = 8 << 20;

/// The configuration as Falco passes it: with a schema it is JSON that fits, and `{}` where it is blank.
pub fn checked<'c>(config: &'c OsStr, plugin: &Description) -> Result<&'c OsStr, Error> {
    let Some(schema) = &plugin.schema else {
        return Ok(config);
    };
    let config = match config.as_bytes().trim_ascii() {
        b"" => OsStr::new("{}"),
        _ => config,
    };
    let value: serde_json::Value = serde_json::from_slice(config.as_bytes()).map_err(|source| Error::NoJson {
        plugin: plugin.name.clone(),
        source,
    })?;
    let own = schema.clone();
    let problems = within(LONGEST, move || validation::problems(&own, &value)).unwrap_or_else(|| {
        let seconds = LONGEST.as_secs();
        Err(format!("checking takes longer than {seconds} s: simplify its patterns"))
    });
    let problems =
        problems.map_err(|reason| Error::Refused(format!("the plugin's config schema is wrong: {reason}")))?;
    if problems.is_empty() {
        Ok(config)
    } else {
        let plugin = plugin.name.clone();
        Err(Error::Config { plugin, problems })
    }
}

/// Runs `action` on another thread. None if it does not end in time, which leaves its thread behind, or
/// panics.
fn within<T: Send + 'static>(time: Duration, action: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().stack_size(STACK);
    thread.spawn(move || sender.send(action())).ok()?;
    receiver.recv_timeout(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn within_returns_nothing_for_an_action_that_does_not_end() {
        let (end, ended) = mpsc::channel::<()>();
        assert_eq!(within(Duration::ZERO, move || ended.recv().is_err()), None);
        drop(end);
        assert_eq!(within(Duration::MAX, || 5), Some(5));
    }
}
