//! Standard output, for the host alone.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};

use crate::output::console;

/// The capacity of a pipe on standard output, in bytes: the most that a process may set by default.
const PIPE_CAPACITY: libc::c_int = 1024 * 1024;

/// Standard output without the line buffer of the standard library. Only the host writes to it: output of a plugin, or of
/// a program that it starts, goes to standard error instead.
pub struct Stdout {
    file: File,
    /// Whether the live line is on the same terminal, and must be cleared before a write.
    shares_terminal: bool,
}

impl Stdout {
    /// Takes over standard output.
    pub fn new() -> io::Result<Self> {
        let stdout = io::stdout();
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        enlarge_pipe(&file);
        let shares_terminal = stdout.is_terminal() && console::is_terminal();
        // SAFETY: takes two numbers and accesses no memory. If standard error is closed, the call fails without effect.
        unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
        Ok(Self { file, shares_terminal })
    }
}

/// Writes a text to standard output. It is not an error if the reader has closed it.
pub fn print(text: &[u8]) -> io::Result<()> {
    let mut out = io::stdout().lock();
    match out.write_all(text).and_then(|()| out.flush()) {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

/// Lets a pipe hold more than a whole buffer, so that its reader and this program take turns less often. Does nothing if
/// the output is not a pipe, or if the system does not allow it.
#[cfg(target_os = "linux")]
fn enlarge_pipe(file: &File) {
    // SAFETY: the descriptor is open. The command takes a number, accesses no memory, and fails if it is not a pipe.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE_CAPACITY) };
}

#[cfg(not(target_os = "linux"))]
fn enlarge_pipe(_file: &File) {}

impl Write for Stdout {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.shares_terminal {
            console::clear();
        }
        self.file.write(bytes)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
