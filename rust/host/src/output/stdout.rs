//! Standard output, for the host alone.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::os::fd::{AsFd, AsRawFd};

use crate::output::console;

/// As much as a pipe may hold by default.
const PIPE: libc::c_int = 1024 * 1024;

/// Standard output without the line buffer of the standard library, and for the host alone: what a plugin, or a program
/// that it starts, writes there goes to standard error.
pub struct Stdout {
    file: File,
    /// Whether the live line is on the same screen, and has to give way.
    shares_terminal: bool,
}

impl Stdout {
    pub fn new() -> io::Result<Self> {
        let stdout = io::stdout();
        let file = File::from(stdout.as_fd().try_clone_to_owned()?);
        enlarge_pipe(&file);
        let shares_terminal = stdout.is_terminal() && console::is_terminal();
        // SAFETY: takes two numbers and touches no memory. Where standard error is closed it fails, and nothing changes.
        unsafe { libc::dup2(libc::STDERR_FILENO, libc::STDOUT_FILENO) };
        Ok(Self { file, shares_terminal })
    }
}

/// Where the output is a pipe, lets it hold a whole buffer and more: its reader and this program then take turns less
/// often. It stays as it is where that is not allowed.
#[cfg(target_os = "linux")]
fn enlarge_pipe(file: &File) {
    // SAFETY: the descriptor is open, and the command takes a number and touches no memory. On what is no pipe it fails.
    unsafe { libc::fcntl(file.as_raw_fd(), libc::F_SETPIPE_SZ, PIPE) };
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
