//! The instance: lines from an input into batches.

use std::sync::Arc;
use std::time::Duration;

use super::cursor::Place;
use super::encoding::Sniffer;
use super::input::{Input, Read};
use super::occasional::Occasional;
use super::open::Kind;
use super::options::{Options, Source, Warn};
use super::progress::{Given, Progress};
use super::splitter::{Separator, Splitter};
use super::timestamp::Timestamp;
use crate::error::Error;
use crate::event::NO_TIMESTAMP;
use crate::event::batch::{EventBatch, Filling};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;

/// Bytes that are read at once: fewer cost more calls than they save in the cache.
pub(super) const BLOCK: usize = 1 << 20;

/// An event source that splits an input into lines.
pub struct LinesInstance {
    name: String,
    input: Input,
    splitter: Splitter,
    timestamp: Option<Timestamp>,
    pub(super) context: Context,
    timeout: Duration,
    ending: Ending,
    /// As far as the events of the last call go.
    given: Given,
    progress: Progress,
    /// What the last events were put into, and whether there were any: the host cannot be done with them while that is
    /// being filled.
    filling: Filling,
    outstanding: bool,
    sniffer: Sniffer,
    /// Lines that were too long.
    cut: Occasional,
    /// Runs of NULs that were passed over.
    holes: Occasional,
}

impl LinesInstance {
    /// `name` is what the input is called in errors and warnings.
    pub fn new(source: Source, name: String, options: Options, context: Context, warn: Warn) -> Result<Self, Error> {
        Self::with_block(source, name, options, context, warn, BLOCK)
    }

    pub(super) fn with_block(
        source: Source,
        name: String,
        options: Options,
        context: Context,
        warn: Warn,
        block: usize,
    ) -> Result<Self, Error> {
        let separator = Separator::new(&options.separator)
            .ok_or_else(|| Error::InvalidOption("separator must have at least one byte".into()))?;
        let timestamp = options.timestamp.as_deref();
        let timestamp = timestamp.map(|pointer| Timestamp::new(&name, pointer)).transpose()?;
        let timeout = options.timeout;
        let input = Input::new(source, name.clone(), options, &context, warn)?;
        let given = given(&input);
        let mut splitter = Splitter::new(separator, block);
        splitter.begin(&given.place);
        Ok(Self {
            name,
            input,
            splitter,
            timestamp,
            context,
            timeout,
            ending: Ending::default(),
            progress: Progress::new(given.clone()),
            given,
            filling: Filling::default(),
            outstanding: false,
            sniffer: Sniffer::default(),
            cut: Occasional::default(),
            holes: Occasional::default(),
        })
    }

