//! The content of files: holes, truncation, byte order marks, line ends and compression.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::os::unix::fs::FileExt;
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

use flate2::Compression;
use flate2::write::GzEncoder;
use proptest::prelude::*;

use super::{Folder, LONG, Reader, fifo, following, open, open_path, open_with, options};
use crate::error::Error;
use crate::event::EventBatch;
use crate::source::lines::instance::BLOCK;
use crate::source::lines::{LinesInstance, Options, Source, Start};

fn cursor(lines: &LinesInstance) -> Start {
    Start::Cursor(lines.progress().cursor().unwrap().to_string().parse().unwrap())
}

fn from_start(start: Start) -> Options {
    Options { start, ..options() }
}

// Holes

/// Creates a file that begins with a hole of `len` bytes.
fn with_hole(folder: &Folder, len: u64, content: &[u8]) -> PathBuf {
    let path = folder.write("log", b"");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .write_all_at(content, len)
        .unwrap();
    path
}

#[test]
fn line_after_a_hole_of_any_size_is_an_event() {
    let folder = Folder::new();
    for len in [1, 300, 4096, 5000, 3 << 20, 10 << 30] {
        let path = with_hole(&folder, len, b"one\n\0\0two\0\n\0\nthree");
        for source in [
            Source::Path(path.clone()),
            Source::Descriptor(File::open(&path).unwrap().into()),
        ] {
            let mut reader = open_with(source, following(), EventBatch::new(4, 100).unwrap(), 4096).unwrap();
            // NULs are skipped only at the beginning of a line.
            reader.expect_lines(&["one", "two\0", ""]);
            assert_eq!(reader.position(), len + 13);
            assert_eq!(
                reader.count_warnings(&format!("skipped {len} NUL bytes before byte {len}, a hole")),
                1
            );
            assert_eq!(reader.count_warnings("holes so far"), 1, "the warning is not repeated");
            open_path(&path, from_start(cursor(&reader.lines))).expect_end(&["three"]);
        }
    }
}

#[test]
fn hole_at_the_end_is_not_an_event() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\n");
    OpenOptions::new()
        .write(true)
        .open(&path)
        .unwrap()
        .set_len(10 << 30)
        .unwrap();
    let open = |options| {
        open_with(
            Source::Path(path.clone()),
            options,
            EventBatch::new(4, 100).unwrap(),
            4096,
        )
    };
    open(options()).unwrap().expect_end(&["one"]);
    let mut reader = open(following()).unwrap();
    reader.expect_lines(&["one"]);
    folder.append("log", b"two\n");
    reader.expect_lines(&["two"]);
    assert_eq!(reader.position(), (10 << 30) + 4);
}

#[test]
fn follow_reads_a_writer_without_append_after_truncations() {
    let folder = Folder::new();
    let path = folder.path("log");
    let mut writer = File::create(&path).unwrap();
    let mut reader = open_path(&path, following());
    for number in 0..3 {
        let lines = [format!("first of {number}"), format!("second of {number}")];
        for line in &lines {
            writer.write_all(format!("{line}\n").as_bytes()).unwrap();
            reader.expect_lines(&[line]);
        }
        let start = cursor(&reader.lines);
        writer.write_all(b"while away\n").unwrap();
        open_path(&path, from_start(start)).expect_end(&["while away"]);
        reader.expect_lines(&["while away"]);
        writer.set_len(0).unwrap();
    }
    assert_eq!(reader.count_warnings("was truncated"), 1, "the warning is not repeated");
}

#[test]
fn nuls_are_kept_if_the_separator_has_one() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\0\0two\0");
    let separator = b"\0".to_vec();
    open_path(&path, Options { separator, ..options() }).expect_end(&["one", "", "two"]);
}

// Truncation

#[test]
fn truncated_file_is_read_again_even_if_it_is_larger() {
    let folder = Folder::new();
    let path = folder.write("log", b"1\n2\n");
    for source in [
        Source::Path(path.clone()),
        Source::Descriptor(File::open(&path).unwrap().into()),
    ] {
        folder.write("log", b"1\n2\n");
        let mut reader = open(source, following()).unwrap();
        reader.expect_lines(&["1", "2"]);
        folder.write("log", b"3\n4\n5\n6\n");
        reader.expect_lines(&["3", "4", "5", "6"]);
        assert_eq!(reader.position(), 8);
        assert_eq!(reader.count_warnings("was truncated, after 4 bytes of it were read"), 1);
    }
}

