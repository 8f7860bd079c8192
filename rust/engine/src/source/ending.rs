//! "Never both": a call that has events succeeds, and what ended the source is the answer of the next call.

use crate::error::Error;

/// Whether a source has ended, and what its next call still has to say.
#[derive(Debug, Default)]
pub struct Ending {
    ended: bool,
    pending: Option<Error>,
}

impl Ending {
    /// The answer of a call on a source that has ended; `Ok` while it runs.
    pub fn check(&mut self) -> Result<(), Error> {
        match (self.pending.take(), self.ended) {
            (Some(error), _) => Err(error),
            (None, true) => Err(Error::Eof),
            (None, false) => Ok(()),
        }
    }

    /// Takes the error that the next call would have told; an end in good order is none.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.pending.take().filter(|error| !matches!(error, Error::Eof))
    }

    /// The answer of a call that added `added` events and was stopped by `stop`, if by anything. A timeout does not
    /// end the source.
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
