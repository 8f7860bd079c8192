//! Checks a library's file before the dynamic linker loads it, for clear error messages.

use std::fs::File;
use std::io::{self, Read};
use std::path::Path;

use crate::abi::error::Error;

const MAGIC: &[u8] = b"\x7fELF";
/// The size of the header up to `e_machine`, which has the same offset in 32-bit and 64-bit files.
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

/// Fails if a file is not a shared library for this machine.
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
        // Opening a FIFO would block until somebody writes into it.
        return Err(Error::NotALibrary(path.to_owned()));
    }
    let file = File::open(path).map_err(fail)?;
    let mut header = Vec::with_capacity(PREFIX);
    file.take(PREFIX as u64).read_to_end(&mut header).map_err(fail)?;
    // Other systems have other formats: the dynamic linker reports what is wrong.
    if cfg!(target_os = "linux") {
        check_header(path, &header)
    } else {
        Ok(())
    }
}

/// Fails if the first bytes of a file are not those of a shared library for this machine.
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
