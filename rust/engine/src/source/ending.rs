//! The end of a source. A call that has events succeeds; the error that ended the source is returned by the next call.

use crate::error::Error;

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

    /// Takes the error that the next call would return, if any. A normal end is not an error.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.pending.take().filter(|error| !matches!(error, Error::Eof))
    }

    /// Returns the result of a call that added `added` events and was stopped by `stop`, if by anything. Any error but
    /// a timeout ends the source.
    pub fn conclude(&mut self, added: usize, stop: Option<Error>) -> Result<usize, Error> {
        match stop {
            None => Ok(added),
            Some(Error::Timeout) if added > 0 => Ok(added),
            Some(Error::Timeout) => Err(Error::Timeout),
            Some(error) => {
                self.ended = true;
                if added == 0 {
                    return Err(error);
                }
                self.pending = Some(error);
                Ok(added)
            }
        }
    }
}
