//! Files that were rotated while they were not checked.

use std::fs;
use std::io::Write;
use std::os::unix::fs::symlink;
use std::path::Path;
use std::time::{Duration, SystemTime};

use flate2::Compression;
use flate2::write::GzEncoder;

use super::{Folder, following, open, open_path, options};
use crate::source::lines::{Cursor, Options, Source, Start};

/// Returns a cursor after all lines of a file.
fn cursor(path: &Path) -> Start {
    let mut reader = open_path(path, following());
    reader.all();
    Start::Cursor(reader.lines.progress().cursor().unwrap())
}

fn both(start: &Start) -> [Options; 2] {
    [options(), following()].map(|options| Options {
        start: start.clone(),
        ..options
    })
}

/// Sets the time of the last modification to `seconds` ago.
fn set_age(path: &Path, seconds: u64) {
    let file = fs::File::options().append(true).open(path).unwrap();
    file.set_modified(SystemTime::now() - Duration::from_secs(seconds))
        .unwrap();
}

#[test]
fn renamed_file_is_finished_first_after_a_restart() {
    for name in ["app.log.1", "elsewhere"] {
        let folder = Folder::new();
        let path = folder.write("app.log", b"one\n");
        let start = cursor(&path);
        folder.append("app.log", b"two\nend");
        fs::rename(&path, folder.path(name)).unwrap();
        folder.write("app.log", b"three\n");
        for options in both(&start) {
            let follow = options.follow;
            let mut reader = open_path(&path, options);
            assert_eq!(reader.all().0, ["two", "end", "three"]);
            assert_eq!(reader.count_warnings("was rotated while it was not read"), 1);
            assert_eq!(reader.position(), 6);
            if follow {
                folder.append("app.log", b"four\n");
                reader.expect_lines(&["four"]);
            }
        }
    }
}

#[test]
fn new_file_with_the_same_beginning_is_another_file() {
    let folder = Folder::new();
    let path = folder.write("app.log", b"# header\n");
    let start = cursor(&path);
    folder.append("app.log", b"unread\n");
    fs::rename(&path, folder.path("app.log.1")).unwrap();
    folder.write("app.log", b"# header\nnew\n");
    let [options, _] = both(&start);
    open_path(&path, options).expect_end(&["unread", "# header", "new"]);
}

#[test]
fn copy_is_found_by_its_name_and_content() {
    let folder = Folder::new();
    let path = folder.write("app.log", b"one\n");
    let start = cursor(&path);
    folder.append("app.log", b"two\n");
    fs::copy(&path, folder.path("app.log-20261129")).unwrap();
    // Write to the same inode, as copytruncate does.
    folder.write("app.log", b"three\n");
    for options in both(&start) {
        assert_eq!(open_path(&path, options).all().0, ["two", "three"]);
    }
    fs::rename(folder.path("app.log-20261129"), folder.path("other")).unwrap();
    let [options, _] = both(&start);
    let mut reader = open_path(&path, options);
    reader.expect_end(&["three"]);
    assert_eq!(
        reader.count_warnings("is not found under another name in its folder"),
        1
    );
}

#[test]
fn compressed_log_is_continued_after_a_restart() {
    let folder = Folder::new();
    let path = folder.write("app.log", b"one\n");
    let start = cursor(&path);
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(b"one\ntwo\n").unwrap();
    fs::remove_file(&path).unwrap();
    folder.write("app.log.1.gz", &encoder.finish().unwrap());
    folder.write("app.log", b"three\n");
    for options in both(&start) {
        assert_eq!(open_path(&path, options).all().0, ["two", "three"]);
    }
}

