//! A look at the file before the dynamic linker sees it, for errors that name what is wrong.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::command::error::Error;

const MAGIC: &[u8] = b"\x7fELF";
/// The part of the header up to `e_machine`, which lies alike in 32-bit and 64-bit files.
const PREFIX: usize = 20;
const BIG_ENDIAN: u8 = 2;
const SHARED: u16 = 3;
const MACHINES: [(u16, &str); 8] = [
    (3, "x86"),
    (21, "powerpc64"),
    (22, "s390x"),
    (40, "arm"),
    (62, "x86_64"),
    (183, "aarch64"),
    (243, "riscv64"),
    (258, "loongarch64"),
];

/// Refuses what is no shared library for this machine.
pub fn check(path: &Path) -> Result<(), Error> {
    let fail = |source| Error::Open {
        path: path.to_owned(),
        source,
    };
    let kind = path.metadata().map_err(fail)?.file_type();
    if kind.is_dir() {
        return Err(fail(io::ErrorKind::IsADirectory.into()));
    }
    if !kind.is_file() {
        // To open a FIFO would wait for somebody to write into it.
        return Err(Error::NotALibrary(path.to_owned()));
    }
    let file = File::open(path).map_err(fail)?;
    let mut header = Vec::with_capacity(PREFIX);
    file.take(PREFIX as u64).read_to_end(&mut header).map_err(fail)?;
    // Elsewhere libraries have other formats, and the dynamic linker's own words must do.
    if cfg!(target_os = "linux") {
        check_header(path, &header)
    } else {
        Ok(())
    }
}

/// The same of the first bytes of a file.
pub fn check_header(path: &Path, header: &[u8]) -> Result<(), Error> {
    if header.len() < PREFIX || !header.starts_with(MAGIC) {
        return Err(Error::NotALibrary(path.to_owned()));
    }
    let number = |at: usize| {
        let bytes = [header[at], header[at + 1]];
        if header[5] == BIG_ENDIAN {
            u16::from_be_bytes(bytes)
        } else {
            u16::from_le_bytes(bytes)
        }
    };
    let machine = number(18);
    let theirs = MACHINES.iter().find(|(number, _)| *number == machine);
    let ours = std::env::consts::ARCH;
    if theirs.is_none_or(|(_, name)| *name != ours) {
        let theirs = theirs.map_or_else(|| format!("machine {machine}"), |(_, name)| (*name).to_owned());
        return Err(Error::Architecture {
            path: path.to_owned(),
            theirs,
            ours,
        });
    }
    if number(16) != SHARED {
        return Err(Error::NotALibrary(path.to_owned()));
    }
    Ok(())
}
