//! The lines instance, which copies lines from an input into batches.

use std::sync::Arc;
use std::time::{Duration, Instant};

use super::cursor::Checkpoint;
use super::encoding::Sniffer;
use super::input::{Input, ReadOutcome};
use super::open::Kind;
use super::options::{Options, Source, Warn};
use super::progress::{InputPosition, Progress};
use super::separator::Separator;
use super::splitter::Splitter;
use super::timestamp::Timestamp;
use crate::error::Error;
use crate::event::NO_TIMESTAMP;
use crate::event::{BatchId, EventBatch};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;
use crate::throttle::Throttle;

/// How many bytes to read in one call. Smaller reads cost more in calls than they save in the cache.
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
    /// The position after the last delivered line.
    delivered: InputPosition,
    progress: Progress,
    /// The batch of the last lines. The host cannot acknowledge them while the same batch is being filled.
    last_batch: BatchId,
    /// Whether the last batch has lines that the host has not acknowledged.
    has_unacknowledged: bool,
    sniffer: Sniffer,
    /// Lines that were longer than the event size.
    cut_lines: Throttle,
    /// Runs of NULs that were skipped.
    holes: Throttle,
}

impl LinesInstance {
    /// Opens the input. `name` is the input's name in errors and warnings.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option does not fit the input; [`Error::Source`] with a [`ReadError`] if the
    /// input cannot be opened.
    ///
    /// [`ReadError`]: super::ReadError
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
        let delivered = start_position(&input);
        let mut splitter = Splitter::new(separator, block);
        splitter.begin(&delivered.checkpoint);
        Ok(Self {
            name,
            input,
            splitter,
            timestamp,
            context,
            timeout,
            ending: Ending::default(),
            progress: Progress::new(delivered.clone()),
            delivered,
            last_batch: BatchId::default(),
            has_unacknowledged: false,
            sniffer: Sniffer::default(),
            cut_lines: Throttle::default(),
            holes: Throttle::default(),
        })
    }

    /// Returns a handle that shows how far the host has acknowledged the lines, also while `next_batch` runs.
    pub fn progress(&self) -> Progress {
        self.progress.clone()
    }

    /// Takes the error that the next `next_batch` would return, if any.
    pub fn take_pending_error(&mut self) -> Option<Error> {
        self.ending.take_pending_error()
    }

    /// Appends lines to the batch, without clearing it, until it is full or no line is available. Returns their number.
    ///
    /// Blocks until a line is available or the timeout has run out. The call acknowledges the lines of the previous
    /// call, unless they are in the same batch.
    ///
    /// # Errors
    /// If no line was appended: [`Error::Timeout`], [`Error::Eof`] or the error of the input. An error that follows
    /// some lines is returned by the next call.
    pub fn next_batch(&mut self, batch: &mut EventBatch) -> Result<usize, Error> {
        if batch.id() != self.last_batch {
            self.acknowledge();
            self.last_batch = batch.id();
            self.has_unacknowledged = false;
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
        self.delivered.checkpoint = self.splitter.checkpoint();
        self.has_unacknowledged |= added > 0;
        if !self.has_unacknowledged {
            // Acknowledge bytes that are not part of a line, such as NULs.
            self.acknowledge();
        }
        if added == 0 && stop.is_none() {
            // The first line does not fit beside the events of another instance.
            return Err(batch.full_error());
        }
        self.ending.conclude(added, stop)
    }

    /// Ends the source. The input is closed, which the writer of a pipe or a socket notices.
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
        self.progress.lock().clone_from(&self.delivered);
    }

    fn fill(&mut self, batch: &mut EventBatch) -> Result<(), Error> {
        let before = batch.len();
        let clock = Clock::start(self.timeout);
        let mut has_read = false;
        loop {
            if self.context.is_cancelled() {
                return Err(Error::Eof);
            }
            if !self.copy_lines(batch)? {
                return Ok(());
            }
            if self.splitter.is_done() {
                self.warn_of_nuls();
                if self.input.is_over() {
                    return Err(Error::Eof);
                }
                self.delivered = start_position(&self.input);
                self.splitter.begin(&self.delivered.checkpoint);
                self.sniffer.begin();
            }
            // Check after a read: a timeout of 0 means one read.
            if has_read && clock.has_run_out() {
                return Err(Error::Timeout);
            }
            if self.splitter.is_in_nuls() {
                let skipped = self.input.skip_hole();
                if skipped > 0 {
                    self.splitter.skip_hole(skipped);
                }
            }
            let (preceding, free) = self.splitter.free_space();
            match self.input.read(preceding, free)? {
                ReadOutcome::Bytes(len) => {
                    self.splitter.commit(len);
                    if self.sniffer.is_utf16(self.splitter.pending()) {
                        self.input.warn(&format!(
                            "{} is UTF-16, which fields and rules cannot read: write it as UTF-8",
                            self.name
                        ));
                    }
                    has_read = true;
                }
                ReadOutcome::NewContent | ReadOutcome::End => self.splitter.finish(),
                ReadOutcome::Pending => {
                    let is_enough = batch.len() > before || self.timeout.is_zero();
                    if is_enough || !self.input.wait(&self.context, clock.deadline()) {
                        return Err(Error::Timeout);
                    }
                }
            }
        }
    }

    /// Copies the lines that were read into the batch. Returns whether the batch accepts more.
    fn copy_lines(&mut self, batch: &mut EventBatch) -> Result<bool, Error> {
        let limit = batch.event_size() as usize;
        while let Some(line) = self.splitter.next_line(limit) {
            self.warn_of_nuls();
            if !batch.fits(line.len) {
                return Ok(false);
            }
            let bytes = self.splitter.bytes(line);
            let timestamp = match &mut self.timestamp {
                Some(timestamp) => timestamp.read(
                    bytes,
                    || self.splitter.checkpoint().position,
                    |text| self.input.warn(text),
                ),
                None => NO_TIMESTAMP,
            };
            batch.append(bytes, timestamp)?;
            if line.is_cut {
                self.warn_of_cut(limit);
            }
            self.splitter.consume(line);
        }
        Ok(!batch.is_full())
    }

    fn warn_of_cut(&mut self, limit: usize) {
        if self.cut_lines.count(Instant::now()).is_none() {
            return;
        }
        self.input.warn(&format!(
            "{}: the line at byte {} is longer than the event size of {limit} bytes, and is cut to it (lines cut so far: \
             {})",
            self.name,
            self.splitter.checkpoint().position,
            self.cut_lines.total(),
        ));
    }

    #[inline]
    fn warn_of_nuls(&mut self) {
        let nuls = self.splitter.take_nuls();
        // UTF-16 is full of NULs, and was reported already.
        if nuls == 0 || self.sniffer.has_found() {
            return;
        }
        if self.holes.count(Instant::now()).is_none() {
            return;
        }
        self.input.warn(&format!(
            "{}: skipped {nuls} NUL bytes before byte {}, a hole that copytruncate leaves if the writer does not \
             append: open the log with O_APPEND (>> in a shell), or rotate it by renaming it (holes so far: {})",
            self.name,
            self.splitter.checkpoint().position,
            self.holes.total(),
        ));
    }
}

/// Returns the position at which the current file of an input begins.
fn start_position(input: &Input) -> InputPosition {
    let none = InputPosition {
        file: None,
        compressed: None,
        checkpoint: Checkpoint::new(0, &[]),
    };
    let Some(open) = input.open() else { return none };
    let file = Arc::clone(&open.file);
    let checkpoint = open.begin;
    match &open.kind {
        Kind::Stream => InputPosition { checkpoint, ..none },
        Kind::Regular => InputPosition {
            file: Some(file),
            checkpoint,
            ..none
        },
        Kind::Compressed(decoder) => InputPosition {
            file: Some(file),
            compressed: Some(decoder.compressed()),
            checkpoint,
        },
    }
}
