//! Finds shared libraries with the system's dynamic linker, and lists those that glibc brings.

use std::collections::HashMap;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::error::Error;

/// Paths of shared libraries by the names under which they are needed.
pub type Found = HashMap<String, PathBuf>;

/// The libraries of glibc, without the ending of their names. They belong to the dynamic linker of the system, so a
/// bundle cannot have its own.
const GLIBC: &[&str] = &[
    "libBrokenLocale",
    "libanl",
    "libc",
    "libc_malloc_debug",
    "libdl",
    "libm",
    "libmvec",
    "libpthread",
    "libresolv",
    "librt",
    "libthread_db",
    "libutil",
];

/// Variables that change what `--list` does or prints. `LD_LIBRARY_PATH` stays.
const VARIABLES: &[&str] = &[
    "LD_AUDIT",
    "LD_BIND_NOW",
    "LD_DEBUG",
    "LD_PRELOAD",
    "LD_TRACE_LOADED_OBJECTS",
    "LD_VERBOSE",
    "LD_WARN",
];

/// Returns whether glibc has the library.
pub fn is_of_glibc(name: &str) -> bool {
    let stem = name.split(".so").next().unwrap_or(name);
    name.starts_with("ld-linux") || name.starts_with("linux-vdso") || GLIBC.contains(&stem)
}

/// Returns whether the system's library is preferred, because others in the process may have opened it already.
pub fn is_system_first(name: &str) -> bool {
    matches!(name, "libgcc_s.so.1" | "libstdc++.so.6")
}

/// Finds all libraries that a file needs, directly or not. Those that cannot be found are left out.
pub fn find_libraries(linker: &Path, file: &Path) -> Result<Found, Error> {
    let mut command = Command::new(linker);
    command.arg("--list").arg(file);
    for variable in VARIABLES {
        command.env_remove(variable);
    }
    let output = command.output().map_err(|error| Error::Linker {
        path: linker.to_owned(),
        error,
    })?;
    Ok(parse(&String::from_utf8_lossy(&output.stdout)))
}

/// Reads lines like `libz.so.1 => /lib/libz.so.1 (0x00007f0000000000)` and `libz.so.1 => not found`. A library that is
/// needed by its path has no arrow.
fn parse(list: &str) -> Found {
    let mut found = Found::new();
    for line in list.lines() {
        let Some((line, _)) = line.trim().rsplit_once(" (0x") else {
            continue;
        };
        let (name, path) = line.split_once(" => ").unwrap_or((line, line));
        if path.contains('/') {
            found.insert(name.to_owned(), path.into());
        }
    }
    found
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parse_returns_libraries_with_paths() {
        let list = "\tlinux-vdso.so.1 (0x00007ffd)\n\tlibz.so.1 => /lib/a (b)/libz.so.1 (0x00007f)\n\
                    \tlibmissing.so => not found\n\t/opt/libp.so (0x00007f)\n";
        let mut found: Vec<_> = parse(list).into_iter().collect();
        found.sort();
        let expected = [("/opt/libp.so", "/opt/libp.so"), ("libz.so.1", "/lib/a (b)/libz.so.1")];
        assert_eq!(found, expected.map(|(name, path)| (name.to_owned(), path.into())));
    }

    #[test]
    fn glibc_has_its_own_libraries_only() {
        let own = [
            "libc.so.6",
            "libm.so.6",
            "libpthread.so.0",
            "ld-linux-x86-64.so.2",
            "libutil.so.1",
        ];
        assert!(own.into_iter().all(is_of_glibc));
        let other = [
            "libcrypt.so.1",
            "libnsl.so.2",
            "libcrypto.so.3",
            "libmagic.so.1",
            "libc++.so.1",
        ];
        assert!(!other.into_iter().any(is_of_glibc));
    }
}
