//! Begins an input: at its path, or in the file of a cursor that was renamed since.

use std::collections::{HashSet, VecDeque};
use std::io;
use std::os::unix::fs::FileTypeExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::SystemTime;

use rustix::event::{EventfdFlags, eventfd};

use super::Input;
use crate::error::Error;
use crate::source::context::Context;
use crate::source::lines::cursor::{Cursor, FileSnapshot};
use crate::source::lines::open::{Identity, OpenInput, is_stream_socket};
use crate::source::lines::options::{Options, Source, Start, Warn};
use crate::source::lines::rotated;
use crate::throttle::Throttle;

impl Input {
    /// Opens the input.
    ///
    /// # Errors
    /// [`Error::InvalidOption`] if an option does not fit the input; [`Error::Source`] if it cannot be opened.
    pub(in super::super) fn new(
        source: Source,
        name: String,
        options: Options,
        context: &Context,
        warn: Warn,
    ) -> Result<Self, Error> {
        let Options {
            separator,
            follow,
            start,
            ..
        } = options;
        let mut input = Self {
            name,
            separator,
            path: None,
            follow,
            start,
            open: None,
            successors: VecDeque::new(),
            known: HashSet::new(),
            seen: SystemTime::now(),
            reads: 0,
            is_over: false,
            wake: None,
            trouble: None,
            truncations: Throttle::default(),
            warn,
        };
        let opened = match source {
            Source::Path(path) => {
                if path.as_os_str().is_empty() {
                    // As the system reports it, also if the file need not exist yet.
                    return Err(input.error(rustix::io::Errno::NOENT.into()));
                }
                // Make the path absolute: the host may change its directory.
                let path = std::path::absolute(path).map_err(|error| input.error(error))?;
                let opened = OpenInput::open(&path);
                input.path = Some(path);
                opened
            }
            Source::Descriptor(descriptor) => OpenInput::from_descriptor(descriptor, Path::new(&input.name)),
        };
        match opened {
            Ok(open) => input.begin_first(open, context)?,
            Err(error) if error.kind() == io::ErrorKind::NotFound => input.handle_missing(error)?,
            Err(error) if error.kind() == io::ErrorKind::Unsupported => {
                return Err(Error::InvalidOption(format!("{}: {error}", input.name)));
            }
            Err(error) => return Err(input.error(error)),
        }
        Ok(input)
    }

