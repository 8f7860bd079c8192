//! The pull loop, which calls a function for each event (`NewPullInstance` of the Go SDK).

use std::mem;
use std::time::Duration;

use crate::error::Error;
use crate::event::{EventBatch, EventWriter, WriteOutcome};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;

/// After this many consecutive empty events, [`PullFunction::warn_of_empty_events`] is called once.
const EMPTY_EVENTS_BEFORE_WARNING: u32 = 1000;

/// The function that a pull instance calls for each event.
pub trait PullFunction {
    /// Writes one event, and returns the writer. [`Error::Timeout`] and [`Error::RetryLater`] end the
    /// batch; any other error ends the source.
    fn pull(&mut self, context: &Context, writer: Box<EventWriter>) -> (Box<EventWriter>, Result<(), Error>);

    /// Warns that the function returned `count` consecutive times without writing anything.
    fn warn_of_empty_events(&mut self, count: u32) {
        let _ = count;
    }
}

impl<F: FnMut(&Context, &mut EventWriter) -> Result<(), Error>> PullFunction for F {
    fn pull(&mut self, context: &Context, mut writer: Box<EventWriter>) -> (Box<EventWriter>, Result<(), Error>) {
        let result = self(context, &mut writer);
        (writer, result)
    }
}

/// An event source that calls a function for each event. The caller owns the function and passes it with each batch.
#[derive(Debug)]
pub struct PullInstance {
    context: Context,
    timeout: Duration,
    ending: Ending,
    /// Consecutive events without a payload.
    empty_in_a_row: u32,
}

impl PullInstance {
    pub fn new(context: Context, timeout: Duration) -> Self {
        Self {
            context,
            timeout,
            ending: Ending::default(),
            empty_in_a_row: 0,
        }
    }

