//! The check of a configuration before `init`. As Falco does, it compares the configuration with the plugin's schema. Falco
//! reports the first problem, this host reports all.

use std::ffi::OsStr;
use std::os::unix::ffi::OsStrExt;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use serde_json::Value;

use crate::config::error::Error;
use crate::config::validation;

/// The longest time that the check may take. A pattern of the schema can take exponential time, and has no other limit.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The stack size of the thread that checks, the same as the main thread's. The check is recursive, within the limits of
/// `validation`.
const STACK_SIZE: usize = 8 << 20;

/// Returns the configuration as Falco passes it to `init`. If there is a schema, the configuration must be JSON that
/// matches it, and a blank one becomes `{}`.
pub fn check<'c>(config: &'c OsStr, plugin: &str, schema: Option<&Value>) -> Result<&'c OsStr, Error> {
    let Some(schema) = schema else {
        return Ok(config);
    };
    let config = match config.as_bytes().trim_ascii() {
        b"" => OsStr::new("{}"),
        _ => config,
    };
    let value: Value = serde_json::from_slice(config.as_bytes()).map_err(|source| Error::NotJson {
        plugin: plugin.to_owned(),
        source,
    })?;
    let schema = schema.clone();
    let problems = run_within(TIME_LIMIT, move || validation::find_problems(&schema, &value)).unwrap_or_else(|| {
        let seconds = TIME_LIMIT.as_secs();
        Err(format!("checking takes longer than {seconds} s: simplify its patterns"))
    });
    let problems = problems.map_err(Error::Schema)?;
    if problems.is_empty() {
        Ok(config)
    } else {
        let plugin = plugin.to_owned();
        Err(Error::Mismatch { plugin, problems })
    }
}

/// Runs `action` on another thread. Returns `None` if it panics, or does not end in time; its thread then continues.
fn run_within<T: Send + 'static>(time: Duration, action: impl FnOnce() -> T + Send + 'static) -> Option<T> {
    let (sender, receiver) = mpsc::channel();
    let thread = thread::Builder::new().stack_size(STACK_SIZE);
    thread.spawn(move || sender.send(action())).ok()?;
    receiver.recv_timeout(time).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn run_within_returns_none_for_an_action_that_does_not_end() {
        let (end, ended) = mpsc::channel::<()>();
        assert_eq!(run_within(Duration::ZERO, move || ended.recv().is_err()), None);
        drop(end);
        assert_eq!(run_within(Duration::MAX, || 5), Some(5));
    }
}
