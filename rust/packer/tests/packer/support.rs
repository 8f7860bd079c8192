//! Runs the program and opens the bundle that it wrote.

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use falco_plugin_bundle::format::{Entry, Index};
use serde_json::{Value, json};
use tempfile::TempDir;

/// A folder with a plan, and the bundle that was made of it.
pub struct Packer {
    pub folder: TempDir,
    pub plan: Value,
}

impl Packer {
    pub fn new(entries: Vec<Value>) -> Self {
        let folder = tempfile::tempdir().unwrap();
        let plan = json!({
            "output": folder.path().join("bundle"),
            "plugin": "test",
            "cache": null,
            "debug_symbols": false,
            // Fast: the tests are not about size.
            "level": 1,
            "entries": entries,
        });
        Self { folder, plan }
    }

    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Writes a file into the folder. Returns its path.
    pub fn write(&self, name: &str, data: &[u8]) -> PathBuf {
        fs::write(self.path(name), data).unwrap();
        self.path(name)
    }

    /// Returns the reply, which may be an error.
    pub fn run(&self) -> Value {
        let mut process = Command::new(env!("CARGO_BIN_EXE_falco-plugin-packer"))
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        process
            .stdin
            .take()
            .unwrap()
            .write_all(self.plan.to_string().as_bytes())
            .unwrap();
        let output = process.wait_with_output().unwrap();
        let reply: Value = serde_json::from_slice(&output.stdout).unwrap();
        assert_eq!(output.status.success(), reply.get("error").is_none());
        reply
    }

    /// Returns the reply and the bundle of a plan that can be packed.
    pub fn pack(&self) -> (Value, Bundle) {
        let reply = self.run();
        assert_eq!(reply.get("error"), None);
        (reply, Bundle(fs::read(self.path("bundle")).unwrap()))
    }
}

pub struct Bundle(pub Vec<u8>);

impl Bundle {
    pub fn index(&self) -> Index<'_> {
        Index::new(&self.0, self.0.len() as u64).unwrap()
    }

    pub fn entries(&self) -> Vec<Entry<'_>> {
        let index = self.index();
        (0..index.entry_count())
            .map(|number| index.entry(number).unwrap())
            .collect()
    }

    pub fn entry(&self, name: &str) -> Entry<'_> {
        self.entries().into_iter().find(|entry| entry.name == name).unwrap()
    }

    /// Returns the data of an entry, with `id` at its patches.
    pub fn data(&self, entry: &Entry<'_>, id: &str) -> Vec<u8> {
        let block = self.index().block(entry.block).unwrap();
        let frame = &self.0[block.offset as usize..][..block.stored_len as usize];
        let block = zstd::bulk::decompress(frame, block.len as usize).unwrap();
        let mut data = entry.data(&block).unwrap().to_vec();
        for patch in entry.patches() {
            let place = &mut data[patch as usize..][..16];
            assert_eq!(place, b"0000000000000000");
            place.copy_from_slice(id.as_bytes());
        }
        data
    }
}

/// Returns the plan of an extension module.
pub fn extension(name: &str, path: impl AsRef<Path>) -> Value {
    json!({"kind": "extension", "name": name, "path": path.as_ref()})
}

pub fn library(name: &str, path: impl AsRef<Path>) -> Value {
    json!({"kind": "library", "name": name, "path": path.as_ref()})
}
