//! A written bundle reads back as it was; a damaged one is refused or read without a panic.

use std::collections::BTreeMap;

use falco_plugin_bundle::format::{Block, Damaged, Entry, Group, HEADER_LEN, Index, Kind, SYSTEM_FIRST, index_len};
use falco_plugin_bundle::write::{NewEntry, WriteError, Writer};
use proptest::prelude::*;

const ID: &[u8; 16] = b"0123456789abcdef";
const KINDS: [Kind; 5] = [Kind::Module, Kind::Package, Kind::Extension, Kind::Library, Kind::File];

fn entry(name: &str, kind: Kind, block: u32, len: u32) -> NewEntry {
    NewEntry {
        name: name.to_owned(),
        kind,
        block,
        offset: 0,
        len,
        needs: Vec::new(),
        patches: Vec::new(),
        flags: 0,
    }
}

/// A module, its extension with a library, and a file of the same name as the module.
fn small_bundle() -> Vec<u8> {
    let mut writer = Writer::default();
    let shared = writer.add_block(b"frame".to_vec(), 100);
    let extension = writer.add_block(b"ELF".to_vec(), 64);
    let library = writer.add_block(b"another ELF".to_vec(), 32);
    let entries = [
        entry("json.decoder", Kind::Module, shared, 60),
        entry("json", Kind::Package, shared, 100),
        entry("json", Kind::File, shared, 0),
        NewEntry {
            needs: vec!["libssl.so.3".to_owned()],
            patches: vec![0, 48],
            ..entry("_ssl", Kind::Extension, extension, 64)
        },
        NewEntry {
            flags: SYSTEM_FIRST,
            ..entry("libssl.so.3", Kind::Library, library, 32)
        },
    ];
    for entry in entries {
        writer.add_entry(entry).unwrap();
    }
    writer.finish(ID).unwrap().0
}

fn read(bundle: &[u8]) -> Result<Index<'_>, Damaged> {
    Index::new(bundle, bundle.len() as u64)
}

#[test]
fn index_finds_entries_by_group_and_name() {
    let bundle = small_bundle();
    let index = read(&bundle).unwrap();
    assert_eq!(index.id().as_bytes(), ID);
    let names: Vec<_> = (0..index.entry_count())
        .map(|number| index.entry(number).unwrap().name)
        .collect();
    assert_eq!(names, ["_ssl", "json", "json.decoder", "libssl.so.3", "json"]);
    assert_eq!(index.find(Group::Modules, "json"), Some(1));
    assert_eq!(index.find(Group::Files, "json"), Some(4));
    assert_eq!(index.find(Group::Libraries, "json"), None);
    assert_eq!(index.find(Group::Modules, "jso"), None);
    assert_eq!(index.entry(5), None);
    assert_eq!(index.block(3), None);

    let extension = index.entry(0).unwrap();
    assert_eq!(extension.needs().collect::<Vec<_>>(), [3]);
    assert_eq!(extension.patches().collect::<Vec<_>>(), [0, 48]);
    assert!(index.entry(3).unwrap().is_system_first());
    assert_eq!(index.entry(2).unwrap().data(&[7; 100]), Some(&[7; 60][..]));
    assert_eq!(index.entry(2).unwrap().data(&[7; 59]), None);
    let Block {
        offset,
        stored_len,
        len,
        hash,
    } = index.block(2).unwrap();
    assert_eq!(&bundle[offset as usize..][..stored_len as usize], b"another ELF");
    assert_eq!(len, 32);
    assert_eq!(hash, *blake3::hash(b"another ELF").as_bytes());
}

#[test]
fn with_prefix_stays_within_its_group() {
    let bundle = small_bundle();
    let index = read(&bundle).unwrap();
    let names = |group, prefix| -> Vec<_> { index.with_prefix(group, prefix).map(|(_, entry)| entry.name).collect() };
    assert_eq!(names(Group::Modules, "json"), ["json", "json.decoder"]);
    assert_eq!(names(Group::Modules, "json."), ["json.decoder"]);
    assert_eq!(names(Group::Modules, ""), ["_ssl", "json", "json.decoder"]);
    assert_eq!(names(Group::Files, ""), ["json"]);
    assert_eq!(names(Group::Modules, "z"), [""; 0]);
}

