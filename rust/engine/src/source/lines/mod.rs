//! Lines of a file, a pipe or a socket as events, without the author's code.

mod compressed;
mod cursor;
mod encoding;
mod input;
mod occasional;
mod open;
mod rotated;
mod splitter;
mod taken;
mod timestamp;

use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

pub use cursor::Cursor;
pub use input::{Source, Start};
pub use taken::Taken;

use crate::error::Error;
use crate::event::NO_TIMESTAMP;
use crate::event::batch::{EventBatch, Filling};
use crate::source::clock::Clock;
use crate::source::context::Context;
use crate::source::ending::Ending;
use cursor::Place;
use encoding::Sniffer;
use input::{Input, Read};
use occasional::Occasional;
use open::Kind;
use splitter::{Separator, Splitter};
use taken::Given;
use timestamp::Timestamp;

/// Bytes that are read at once: fewer cost more calls than they save in the cache.
const BLOCK: usize = 1 << 20;

/// Tells the operator something.
pub type Warn = Box<dyn Fn(&str) + Send>;

/// Why an input could not be opened or read.
#[derive(Debug)]
pub struct ReadError {
    /// The path, or what else it is called.
    pub name: String,
    pub error: io::Error,
}

impl fmt::Display for ReadError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { name, error } = self;
        if error.raw_os_error().is_some() {
            write!(f, "{error}: {name}")
        } else {
            write!(f, "{name}: {error}")
        }
    }
}

impl std::error::Error for ReadError {}

/// How an input is read.
#[derive(Debug, Clone)]
pub struct Options {
    /// What ends a line.
    pub separator: Vec<u8>,
    /// A JSON pointer to the time of an event.
    pub timestamp: Option<String>,
    /// Whether to go on at the end, as `tail -F`.
    pub follow: bool,
    /// Where to begin in a regular file.
    pub start: Start,
    pub timeout: Duration,
}

/// An event source that splits an input into lines.
pub struct LinesInstance {
    name: String,
    input: Input,
    splitter: Splitter,
    timestamp: Option<Timestamp>,
    context: Context,
    timeout: Duration,
    ending: Ending,
    /// As far as the events of the last call go.
    given: Given,
    taken: Taken,
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