    /// How far the host is; it can be asked while `next_batch` runs.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// The error that the next call would tell, where there is one.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.ending.take_pending_error()
    }

    /// Appends lines until the batch is full or there are no more for now; waits for one until the clock has run out.
    /// Says how many. What the call before handed over is taken by now, unless it is in this very batch.
    pub fn next_batch(&mut self, batch: &mut EventBatch) -> Result<usize, Error> {
        if batch.filling() != self.filling {
            self.acknowledge();
            self.filling = batch.filling();
            self.outstanding = false;
        }
        self.ending.check()?;
        if batch.is_full() {
            return Err(batch.full_error());
        }
        let before = batch.len();
        let stop = self.fill(batch).err();
        if stop.as_ref().is_some_and(|stop| !matches!(stop, Error::Timeout)) {
            self.finish_timestamps();
        }
        let added = batch.len() - before;
        self.given.place = self.splitter.place();
        self.outstanding |= added > 0;
        if !self.outstanding {
            // Nothing was handed over that is not taken.
            self.acknowledge();
        }
        if added == 0 && stop.is_none() {
            // The first line does not fit beside what another instance has put there.
            return Err(batch.full_error());
        }
        self.ending.conclude(added, stop)
    }

    /// Ends the source: whoever writes to a pipe or a socket hears of it now.
    pub fn close(&mut self) {
        self.context.cancel();
        self.input.close();
        self.finish_timestamps();
    }

    fn finish_timestamps(&mut self) {
        if let Some(timestamp) = &mut self.timestamp {
            timestamp.finish(|text| self.input.warn(text));
        }
    }

    fn acknowledge(&self) {
        self.progress.lock().clone_from(&self.given);
    }

    fn fill(&mut self, batch: &mut EventBatch) -> Result<(), Error> {
        let before = batch.len();
        let clock = Clock::start(self.timeout);
        let mut has_read = false;
        loop {
            if self.context.is_cancelled() {
                return Err(Error::Eof);
            }
            if !self.hand_over(batch)? {
                return Ok(());
            }
            if self.splitter.is_done() {
                self.warn_of_nuls();
                if self.input.is_over() {
                    return Err(Error::Eof);
                }
                self.given = given(&self.input);
                self.splitter.begin(&self.given.place);
                self.sniffer.begin();
            }
            // After the first read only: a timeout of 0 means one.
            if has_read && clock.run_out() {
                return Err(Error::Timeout);
            }
            if self.splitter.is_in_nuls() {
                let skipped = self.input.skip_hole();
                if skipped > 0 {
                    self.splitter.skip_hole(skipped);
                }
            }
            let (last, room) = self.splitter.room();
            match self.input.read(last, room)? {
                Read::Bytes(len) => {
                    self.splitter.filled(len);
                    if self.sniffer.is_utf16(self.splitter.pending()) {
                        self.input.warn(&format!(
                            "{} is UTF-16, which fields and rules cannot read: have it written as UTF-8",
                            self.name
                        ));
                    }
                    has_read = true;
                }
                Read::Anew | Read::End => self.splitter.end(),
                Read::Nothing => {
                    let is_enough = batch.len() > before || self.timeout.is_zero();
                    if is_enough || !self.input.wait(&self.context, clock.deadline()) {
                        return Err(Error::Timeout);
                    }
                }
            }
        }
    }

    /// Copies the lines that were read into the batch; says whether it takes more.
    fn hand_over(&mut self, batch: &mut EventBatch) -> Result<bool, Error> {
        let limit = batch.event_size() as usize;
        while let Some(line) = self.splitter.next(limit) {
            self.warn_of_nuls();
            if !batch.fits(line.len) {
                return Ok(false);
            }
            let bytes = self.splitter.bytes(line);
            let timestamp = match &mut self.timestamp {
                Some(timestamp) => timestamp.of(bytes, || self.splitter.place().position, |text| self.input.warn(text)),
                None => NO_TIMESTAMP,
            };
            batch.append(bytes, timestamp)?;
            if line.cut {
                self.warn_of_cut(limit);
            }
            self.splitter.take(line);
        }
        Ok(!batch.is_full())
    }

    fn warn_of_cut(&mut self, limit: usize) {
        let Some(count) = self.cut.count() else { return };
        self.input.warn(&format!(
            "{}: the line at byte {} is longer than the event size of {limit} bytes, and is cut to it (lines cut so far: \
             {count})",
            self.name,
            self.splitter.place().position,
        ));
    }

    #[inline]
    fn warn_of_nuls(&mut self) {
        let nuls = self.splitter.take_nuls();
        // UTF-16 has NULs everywhere, and was reported.
        if nuls == 0 || self.sniffer.has_found() {
            return;
        }
        let Some(count) = self.holes.count() else { return };
        self.input.warn(&format!(
            "{}: passed over {nuls} NUL bytes before byte {}, a hole that copytruncate leaves if the writer does not \
             append: open the log with O_APPEND (>> in a shell), or rotate it by renaming it (holes so far: {count})",
            self.name,
            self.splitter.place().position,
        ));
    }
}

/// What an input begins with, where it is read next.
fn given(input: &Input) -> Given {
    let none = Given {
        file: None,
        compressed: None,
        place: Place::new(0, &[]),
    };
    let Some(open) = input.open() else { return none };
    let file = Arc::clone(&open.file);
    let place = open.begin;
    match &open.kind {
        Kind::Stream => Given { place, ..none },
        Kind::Regular => Given {
            file: Some(file),
            place,
            ..none
        },
        Kind::Compressed(decoder) => Given {
            file: Some(file),
            compressed: Some(decoder.compressed()),
            place,
        },
    }
}