#[test]
fn writer_rejects_duplicates_and_missing_libraries() {
    let mut writer = Writer::default();
    let block = writer.add_block(Vec::new(), 0);
    writer.add_entry(entry("a", Kind::Module, block, 0)).unwrap();
    let duplicate = writer.add_entry(entry("a", Kind::Package, block, 0));
    assert_eq!(duplicate, Err(WriteError::Duplicate("a".to_owned())));

    let needing = NewEntry {
        needs: vec!["libz.so.1".to_owned()],
        ..entry("b", Kind::Module, block, 0)
    };
    writer.add_entry(needing).unwrap();
    let missing = writer.finish(ID).unwrap_err();
    assert_eq!(missing.to_string(), "b needs libz.so.1, which is not in the bundle");
}

/// Numbers of fields in a table row, with values.
type Fields<'a> = &'a [(usize, u32)];

/// Overwrites fields of a table row.
fn with_fields(row: usize, fields: Fields<'_>) -> Vec<u8> {
    let mut bundle = small_bundle();
    for (field, value) in fields {
        bundle[row + 4 * field..][..4].copy_from_slice(&value.to_le_bytes());
    }
    bundle
}

#[test]
fn index_rejects_each_kind_of_damage() {
    const COUNTS: usize = 24;
    const BLOCK: usize = HEADER_LEN;
    const EXTENSION: usize = BLOCK + 3 * 48;
    const PACKAGE: usize = EXTENSION + 44;
    const LIBRARY: usize = EXTENSION + 3 * 44;
    const FILE: usize = EXTENSION + 4 * 44;
    let cases: &[(usize, Fields, &str)] = &[
        (0, &[(0, 0)], "it does not begin with the magic bytes of this version"),
        (8, &[(0, 0)], "its id is not hexadecimal"),
        (COUNTS, &[(0, u32::MAX)], "its index is cut off"),
        (COUNTS, &[(1, u32::MAX)], "its index is cut off"),
        (COUNTS, &[(2, u32::MAX)], "its index is cut off"),
        (COUNTS, &[(3, 1000)], "its index is cut off"),
        (BLOCK, &[(0, 0)], "a block is outside of it"),
        (BLOCK, &[(1, u32::MAX)], "a block is outside of it"),
        (BLOCK, &[(2, u32::MAX)], "a block is outside of it"),
        (BLOCK, &[(3, u32::MAX)], "a block is outside of it"),
        (EXTENSION, &[(1, u32::MAX)], "a number of an entry is out of range"),
        (EXTENSION, &[(2, 5)], "a number of an entry is out of range"),
        (EXTENSION, &[(3, 3)], "an entry has no block"),
        (EXTENSION, &[(4, 1)], "an entry is outside of its block"),
        (EXTENSION, &[(5, 63)], "native code shares its block"),
        (EXTENSION, &[(6, 1)], "an entry needs an entry that is not a library"),
        (EXTENSION, &[(7, u32::MAX)], "a number of an entry is out of range"),
        (FILE, &[(9, 1)], "a number of an entry is out of range"),
        (LIBRARY, &[(8, 2), (9, 1)], "a patch is outside of its entry"),
        (PACKAGE, &[(1, 0)], "its entries are not sorted"),
    ];
    for (row, fields, message) in cases {
        let bundle = with_fields(*row, fields);
        assert_eq!(read(&bundle).err(), Some(Damaged(message)), "{row} {fields:?}");
    }
}

#[test]
fn index_rejects_every_truncation() {
    let bundle = small_bundle();
    for len in 0..bundle.len() {
        assert!(Index::new(&bundle[..len], len as u64).is_err(), "{len} bytes");
    }
    let end = index_len(&bundle).unwrap() as usize;
    assert!(Index::new(&bundle[..end], bundle.len() as u64).is_ok());
}

/// Name, kind, data, patches and flags of an entry.
type Generated = (String, Kind, Vec<u8>, Vec<u32>, u32);
type Written = BTreeMap<(Group, String), NewEntry>;