proptest! {
    #[test]
    fn file_is_read_again_only_if_read_bytes_have_changed(
        first in prop::collection::vec(any::<u32>(), 1..50), second in prop::collection::vec(any::<u32>(), 0..100),
        appends: bool,
    ) {
        let folder = Folder::new();
        let text = |prefix: &str, numbers: &[u32]| -> String {
            numbers.iter().map(|number| format!("{prefix}{number}\n")).collect()
        };
        let (first, second) = (text("a", &first), text("b", &second));
        let path = folder.write("log", first.as_bytes());
        let mut reader = open_path(&path, following());
        reader.expect_lines(&first.lines().collect::<Vec<_>>());
        if appends {
            folder.append("log", second.as_bytes());
        } else {
            folder.write("log", second.as_bytes());
        }
        reader.expect_lines(&second.lines().collect::<Vec<_>>());
        prop_assert_eq!(reader.count_warnings("was truncated"), usize::from(!appends));
    }
}

#[test]
fn followed_file_of_size_0_is_read_once() {
    // The content of the first file changes with each read, that of the second never.
    for (path, warned) in [("/proc/self/io", 1), ("/proc/version", 0)] {
        let batch = EventBatch::new(100, 1000).unwrap();
        let mut reader = open_with(Source::Path(path.into()), following(), batch, BLOCK).unwrap();
        let lines = reader.all().0.len();
        assert_eq!(lines, fs::read_to_string(path).unwrap().lines().count(), "{path}");
        reader.expect_lines(&[]);
        assert_eq!(reader.count_warnings("has a size of 0 although it has content"), warned);
        assert_eq!(reader.count_warnings("was truncated"), 0);
    }
}

// Marks and line ends

#[test]
fn byte_order_mark_of_each_file_is_skipped() {
    let folder = Folder::new();
    let path = folder.write("log", b"\xEF\xBB\xBFone\n\xEF\xBB\xBFtwo\n");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one", "\u{FEFF}two"]);
    open_path(&path, from_start(cursor(&reader.lines))).expect_end(&[]);
    folder.write("new", b"\xEF\xBB\xBFthree\n");
    fs::rename(folder.path("new"), &path).unwrap();
    reader.expect_lines(&["three"]);
    folder.write("log", b"\xEF\xBB\xBFx\n");
    reader.expect_lines(&["x"]);
}

#[test]
fn utf16_is_reported_once_for_all_files() {
    let folder = Folder::new();
    let text: Vec<u8> = "one\ntwo\nthree\n".encode_utf16().flat_map(u16::to_le_bytes).collect();
    for first in [[b"\xFF\xFE", &text[..]].concat(), text.clone(), b"UTF-8\n".to_vec()] {
        let path = folder.write("log", &first);
        let new = folder.write("new", b"UTF-8\n");
        let mut reader = open_path(&path, following());
        for content in [b"UTF-8\n", &text[..], &text[..]] {
            while reader.next().is_ok() {}
            fs::write(&new, content).unwrap();
            fs::rename(&new, &path).unwrap();
        }
        while reader.next().is_ok() {}
        assert_eq!(reader.count_warnings("is UTF-16"), 1);
        assert_eq!(reader.count_warnings("NUL"), 0);
    }
}

#[test]
fn carriage_return_before_a_newline_is_dropped() {
    let folder = Folder::new();
    let path = folder.write("log", b"one\r\n\r\ntw\ro\r\r\nthree\r");
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one", "", "tw\ro\r"]);
    assert_eq!(reader.position(), 14);
    folder.append("log", b"\nfour\r\n");
    reader.expect_lines(&["three", "four"]);
    let separator = b"\r".to_vec();
    let path = folder.write("other", b"one\r\ntwo\r");
    open_path(&path, Options { separator, ..options() }).expect_end(&["one", "\ntwo"]);
}

