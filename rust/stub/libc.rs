//! The parts of libc that the stub uses, for 64-bit Linux with glibc.

use core::ffi::{c_char, c_int, c_void};
use core::ptr;

pub const O_RDONLY: c_int = 0;
pub const O_CLOEXEC: c_int = 0o2000000;
pub const RTLD_LOCAL: c_int = 0;
pub const RTLD_NOW: c_int = 2;
pub const RTLD_GLOBAL: c_int = 0x100;
pub const RTLD_DEFAULT: *mut c_void = ptr::null_mut();
pub const S_IFMT: u32 = 0o170000;
pub const S_IFDIR: u32 = 0o040000;
pub const S_IFLNK: u32 = 0o120000;
pub const ENOENT: c_int = 2;
pub const EINTR: c_int = 4;
pub const ENOTDIR: c_int = 20;
pub const STDERR: c_int = 2;
pub const S_ISVTX: u32 = 0o1000;
pub const S_IWGRP: u32 = 0o020;
pub const S_IWOTH: u32 = 0o002;

#[repr(C)]
pub struct DlInfo {
    pub file_name: *const c_char,
    base: *mut c_void,
    symbol_name: *const c_char,
    symbol: *mut c_void,
}

impl Default for DlInfo {
    fn default() -> Self {
        Self {
            file_name: ptr::null(),
            base: ptr::null_mut(),
            symbol_name: ptr::null(),
            symbol: ptr::null_mut(),
        }
    }
}

#[cfg(target_arch = "x86_64")]
#[repr(C)]
#[derive(Default)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    nlink: u64,
    pub mode: u32,
    pub uid: u32,
    pub gid: u32,
    // The struct has 144 bytes.
    rest: [u64; 12],
    end: [u64; 2],
}

#[cfg(target_arch = "aarch64")]
#[repr(C)]
#[derive(Default)]
pub struct Stat {
    pub dev: u64,
    pub ino: u64,
    pub mode: u32,
    nlink: u32,
    pub uid: u32,
    pub gid: u32,
    // The struct has 128 bytes.
    rest: [u64; 12],
}

/// `struct dirent`: the name begins after 19 bytes.
#[repr(C)]
pub struct DirEntry {
    before: [u8; 19],
    pub name: [u8; 256],
}

/// `posix_spawn_file_actions_t`: 80 bytes in glibc, initialised by `posix_spawn_file_actions_init`.
#[repr(C)]
#[derive(Default)]
pub struct SpawnActions([u64; 16]);

/// `pthread_mutex_t`: 40 bytes on x86-64 and 48 on aarch64. Zeroes are an ordinary mutex that nobody holds.
#[repr(C)]
pub struct PthreadMutex([u64; 6]);

pub const PTHREAD_MUTEX_INITIALIZER: PthreadMutex = PthreadMutex([0; 6]);

#[link(name = "c")]
unsafe extern "C" {
    pub fn abort() -> !;
    pub fn calloc(count: usize, size: usize) -> *mut c_void;
    #[link_name = "__errno_location"]
    pub fn errno() -> *mut c_int;
    pub fn close(file: c_int) -> c_int;
    pub fn closedir(folder: *mut c_void) -> c_int;
    pub fn dladdr(address: *const c_void, info: *mut DlInfo) -> c_int;
    pub fn dlerror() -> *const c_char;
    pub fn dlopen(path: *const c_char, flags: c_int) -> *mut c_void;
    pub fn dlsym(library: *mut c_void, name: *const c_char) -> *mut c_void;
    pub fn free(memory: *mut c_void);
    #[link_name = "secure_getenv"]
    pub fn getenv(name: *const c_char) -> *const c_char;
    pub fn getcwd(memory: *mut c_char, size: usize) -> *mut c_char;
    pub fn gnu_get_libc_version() -> *const c_char;
    pub fn geteuid() -> u32;
    pub fn fstat(file: c_int, stat: *mut Stat) -> c_int;
    pub fn lstat(path: *const c_char, stat: *mut Stat) -> c_int;
    pub fn malloc(size: usize) -> *mut c_void;
    pub fn opendir(path: *const c_char) -> *mut c_void;
    pub fn open(path: *const c_char, flags: c_int, ...) -> c_int;
    pub fn pipe2(pipe: *mut c_int, flags: c_int) -> c_int;
    pub fn posix_spawn(
        child: *mut c_int,
        path: *const c_char,
        actions: *const SpawnActions,
        attributes: *const c_void,
        arguments: *const *const c_char,
        environment: *const *const c_char,
    ) -> c_int;
    pub fn posix_spawn_file_actions_adddup2(actions: *mut SpawnActions, from: c_int, to: c_int) -> c_int;
    pub fn posix_spawn_file_actions_addopen(
        actions: *mut SpawnActions,
        descriptor: c_int,
        path: *const c_char,
        flags: c_int,
        mode: u32,
    ) -> c_int;
    pub fn posix_spawn_file_actions_destroy(actions: *mut SpawnActions) -> c_int;
    pub fn posix_spawn_file_actions_init(actions: *mut SpawnActions) -> c_int;
    pub fn pread(file: c_int, memory: *mut c_void, size: usize, offset: i64) -> isize;
    pub fn pthread_mutex_lock(mutex: *mut PthreadMutex) -> c_int;
    pub fn pthread_mutex_unlock(mutex: *mut PthreadMutex) -> c_int;
    pub fn read(file: c_int, memory: *mut c_void, size: usize) -> isize;
    pub fn realpath(path: *const c_char, resolved: *mut c_char) -> *mut c_char;
    pub fn readdir(folder: *mut c_void) -> *const DirEntry;
    pub fn readlink(path: *const c_char, target: *mut c_char, size: usize) -> isize;
    pub fn strerror(number: c_int) -> *const c_char;
    pub fn write(file: c_int, memory: *const c_void, size: usize) -> isize;
    pub fn waitpid(child: c_int, status: *mut c_int, options: c_int) -> c_int;
}
