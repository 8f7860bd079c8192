//! Opening native code of a bundle in a file, and what happens with damaged ones.

use std::ffi::CString;
use std::fs;
use std::os::fd::{AsRawFd, FromRawFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

use falco_plugin_bundle::error::{Errno, Error};
use falco_plugin_bundle::file::{File, Identity};
use falco_plugin_bundle::format::{Block, Damaged, Group, HASH_LEN, Index, Kind, SYSTEM_FIRST};
use falco_plugin_bundle::library::Library;
use falco_plugin_bundle::open::Bundle;
use falco_plugin_bundle::places::Places;
use falco_plugin_bundle::process;
use falco_plugin_bundle::write::{NewEntry, Writer};

/// Bytes in front of the bundle in the file.
const OFFSET: usize = 1000;

/// Compiles a library whose SONAME has the placeholder of the id.
fn compile(folder: &Path, name: &str, code: &str, needs: &[&str]) -> Vec<u8> {
    let library = folder.join(format!("0000000000000000-{name}"));
    let source = folder.join("source.c");
    fs::write(&source, code).unwrap();
    let mut command = Command::new("cc");
    command.args(["-shared", "-fPIC", "-o"]).arg(&library).arg(&source);
    command.arg(format!("-Wl,-soname,0000000000000000-{name}"));
    command.args(needs.iter().map(|need| folder.join(format!("0000000000000000-{need}"))));
    assert!(command.status().unwrap().success());
    fs::read(library).unwrap()
}

fn compress(bytes: &[u8]) -> Vec<u8> {
    let mut compressed = vec![0; bytes.len() + 1000];
    let len = zstd_safe::compress(&mut compressed[..], bytes, 3).unwrap();
    compressed.truncate(len);
    compressed
}

fn placeholders(bytes: &[u8]) -> Vec<u32> {
    let found = bytes
        .windows(17)
        .enumerate()
        .filter(|(_, window)| window == b"0000000000000000-");
    found.map(|(offset, _)| offset as u32).collect()
}

fn add(writer: &mut Writer, name: &str, kind: Kind, bytes: &[u8], needs: &[&str], flags: u32) {
    let block = writer.add_block(compress(bytes), bytes.len() as u32);
    let entry = NewEntry {
        name: name.to_owned(),
        kind,
        block,
        offset: 0,
        len: bytes.len() as u32,
        needs: needs.iter().map(|need| (*need).to_owned()).collect(),
        patches: placeholders(bytes),
        flags,
    };
    writer.add_entry(entry).unwrap();
}

/// A bundle with an extension `pkg.ext`, which calls two libraries, of which one calls the other.
struct Written {
    folder: PathBuf,
    file: fs::File,
    len: u64,
    index_hash: [u8; HASH_LEN],
}

impl Written {
    fn new(id: &[u8; 16], answer: u32) -> Self {
        Self::with(id, |folder, writer| {
            let inner = compile(
                folder,
                "libinner.so.1",
                &format!("int inner(void) {{ return {answer}; }}"),
                &[],
            );
            let code = "int inner(void); int outer(void) { return inner() + 1; }";
            let outer = compile(folder, "libouter.so.2", code, &["libinner.so.1"]);
            let code =
                "int outer(void); int answer(void) { return outer() + 1; } unsigned long Py_Version = 0x030b07f0;";
            let extension = compile(folder, "pkg.ext.so", code, &["libouter.so.2"]);
            let needs = ["libinner.so.1", "libouter.so.2"];
            add(writer, "libinner.so.1", Kind::Library, &inner, &[], 0);
            add(writer, "libouter.so.2", Kind::Library, &outer, &needs[..1], 0);
            add(writer, "pkg.ext", Kind::Extension, &extension, &needs, 0);
        })
    }

    fn with(id: &[u8; 16], fill: impl FnOnce(&Path, &mut Writer)) -> Self {
        static COUNT: AtomicU32 = AtomicU32::new(0);
        let name = format!("open-{}-{}", std::process::id(), COUNT.fetch_add(1, Ordering::Relaxed));
        let folder = Path::new(env!("CARGO_TARGET_TMPDIR")).join(name);
        fs::create_dir_all(&folder).unwrap();
        let mut writer = Writer::default();
        fill(&folder, &mut writer);
        let (bundle, index_hash) = writer.finish(id).unwrap();
        let path = folder.join("file");
        fs::write(&path, [&[1; OFFSET][..], &bundle, b"behind the bundle"].concat()).unwrap();
        Self {
            file: fs::File::open(path).unwrap(),
            folder,
            len: bundle.len() as u64,
            index_hash,
        }
    }

    fn file(&self) -> File {
        File {
            descriptor: self.file.as_raw_fd(),
            offset: OFFSET as u64,
            len: self.len,
            index_hash: self.index_hash,
        }
    }

    fn open(&self, group: Group, name: &str) -> Result<Library, Error> {
        let bytes = self.file().read_index()?;
        let index = Index::new(bytes.bytes(), self.len)?;
        let number = index.find(group, name).unwrap();
        let bundle = Bundle {
            file: self.file(),
            index,
        };
        bundle.open(number, &Places::new(c"/does/not/exist"))
    }
}

impl Drop for Written {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.folder).unwrap();
    }
}

