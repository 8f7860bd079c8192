//! The plan, which `falco-plugin build` writes, and the reply.

use std::path::PathBuf;

use falco_plugin_bundle::format::Kind;
use serde::{Deserialize, Serialize};

#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Plan {
    /// The path of the bundle to write.
    pub output: PathBuf,
    /// The name of the plugin, which is part of the bundle's id.
    pub plugin: String,
    /// The folder of compressed blocks. `None` compresses everything.
    pub cache: Option<PathBuf>,
    /// Keeps symbol tables and debug information.
    #[serde(default)]
    pub debug_symbols: bool,
    /// The system's dynamic linker, which finds shared libraries.
    #[serde(default = "default_linker")]
    pub linker: PathBuf,
    /// The level of compression of all blocks. `None` chooses one for each block.
    pub level: Option<i32>,
    pub entries: Vec<PlannedEntry>,
}

fn default_linker() -> PathBuf {
    #[cfg(target_arch = "x86_64")]
    let path = "/lib64/ld-linux-x86-64.so.2";
    #[cfg(target_arch = "aarch64")]
    let path = "/lib/ld-linux-aarch64.so.1";
    path.into()
}

#[derive(Debug, Deserialize)]
#[serde(tag = "kind", rename_all = "lowercase", deny_unknown_fields)]
pub enum PlannedEntry {
    Module(Data),
    Package(Data),
    File(Data),
    Extension {
        /// The dotted name of the module.
        name: String,
        path: PathBuf,
    },
    Library {
        /// The name by which other files need it.
        name: String,
        path: PathBuf,
        #[serde(default)]
        system_first: bool,
    },
}

/// An entry that is not native code. Entries of one group are compressed together, in the order of the plan.
#[derive(Debug, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Data {
    pub name: String,
    pub group: String,
    pub source: Source,
}

/// Where the data of an entry is: a slice of a file, or a whole file.
#[derive(Debug, Deserialize)]
#[serde(untagged)]
pub enum Source {
    Slice(PathBuf, u64, u64),
    File(PathBuf),
}

#[derive(Debug, Serialize)]
pub struct Reply {
    pub id: String,
    /// The highest version of glibc that native code needs, empty if there is none.
    pub glibc: String,
    /// Bytes of the bundle.
    pub size: u64,
    /// The hash of the bundle's index, in hexadecimal digits.
    pub index_hash: String,
    /// The native entries.
    pub entries: Vec<ReplyEntry>,
    /// The libraries among them, with the files that they were made of.
    pub libraries: Vec<ReplyLibrary>,
    /// The groups of the other entries.
    pub groups: Vec<ReplyGroup>,
}

#[derive(Debug, Serialize)]
pub struct ReplyEntry {
    pub name: String,
    pub kind: &'static str,
    /// Bytes as they are opened.
    pub len: u64,
    /// Bytes in the bundle.
    pub stored: u64,
}

#[derive(Debug, Serialize)]
pub struct ReplyLibrary {
    pub soname: String,
    pub path: PathBuf,
    pub stored: u64,
}

#[derive(Debug, Serialize)]
pub struct ReplyGroup {
    pub group: String,
    pub len: u64,
    pub stored: u64,
}

#[derive(Debug, Serialize)]
pub struct Failure<'a> {
    pub error: String,
    pub entry: Option<&'a str>,
}

/// Returns the name of a kind in the plan.
pub fn kind_name(kind: Kind) -> &'static str {
    match kind {
        Kind::Module => "module",
        Kind::Package => "package",
        Kind::Extension => "extension",
        Kind::Library => "library",
        Kind::File => "file",
    }
}