    /// Takes the error that the next `next_batch` would return, if any.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.ending.take_pending_error()
    }

    /// Appends events to the batch, without clearing it, until it is full or the timeout has run out. Returns their
    /// number.
    ///
    /// # Errors
    /// If no event was appended: [`Error::Timeout`], [`Error::RetryLater`], [`Error::Eof`] or the error of the source. An
    /// error that follows some events, except a timeout, is returned by the next call.
    pub fn next_batch(&mut self, function: &mut impl PullFunction, batch: &mut EventBatch) -> Result<usize, Error> {
        self.ending.check()?;
        if batch.is_full() {
            return Err(batch.full_error());
        }
        let before = batch.len();
        // Boxed, so that passing the writer to the function moves only a pointer.
        let writer = Box::new(EventWriter::new(mem::take(batch)));
        let (writer, stop) = self.fill(function, writer);
        *batch = writer.into_batch();
        self.ending.conclude(batch.len() - before, stop.err())
    }

    fn fill(
        &mut self,
        function: &mut impl PullFunction,
        mut writer: Box<EventWriter>,
    ) -> (Box<EventWriter>, Result<(), Error>) {
        let clock = Clock::start(self.timeout);
        loop {
            if self.context.is_cancelled() {
                return (writer, Err(Error::Eof));
            }
            writer.begin();
            let result;
            (writer, result) = function.pull(&self.context, writer);
            if result.is_err() {
                return (writer, result);
            }
            self.count_empty(function, writer.finish());
            if writer.batch().is_full() {
                return (writer, Ok(()));
            }
            // Check after the call: a timeout of 0 means one call, and a slow function still makes an event.
            if clock.has_run_out() {
                return (writer, Err(Error::Timeout));
            }
        }
    }

    #[inline]
    fn count_empty(&mut self, function: &mut impl PullFunction, outcome: WriteOutcome) {
        match outcome {
            WriteOutcome::Event => self.empty_in_a_row = 0,
            WriteOutcome::Empty => self.add_empty(function),
            WriteOutcome::Nothing => (),
        }
    }

    #[cold]
    fn add_empty(&mut self, function: &mut impl PullFunction) {
        self.empty_in_a_row = self.empty_in_a_row.saturating_add(1);
        if self.empty_in_a_row == EMPTY_EVENTS_BEFORE_WARNING {
            function.warn_of_empty_events(EMPTY_EVENTS_BEFORE_WARNING);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::thread;

    fn batch() -> EventBatch {
        EventBatch::new(4, 64).unwrap()
    }

    fn counting(limit: usize, end: fn() -> Error) -> impl PullFunction {
        let mut count = 0;
        move |_: &Context, writer: &mut EventWriter| {
            if count == limit {
                return Err(end());
            }
            count += 1;
            writer.write(count.to_string().as_bytes())?;
            Ok(())
        }
    }

    fn payloads(batch: &EventBatch) -> Vec<String> {
        (0..batch.len())
            .map(|index| String::from_utf8(batch.get(index).unwrap().1.to_vec()).unwrap())
            .collect()
    }

    const LONG: Duration = Duration::from_secs(60);

    #[test]
    fn next_batch_reports_the_end_alone() {
        let mut function = counting(6, || Error::Eof);
        let mut instance = PullInstance::new(Context::new(), LONG);
        let mut first = batch();
        assert_eq!(instance.next_batch(&mut function, &mut first).unwrap(), 4);
        assert_eq!(payloads(&first), ["1", "2", "3", "4"]);
        let mut second = batch();
        assert_eq!(instance.next_batch(&mut function, &mut second).unwrap(), 2);
        for _ in 0..3 {
            assert!(matches!(
                instance.next_batch(&mut function, &mut batch()),
                Err(Error::Eof)
            ));
        }
    }

    #[test]
    fn next_batch_reports_an_error_once_after_the_events() {
        let mut function = counting(2, || Error::text("boom"));
        let mut instance = PullInstance::new(Context::new(), LONG);
        assert_eq!(instance.next_batch(&mut function, &mut batch()).unwrap(), 2);
        let error = instance.next_batch(&mut function, &mut batch()).unwrap_err();
        assert_eq!(error.to_string(), "boom");
        assert!(matches!(
            instance.next_batch(&mut function, &mut batch()),
            Err(Error::Eof)
        ));
    }

    #[test]
    fn timeout_ends_the_batch_but_not_the_source() {
        let mut turn = 0;
        let mut function = move |_: &Context, writer: &mut EventWriter| {
            turn += 1;
            if turn % 2 == 0 {
                writer.write(b"half an event")?;
                return Err(Error::Timeout);
            }
            writer.write(b"event").map(drop)
        };
        let mut instance = PullInstance::new(Context::new(), LONG);
        for _ in 0..3 {
            let mut batch = batch();
            assert_eq!(instance.next_batch(&mut function, &mut batch).unwrap(), 1);
            assert_eq!(payloads(&batch), ["event"]);
        }
    }

    #[test]
    fn next_batch_returns_one_event_of_a_slow_function() {
        for (timeout, pause) in [
            (Duration::from_millis(1), Duration::from_millis(15)),
            (Duration::ZERO, Duration::ZERO),
        ] {
            let mut function = move |_: &Context, writer: &mut EventWriter| {
                thread::sleep(pause);
                writer.write(b"event").map(drop)
            };
            let mut instance = PullInstance::new(Context::new(), timeout);
            for _ in 0..3 {
                assert_eq!(instance.next_batch(&mut function, &mut batch()).unwrap(), 1);
            }
        }
    }

    #[test]
    fn cancel_of_context_or_parent_ends_the_source() {
        let parent = Context::new();
        let mut function = counting(100, || Error::Eof);
        let mut instance = PullInstance::new(parent.child(), LONG);
        assert_eq!(instance.next_batch(&mut function, &mut batch()).unwrap(), 4);
        parent.cancel();
        assert!(matches!(
            instance.next_batch(&mut function, &mut batch()),
            Err(Error::Eof)
        ));

        let context = Context::new();
        let cancel = context.clone();
        let mut function = move |_: &Context, writer: &mut EventWriter| {
            cancel.cancel();
            writer.write(b"the last").map(drop)
        };
        let mut instance = PullInstance::new(context, LONG);
        assert_eq!(instance.next_batch(&mut function, &mut batch()).unwrap(), 1);
        assert!(matches!(
            instance.next_batch(&mut function, &mut batch()),
            Err(Error::Eof)
        ));
    }

    #[test]
    fn next_batch_rejects_a_full_batch_without_a_call() {
        let mut function = counting(9, || Error::Eof);
        let mut instance = PullInstance::new(Context::new(), LONG);
        let mut batch = batch();
        instance.next_batch(&mut function, &mut batch).unwrap();
        assert!(matches!(
            instance.next_batch(&mut function, &mut batch),
            Err(Error::BatchFull { events: 4, .. })
        ));
        batch.clear();
        assert_eq!(instance.next_batch(&mut function, &mut batch).unwrap(), 4);
        assert_eq!(payloads(&batch)[0], "5");
    }

    #[test]
    fn writer_begins_each_event_without_a_timestamp() {
        let mut turn = 0;
        let mut function = move |_: &Context, writer: &mut EventWriter| {
            turn += 1;
            writer.set_timestamp((turn == 1).then_some(7));
            if turn > 2 { Err(Error::Eof) } else { Ok(()) }
        };
        let mut instance = PullInstance::new(Context::new(), LONG);
        let mut batch = batch();
        instance.next_batch(&mut function, &mut batch).unwrap();
        assert_eq!(batch.get(0), Some((7, &b""[..])));
        assert_eq!(batch.get(1), Some((crate::event::NO_TIMESTAMP, &b""[..])));
    }
}
