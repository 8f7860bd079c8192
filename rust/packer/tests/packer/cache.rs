//! Compressed blocks are used again, and the cache cannot change a bundle.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::path::PathBuf;
use std::time::{Duration, SystemTime};

use serde_json::json;

use crate::compiler::compile;
use crate::support::{Packer, extension};

fn packer_with_cache() -> Packer {
    let mut packer = Packer::new(Vec::new());
    let fast = compile(&packer, "fast.so", "int one(void) { return 1; }", &[]);
    let blob = packer.write("blob", b"0123456789");
    let module = json!({"kind": "module", "name": "a", "group": "a", "source": blob});
    packer.plan["cache"] = json!(packer.path("cache/blocks"));
    packer.plan["entries"] = json!([extension("fast", fast), module]);
    packer
}

/// Returns the files of the cache with the times of their last changes.
fn blocks(packer: &Packer) -> BTreeMap<PathBuf, SystemTime> {
    let files = fs::read_dir(packer.path("cache/blocks")).unwrap();
    let time = |path: &PathBuf| fs::metadata(path).unwrap().modified().unwrap();
    files
        .map(|file| file.unwrap().path())
        .map(|path| (path.clone(), time(&path)))
        .collect()
}

fn set_age(path: &PathBuf, days: u64) {
    let time = SystemTime::now() - Duration::from_secs(days * 24 * 60 * 60);
    File::options()
        .write(true)
        .open(path)
        .unwrap()
        .set_modified(time)
        .unwrap();
}

#[test]
fn second_build_uses_the_blocks_of_the_first() {
    let packer = packer_with_cache();
    let (first_reply, first) = packer.pack();
    let kept = blocks(&packer);
    assert_eq!(kept.len(), 2);
    let (reply, second) = packer.pack();
    assert_eq!(blocks(&packer), kept);
    assert_eq!(reply, first_reply);
    assert!(first.0 == second.0);
}

#[test]
fn damaged_blocks_are_made_again() {
    let packer = packer_with_cache();
    let (_, expected) = packer.pack();
    let kept = blocks(&packer);
    let damages: [fn(Vec<u8>) -> Vec<u8>; 4] = [
        |_| Vec::new(),
        |bytes| bytes[..bytes.len() - 1].to_vec(),
        |mut bytes| {
            *bytes.last_mut().unwrap() ^= 1;
            bytes
        },
        |_| b"a file of something else, longer than the header of a block".to_vec(),
    ];
    for damage in damages {
        for path in kept.keys() {
            fs::write(path, damage(fs::read(path).unwrap())).unwrap();
        }
        assert!(packer.pack().1.0 == expected.0);
        assert_eq!(
            blocks(&packer).keys().collect::<Vec<_>>(),
            kept.keys().collect::<Vec<_>>()
        );
    }
}

#[test]
fn exchanged_blocks_are_made_again() {
    let packer = packer_with_cache();
    let (_, expected) = packer.pack();
    let paths: Vec<_> = blocks(&packer).into_keys().collect();
    let contents: Vec<_> = paths.iter().map(|path| fs::read(path).unwrap()).collect();
    assert!(paths.len() > 1);
    for (path, content) in paths.iter().zip(contents.iter().rev()) {
        fs::write(path, content).unwrap();
    }
    assert!(packer.pack().1.0 == expected.0);
}

#[test]
fn options_and_content_have_blocks_of_their_own() {
    let mut packer = packer_with_cache();
    packer.pack();
    packer.plan["debug_symbols"] = true.into();
    packer.pack();
    assert_eq!(blocks(&packer).len(), 3);
    packer.write("blob", b"9876543210");
    packer.pack();
    assert_eq!(blocks(&packer).len(), 4);
}

#[test]
fn unused_blocks_are_removed_after_30_days() {
    let packer = packer_with_cache();
    packer.pack();
    let kept: Vec<_> = blocks(&packer).into_keys().collect();
    // Blocks that are used stay, however old they are.
    set_age(&kept[0], 40);
    let folder = packer.path("cache/blocks");
    let others = [
        ("old.block", 31),
        ("part.block.77", 31),
        ("recent.block", 29),
        ("not of the cache", 400),
    ];
    for (name, days) in others {
        fs::write(folder.join(name), b"").unwrap();
        set_age(&folder.join(name), days);
    }
    packer.pack();
    let mut expected = [kept, vec![folder.join("recent.block"), folder.join("not of the cache")]].concat();
    expected.sort();
    assert_eq!(blocks(&packer).into_keys().collect::<Vec<_>>(), expected);
}

#[test]
fn unusable_cache_folder_does_not_matter() {
    let mut packer = packer_with_cache();
    let (_, expected) = packer.pack();
    packer.plan["cache"] = json!(packer.path("blob"));
    assert!(packer.pack().1.0 == expected.0);
}
