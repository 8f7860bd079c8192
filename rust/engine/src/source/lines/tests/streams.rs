//! Pipes, FIFOs and sockets.

use std::fs::OpenOptions;
use std::io::{self, PipeWriter, Write, pipe};
use std::os::unix::net::UnixStream;
use std::thread;

use super::{Folder, LONG, fifo, following, open, open_path, options};
use crate::error::Error;
use crate::source::lines::{Options, Source};

#[test]
fn stream_delivers_available_lines_and_ends_with_its_writers() {
    let folder = Folder::new();
    let fifo = fifo(&folder);
    let mut reader = open_path(&fifo, options());
    reader.expect_lines(&[]);
    let writers = [
        (
            open_path(&fifo, options()),
            Box::new(OpenOptions::new().write(true).open(&fifo).unwrap()) as Box<dyn Write>,
        ),
        {
            let (read, write) = pipe().unwrap();
            (
                open(Source::Descriptor(read.into()), options()).unwrap(),
                Box::new(write) as _,
            )
        },
        {
            let (read, write) = UnixStream::pair().unwrap();
            (
                open(Source::Descriptor(read.into()), options()).unwrap(),
                Box::new(write) as _,
            )
        },
    ];
    for (mut reader, mut writer) in writers {
        reader.expect_lines(&[]);
        writer.write_all(b"one\ntw").unwrap();
        reader.expect_lines(&["one"]);
        writer.write_all(b"o\nno end").unwrap();
        reader.expect_lines(&["two"]);
        assert_eq!(
            (reader.position(), reader.lines.progress().report()),
            (8, (0.0, "8 B".into()))
        );
        assert_eq!(reader.lines.progress().cursor(), None);
        drop(writer);
        reader.expect_end(&["no end"]);
    }
}

#[test]
fn close_breaks_the_pipe_of_the_writer() {
    let (read, mut write) = pipe().unwrap();
    let mut reader = open(Source::Descriptor(read.into()), options()).unwrap();
    reader.expect_lines(&[]);
    reader.lines.close();
    assert_eq!(write.write_all(b"one\n").unwrap_err().kind(), io::ErrorKind::BrokenPipe);
    reader.expect_end(&[]);
}

#[test]
fn followed_fifo_outlives_its_writers() {
    let folder = Folder::new();
    let path = fifo(&folder);
    let mut reader = open_path(&path, following());
    for line in ["one", "two"] {
        let mut writer = OpenOptions::new().write(true).open(&path).unwrap();
        writeln!(writer, "{line}").unwrap();
        drop(writer);
        reader.expect_lines(&[line]);
    }
}

#[test]
fn broken_connection_is_reported_after_its_lines() {
    let (read, mut write) = UnixStream::pair().unwrap();
    write.write_all(b"one\n").unwrap();
    // Closing a socket with unread data resets the connection.
    (&read).write_all(b"unread").unwrap();
    drop(write);
    let mut reader = open(Source::Descriptor(read.into()), options()).unwrap();
    let error = loop {
        match reader.next() {
            Ok(lines) => assert_eq!(lines, [b"one"]),
            Err(Error::Timeout) => {}
            Err(error) => break error,
        }
    };
    assert_eq!(error.to_string(), "Connection reset by peer (os error 104): input");
    assert!(matches!(reader.next(), Err(Error::Eof)));
}

#[test]
fn cancel_wakes_a_waiting_call() {
    let folder = Folder::new();
    let (read, _write): (_, PipeWriter) = pipe().unwrap();
    for (source, follow) in [
        (Source::Descriptor(read.into()), false),
        (Source::Path(folder.write("log", b"")), true),
        (Source::Path(folder.path("missing")), true),
    ] {
        let options = Options {
            follow,
            timeout: LONG,
            ..options()
        };
        let mut reader = open(source, options).unwrap();
        let context = reader.lines.context.clone();
        let waiter = thread::spawn(move || reader.next());
        context.cancel();
        assert!(matches!(waiter.join().unwrap(), Err(Error::Eof)));
    }
}
