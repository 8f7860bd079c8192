//! Opening bytes as shared libraries, from memory and from private folders.

use std::ffi::{CStr, CString};
use std::fs;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::{Mutex, MutexGuard, PoisonError};

use falco_plugin_bundle::error::{Errno, Error, Reason};
use falco_plugin_bundle::library::Library;
use falco_plugin_bundle::memory_file::{self, DataError, create_data, is_path};
use falco_plugin_bundle::places::{Place, Places};

/// Tests count descriptors, so they run one after the other.
fn alone() -> MutexGuard<'static, ()> {
    static ALONE: Mutex<()> = Mutex::new(());
    ALONE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A folder that is removed with the value.
struct Folder(PathBuf);

impl Folder {
    fn new(name: &str) -> Self {
        let path = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("{name}-{}", std::process::id()));
        fs::create_dir_all(&path).unwrap();
        Self(path)
    }

    /// Makes a folder in this one.
    fn sub(&self, name: &str, mode: u32) -> CString {
        let path = self.0.join(name);
        fs::create_dir(&path).unwrap();
        fs::set_permissions(&path, fs::Permissions::from_mode(mode)).unwrap();
        c_string(&path)
    }

    /// Compiles a library whose function `answer` returns a number.
    fn library(&self, answer: u32) -> Vec<u8> {
        let source = self.0.join("answer.c");
        let library = self.0.join("answer.so");
        fs::write(&source, format!("int answer(void) {{ return {answer}; }}")).unwrap();
        let compiled = Command::new("cc")
            .args(["-shared", "-fPIC", "-o"])
            .arg(&library)
            .arg(&source)
            .status();
        assert!(compiled.unwrap().success());
        fs::read(library).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).unwrap();
    }
}

fn c_string(path: &Path) -> CString {
    CString::new(path.as_os_str().as_bytes()).unwrap()
}

fn open(bytes: &[u8], places: &Places<'_>) -> Result<Library, Error> {
    memory_file::open("0123-answer.so", bytes.len() as u32, places, &mut |target| {
        target.copy_from_slice(bytes);
        Ok(())
    })
}

fn answer(library: Library) -> u32 {
    let address = library.symbol(c"answer");
    assert!(!address.is_null());
    // SAFETY: the symbol stands for a function of this type.
    unsafe { std::mem::transmute::<*mut std::ffi::c_void, extern "C" fn() -> u32>(address)() }
}

fn descriptors() -> usize {
    fs::read_dir("/proc/self/fd").unwrap().count()
}

const MISSING: &CStr = c"/does/not/exist";

/// Places of which only the folder of the library can work.
fn folders(library_folder: &CStr) -> Places<'_> {
    Places {
        has_memory: false,
        variable: None,
        system: [MISSING; 4],
        library_folder,
    }
}