    fn with_block(
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
            taken: Taken::new(given.clone()),
            given,
            filling: Filling::default(),
            outstanding: false,
            sniffer: Sniffer::default(),
            cut: Occasional::default(),
            holes: Occasional::default(),
        })
    }

    /// How far the host is; it can be asked while `next_batch` runs.
    pub fn taken(&self) -> Taken {
        self.taken.clone()
    }

    /// The error that the next call would tell, where there is one.
    pub fn unsaid(&mut self) -> Option<Error> {
        self.ending.unsaid()
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
        self.ending.answer(added, stop)
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
        self.taken.lock().clone_from(&self.given);
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

#[cfg(test)]
mod content_tests;

#[cfg(test)]
mod rotation_tests;

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::fs::{self, File, OpenOptions};
    use std::io::{PipeWriter, Write, pipe};
    use std::os::fd::OwnedFd;
    use std::os::unix::net::{UnixDatagram, UnixStream};
    use std::path::{Path, PathBuf};
    use std::sync::Mutex;
    use std::sync::atomic::{AtomicUsize, Ordering};
    use std::thread;

    pub(super) const LONG: Duration = Duration::from_secs(60);

    /// A folder of one test.
    pub(super) struct Folder(pub(super) PathBuf);

    impl Folder {
        pub(super) fn new() -> Self {
            static COUNT: AtomicUsize = AtomicUsize::new(0);
            let name = format!("lines-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
            let path = std::env::temp_dir().join(name);
            fs::create_dir(&path).unwrap();
            Self(path)
        }

        pub(super) fn path(&self, name: &str) -> PathBuf {
            self.0.join(name)
        }

        pub(super) fn write(&self, name: &str, content: &[u8]) -> PathBuf {
            let path = self.path(name);
            fs::write(&path, content).unwrap();
            path
        }

        pub(super) fn append(&self, name: &str, content: &[u8]) {
            let mut file = OpenOptions::new().append(true).open(self.path(name)).unwrap();
            file.write_all(content).unwrap();
        }
    }

    impl Drop for Folder {
        fn drop(&mut self) {
            let _ = fs::remove_dir_all(&self.0);
        }
    }

    /// An instance that does not wait, and what it warned of.
    pub(super) struct Reader {
        pub(super) lines: LinesInstance,
        batch: EventBatch,
        pub(super) warnings: Arc<Mutex<Vec<String>>>,
    }

    pub(super) fn options() -> Options {
        Options {
            separator: b"\n".to_vec(),
            timestamp: None,
            follow: false,
            start: Start::Offset(0),
            timeout: Duration::ZERO,
        }
    }

    pub(super) fn following() -> Options {
        Options {
            follow: true,
            ..options()
        }
    }

    pub(super) fn open(source: Source, options: Options) -> Result<Reader, Error> {
        open_with(source, options, EventBatch::new(4, 100).unwrap(), 16)
    }

    pub(super) fn open_with(
        source: Source,
        options: Options,
        batch: EventBatch,
        block: usize,
    ) -> Result<Reader, Error> {
        let warnings = Arc::new(Mutex::new(Vec::new()));
        let told = Arc::clone(&warnings);
        let warn = Box::new(move |text: &str| told.lock().unwrap().push(text.to_owned()));
        LinesInstance::with_block(source, "input".into(), options, Context::new(), warn, block).map(|lines| Reader {
            lines,
            batch,
            warnings,
        })
    }

    pub(super) fn open_path(path: &Path, options: Options) -> Reader {
        open(Source::Path(path.into()), options).unwrap()
    }

    impl Reader {
        pub(super) fn next(&mut self) -> Result<Vec<Vec<u8>>, Error> {
            self.batch.clear();
            self.lines.next_batch(&mut self.batch)?;
            Ok((0..self.batch.len())
                .map(|index| self.batch.get(index).unwrap().1.to_vec())
                .collect())
        }

        /// Lines until there is nothing for now, or the end; and whether it was the end.
        pub(super) fn all(&mut self) -> (Vec<String>, bool) {
            let mut lines = Vec::new();
            // With a timeout of 0 a call reads one block, which need not hold a whole line.
            let mut idle = 0;
            loop {
                match self.next() {
                    Ok(more) => {
                        idle = 0;
                        lines.extend(more.into_iter().map(|line| String::from_utf8(line).unwrap()));
                    }
                    Err(Error::Timeout) if idle < 100 => idle += 1,
                    Err(Error::Timeout) => return (lines, false),
                    Err(Error::Eof) => return (lines, true),
                    Err(error) => panic!("{error}"),
                }
            }
        }

        pub(super) fn gives(&mut self, lines: &[&str]) {
            assert_eq!(self.all(), (lines.iter().map(ToString::to_string).collect(), false));
        }

        pub(super) fn ends_with(&mut self, lines: &[&str]) {
            assert_eq!(self.all(), (lines.iter().map(ToString::to_string).collect(), true));
        }

        pub(super) fn position(&self) -> u64 {
            self.lines.taken().position()
        }

        pub(super) fn warned_of(&self, text: &str) -> usize {
            self.warnings
                .lock()
                .unwrap()
                .iter()
                .filter(|warning| warning.contains(text))
                .count()
        }
    }

    /// What `bytes.split` gives, with nothing behind the last separator; each with where it ends.
    fn split(content: &[u8], separator: &[u8]) -> Vec<(Vec<u8>, u64)> {
        let mut lines = Vec::new();
        let mut start = 0;
        while start < content.len() {
            let found = memchr::memmem::find(&content[start..], separator);
            let end = found.map_or(content.len(), |at| start + at);
            let next = (end + separator.len()).min(content.len());
            lines.push((content[start..end].to_vec(), next as u64));
            start = next;
        }
        lines
    }

    fn bytes() -> impl Strategy<Value = Vec<u8>> {
        prop::collection::vec(prop::sample::select(b"abc\n".to_vec()), 0..300)
    }

    fn separator() -> impl Strategy<Value = Vec<u8>> {
        prop::sample::select(vec![b"\n".to_vec(), b"ab".to_vec(), b"aa".to_vec(), b"\n\n".to_vec()])
    }

    proptest! {
        #[test]
        fn lines_and_positions_are_those_of_the_content(
            content in bytes(), separator in separator(), batch_size in 1u32..8, block in 1usize..64,
        ) {
            let folder = Folder::new();
            let path = folder.write("log", &content);
            let options = Options { separator: separator.clone(), timeout: LONG, ..options() };
            let batch = EventBatch::new(batch_size, 1000).unwrap();
            let mut reader = open_with(Source::Path(path), options, batch, block).unwrap();
            let expected = split(&content, &separator);
            let mut seen = 0;
            for part in expected.chunks(batch_size as usize) {
                let lines: Vec<_> = part.iter().map(|(line, _)| line.clone()).collect();
                prop_assert_eq!(reader.next().unwrap(), lines);
                prop_assert_eq!(reader.position(), seen, "the host did not come back yet");
                seen = part.last().unwrap().1;
            }
            prop_assert!(matches!(reader.next(), Err(Error::Eof)));
            prop_assert_eq!(reader.position(), content.len() as u64);
        }

        #[test]
        fn a_pipe_gives_the_lines_that_a_file_gives(
            parts in prop::collection::vec(bytes(), 0..8), separator in separator(), block in 1usize..64,
        ) {
            let (read, mut write) = pipe().unwrap();
            let options = Options { separator: separator.clone(), timeout: LONG, ..options() };
            let batch = EventBatch::new(3, 10_000).unwrap();
            let mut reader = open_with(Source::Descriptor(OwnedFd::from(read)), options, batch, block).unwrap();
            let content = parts.concat();
            let writer = thread::spawn(move || parts.iter().for_each(|part| write.write_all(part).unwrap()));
            let mut lines = Vec::new();
            while let Ok(more) = reader.next() {
                lines.extend(more);
            }
            writer.join().unwrap();
            let expected: Vec<_> = split(&content, &separator).into_iter().map(|(line, _)| line).collect();
            prop_assert_eq!(lines, expected);
        }

        #[test]
        fn a_cursor_goes_on_where_the_host_was(
            content in bytes(), calls in 0usize..8, batch_size in 1u32..8, from_offset: bool,
        ) {
            let folder = Folder::new();
            let path = folder.write("log", &content);
            let mut first = open_with(
                Source::Path(path.clone()),
                Options { timeout: LONG, ..options() },
                EventBatch::new(batch_size, 1000).unwrap(),
                16,
            ).unwrap();
            let mut taken = Vec::new();
            let mut last = Vec::new();
            for _ in 0..calls {
                taken.append(&mut last);
                let Ok(lines) = first.next() else { break };
                last = lines;
            }
            let cursor = first.lines.taken().cursor().unwrap();
            prop_assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
            let start = if from_offset { Start::Offset(first.position()) } else { Start::Cursor(cursor) };
            let mut second = open_path(&path, Options { start, timeout: LONG, ..options() });
            while let Ok(lines) = second.next() {
                taken.extend(lines);
            }
            let expected: Vec<_> = split(&content, b"\n").into_iter().map(|(line, _)| line).collect();
            prop_assert_eq!(taken, expected);
        }

        #[test]
        fn a_start_at_the_end_is_behind_the_last_whole_line(content in bytes(), separator in separator()) {
            let folder = Folder::new();
            let path = folder.write("log", &content);
            let reader = open_path(&path, Options { start: Start::End, separator: separator.clone(), ..following() });
            let behind = rposition(&content, &separator).map_or(0, |at| at + separator.len());
            prop_assert_eq!(reader.position(), behind as u64);
        }
    }

    fn rposition(content: &[u8], separator: &[u8]) -> Option<usize> {
        (0..content.len()).rfind(|&at| content[at..].starts_with(separator))
    }

    #[test]
    fn a_last_line_far_from_the_end_is_found() {
        let folder = Folder::new();
        for ending in [0, 1, 65_535, 65_536, 65_537, 200_000] {
            let path = folder.write("log", &[b"one\r\n".to_vec(), vec![b'x'; ending]].concat());
            let options = Options {
                start: Start::End,
                separator: b"\r\n".to_vec(),
                ..following()
            };
            assert_eq!(open_path(&path, options).position(), 5);
        }
    }

    #[test]
    fn a_line_that_is_too_long_is_cut_and_counted_and_its_position_is_its_beginning() {
        let folder = Folder::new();
        let path = folder.write("log", &[&b"one\n"[..], &[b'x'; 1000]].concat());
        let mut reader = open_path(&path, following());
        reader.gives(&["one", &"x".repeat(100)]);
        assert_eq!(reader.position(), 4);
        folder.append("log", b"xx\ntwo\n");
        reader.gives(&["two"]);
        assert_eq!(reader.position(), 1011);
        assert_eq!(
            reader.warned_of("the line at byte 4 is longer than the event size of 100 bytes"),
            1
        );
        folder.append("log", &[b'y'; 1000]);
        reader.gives(&[&"y".repeat(100)]);
        assert_eq!(reader.warned_of("cut"), 1, "not for each line");
    }

    #[test]
    fn a_large_line_goes_alone_and_a_batch_is_bounded_by_bytes() {
        let folder = Folder::new();
        let content = [&b"small\n"[..], &[b'x'; 1 << 20], b"\nsmall\n"].concat();
        let path = folder.write("log", &content);
        let batch = EventBatch::new(128, 2 << 20).unwrap();
        let mut reader = open_with(
            Source::Path(path),
            Options {
                timeout: LONG,
                ..options()
            },
            batch,
            BLOCK,
        )
        .unwrap();
        let sizes: Vec<Vec<usize>> = std::iter::from_fn(|| reader.next().ok())
            .map(|lines| lines.iter().map(Vec::len).collect())
            .collect();
        assert_eq!(sizes, [vec![5], vec![1 << 20], vec![5]]);
    }

    // Following

    #[test]
    fn a_file_that_grows_gives_its_lines_once_they_have_an_end() {
        let folder = Folder::new();
        let path = folder.write("log", b"one\ntw");
        for source in [
            Source::Path(path.clone()),
            Source::Descriptor(File::open(&path).unwrap().into()),
        ] {
            folder.write("log", b"one\ntw");
            let mut reader = open(source, following()).unwrap();
            reader.gives(&["one"]);
            folder.append("log", b"o\n\nth");
            reader.gives(&["two", ""]);
            assert_eq!(reader.position(), 9);
        }
    }

    #[test]
    fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
        let folder = Folder::new();
        let path = folder.write("log", b"1\n2\n3\n4\n5\n6\n");
        let mut reader = open_path(&path, following());
        assert_eq!(reader.next().unwrap().len(), 4);
        fs::rename(&path, folder.path("old")).unwrap();
        reader.gives(&["5", "6"]);
        folder.append("old", b"7\n");
        reader.gives(&["7"]);
        folder.write("log", b"");
        folder.append("old", b"8\nno e");
        reader.gives(&["8"]);
        assert_eq!(reader.position(), 16, "that of the old file");
        folder.append("old", b"nd");
        folder.append("log", b"new\n");
        reader.gives(&["no end", "new"]);
        assert_eq!(reader.position(), 4);
        folder.append("log", b"newer\n");
        reader.gives(&["newer"]);
        assert_eq!(*reader.warnings.lock().unwrap(), Vec::<String>::new());
    }

    #[test]
    fn files_that_come_and_go_while_there_is_more_to_read_are_read_in_their_order() {
        let folder = Folder::new();
        let path = folder.write("log", &b"of the first\n".repeat(1000));
        let mut reader = open_path(&path, following());
        let mut lines = Vec::new();
        for content in ["second\n", "third\n", "fourth\n"] {
            fs::rename(&path, folder.path("old")).unwrap();
            folder.write("log", content.as_bytes());
            while lines.len() % 250 < 249 {
                lines.extend(reader.next().unwrap());
            }
            lines.extend(reader.next().unwrap());
        }
        let (rest, _) = reader.all();
        assert_eq!(lines.len() + rest.len(), 1003);
        assert_eq!(rest[rest.len() - 3..], ["second", "third", "fourth"]);
    }

    #[test]
    fn a_truncated_file_is_read_from_its_beginning() {
        let folder = Folder::new();
        let path = folder.write("log", b"one\ntwo\nno end");
        let mut reader = open_path(&path, following());
        reader.gives(&["one", "two"]);
        File::create(&path).unwrap();
        reader.gives(&["no end"]);
        folder.append("log", b"three\n");
        reader.gives(&["three"]);
        assert_eq!(reader.position(), 6);
        assert_eq!(reader.warned_of("was truncated"), 1);
    }

    #[test]
    fn a_file_that_is_not_there_yet_is_waited_for() {
        let folder = Folder::new();
        let path = folder.path("log");
        for start in [Start::Offset(0), Start::End] {
            let mut reader = open_path(&path, Options { start, ..following() });
            reader.gives(&[]);
            assert_eq!(reader.warned_of("does not exist; waiting for it"), 1);
            folder.write("log", b"one\n");
            reader.gives(&["one"]);
            fs::remove_file(&path).unwrap();
        }
    }

    #[test]
    fn what_cannot_be_read_is_told_once_and_tried_again() {
        let folder = Folder::new();
        let path = folder.write("log", b"one\n");
        let mut reader = open_path(&path, following());
        reader.gives(&["one"]);
        fs::remove_file(&path).unwrap();
        fs::create_dir(&path).unwrap();
        reader.gives(&[]);
        reader.gives(&[]);
        assert_eq!(reader.warned_of("cannot be read"), 1);
        fs::remove_dir(&path).unwrap();
        folder.write("log", b"two\n");
        reader.gives(&["two"]);
        reader.gives(&[]);
        assert_eq!(reader.warned_of("can be read again"), 1);
    }

    #[test]
    fn a_cursor_of_another_file_begins_at_its_beginning_and_says_so() {
        let folder = Folder::new();
        let path = folder.write("log", b"one\ntwo\n");
        let mut reader = open_path(&path, following());
        reader.gives(&["one", "two"]);
        let start = Start::Cursor(reader.lines.taken().cursor().unwrap());
        for (content, lines) in [
            (&b"one\ntwo\nthree\n"[..], &["three"][..]),
            (b"uno\ntwo\nthree\n", &["uno", "two", "three"]),
            (b"one\n", &["one"]),
        ] {
            folder.write("log", content);
            let start = start.clone();
            let mut reader = open_path(&path, Options { start, ..following() });
            reader.gives(lines);
            assert_eq!(
                reader.warned_of("not the file that start is a position in"),
                usize::from(lines.len() != 1 || content.len() < 8)
            );
        }
        folder.write("log", b"one\n");
        let mut reader = open_path(
            &path,
            Options {
                start: Start::Offset(5),
                ..options()
            },
        );
        reader.ends_with(&["one"]);
        assert_eq!(reader.warned_of("not the file that start is a position in"), 1);
    }

    // Streams

    pub(super) fn fifo(folder: &Folder) -> PathBuf {
        let path = folder.path("fifo");
        rustix::fs::mknodat(
            rustix::fs::CWD,
            &path,
            rustix::fs::FileType::Fifo,
            rustix::fs::Mode::RUSR | rustix::fs::Mode::WUSR,
            0,
        )
        .unwrap();
        path
    }

    #[test]
    fn a_stream_gives_what_there_is_and_ends_with_its_writers() {
        let folder = Folder::new();
        let fifo = fifo(&folder);
        let mut reader = open_path(&fifo, options());
        reader.gives(&[]);
        let writers = [
            (
                open_path(&fifo, options()),
                Box::new(OpenOptions::new().write(true).open(&fifo).unwrap()) as Box<dyn Write>,
            ),
            {
                let (read, write) = pipe().unwrap();
                (
                    open(Source::Descriptor(read.into()), options()).unwrap(),
                    Box::new(write) as _,
                )
            },
            {
                let (read, write) = UnixStream::pair().unwrap();
                (
                    open(Source::Descriptor(read.into()), options()).unwrap(),
                    Box::new(write) as _,
                )
            },
        ];
        for (mut reader, mut writer) in writers {
            reader.gives(&[]);
            writer.write_all(b"one\ntw").unwrap();
            reader.gives(&["one"]);
            writer.write_all(b"o\nno end").unwrap();
            reader.gives(&["two"]);
            assert_eq!(
                (reader.position(), reader.lines.taken().progress()),
                (8, (0.0, "8 B".into()))
            );
            assert_eq!(reader.lines.taken().cursor(), None);
            drop(writer);
            reader.ends_with(&["no end"]);
        }
    }

    #[test]
    fn a_stream_that_is_closed_is_closed_for_its_writer() {
        let (read, mut write) = pipe().unwrap();
        let mut reader = open(Source::Descriptor(read.into()), options()).unwrap();
        reader.gives(&[]);
        reader.lines.close();
        assert_eq!(write.write_all(b"one\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
        reader.ends_with(&[]);
    }

    #[test]
    fn a_fifo_that_is_followed_outlives_its_writers() {
        let folder = Folder::new();
        let path = fifo(&folder);
        let mut reader = open_path(&path, following());
        for line in ["one", "two"] {
            let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
            writeln!(writer, "{line}").unwrap();
            drop(writer);
            reader.gives(&[line]);
        }
    }

    #[test]
    fn a_connection_that_breaks_is_the_error_of_the_source_after_its_lines() {
        let (read, mut write) = UnixStream::pair().unwrap();
        write.write_all(b"one\n").unwrap();
        // What was sent to it and not read breaks the connection when it is closed.
        (&read).write_all(b"unread").unwrap();
        drop(write);
        let mut reader = open(Source::Descriptor(read.into()), options()).unwrap();
        let error = loop {
            match reader.next() {
                Ok(lines) => assert_eq!(lines, [b"one"]),
                Err(Error::Timeout) => {}
                Err(error) => break error,
            }
        };
        assert_eq!(error.to_string(), "Connection reset by peer (os error 104): input");
        assert!(matches!(reader.next(), Err(Error::Eof)));
    }

    #[test]
    fn cancelling_wakes_whoever_waits() {
        let folder = Folder::new();
        let (read, _write): (_, PipeWriter) = pipe().unwrap();
        for (source, follow) in [
            (Source::Descriptor(read.into()), false),
            (Source::Path(folder.write("log", b"")), true),
            (Source::Path(folder.path("missing")), true),
        ] {
            let options = Options {
                follow,
                timeout: LONG,
                ..options()
            };
            let mut reader = open(source, options).unwrap();
            let context = reader.lines.context.clone();
            let waiter = thread::spawn(move || reader.next());
            context.cancel();
            assert!(matches!(waiter.join().unwrap(), Err(Error::Eof)));
        }
    }

    // Options

    #[test]
    fn a_line_has_the_time_at_the_pointer_or_is_reported() {
        let lines: [(&[u8], u64); 10] = [
            (br#"{"at":{"time":"1970-01-01T00:00:01.5Z"}}"#, 1_500_000_000),
            (br#"{"at":{"time":"1970-01-01 01:00:02,5 +0100"}}"#, 2_500_000_000),
            (br#"{"at":{"time":2.25}}"#, 2_250_000_000),
            (br#"{"at":{"time":"1795593600123"}}"#, 1_795_593_600_123_000_000),
            (br#"{"at":{"time":"1970-01-01T00:00:03"}}"#, 3_000_000_000),
            (br#"{"at":{"time":"yesterday"}}"#, NO_TIMESTAMP),
            (br#"{"at":{"time":{"seconds":1}}}"#, NO_TIMESTAMP),
            (br#"{"at":{"time":null}}"#, NO_TIMESTAMP),
            (b"no JSON", NO_TIMESTAMP),
            (br#"{"at":{"time":-1}}"#, NO_TIMESTAMP),
        ];
        let folder = Folder::new();
        let content: Vec<&[u8]> = lines.iter().map(|(line, _)| *line).collect();
        let path = folder.write("log", &content.join(&b'\n'));
        let options = Options {
            timestamp: Some("/at/time".into()),
            timeout: LONG,
            ..options()
        };
        let batch = EventBatch::new(10, 1000).unwrap();
        let mut reader = open_with(Source::Path(path), options, batch, BLOCK).unwrap();
        reader.next().unwrap();
        for (index, (line, time)) in lines.into_iter().enumerate() {
            assert_eq!(reader.batch.get(index).unwrap(), (time, line));
        }
        let reports = |reader: &Reader| reader.warned_of("input: timestamp \"/at/time\" f");
        let position = |index| content[..index].iter().map(|line| line.len() + 1).sum::<usize>();
        for (index, found) in [
            (4, "a time without a time zone"),
            (5, "a value that is not a time"),
            (7, "no value"),
            (9, "a time before 1970 or after 2554"),
        ] {
            let text = format!("finds {found} in the line at byte {}", position(index));
            assert_eq!(reader.warned_of(&text), 1, "{text}");
        }
        assert_eq!(reports(&reader), 4);
        reader.ends_with(&[]);
        assert_eq!(reader.warned_of("found a value that is not a time in further lines"), 1);
        assert_eq!(reader.warned_of("found no value in further lines"), 1);
        assert_eq!(reports(&reader), 6);
        reader.lines.close();
        assert_eq!(reports(&reader), 6, "the rest is reported once");
    }

    #[test]
    fn lines_without_a_time_are_reported_when_the_source_is_closed() {
        let folder = Folder::new();
        let path = folder.write("log", b"{}\n{}\n");
        let options = Options {
            timestamp: Some("/time".into()),
            ..following()
        };
        let mut reader = open_path(&path, options);
        reader.gives(&["{}", "{}"]);
        assert_eq!(reader.warned_of("further lines"), 0);
        reader.lines.close();
        assert_eq!(
            reader.warned_of("found no value in further lines, the last one at byte 3"),
            1
        );
    }

    #[test]
    fn what_cannot_be_read_or_has_no_sense_is_refused_by_name() {
        let folder = Folder::new();
        let log = folder.write("log", b"one\n");
        let path = || Source::Path(log.clone());
        let pipe = || Source::Descriptor(pipe().unwrap().0.into());
        let written = OpenOptions::new().write(true).open(&log).unwrap();
        let (_, socket) = UnixDatagram::pair().unwrap();
        for (source, options, says) in [
            (
                Source::Path(folder.path("missing")),
                options(),
                "No such file or directory (os error 2): input",
            ),
            (
                Source::Path(folder.0.clone()),
                following(),
                "Is a directory (os error 21): input",
            ),
            (
                Source::Descriptor(written.into()),
                options(),
                "Bad file descriptor (os error 9): input",
            ),
            (Source::Descriptor(socket.into()), options(), "datagrams"),
            (
                pipe(),
                Options {
                    start: Start::End,
                    ..options()
                },
                "only a regular file has a start",
            ),
            (
                pipe(),
                Options {
                    start: Start::Offset(1),
                    ..options()
                },
                "only a regular file has a start",
            ),
            (
                Source::Descriptor(UnixStream::pair().unwrap().0.into()),
                following(),
                "can be followed",
            ),
            (
                path(),
                Options {
                    separator: Vec::new(),
                    ..options()
                },
                "separator must have at least one byte",
            ),
            (
                path(),
                Options {
                    timestamp: Some("time".into()),
                    ..options()
                },
                "must begin with",
            ),
            (
                path(),
                Options {
                    timestamp: Some("/a/*".into()),
                    ..options()
                },
                "must lead to one value",
            ),
            (
                path(),
                Options {
                    timestamp: Some("{pointer}".into()),
                    ..options()
                },
                "must lead to one value",
            ),
        ] {
            let error = open(source, options).err().unwrap().to_string();
            assert!(error.contains(says), "{error}");
        }
    }

    #[test]
    fn progress_is_the_share_of_the_file_that_was_taken() {
        let folder = Folder::new();
        let path = folder.write("log", &b"123456789\n".repeat(8));
        let mut reader = open_path(
            &path,
            Options {
                timeout: LONG,
                ..options()
            },
        );
        let progress = |reader: &Reader| reader.lines.taken().progress();
        reader.next().unwrap();
        assert_eq!(progress(&reader), (0.0, "0 B of 80 B".into()));
        reader.next().unwrap();
        assert_eq!(progress(&reader), (0.5, "40 B of 80 B".into()));
        reader.ends_with(&[]);
        assert_eq!(progress(&reader), (1.0, "80 B of 80 B".into()));
    }
    #[test]
    fn lines_are_not_taken_while_the_batch_that_they_are_in_is_being_filled() {
        let folder = Folder::new();
        let path = folder.write("log", &b"123456789\n".repeat(8));
        let mut lines = open_path(
            &path,
            Options {
                timeout: LONG,
                ..options()
            },
        )
        .lines;
        let mut batch = EventBatch::new(6, 64).unwrap();
        while !batch.is_full() {
            lines.next_batch(&mut batch).unwrap();
            assert_eq!(lines.taken().progress().0, 0.0);
        }
        batch.clear();
        lines.next_batch(&mut batch).unwrap();
        assert_eq!(lines.taken().progress().0, 0.75);
    }
}