fn new_entries() -> impl Strategy<Value = Vec<Generated>> {
    let entry = (
        "[a-c.é]{0,5}",
        proptest::sample::select(&KINDS[..]),
        proptest::collection::vec(any::<u8>(), 16..40),
        proptest::collection::vec(0u32..24, 0..3),
        0u32..2,
    );
    proptest::collection::vec(entry, 0..20)
}

/// Writes entries, each in its own block. Later duplicates are left out.
fn write(entries: &[Generated]) -> (Vec<u8>, Written) {
    let mut writer = Writer::default();
    let mut written = BTreeMap::new();
    let libraries: Vec<_> = entries
        .iter()
        .filter(|entry| entry.1 == Kind::Library)
        .map(|entry| entry.0.clone())
        .collect();
    for (name, kind, data, patches, flags) in entries {
        let key = (kind.group(), name.clone());
        if written.contains_key(&key) {
            continue;
        }
        let block = writer.add_block(data.clone(), data.len() as u32);
        let patches = patches
            .iter()
            .map(|patch| patch.min(&(data.len() as u32 - 16)).to_owned())
            .collect();
        let new = NewEntry {
            needs: if *kind == Kind::Extension {
                libraries.clone()
            } else {
                Vec::new()
            },
            patches,
            flags: *flags,
            ..entry(name, *kind, block, data.len() as u32)
        };
        writer.add_entry(new.clone()).unwrap();
        written.insert(key, new);
    }
    (writer.finish(ID).unwrap().0, written)
}

fn unwritten(index: &Index<'_>, entry: &Entry<'_>) -> NewEntry {
    NewEntry {
        name: entry.name.to_owned(),
        kind: entry.kind,
        block: entry.block,
        offset: entry.offset,
        len: entry.len,
        needs: entry
            .needs()
            .map(|need| index.entry(need).unwrap().name.to_owned())
            .collect(),
        patches: entry.patches().collect(),
        flags: entry.flags,
    }
}

/// Calls every function, and follows every number.
fn visit(index: &Index<'_>, bundle: &[u8]) {
    for number in 0..index.entry_count() {
        let entry = index.entry(number).unwrap();
        assert_eq!(index.find(entry.kind.group(), entry.name), Some(number));
        assert!(
            entry
                .needs()
                .all(|need| index.entry(need).unwrap().kind == Kind::Library)
        );
        assert!(entry.patches().all(|patch| patch + 16 <= entry.len));
        let block = index.block(entry.block).unwrap();
        assert!(entry.offset + entry.len <= block.len);
        let _ = &bundle[block.offset as usize..][..block.stored_len as usize];
    }
}

proptest! {
    #[test]
    fn written_bundle_reads_back(entries in new_entries()) {
        let (bundle, written) = write(&entries);
        let index = read(&bundle).unwrap();
        let found: Vec<_> =
            (0..index.entry_count()).map(|number| unwritten(&index, &index.entry(number).unwrap())).collect();
        prop_assert_eq!(found, written.values().cloned().collect::<Vec<_>>());
        for (name, kind, ..) in &entries {
            let expected: Vec<_> = written
                .values()
                .filter(|entry| entry.kind.group() == kind.group() && entry.name.starts_with(name.as_str()))
                .map(|entry| entry.name.clone())
                .collect();
            let with_prefix: Vec<_> =
                index.with_prefix(kind.group(), name).map(|(_, entry)| entry.name.to_owned()).collect();
            prop_assert_eq!(with_prefix, expected);
        }
        visit(&index, &bundle);
    }

    #[test]
    fn damaged_bundle_is_never_read_outside(
        entries in new_entries(),
        damage in proptest::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..4),
        end in any::<prop::sample::Index>(),
        is_cut in any::<bool>(),
    ) {
        let (mut bundle, _) = write(&entries);
        let index_end = index_len(&bundle).unwrap() as usize;
        for (position, value) in damage {
            bundle[position.index(index_end)] = value;
        }
        if is_cut {
            bundle.truncate(end.index(bundle.len()));
        }
        if let Ok(index) = read(&bundle) {
            visit(&index, &bundle);
        }
    }
}
