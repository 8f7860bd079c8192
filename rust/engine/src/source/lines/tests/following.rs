//! Files that are followed: growth, rotation and truncation.

use std::fs::{self, File};

use super::{Folder, following, open, open_path, options};
use crate::source::lines::{Options, Source, Start};

#[test]
fn followed_file_delivers_only_complete_lines() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\ntw");
    for source in [
        Source::Path(path.clone()),
        Source::Descriptor(File::open(&path).unwrap().into()),
    ] {
        folder.write("log", b"one\ntw");
        let mut reader = open(source, following()).unwrap();
        reader.expect_lines(&["one"]);
        folder.append("log", b"o\n\nth");
        reader.expect_lines(&["two", ""]);
        assert_eq!(reader.position(), 9);
    }
}

#[test]
fn rotated_file_is_read_to_its_end_first() {
    let folder = Folder::new();
    let path = folder.write("log", b"1\n2\n3\n4\n5\n6\n");
    let mut reader = open_path(&path, following());
    assert_eq!(reader.next().unwrap().len(), 4);
    fs::rename(&path, folder.path("old")).unwrap();
    reader.expect_lines(&["5", "6"]);
    folder.append("old", b"7\n");
    reader.expect_lines(&["7"]);
    folder.write("log", b"");
    folder.append("old", b"8\nno e");
    reader.expect_lines(&["8"]);
    assert_eq!(reader.position(), 16, "the position in the old file");
    folder.append("old", b"nd");
    folder.append("log", b"new\n");
    reader.expect_lines(&["no end", "new"]);
    assert_eq!(reader.position(), 4);
    folder.append("log", b"newer\n");
    reader.expect_lines(&["newer"]);
    assert_eq!(*reader.warnings.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn files_rotated_during_a_long_read_are_read_in_order() {
    let folder = Folder::new();
    let path = folder.write("log", &b"of the first\n".repeat(1000));
    let mut reader = open_path(&path, following());
    let mut lines = Vec::new();
    for content in ["second\n", "third\n", "fourth\n"] {
        fs::rename(&path, folder.path("old")).unwrap();
        folder.write("log", content.as_bytes());
        while lines.len() % 250 < 249 {
            lines.extend(reader.next().unwrap());
        }
        lines.extend(reader.next().unwrap());
    }
    let (rest, _) = reader.all();
    assert_eq!(lines.len() + rest.len(), 1003);
    assert_eq!(rest[rest.len() - 3..], ["second", "third", "fourth"]);
}

#[test]
fn truncated_file_is_read_from_its_beginning() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\ntwo\nno end");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one", "two"]);
    File::create(&path).unwrap();
    reader.expect_lines(&["no end"]);
    folder.append("log", b"three\n");
    reader.expect_lines(&["three"]);
    assert_eq!(reader.position(), 6);
    assert_eq!(reader.count_warnings("was truncated"), 1);
}

#[test]
fn missing_file_is_read_once_it_exists() {
    let folder = Folder::new();
    let path = folder.path("log");
    for start in [Start::Offset(0), Start::End] {
        let mut reader = open_path(&path, Options { start, ..following() });
        reader.expect_lines(&[]);
        assert_eq!(reader.count_warnings("does not exist; waiting for it"), 1);
        folder.write("log", b"one\n");
        reader.expect_lines(&["one"]);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn unreadable_path_is_reported_once_and_retried() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\n");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    reader.expect_lines(&[]);
    reader.expect_lines(&[]);
    assert_eq!(reader.count_warnings("cannot be read"), 1);
    fs::remove_dir(&path).unwrap();
    folder.write("log", b"two\n");
    reader.expect_lines(&["two"]);
    reader.expect_lines(&[]);
    assert_eq!(reader.count_warnings("can be read again"), 1);
}

#[test]
fn cursor_of_another_file_starts_at_the_beginning() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\ntwo\n");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one", "two"]);
    let start = Start::Cursor(reader.lines.progress().cursor().unwrap());
    for (content, lines) in [
        (&b"one\ntwo\nthree\n"[..], &["three"][..]),
        (b"uno\ntwo\nthree\n", &["uno", "two", "three"]),
        (b"one\n", &["one"]),
    ] {
        folder.write("log", content);
        let start = start.clone();
        let mut reader = open_path(&path, Options { start, ..following() });
        reader.expect_lines(lines);
        assert_eq!(
            reader.count_warnings("not the file that start is a position in"),
            usize::from(lines.len() != 1 || content.len() < 8)
        );
    }
    folder.write("log", b"one\n");
    let mut reader = open_path(
        &path,
        Options {
            start: Start::Offset(5),
            ..options()
        },
    );
    reader.expect_end(&["one"]);
    assert_eq!(reader.count_warnings("not the file that start is a position in"), 1);
}