/// Checks index and blocks, as the first init does.
fn verify(file: File) -> Result<(), Error> {
    let bytes = file.read_index()?;
    file.verify(&Index::new(bytes.bytes(), file.len)?)
}

fn call(library: Library) -> u32 {
    let address = library.symbol(c"answer");
    assert!(!address.is_null());
    // SAFETY: the symbol stands for a function of this type.
    unsafe { std::mem::transmute::<*mut std::ffi::c_void, extern "C" fn() -> u32>(address)() }
}

#[test]
fn bundles_with_other_ids_do_not_share_native_code() {
    let first = Written::new(b"1111111111111111", 10);
    let second = Written::new(b"2222222222222222", 20);
    for written in [&first, &second] {
        verify(written.file()).unwrap();
    }
    assert_eq!(call(first.open(Group::Modules, "pkg.ext").unwrap()), 12);
    assert_eq!(call(second.open(Group::Modules, "pkg.ext").unwrap()), 22);
    for name in ["1111111111111111-libouter.so.2", "2222222222222222-pkg.ext.so"] {
        let name = CString::new(name).unwrap();
        assert!(Library::find(&name).is_some(), "{name:?}");
    }
    // The extension modules of this test have the symbol by which a Python is found.
    assert_eq!(process::find_python(), Some((0x030b_07f0, false)));
    let mut count = 0;
    process::each_symbol(c"Py_Version", &mut |_| {
        count += 1;
        true
    });
    assert!(count >= 2);
}

#[test]
fn open_returns_code_that_was_opened_before() {
    let written = Written::new(b"3333333333333333", 30);
    let path = written.open(Group::Modules, "pkg.ext").unwrap().path();
    let again = Written::new(b"3333333333333333", 40);
    let library = again.open(Group::Modules, "pkg.ext").unwrap();
    assert_eq!(library.path(), path);
    assert_eq!(call(library), 32);
}

#[test]
fn open_prefers_the_library_of_the_system() {
    let id = b"4444444444444444";
    let written = Written::with(id, |_, writer| {
        add(
            writer,
            "libm.so.6",
            Kind::Library,
            b"not an ELF file",
            &[],
            SYSTEM_FIRST,
        );
    });
    let library = written.open(Group::Libraries, "libm.so.6").unwrap();
    assert!(!library.symbol(c"cos").is_null());
}

#[test]
fn open_reports_a_missing_library() {
    let written = Written::with(b"5555555555555555", |folder, writer| {
        compile(folder, "libgone.so.1", "int gone(void) { return 1; }", &[]);
        let extension = compile(
            folder,
            "ext.so",
            "int gone(void); int f(void) { return gone(); }",
            &["libgone.so.1"],
        );
        add(writer, "ext", Kind::Extension, &extension, &[], 0);
    });
    let error = written.open(Group::Modules, "ext").unwrap_err().to_string();
    assert!(
        error.starts_with("cannot load 5555555555555555-ext.so of the library: "),
        "{error}"
    );
    assert!(
        error.contains("5555555555555555-libgone.so.1: cannot open shared object file"),
        "{error}"
    );
}

