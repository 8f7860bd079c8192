//! The end of a source, and its pauses. A call that has events succeeds; the error that ended the source, or that asks
//! for a pause, is returned by the next call.

use std::time::Duration;

use crate::error::Error;
use crate::sync::Instant;

/// Whether a source has ended, and the error that is still to be returned.
#[derive(Debug, Default)]
pub struct Ending {
    ended: bool,
    pending: Option<Error>,
}

impl Ending {
    /// Returns the pending error of a source that has ended, then [`Error::Eof`]; `Ok` while the source runs.
    pub fn check(&mut self) -> Result<(), Error> {
        match (self.pending.take(), self.ended) {
            (Some(error), _) => Err(error),
            (None, true) => Err(Error::Eof),
            (None, false) => Ok(()),
        }
    }

    /// Takes the error that the next call would return, if any. A normal end and a pause are not errors.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.pending
            .take()
            .filter(|error| !matches!(error, Error::Eof | Error::RetryLater(..)))
    }

    /// Returns the result of a call that added `added` events and was stopped by `stop`, if by anything. Any error but
    /// a timeout and a pause ends the source.
    pub fn conclude(&mut self, added: usize, stop: Option<Error>) -> Result<usize, Error> {
        match stop {
            None => Ok(added),
            Some(Error::Timeout) if added > 0 => Ok(added),
            Some(Error::Timeout) => Err(Error::Timeout),
            Some(error) => {
                self.ended = !matches!(error, Error::RetryLater(..));
                if added == 0 {
                    return Err(error);
                }
                self.pending = Some(error);
                Ok(added)
            }
        }
    }
}

/// The pause that a source has asked for.
#[derive(Debug, Default)]
pub struct Pause {
    end: Option<Instant>,
}

impl Pause {
    /// Begins a pause, which replaces the one before.
    pub fn begin(&mut self, now: Instant, duration: Duration) {
        self.end = now.checked_add(duration);
    }

    /// Returns how long the pause still lasts; `None` if there is none. The end of the pause is reported once.
    pub fn remaining(&mut self, now: Instant) -> Option<Duration> {
        let remaining = self.end?.checked_duration_since(now).filter(|left| !left.is_zero());
        if remaining.is_none() {
            self.end = None;
        }
        remaining
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pause() -> Error {
        Error::RetryLater(Duration::from_secs(60), "the rate limit is reached".into())
    }

    #[test]
    fn pause_follows_the_events_of_its_call_and_does_not_end_the_source() {
        let mut ending = Ending::default();
        assert!(ending.check().is_ok());
        assert!(matches!(ending.conclude(0, Some(pause())), Err(Error::RetryLater(..))));
        assert!(ending.check().is_ok());
        assert!(matches!(ending.conclude(2, Some(pause())), Ok(2)));
        assert!(matches!(ending.check(), Err(Error::RetryLater(duration, _)) if duration.as_secs() == 60));
        assert!(ending.check().is_ok());
        assert!(matches!(ending.conclude(1, Some(pause())), Ok(1)));
        assert!(ending.take_pending_error().is_none());
        assert!(matches!(
            ending.conclude(0, Some(Error::text("broken"))),
            Err(Error::Source(_))
        ));
        assert!(matches!(ending.check(), Err(Error::Eof)));
    }

    #[test]
    fn pause_lasts_until_its_end() {
        let mut pause = Pause::default();
        let start = Instant::now();
        let after = |seconds| start + Duration::from_secs(seconds);
        assert_eq!(pause.remaining(start), None);
        pause.begin(start, Duration::from_secs(60));
        assert_eq!(pause.remaining(start), Some(Duration::from_secs(60)));
        assert_eq!(pause.remaining(after(59)), Some(Duration::from_secs(1)));
        assert_eq!(pause.remaining(after(60)), None);
        pause.begin(start, Duration::from_secs(1));
        assert_eq!(pause.remaining(after(3600)), None);
        assert_eq!(pause.remaining(start), None);
    }
}