    fn begin_first(&mut self, open: OpenInput, context: &Context) -> Result<(), Error> {
        let metadata = open.file.metadata().map_err(|error| self.error(error))?;
        let kind = metadata.file_type();
        let refuse = |what: &str| Err(Error::InvalidOption(format!("{}: {what}", self.name)));
        if kind.is_socket() && !is_stream_socket(&open.file) {
            return refuse("a datagram socket has no lines: pass a stream socket, or send each datagram as an event");
        }
        if self.follow && !kind.is_file() && !kind.is_fifo() {
            return refuse("only a file or a FIFO can be followed: leave follow out");
        }
        if open.is_stream() && self.start != Start::Offset(0) {
            return refuse("start requires a regular file: leave start out");
        }
        if open.is_compressed() && self.start == Start::End {
            return refuse("a compressed file is not followed, so nothing comes after its end: leave start out");
        }
        if open.is_stream() && !self.follow {
            let wake =
                eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK).map_err(|error| self.error(error.into()))?;
            let wake = Arc::new(wake);
            self.wake = Some(Arc::clone(&wake));
            context.on_cancel(move || {
                // The write fails only if the counter is full, and then the descriptor is readable already.
                let _ = rustix::io::write(&wake, &1_u64.to_ne_bytes());
            });
        }
        self.begin(open).map_err(|error| self.error(error))
    }

    /// Handles a path that does not exist. The file of the cursor may have another name now.
    fn handle_missing(&mut self, error: io::Error) -> Result<(), Error> {
        if let Start::Cursor(cursor) = self.start.clone() {
            if self.continue_in_rotated(&cursor, None) {
                return Ok(());
            }
            if self.follow {
                self.warn(&format!(
                    "{} does not exist; waiting for it; the file that was read before is not found under another name \
                     in its folder: {}",
                    self.name,
                    describe_loss(&cursor)
                ));
                return Ok(());
            }
        }
        if !self.follow {
            return Err(self.error(error));
        }
        self.warn(&format!("{} does not exist; waiting for it", self.name));
        // A file that is created later is read from its beginning.
        if self.start == Start::End {
            self.start = Start::Offset(0);
        }
        Ok(())
    }

    /// Begins with the first file, at the position that `start` gives.
    pub(super) fn begin(&mut self, mut open: OpenInput) -> io::Result<()> {
        self.seen = SystemTime::now();
        if let (true, Some(path)) = (self.follow, &self.path) {
            self.known = rotated::list(path).iter().map(|file| file.key).collect();
        }
        if open.is_compressed() && self.follow {
            self.warn(&format!(
                "{} is compressed: reading it once, without following it",
                self.name
            ));
            self.follow = false;
        }
        if !open.is_stream() {
            match self.start.clone() {
                Start::Offset(offset) => {
                    if !open.go_to(offset)? {
                        self.warn(&format!(
                            "{} is not the file that start is a position in, or was truncated: reading it from its \
                             beginning",
                            self.name
                        ));
                    }
                }
                Start::End => open.go_to_end(&self.separator)?,
                Start::Cursor(cursor) => return self.begin_at_cursor(open, &cursor),
            }
        }
        self.open = Some(open);
        Ok(())
    }

    /// Begins with the file of a cursor: `open`, or a file that was renamed since. If it is not found, begins with the
    /// whole of `open`.
    fn begin_at_cursor(&mut self, mut open: OpenInput, cursor: &Cursor) -> io::Result<()> {
        let is_found = open.find(cursor)?;
        let is_same = cursor.file().is_none_or(|seen| seen.inode == open.identity.1);
        if !(is_found && is_same) && self.continue_in_rotated(cursor, Some(open.identity)) {
            if !self.follow {
                open.rewind()?;
                self.successors.push_back(open);
            }
            return Ok(());
        }
        if !is_found {
            self.warn(&format!(
                "{} is not the file that start is a position in, or was truncated, and that file is not found under \
                 another name in its folder: reading {} from its beginning; {}",
                self.name,
                self.name,
                describe_loss(cursor)
            ));
        }
        self.open = Some(open);
        Ok(())
    }

    /// Begins in the file of a cursor that was renamed since. The rotated files that came after it follow, except
    /// `last`. Returns false if the file is not found.
    fn continue_in_rotated(&mut self, cursor: &Cursor, last: Option<Identity>) -> bool {
        let Some(path) = self.path.clone() else { return false };
        let Some(found) = rotated::find(&path, cursor, last) else {
            return false;
        };
        let old = found.open.identity;
        let metadata = found.open.file.metadata();
        let mut after = rotated::list(&path);
        after.retain(|file| {
            let identity = file.key.0;
            let is_after = metadata.as_ref().is_ok_and(|metadata| file.is_changed_after(metadata));
            is_after && identity != old && Some(identity) != last
        });
        self.warn(&format!(
            "{} was rotated while it was not read: reading first the rest of {} after byte {}",
            self.name,
            found.path.display(),
            cursor.position()
        ));
        self.open = Some(found.open);
        self.start = Start::Offset(0);
        self.push_rotated(after.into_iter().map(|file| file.path).collect());
        true
    }

    /// Adds files that were renamed before they were read.
    pub(super) fn push_rotated(&mut self, paths: Vec<PathBuf>) {
        for path in paths {
            match rotated::open_regular(&path) {
                Ok(open) => {
                    self.warn(&format!(
                        "{} was rotated several times between two checks: reading {} too",
                        self.name,
                        path.display()
                    ));
                    self.successors.push_back(open);
                }
                Err(error) => self.warn(&format!(
                    "{} was rotated several times between two checks, and {} cannot be read: {error}; its lines are lost",
                    self.name,
                    path.display()
                )),
            }
        }
    }
}

/// Describes how much of a file that is not found was not read.
fn describe_loss(cursor: &Cursor) -> String {
    let position = cursor.position();
    match cursor.file() {
        Some(FileSnapshot { size, .. }) if *size > position => format!(
            "at least {} bytes are lost, from byte {position} to byte {size} of the old file, and all that was added \
             since",
            size - position
        ),
        _ => format!("all that was added to the old file after byte {position} is lost"),
    }
}