#[test]
fn damaged_native_code_is_refused() {
    let written = Written::with(b"6666666666666666", |_, writer| {
        add(writer, "short", Kind::Extension, b"", &[], 0);
        let block = writer.add_block(b"not a zstd frame".to_vec(), 64);
        let entry = |name: &str, block, len, patches: &[u32]| NewEntry {
            name: name.to_owned(),
            kind: Kind::Extension,
            block,
            offset: 0,
            len,
            needs: Vec::new(),
            patches: patches.to_vec(),
            flags: 0,
        };
        writer.add_entry(entry("frame", block, 64, &[])).unwrap();
        let block = writer.add_block(compress(&[7; 64]), 65);
        writer.add_entry(entry("len", block, 65, &[])).unwrap();
        let block = writer.add_block(compress(&[7; 64]), 64);
        writer.add_entry(entry("patch", block, 64, &[48])).unwrap();
        writer.add_entry(entry("a/slash", block, 64, &[])).unwrap();
        writer.add_entry(entry(&"long".repeat(64), block, 64, &[])).unwrap();
    });
    let names = ["short", "frame", "len", "patch", "a/slash", &"long".repeat(64)];
    for name in names {
        let opened = written.open(Group::Modules, name);
        assert!(matches!(opened, Err(Error::Damaged(_))), "{name}: {opened:?}");
    }
}

#[test]
fn damaged_files_are_refused() {
    let written = Written::new(b"7777777777777777", 1);
    let other_index = File {
        index_hash: [0; HASH_LEN],
        ..written.file()
    };
    assert!(matches!(
        verify(other_index),
        Err(Error::Damaged(Damaged("its index has another hash")))
    ));
    let longer = File {
        len: written.len + 1000,
        ..written.file()
    };
    let outside = File {
        offset: u64::MAX - 5,
        ..written.file()
    };
    let closed = File {
        descriptor: -1,
        ..written.file()
    };
    let folder_file = fs::File::open(&written.folder).unwrap();
    let folder = File {
        descriptor: folder_file.as_raw_fd(),
        ..written.file()
    };
    for file in [longer, outside] {
        assert!(matches!(verify(file), Err(Error::Damaged(_))));
    }
    assert!(matches!(verify(closed), Err(Error::Closed)));
    assert!(matches!(verify(folder), Err(Error::Unreadable(Errno(libc::EISDIR)))));
    assert!(matches!(
        longer.read(written.len + 990, &mut [0; 20]),
        Err(Error::Damaged(_))
    ));
    let block = Block {
        offset: 0,
        stored_len: u32::MAX,
        len: 10,
        hash: [0; HASH_LEN],
    };
    assert!(matches!(
        written.file().decompress(block, &mut [0; 10]),
        Err(Error::Changed)
    ));
    let start = File {
        offset: 0,
        ..written.file()
    };
    assert!(matches!(start.read_index(), Err(Error::Damaged(_))));
}

#[test]
fn block_that_changes_after_the_check_is_refused() {
    let written = Written::new(b"9999999999999999", 1);
    let bytes = written.file().read_index().unwrap();
    let index = Index::new(bytes.bytes(), written.len).unwrap();
    written.file().verify(&index).unwrap();
    let block = index.block(0).unwrap();
    let file = fs::File::options()
        .write(true)
        .open(written.folder.join("file"))
        .unwrap();
    // Another frame of the same length, which would decompress.
    let other = compress(&vec![7; block.len as usize]);
    file.write_all_at(&other, OFFSET as u64 + block.offset).unwrap();
    let block = Block {
        stored_len: other.len() as u32,
        ..block
    };
    assert!(matches!(written.file().read_block(block), Err(Error::Changed)));
    assert!(matches!(
        verify(written.file()),
        Err(Error::Damaged(Damaged("a block has another hash")))
    ));
}

#[test]
fn closed_file_is_opened_again_unless_it_was_replaced() {
    let written = Written::new(b"8888888888888888", 1);
    let path = CString::new(written.folder.join("file").into_os_string().into_encoded_bytes()).unwrap();
    let identity = Identity::of(written.file().descriptor).unwrap();
    assert_eq!(Identity::of(-1), None);

    let same = written.file().restore(identity, &path).unwrap();
    assert_eq!(same.descriptor, written.file().descriptor);

    // The number of a closed descriptor may belong to another file.
    let other = fs::File::open("/dev/zero").unwrap();
    for descriptor in [-1, other.as_raw_fd()] {
        let closed = File {
            descriptor,
            ..written.file()
        };
        let restored = closed.restore(identity, &path).unwrap();
        assert_ne!(restored.descriptor, descriptor);
        verify(restored).unwrap();
        // SAFETY: the new descriptor belongs to the caller.
        drop(unsafe { fs::File::from_raw_fd(restored.descriptor) });

        for path in [c"/does/not/exist", c"/dev/zero"] {
            assert!(matches!(closed.restore(identity, path), Err(Error::Closed)));
        }
    }
}