#[test]
fn libraries_of_one_descriptor_number_are_different() {
    let _alone = alone();
    let folder = Folder::new("numbers");
    let before = descriptors();
    for number in 1..20 {
        let library = open(&folder.library(number), &Places::new(MISSING)).unwrap();
        assert_eq!(answer(library), number);
        let path = library.path();
        assert!(is_path(path.to_bytes()), "{path:?}");
        assert_eq!(Library::find(path).map(answer), Some(number));
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn open_uses_the_first_folder_that_works() {
    let _alone = alone();
    let folder = Folder::new("order");
    let shared = folder.sub("shared", 0o777);
    let sticky = folder.sub("sticky", 0o1777);
    let own = folder.sub("own", 0o700);
    let before = descriptors();
    let cases = [
        (Some(&*own), [&*sticky; 4], &own),
        (Some(c"relative"), [&*own; 4], &own),
        (None, [MISSING, &*shared, &*sticky, &*own], &sticky),
        (Some(c""), [MISSING, &*shared, &*shared, &*own], &own),
        (None, [MISSING; 4], &own),
    ];
    for (number, (variable, system, expected)) in (100..).zip(cases) {
        let places = Places {
            variable,
            system,
            ..folders(&own)
        };
        let library = open(&folder.library(number), &places).unwrap();
        assert_eq!(answer(library), number);
        let path = library.path();
        assert!(path.to_bytes().starts_with(expected.to_bytes()), "{path:?}");
        assert!(is_path(path.to_bytes()), "{path:?}");
    }
    for used in [&sticky, &own] {
        let path = Path::new(used.to_str().unwrap());
        assert_eq!(fs::read_dir(path).unwrap().count(), 0, "{path:?}");
    }
    assert_eq!(descriptors(), before);
}

#[test]
fn open_rejects_folders_below_one_that_others_can_change() {
    let _alone = alone();
    let folder = Folder::new("below");
    folder.sub("shared", 0o777);
    let below = folder.sub("shared/own", 0o700);
    let Err(Error::NoPlace(attempts)) = open(&folder.library(1), &folders(&below)) else {
        panic!("the folder was used");
    };
    assert_eq!(attempts.reason(Place::LibraryFolder), Some(Reason::Shared));
}

#[test]
fn open_follows_links_to_a_folder() {
    let _alone = alone();
    let folder = Folder::new("links");
    let own = folder.sub("own", 0o700);
    let link = folder.0.join("link");
    std::os::unix::fs::symlink(own.to_str().unwrap(), &link).unwrap();
    let library = open(&folder.library(300), &folders(&c_string(&link))).unwrap();
    assert!(library.path().to_bytes().starts_with(own.to_bytes()));
}

#[test]
fn open_reports_each_place_without_a_place_that_works() {
    let _alone = alone();
    let folder = Folder::new("none");
    let shared = folder.sub("shared", 0o777);
    let places = Places {
        variable: Some(c"relative"),
        ..folders(&shared)
    };
    let error = open(&folder.library(1), &places).unwrap_err();
    assert_eq!(
        error.to_string(),
        "no place was found that Python can be loaded from (memory: not set; TMPDIR: not an absolute path, or too long; /run: \
         No such file or directory; /dev/shm: No such file or directory; /tmp: No such file or directory; /var/tmp: No such file or \
         directory; the folder of the library: other users can write to it): mount /proc and allow memfd_create (see \
         vm.memfd_noexec), or set TMPDIR to a folder of Falco's user on a file system without noexec"
    );
}

#[test]
fn open_leaves_nothing_if_the_linker_refuses() {
    let _alone = alone();
    let folder = Folder::new("refused");
    let own = folder.sub("own", 0o700);
    let before = descriptors();
    for places in [Places::new(MISSING), folders(&own)] {
        let error = open(b"this is not an ELF file", &places).unwrap_err();
        assert!(matches!(error, Error::Refused(_)), "{error}");
        assert!(
            error
                .to_string()
                .starts_with("cannot load 0123-answer.so of the library: ")
        );
    }
    assert_eq!(descriptors(), before);
    assert_eq!(fs::read_dir(own.to_str().unwrap()).unwrap().count(), 0);
}

#[test]
fn open_leaves_nothing_if_the_bytes_cannot_be_read() {
    let _alone = alone();
    let folder = Folder::new("unreadable");
    let own = folder.sub("own", 0o700);
    let before = descriptors();
    for places in [Places::new(MISSING), folders(&own)] {
        let opened = memory_file::open("name", 10, &places, &mut |_| Err(Error::OutOfMemory));
        assert!(matches!(opened, Err(Error::OutOfMemory)));
    }
    assert_eq!(descriptors(), before);
    assert_eq!(fs::read_dir(own.to_str().unwrap()).unwrap().count(), 0);
}

#[test]
fn data_in_memory_is_constant() {
    let _alone = alone();
    for content in [&b"the content"[..], b""] {
        let descriptor = create_data("cacert.pem", content.len() as u32, &mut |bytes| {
            bytes.copy_from_slice(content);
            Ok(())
        });
        let path = format!("/proc/self/fd/{}", descriptor.unwrap());
        assert_eq!(fs::read(&path).unwrap(), content);
        assert!(fs::write(&path, b"changed").is_err());
        assert_eq!(fs::read(&path).unwrap(), content);
    }
}

#[test]
fn only_own_paths_are_recognised() {
    for path in [
        "/proc/self/fd/././/./7",
        "/tmp/falco-plugin-aB3xYz/.//./0123-libssl.so.3",
    ] {
        assert!(is_path(path.as_bytes()), "{path}");
    }
    for path in [
        "",
        "/proc/self/fd/7",
        "/usr/lib/libc.so.6",
        "/opt/falco-plugin-sdk/libx.so",
        "/falco-plugin-",
    ] {
        assert!(!is_path(path.as_bytes()), "{path}");
    }
}

#[test]
fn limit_of_file_sizes_is_an_error() {
    let _alone = alone();
    // The limit would kill the process, because no handler of SIGXFSZ exists.
    let set_limit = |limit| {
        // SAFETY: the struct is valid when zeroed, and valid for reads and writes.
        unsafe {
            let mut limits = std::mem::zeroed::<libc::rlimit>();
            assert_eq!(libc::getrlimit(libc::RLIMIT_FSIZE, &mut limits), 0);
            let former = std::mem::replace(&mut limits.rlim_cur, limit);
            assert_eq!(libc::setrlimit(libc::RLIMIT_FSIZE, &limits), 0);
            former
        }
    };
    let former = set_limit(1000);
    let longest = create_data("data", 1000, &mut |_| Ok(()));
    let longer = create_data("data", 1001, &mut |_| Ok(()));
    set_limit(former);
    // SAFETY: the descriptor belongs to the caller.
    assert_eq!(unsafe { libc::close(longest.unwrap()) }, 0);
    assert!(matches!(longer, Err(DataError::Refused(Errno(libc::EFBIG)))));
}