#[test]
fn carriage_return_does_not_count_towards_the_event_size() {
    let folder = Folder::new();
    let line = "x".repeat(100);
    let path = folder.write("log", format!("{line}\r\n{line}y\r\n{line}\r").as_bytes());
    let mut reader = open_path(&path, options());
    reader.expect_end(&[&line, &line, &line]);
    assert_eq!(reader.count_warnings("lines cut so far: 1"), 1);
    assert_eq!(reader.count_warnings("the line at byte 102 is longer"), 1);
}

// Streams

#[test]
fn line_of_a_fifo_ends_with_its_writer() {
    let folder = Folder::new();
    let path = fifo(&folder);
    let mut reader = open_path(&path, following());
    for (content, lines) in [("one\ntw", &["one", "tw"][..]), ("{\"a\":1}\n", &["{\"a\":1}"])] {
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writer.write_all(content.as_bytes()).unwrap();
        drop(writer);
        reader.expect_lines(lines);
    }
    assert_eq!(reader.position(), 14);
}

#[test]
fn path_of_a_socket_is_rejected_with_a_remedy() {
    let folder = Folder::new();
    let path = folder.path("socket");
    let _listener = UnixListener::bind(&path).unwrap();
    for options in [options(), following()] {
        let error = open(Source::Path(path.clone()), options).err().unwrap();
        assert!(matches!(error, Error::InvalidOption(_)));
        assert_eq!(
            error.to_string(),
            "input: a socket cannot be opened by its path: connect to it, and pass the connection instead"
        );
    }
}

#[test]
fn device_is_read_once_and_cannot_be_followed() {
    let null = Path::new("/dev/null");
    open_path(null, options()).expect_end(&[]);
    let error = open(Source::Path(null.into()), following()).err().unwrap().to_string();
    assert!(error.contains("only a file or a FIFO can be followed"), "{error}");
}

// Compressed files

fn gzip(content: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), Compression::default());
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

fn zstandard(content: &[u8]) -> Vec<u8> {
    let mut encoder = zstd::Encoder::new(Vec::new(), 3).unwrap();
    encoder.include_checksum(true).unwrap();
    encoder.write_all(content).unwrap();
    encoder.finish().unwrap()
}

type Compress = fn(&[u8]) -> Vec<u8>;

const FORMATS: [(&str, Compress); 2] = [("log.gz", gzip), ("log.1.ZST", zstandard)];

fn numbers(count: usize) -> String {
    (0..count).map(|number| format!("line {number}\n")).collect()
}

fn read_all(reader: &mut Reader) -> (Vec<String>, Error) {
    let mut lines = Vec::new();
    loop {
        match reader.next() {
            Ok(more) => lines.extend(more.into_iter().map(|line| String::from_utf8(line).unwrap())),
            Err(Error::Timeout) => {}
            Err(error) => return (lines, error),
        }
    }
}

#[test]
fn compressed_file_is_read_once_with_all_members() {
    let folder = Folder::new();
    let (first, second) = (numbers(10_000), "\u{FEFF}more\r\nlast");
    for (name, compress) in FORMATS {
        let members = [compress(first.as_bytes()), compress(b""), compress(second.as_bytes())];
        let path = folder.write(name, &members.concat());
        for options in [options(), following()] {
            let batch = EventBatch::new(1000, 100).unwrap();
            let mut reader = open_with(
                Source::Path(path.clone()),
                Options {
                    timeout: LONG,
                    ..options
                },
                batch,
                BLOCK,
            );
            let reader = reader.as_mut().unwrap();
            let (lines, end) = read_all(reader);
            assert!(matches!(end, Error::Eof));
            assert_eq!(lines.len(), 10_002);
            assert_eq!(lines[9_999..], ["line 9999", "\u{FEFF}more", "last"]);
            assert_eq!(reader.position() as usize, first.len() + second.len());
            let size = format!("{:.1} KiB, decompressed", (first.len() + second.len()) as f64 / 1024.0);
            assert_eq!(reader.lines.progress().report(), (1.0, size));
        }
    }
}

#[test]
fn zeros_after_a_gzip_member_are_padding() {
    let folder = Folder::new();
    let path = folder.write(
        "log.gz",
        &[gzip(b"one\n"), vec![0; 1000], gzip(b"two\n"), vec![0; 5]].concat(),
    );
    open_path(&path, options()).expect_end(&["one", "two"]);
}

