//! Files that are followed: growth, rotation and truncation.

use std::fs::{self, File};

use super::{Folder, following, open, open_path, options};
use crate::source::lines::{Options, Source, Start};

#[test]
fn a_file_that_grows_gives_its_lines_once_they_have_an_end() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\ntw");
    for source in [
        Source::Path(path.clone()),
        Source::Descriptor(File::open(&path).unwrap().into()),
    ] {
        folder.write("log", b"one\ntw");
        let mut reader = open(source, following()).unwrap();
        reader.gives(&["one"]);
        folder.append("log", b"o\n\nth");
        reader.gives(&["two", ""]);
        assert_eq!(reader.position(), 9);
    }
}

#[test]
fn a_rotated_file_is_read_to_its_end_before_the_new_one() {
    let folder = Folder::new();
    let path = folder.write("log", b"1\n2\n3\n4\n5\n6\n");
    let mut reader = open_path(&path, following());
    assert_eq!(reader.next().unwrap().len(), 4);
    fs::rename(&path, folder.path("old")).unwrap();
    reader.gives(&["5", "6"]);
    folder.append("old", b"7\n");
    reader.gives(&["7"]);
    folder.write("log", b"");
    folder.append("old", b"8\nno e");
    reader.gives(&["8"]);
    assert_eq!(reader.position(), 16, "that of the old file");
    folder.append("old", b"nd");
    folder.append("log", b"new\n");
    reader.gives(&["no end", "new"]);
    assert_eq!(reader.position(), 4);
    folder.append("log", b"newer\n");
    reader.gives(&["newer"]);
    assert_eq!(*reader.warnings.lock().unwrap(), Vec::<String>::new());
}

#[test]
fn files_that_come_and_go_while_there_is_more_to_read_are_read_in_their_order() {
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
fn a_truncated_file_is_read_from_its_beginning() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\ntwo\nno end");
    let mut reader = open_path(&path, following());
    reader.gives(&["one", "two"]);
    File::create(&path).unwrap();
    reader.gives(&["no end"]);
    folder.append("log", b"three\n");
    reader.gives(&["three"]);
    assert_eq!(reader.position(), 6);
    assert_eq!(reader.warned_of("was truncated"), 1);
}

#[test]
fn a_file_that_is_not_there_yet_is_waited_for() {
    let folder = Folder::new();
    let path = folder.path("log");
    for start in [Start::Offset(0), Start::End] {
        let mut reader = open_path(&path, Options { start, ..following() });
        reader.gives(&[]);
        assert_eq!(reader.warned_of("does not exist; waiting for it"), 1);
        folder.write("log", b"one\n");
        reader.gives(&["one"]);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn what_cannot_be_read_is_told_once_and_tried_again() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\n");
    let mut reader = open_path(&path, following());
    reader.gives(&["one"]);
    fs::remove_file(&path).unwrap();
    fs::create_dir(&path).unwrap();
    reader.gives(&[]);
    reader.gives(&[]);
    assert_eq!(reader.warned_of("cannot be read"), 1);
    fs::remove_dir(&path).unwrap();
    folder.write("log", b"two\n");
    reader.gives(&["two"]);
    reader.gives(&[]);
    assert_eq!(reader.warned_of("can be read again"), 1);
}

#[test]
fn a_cursor_of_another_file_begins_at_its_beginning_and_says_so() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\ntwo\n");
    let mut reader = open_path(&path, following());
    reader.gives(&["one", "two"]);
    let start = Start::Cursor(reader.lines.progress().cursor().unwrap());
    for (content, lines) in [
        (&b"one\ntwo\nthree\n"[..], &["three"][..]),
        (b"uno\ntwo\nthree\n", &["uno", "two", "three"]),
        (b"one\n", &["one"]),
    ] {
        folder.write("log", content);
        let start = start.clone();
        let mut reader = open_path(&path, Options { start, ..following() });
        reader.gives(lines);
        assert_eq!(
            reader.warned_of("not the file that start is a position in"),
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
    reader.ends_with(&["one"]);
    assert_eq!(reader.warned_of("not the file that start is a position in"), 1);
}
