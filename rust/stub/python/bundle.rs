//! Python from the bundle of a self-contained library. Several of them can be in one process, each under its own names.

use core::ffi::{CStr, c_void};
use core::fmt::Write;

use falco_plugin_api_table::{START_SYMBOL, Start};
use falco_plugin_bundle::error::Error;
use falco_plugin_bundle::format::{Damaged, Group, Index};
use falco_plugin_bundle::library::Library;
use falco_plugin_bundle::open::{Bundle, Soname};
use falco_plugin_bundle::places::Places;

use super::global;
use super::sdk::Sdk;
use crate::lock::Mutex;
use crate::message::Message;
use crate::path::Path;
use crate::{image, libc};

/// The name of the SDK's extension module.
const CORE: &str = "falco_plugin._core";

/// Returns the SDK of the bundle. Opens Python and the SDK from memory, unless a library with the same bundle has opened
/// them in this process.
pub fn load(problem: &mut Message) -> Option<Sdk<'static>> {
    if !is_glibc_new_enough(problem) || !is_alone(problem) {
        return None;
    }
    // If several threads call init for the first time, one opens the libraries, and the others find them.
    static OPENING: Mutex = Mutex::new();
    let opening = OPENING.lock();
    let core = match find_core() {
        Some(core) => core,
        None => match open_core() {
            Ok(core) => core,
            Err(Error::Damaged(_)) => {
                problem.push(image::DAMAGED);
                return None;
            }
            Err(error) => {
                let _ = write!(problem, "{error}");
                return None;
            }
        },
    };
    drop(opening);
    let start = core.symbol(START_SYMBOL);
    if start.is_null() {
        problem.push(image::DAMAGED);
        return None;
    }
    Some(Sdk {
        // SAFETY: the symbol stands for a function of this type.
        start: unsafe { core::mem::transmute::<*mut c_void, Start>(start) },
        core: c"",
        python: c"",
        folders: c"",
    })
}

/// Checks that the C library has all that the native code of the bundle needs.
fn is_glibc_new_enough(problem: &mut Message) -> bool {
    let needed = image::manifest(c"glibc");
    // SAFETY: a NUL-terminated string that never changes.
    let found = unsafe { CStr::from_ptr(libc::gnu_get_libc_version()) };
    if numbers(found) >= numbers(needed) {
        return true;
    }
    problem.push("this plugin library needs glibc ");
    problem.push_c(needed.as_ptr());
    problem.push(" or newer, but this system has glibc ");
    problem.push_c(found.as_ptr());
    problem.push(": run it on a newer system, or build it on a system as old as this one");
    false
}

/// Returns the first two numbers of a version.
fn numbers(version: &CStr) -> [u32; 2] {
    let mut numbers = version.to_bytes().split(|&byte| byte == b'.').map(|part| {
        let digits = part.iter().take_while(|byte| byte.is_ascii_digit());
        digits.fold(0u32, |number, digit| {
            number.wrapping_mul(10).wrapping_add(u32::from(digit - b'0'))
        })
    });
    [numbers.next().unwrap_or(0), numbers.next().unwrap_or(0)]
}

/// Checks that the process has no Python in its global scope.
fn is_alone(problem: &mut Message) -> bool {
    let Some(found) = global::find() else {
        return true;
    };
    problem.push("this plugin library brings its own Python, but the process already runs Python ");
    found.write(problem);
    problem.push(
        " for all its libraries: build all plugins of one Falco without --linked, or build this one with --linked if the \
         host itself is a Python program",
    );
    false
}

/// Returns the extension module of a library with the same bundle, if the process has one.
fn find_core() -> Option<Library> {
    let id = image::manifest(c"bundle_id").to_bytes();
    let name = Soname::join(&[id, b"-", CORE.as_bytes(), b".so"])?;
    Library::find(name.as_c_str())
}

/// Checks the bundle, and opens Python and the extension module from it.
fn open_core() -> Result<Library, Error> {
    let image = image::get();
    let stored = image.bundle.as_ref().ok_or(Damaged("it is missing"))?;
    let file = stored.file();
    let bytes = file.read_index()?;
    let index = Index::new(bytes.bytes(), file.len)?;
    file.verify(&index)?;
    if index.id().as_bytes() != image::manifest(c"bundle_id").to_bytes() {
        return Err(Damaged("its id is not that of the manifest").into());
    }
    let core = index.find(Group::Modules, CORE).ok_or(Damaged("it has no SDK"))?;
    // SAFETY: the path is NUL-terminated.
    let library = unsafe { CStr::from_ptr(image.path) };
    let folder = Path::of(Path::of(library.to_bytes()).folder());
    // SAFETY: a path is NUL-terminated.
    let folder = unsafe { CStr::from_ptr(folder.as_ptr()) };
    let bundle = Bundle { file, index };
    bundle.open(core, &Places::new(folder))
}