#[test]
fn start_is_a_position_in_decompressed_content() {
    let folder = Folder::new();
    let content = numbers(5_000);
    for (name, compress) in FORMATS {
        let path = folder.write(name, &compress(content.as_bytes()));
        let mut reader = open_path(&path, options());
        let mut read = Vec::new();
        let mut last = Vec::new();
        while read.len() < 4_000 {
            match reader.next() {
                Ok(lines) => {
                    read.append(&mut last);
                    last = lines;
                }
                Err(error) => assert!(matches!(error, Error::Timeout)),
            }
        }
        for start in [cursor(&reader.lines), Start::Offset(reader.position())] {
            let (lines, _) = open_path(&path, from_start(start)).all();
            assert_eq!(lines.first(), Some(&format!("line {}", read.len())));
            assert_eq!(lines.len(), 5_000 - read.len());
        }
        let mut other = open_path(
            &folder.write(name, &compress(b"other\n")),
            from_start(cursor(&reader.lines)),
        );
        other.expect_end(&["other"]);
        assert_eq!(other.count_warnings("is not the file that start is a position in"), 1);
        let error = open(Source::Path(path), from_start(Start::End))
            .err()
            .unwrap()
            .to_string();
        assert!(error.contains("leave start out"), "{error}");
    }
}

#[test]
fn lines_before_a_fault_in_compressed_data_are_events() {
    let folder = Folder::new();
    let content = numbers(60_000);
    for (name, compress) in FORMATS {
        let whole = compress(content.as_bytes());
        let cut = &whole[..whole.len() / 2];
        let mut damaged = whole.clone();
        damaged[whole.len() / 2..][..16].fill(0xFF);
        for (bytes, message, min_lines) in [
            (cut, "ends early, after", 20_000),
            (&damaged, "is damaged after", 20_000),
            (&whole[..3], "ends early, after 0 bytes", 0),
            (b"", "ends early, after 0 bytes", 0),
            (b"plain text\n", "is damaged after 0 bytes", 0),
            (&[&whole[..], b"garbage"].concat(), "bytes of content", 60_000),
        ] {
            // An empty zstd file is valid: it has no frame.
            if bytes.is_empty() && name.ends_with("ZST") {
                continue;
            }
            let path = folder.write(name, bytes);
            let mut reader = open_path(&path, options());
            let (lines, error) = read_all(&mut reader);
            let error = error.to_string();
            assert!(
                error.starts_with("input: the ") && error.contains(message),
                "{name}: {error}"
            );
            assert!(lines.len() >= min_lines, "{name}: {} lines, {error}", lines.len());
            assert!(
                lines.iter().map(String::as_str).eq(content.lines().take(lines.len())) || message.contains("damaged")
            );
            assert!(matches!(reader.next(), Err(Error::Eof)));
        }
    }
}

#[test]
fn large_decompressed_line_is_cut() {
    let folder = Folder::new();
    let mut encoder = GzEncoder::new(Vec::new(), Compression::fast());
    for _ in 0..4 {
        encoder.write_all(&vec![b'x'; 1 << 20]).unwrap();
    }
    encoder.write_all(b"\nlast\n").unwrap();
    let path = folder.write("log.gz", &encoder.finish().unwrap());
    let mut reader = open_path(&path, options());
    let (lines, _) = read_all(&mut reader);
    assert_eq!(lines, ["x".repeat(100), "last".into()]);
}

#[test]
fn only_regular_files_are_decompressed_by_their_name() {
    let folder = Folder::new();
    let compressed = gzip(b"one\n");
    let path = folder.write("plain.log", &compressed);
    let mut reader = open_path(&path, options());
    let mut lines = Vec::new();
    loop {
        match reader.next() {
            Ok(more) => lines.extend(more),
            Err(Error::Timeout) => {}
            Err(_) => break,
        }
    }
    assert!(
        lines.concat().starts_with(&compressed[..2]),
        "the content is not decompressed"
    );
    let (read, mut write) = io::pipe().unwrap();
    write.write_all(b"one\n").unwrap();
    drop(write);
    open(Source::Descriptor(read.into()), options())
        .unwrap()
        .expect_end(&["one"]);
}
