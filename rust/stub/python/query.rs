//! Runs a Python to ask where its parts are.

use core::ffi::{CStr, c_char};
use core::ptr;

use super::sdk::MEMORY;
use crate::libc;

const QUESTION: &CStr = c"from falco_plugin._build import environment; environment.print_location()";

/// The number of files that the answer names, one in each line. The remaining lines are folders.
const FILES: usize = 3;

/// Returns the paths of Python's shared library, of the SDK's extension module and of the executable, and the folders
/// that code is imported from, each followed by a newline. Returns `None` if `python` does not answer so.
pub fn locations<'m>(python: &CStr, memory: &'m mut [u8; MEMORY]) -> Option<[&'m CStr; FILES + 1]> {
    let len = run(python, memory)?;
    memory[len] = 0;
    let mut starts = [0; FILES + 1];
    let mut line = 0;
    for (index, byte) in memory.iter_mut().enumerate().take(len) {
        if *byte == b'\n' && line < FILES {
            *byte = 0;
            line += 1;
            starts[line] = index + 1;
        }
    }
    let memory: &[u8] = memory;
    (line == FILES).then(|| starts.map(|start| CStr::from_bytes_until_nul(&memory[start..]).unwrap_or_default()))
}

/// Runs the question, and reads the whole answer. Returns its length, which is less than that of the memory.
fn run(python: &CStr, answer: &mut [u8; MEMORY]) -> Option<usize> {
    let arguments = [
        python.as_ptr(),
        c"-I".as_ptr(),
        c"-c".as_ptr(),
        QUESTION.as_ptr(),
        ptr::null(),
    ];
    let no_variables: [*const c_char; 1] = [ptr::null()];
    // SAFETY: plain libc calls on values made here, which write at most `capacity` bytes. The child gets the pipe's writing
    // end as stdout, and an empty stdin.
    unsafe {
        let mut pipe = [0; 2];
        if libc::pipe2(pipe.as_mut_ptr(), libc::O_CLOEXEC) != 0 {
            return None;
        }
        let mut actions = libc::SpawnActions::default();
        libc::posix_spawn_file_actions_init(&mut actions);
        libc::posix_spawn_file_actions_addopen(&mut actions, 0, c"/dev/null".as_ptr(), libc::O_RDONLY, 0);
        libc::posix_spawn_file_actions_adddup2(&mut actions, pipe[1], 1);
        let mut child = 0;
        let spawned = libc::posix_spawn(
            &mut child,
            python.as_ptr(),
            &actions,
            ptr::null(),
            arguments.as_ptr(),
            no_variables.as_ptr(),
        );
        libc::posix_spawn_file_actions_destroy(&mut actions);
        libc::close(pipe[1]);
        let capacity = answer.len() - 1;
        let mut len = 0;
        while spawned == 0 && len < capacity {
            let count = libc::read(pipe[0], answer.as_mut_ptr().add(len).cast(), capacity - len);
            if count < 0 && *libc::errno() == libc::EINTR {
                continue;
            }
            if count <= 0 {
                break;
            }
            len += count as usize;
        }
        libc::close(pipe[0]);
        let is_whole = len < capacity && answer[..len].ends_with(b"\n");
        // If the host ignores SIGCHLD, waitpid fails without a status, and 0 remains.
        let mut status = 0;
        if spawned == 0 {
            while libc::waitpid(child, &mut status, 0) < 0 && *libc::errno() == libc::EINTR {}
        }
        (is_whole && spawned == 0 && status == 0).then_some(len)
    }
}
