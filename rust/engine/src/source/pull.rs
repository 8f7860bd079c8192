//! The pull loop: a function that writes one event a call (`NewPullInstance` of the Go SDK).

use std::mem;
use std::time::Duration;

use crate::error::Error;
use crate::event::batch::{EventBatch, EventWriter, Written};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;

/// Empty events in a row after which `PullFunction::warn_of_empty_events` is called, once.
pub const EMPTY_EVENTS_BEFORE_WARNING: u32 = 1000;

/// Writes one event into the writer and gives it back. `Timeout` ends the batch, any other error the source.
pub trait PullFunction {
    fn pull(&mut self, context: &Context, writer: Box<EventWriter>) -> (Box<EventWriter>, Result<(), Error>);

    /// The function returned without writing anything this many times in a row.
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

/// An event source that is asked for each event. The function is the caller's, who may have it in hand for one batch only.
#[derive(Debug)]
pub struct PullInstance {
    context: Context,
    timeout: Duration,
    ending: Ending,
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

    /// The error that the next call would tell, where there is one.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.ending.take_pending_error()
    }

    /// Appends to the batch until it is full, the clock has run out or the source has ended; says how many.
    pub fn next_batch(&mut self, function: &mut impl PullFunction, batch: &mut EventBatch) -> Result<usize, Error> {
        self.ending.check()?;
        if batch.is_full() {
            return Err(batch.full_error());
        }
        let before = batch.len();
        // In a box, so that lending it for each event costs no more than a pointer.
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
            self.note(function, writer.finish());
            if writer.batch().is_full() {
                return (writer, Ok(()));
            }
            // After the first attempt only: a timeout of 0 means "one attempt", and a slow function still yields.
            if clock.run_out() {
                return (writer, Err(Error::Timeout));
            }
        }
    }

    #[inline]
    fn note(&mut self, function: &mut impl PullFunction, written: Written) {
        match written {
            Written::Event => self.empty_in_a_row = 0,
            Written::Empty => self.note_empty(function),
            Written::Nothing => (),
        }
    }

    #[cold]
    fn note_empty(&mut self, function: &mut impl PullFunction) {
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
    fn a_full_batch_returns_at_once_and_the_end_comes_alone() {
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
    fn an_error_is_said_once_after_the_events_then_eof() {
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
    fn a_timeout_ends_the_batch_and_not_the_source() {
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
    fn a_slow_function_yields_one_event_a_call_and_so_does_a_timeout_of_zero() {
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
    fn cancelling_the_parent_or_the_instance_ends_the_source() {
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
    fn a_full_batch_is_refused_and_the_function_not_called() {
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
    fn timestamps_are_fresh_for_each_event() {
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
