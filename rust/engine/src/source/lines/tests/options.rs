//! Timestamps, invalid options, and progress.

use std::fs::OpenOptions;
use std::io::pipe;
use std::os::unix::net::{UnixDatagram, UnixStream};

use super::{Folder, LONG, Reader, following, open, open_path, open_with, options};
use crate::event::EventBatch;
use crate::event::NO_TIMESTAMP;
use crate::source::lines::instance::BLOCK;
use crate::source::lines::{Options, Source, Start};

#[test]
fn time_is_read_at_the_pointer_or_reported() {
    let lines: [(&[u8], u64); 10] = [
        (br#"{"at":{"time":"1970-01-01T00:00:01.5Z"}}"#, 1_500_000_000),
        (br#"{"at":{"time":"1970-01-01 01:00:02,5 +0100"}}"#, 2_500_000_000),
        (br#"{"at":{"time":2.25}}"#, 2_250_000_000),
        (br#"{"at":{"time":"1795593600123"}}"#, 1_795_593_600_123_000_000),
        (br#"{"at":{"time":"1970-01-01T00:00:03"}}"#, 3_000_000_000),
        (br#"{"at":{"time":"yesterday"}}"#, NO_TIMESTAMP),
        (br#"{"at":{"time":{"seconds":1}}}"#, NO_TIMESTAMP),
        (br#"{"at":{"time":null}}"#, NO_TIMESTAMP),
        (b"no JSON", NO_TIMESTAMP),
        (br#"{"at":{"time":-1}}"#, NO_TIMESTAMP),
    ];
    let folder = Folder::new();
    let content: Vec<&[u8]> = lines.iter().map(|(line, _)| *line).collect();
    let path = folder.write("log", &content.join(&b'\n'));
    let options = Options {
        timestamp: Some("/at/time".into()),
        timeout: LONG,
        ..options()
    };
    let batch = EventBatch::new(10, 1000).unwrap();
    let mut reader = open_with(Source::Path(path), options, batch, BLOCK).unwrap();
    reader.next().unwrap();
    for (index, (line, time)) in lines.into_iter().enumerate() {
        assert_eq!(reader.batch.get(index).unwrap(), (time, line));
    }
    let reports = |reader: &Reader| reader.count_warnings("input: timestamp \"/at/time\" f");
    let position = |index| content[..index].iter().map(|line| line.len() + 1).sum::<usize>();
    for (index, found) in [
        (4, "a time without a time zone"),
        (5, "a value that is not a time"),
        (7, "no value"),
        (9, "a time before 1970 or after 2554"),
    ] {
        let text = format!("finds {found} in the line at byte {}", position(index));
        assert_eq!(reader.count_warnings(&text), 1, "{text}");
    }
    assert_eq!(reports(&reader), 4);
    reader.expect_end(&[]);
    assert_eq!(
        reader.count_warnings("found a value that is not a time in further lines"),
        1
    );
    assert_eq!(reader.count_warnings("found no value in further lines"), 1);
    assert_eq!(reports(&reader), 6);
    reader.lines.close();
    assert_eq!(reports(&reader), 6, "the remaining lines are reported once");
}

#[test]
fn lines_without_a_time_are_reported_on_close() {
    let folder = Folder::new();
    let path = folder.write("log", b"{}\n{}\n");
    let options = Options {
        timestamp: Some("/time".into()),
        ..following()
    };
    let mut reader = open_path(&path, options);
    reader.expect_lines(&["{}", "{}"]);
    assert_eq!(reader.count_warnings("further lines"), 0);
    reader.lines.close();
    assert_eq!(
        reader.count_warnings("found no value in further lines, the last one at byte 3"),
        1
    );
}

#[test]
fn new_rejects_invalid_inputs_and_options() {
    let folder = Folder::new();
    let log = folder.write("log", b"one\n");
    let path = || Source::Path(log.clone());
    let pipe = || Source::Descriptor(pipe().unwrap().0.into());
    let written = OpenOptions::new().write(true).open(&log).unwrap();
    let (_, socket) = UnixDatagram::pair().unwrap();
    for (source, options, message) in [
        (
            Source::Path(folder.path("missing")),
            options(),
            "No such file or directory (os error 2): input",
        ),
        (
            Source::Path(folder.0.clone()),
            following(),
            "Is a directory (os error 21): input",
        ),
        (
            Source::Descriptor(written.into()),
            options(),
            "Bad file descriptor (os error 9): input",
        ),
        (Source::Descriptor(socket.into()), options(), "datagram socket"),
        (
            pipe(),
            Options {
                start: Start::End,
                ..options()
            },
            "start requires a regular file",
        ),
        (
            pipe(),
            Options {
                start: Start::Offset(1),
                ..options()
            },
            "start requires a regular file",
        ),
        (
            Source::Descriptor(UnixStream::pair().unwrap().0.into()),
            following(),
            "can be followed",
        ),
        (
            path(),
            Options {
                separator: Vec::new(),
                ..options()
            },
            "separator must have at least one byte",
        ),
        (
            path(),
            Options {
                timestamp: Some("time".into()),
                ..options()
            },
            "must begin with",
        ),
        (
            path(),
            Options {
                timestamp: Some("/a/*".into()),
                ..options()
            },
            "must lead to one value",
        ),
        (
            path(),
            Options {
                timestamp: Some("{pointer}".into()),
                ..options()
            },
            "must lead to one value",
        ),
    ] {
        let error = open(source, options).err().unwrap().to_string();
        assert!(error.contains(message), "{error}");
    }
}

#[test]
fn progress_is_the_acknowledged_fraction_of_the_file() {
    let folder = Folder::new();
    let path = folder.write("log", &b"123456789\n".repeat(8));
    let mut reader = open_path(
        &path,
        Options {
            timeout: LONG,
            ..options()
        },
    );
    let progress = |reader: &Reader| reader.lines.progress().report();
    reader.next().unwrap();
    assert_eq!(progress(&reader), (0.0, "0 B of 80 B".into()));
    reader.next().unwrap();
    assert_eq!(progress(&reader), (0.5, "40 B of 80 B".into()));
    reader.expect_end(&[]);
    assert_eq!(progress(&reader), (1.0, "80 B of 80 B".into()));
}
#[test]
fn lines_are_not_acknowledged_while_their_batch_is_filled() {
    let folder = Folder::new();
    let path = folder.write("log", &b"123456789\n".repeat(8));
    let mut lines = open_path(
        &path,
        Options {
            timeout: LONG,
            ..options()
        },
    )
    .lines;
    let mut batch = EventBatch::new(6, 64).unwrap();
    while !batch.is_full() {
        lines.next_batch(&mut batch).unwrap();
        assert_eq!(lines.progress().report().0, 0.0);
    }
    batch.clear();
    lines.next_batch(&mut batch).unwrap();
    assert_eq!(lines.progress().report().0, 0.75);
}
