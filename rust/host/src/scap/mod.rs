//! Reads the events of a capture file of Falco or of the Sysdig tools, also if it is compressed with gzip.
//!
//! The file is a sequence of blocks, as in pcapng: type, length, content, and the length again. Lists of threads
//! and of their files precede the events. Events are passed on as the file has them, while Falco converts those of earlier
//! drivers to their current form.

mod blocks;
mod convert;
mod error;
mod lists;

use std::fs::File;
use std::io::{BufRead, BufReader, Read};
use std::path::{Path, PathBuf};

use falco_plugin_schema::RawEvent;
use flate2::bufread::MultiGzDecoder;

use blocks::{Block, Blocks, Kind};
pub use error::{Damage, Error};
pub use lists::{Content, Listed, Values};

/// The first bytes of a file that is compressed with gzip.
const GZIP: [u8; 2] = [0x1f, 0x8b];
/// The id of the processor, which precedes each event.
const PROCESSOR_LEN: usize = 2;
/// The flags of an event, which follow the id of the processor in some blocks.
const FLAGS_LEN: usize = 4;

/// The events of a capture file.
pub struct Capture {
    path: PathBuf,
    blocks: Blocks<Box<dyn Read + Send>>,
    /// The current event, as plugins get it.
    event: Vec<u8>,
    /// Whether the current event was read with the lists, and is the next one.
    is_ahead: bool,
    /// Events of types that are newer than this host, and whose parameters cannot be found.
    skipped: u64,
}

impl Capture {
    /// Opens a capture file, and checks that it is one.
    pub fn open(path: &Path) -> Result<Self, Error> {
        let failure = |source| Error::Read {
            path: path.to_owned(),
            source,
        };
        let mut file = BufReader::new(File::open(path).map_err(failure)?);
        let is_compressed = file.fill_buf().map_err(failure)?.starts_with(&GZIP);
        let reader: Box<dyn Read + Send> = match is_compressed {
            true => Box::new(BufReader::new(MultiGzDecoder::new(file))),
            false => Box::new(file),
        };
        let mut capture = Self {
            path: path.to_owned(),
            blocks: Blocks::new(reader),
            event: Vec::new(),
            is_ahead: false,
            skipped: 0,
        };
        let begun = capture.blocks.begin();
        begun.map_err(|damage| capture.error(damage))?;
        Ok(capture)
    }

    /// Passes on the lists of threads and of their files, which precede the events.
    pub fn read_lists(&mut self, list: &mut dyn FnMut(Listed<'_>)) -> Result<(), Error> {
        if !self.is_ahead {
            self.is_ahead = self.read_event(Some(list))?;
        }
        Ok(())
    }

    /// Returns the next event; `None` at the end of the file.
    pub fn next_event(&mut self) -> Result<Option<&[u8]>, Error> {
        let is_read = std::mem::take(&mut self.is_ahead) || self.read_event(None)?;
        Ok(is_read.then_some(&self.event))
    }

    /// Reads blocks up to the next event. Skips lists if `list` is `None`. Returns whether there is an event.
    fn read_event(&mut self, mut list: Option<&mut dyn FnMut(Listed<'_>)>) -> Result<bool, Error> {
        loop {
            let block = match self.blocks.next_block() {
                Ok(Some(block)) => block,
                Ok(None) => return Ok(false),
                Err(damage) => return Err(self.error(damage)),
            };
            let offset = block.offset;
            if let (Kind::List(kind), Some(list)) = (block.kind, &mut list) {
                let read = lists::read(kind, block.content, list);
                read.map_err(|fault| self.error(Damage::List { offset, fault }))?;
                continue;
            }
            match read_event(block, &mut self.event) {
                Ok(Found::Event) => return Ok(true),
                Ok(Found::Nothing) => {}
                Ok(Found::NewerType) => self.skipped += 1,
                Err(fault) => return Err(self.error(Damage::Event { offset, fault })),
            }
        }
    }

    /// Returns how many events were left out, because their type is not known and the file does not have the number of their
    /// parameters.
    pub fn skipped(&self) -> u64 {
        self.skipped
    }

    fn error(&self, damage: Damage) -> Error {
        Error::Damaged {
            path: self.path.clone(),
            damage,
        }
    }
}

enum Found {
    Event,
    /// The block is not an event.
    Nothing,
    NewerType,
}

/// Writes the event of a block into `event`.
fn read_event(block: Block<'_>, event: &mut Vec<u8>) -> Result<Found, &'static str> {
    let Kind::Event { has_flags, has_count } = block.kind else {
        return Ok(Found::Nothing);
    };
    let before = PROCESSOR_LEN + if has_flags { FLAGS_LEN } else { 0 };
    let content = block.content.get(before..).ok_or("the block is too short")?;
    event.clear();
    if has_count {
        let length = length_of(content).ok_or("the header is incomplete")?;
        event.extend_from_slice(content.get(..length).ok_or("its length is wrong")?);
    } else if !convert::add_count(content, event)? {
        return Ok(Found::NewerType);
    }
    let raw = RawEvent::new(event).ok_or("the header is incomplete")?;
    let params = raw.params();
    if params.len() != raw.param_count() as usize {
        return Err("it has fewer parameters than its header names");
    }
    if (0..params.len()).any(|position| params.bytes(position).is_none()) {
        return Err("a parameter is longer than the event");
    }
    Ok(Found::Event)
}

/// Returns the length in an event's header.
fn length_of(event: &[u8]) -> Option<usize> {
    let length = event.get(16..20)?;
    Some(u32::from_le_bytes(length.try_into().ok()?) as usize)
}