#[test]
fn rotated_files_are_read_in_order_after_a_restart() {
    let folder = Folder::new();
    let path = folder.write("app.log", b"1\n");
    let start = cursor(&path);
    folder.append("app.log", b"2\n");
    fs::rename(&path, folder.path("app.log.3")).unwrap();
    folder.write("app.log.4", b"old\n");
    folder.write("app.log.2", b"3\n");
    folder.write("app.log.1", b"4\n");
    folder.write("app.log.cursor", b"not a log\n");
    folder.write("app.log", b"5\n");
    for (name, age) in [
        ("app.log.4", 40),
        ("app.log.3", 30),
        ("app.log.2", 20),
        ("app.log.1", 10),
    ] {
        set_age(&folder.path(name), age);
    }
    for options in both(&start) {
        let mut reader = open_path(&path, options);
        assert_eq!(reader.all().0, ["2", "3", "4", "5"]);
        assert_eq!(reader.count_warnings("was rotated several times between two checks"), 2);
    }
}

#[test]
fn several_rotations_between_two_checks_lose_nothing() {
    let folder = Folder::new();
    let path = folder.write("app.log", b"1\n");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["1"]);
    for round in 0..3 {
        let lines = [0, 1, 2].map(|number| format!("{round} {number}"));
        for line in &lines {
            for number in (1..3).rev() {
                let _ = fs::rename(
                    folder.path(&format!("app.log.{number}")),
                    folder.path(&format!("app.log.{}", number + 1)),
                );
            }
            fs::rename(&path, folder.path("app.log.1")).unwrap();
            folder.write("app.log", format!("{line}\n").as_bytes());
        }
        reader.expect_lines(&lines.each_ref().map(String::as_str));
    }
    assert_eq!(reader.count_warnings("was rotated several times between two checks"), 6);
}

#[test]
fn target_of_a_removed_link_is_finished_first() {
    let folder = Folder::new();
    fs::create_dir(folder.path("pods")).unwrap();
    let target = folder.write("pods/0.log", b"one\n");
    let link = folder.path("current");
    symlink(&target, &link).unwrap();
    let start = cursor(&link);
    folder.append("pods/0.log", b"two\n");
    fs::remove_file(&link).unwrap();
    let [once, followed] = both(&start);
    open_path(&link, once).expect_end(&["two"]);
    let mut reader = open_path(&link, followed);
    reader.expect_lines(&["two"]);
    folder.write("new", b"three\n");
    symlink(folder.path("new"), &link).unwrap();
    reader.expect_lines(&["three"]);
}

#[test]
fn lost_bytes_are_reported_with_their_number() {
    let folder = Folder::new();
    let path = folder.write("app.log", b"one\ntwo\n");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one", "two"]);
    let read: Cursor = reader.lines.progress().cursor().unwrap();
    folder.append("app.log", b"three\n");
    let known: Cursor = reader.lines.progress().cursor().unwrap();
    fs::remove_file(&path).unwrap();
    for (cursor, message) in [
        (read, "all that was added to the old file after byte 8 is lost"),
        (
            known,
            "at least 6 bytes are lost, from byte 8 to byte 14 of the old file",
        ),
    ] {
        let [once, followed] = both(&Start::Cursor(cursor));
        let error = open(Source::Path(path.clone()), once.clone())
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("No such file"), "{error}");
        let mut reader = open_path(&path, followed);
        assert_eq!(reader.count_warnings(message), 1);
        assert_eq!(
            reader.count_warnings("does not exist; waiting for it; the file that was read before"),
            1
        );
        folder.write("app.log", b"new\n");
        reader.expect_lines(&["new"]);
        reader = open_path(&path, once);
        reader.expect_end(&["new"]);
        assert_eq!(reader.count_warnings(message), 1);
        fs::remove_file(&path).unwrap();
    }
}

#[test]
fn cursor_as_a_string_keeps_any_path() {
    let folder = Folder::new();
    for name in ["plain", "with space:and 100%", "ümlaut\n"] {
        let Start::Cursor(cursor) = cursor(&folder.write(name, b"one\n")) else {
            unreachable!()
        };
        let text = cursor.to_string();
        assert!(text.is_ascii() && !text.contains(['\n', ' ']), "{text}");
        assert_eq!(text.parse(), Ok(cursor));
    }
}
