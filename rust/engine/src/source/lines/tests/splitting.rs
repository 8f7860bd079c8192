//! The lines of any content, and their positions.

use std::io::{Write, pipe};
use std::os::fd::OwnedFd;
use std::thread;

use proptest::prelude::*;

use super::{Folder, LONG, following, open_path, open_with, options};
use crate::error::Error;
use crate::event::EventBatch;
use crate::source::lines::instance::BLOCK;
use crate::source::lines::{Options, Source, Start};

/// Splits content as Python's `bytes.split` does, without an empty line after the last separator. Returns each line and
/// the offset of its end.
fn split(content: &[u8], separator: &[u8]) -> Vec<(Vec<u8>, u64)> {
    let mut lines = Vec::new();
    let mut start = 0;
    while start < content.len() {
        let found = memchr::memmem::find(&content[start..], separator);
        let end = found.map_or(content.len(), |at| start + at);
        let next = (end + separator.len()).min(content.len());
        lines.push((content[start..end].to_vec(), next as u64));
        start = next;
    }
    lines
}

fn bytes() -> impl Strategy<Value = Vec<u8>> {
    prop::collection::vec(prop::sample::select(b"abc\n".to_vec()), 0..300)
}

fn separator() -> impl Strategy<Value = Vec<u8>> {
    prop::sample::select(vec![b"\n".to_vec(), b"ab".to_vec(), b"aa".to_vec(), b"\n\n".to_vec()])
}

proptest! {
    #[test]
    fn lines_and_positions_agree_with_the_content(
        content in bytes(), separator in separator(), batch_size in 1u32..8, block in 1usize..64,
    ) {
        let folder = Folder::new();
        let path = folder.write("log", &content);
        let options = Options { separator: separator.clone(), timeout: LONG, ..options() };
        let batch = EventBatch::new(batch_size, 1000).unwrap();
        let mut reader = open_with(Source::Path(path), options, batch, block).unwrap();
        let expected = split(&content, &separator);
        let mut seen = 0;
        for part in expected.chunks(batch_size as usize) {
            let lines: Vec<_> = part.iter().map(|(line, _)| line.clone()).collect();
            prop_assert_eq!(reader.next().unwrap(), lines);
            prop_assert_eq!(reader.position(), seen, "the host did not call again yet");
            seen = part.last().unwrap().1;
        }
        prop_assert!(matches!(reader.next(), Err(Error::Eof)));
        prop_assert_eq!(reader.position(), content.len() as u64);
    }

    #[test]
    fn pipe_delivers_the_lines_of_its_content(
        parts in prop::collection::vec(bytes(), 0..8), separator in separator(), block in 1usize..64,
    ) {
        let (read, mut write) = pipe().unwrap();
        let options = Options { separator: separator.clone(), timeout: LONG, ..options() };
        let batch = EventBatch::new(3, 10_000).unwrap();
        let mut reader = open_with(Source::Descriptor(OwnedFd::from(read)), options, batch, block).unwrap();
        let content = parts.concat();
        let writer = thread::spawn(move || parts.iter().for_each(|part| write.write_all(part).unwrap()));
        let mut lines = Vec::new();
        while let Ok(more) = reader.next() {
            lines.extend(more);
        }
        writer.join().unwrap();
        let expected: Vec<_> = split(&content, &separator).into_iter().map(|(line, _)| line).collect();
        prop_assert_eq!(lines, expected);
    }

    #[test]
    fn cursor_continues_after_the_acknowledged_lines(
        content in bytes(), calls in 0usize..8, batch_size in 1u32..8, from_offset: bool,
    ) {
        let folder = Folder::new();
        let path = folder.write("log", &content);
        let mut first = open_with(
            Source::Path(path.clone()),
            Options { timeout: LONG, ..options() },
            EventBatch::new(batch_size, 1000).unwrap(),
            16,
        ).unwrap();
        let mut acknowledged = Vec::new();
        let mut last = Vec::new();
        for _ in 0..calls {
            acknowledged.append(&mut last);
            let Ok(lines) = first.next() else { break };
            last = lines;
        }
        let cursor = first.lines.progress().cursor().unwrap();
        prop_assert_eq!(cursor.to_string().parse(), Ok(cursor.clone()));
        let start = if from_offset { Start::Offset(first.position()) } else { Start::Cursor(cursor) };
        let mut second = open_path(&path, Options { start, timeout: LONG, ..options() });
        while let Ok(lines) = second.next() {
            acknowledged.extend(lines);
        }
        let expected: Vec<_> = split(&content, b"\n").into_iter().map(|(line, _)| line).collect();
        prop_assert_eq!(acknowledged, expected);
    }

    #[test]
    fn start_at_the_end_follows_the_last_separator(content in bytes(), separator in separator()) {
        let folder = Folder::new();
        let path = folder.write("log", &content);
        let reader = open_path(&path, Options { start: Start::End, separator: separator.clone(), ..following() });
        let end = rposition(&content, &separator).map_or(0, |at| at + separator.len());
        prop_assert_eq!(reader.position(), end as u64);
    }
}

fn rposition(content: &[u8], separator: &[u8]) -> Option<usize> {
    (0..content.len()).rfind(|&at| content[at..].starts_with(separator))
}

#[test]
fn start_at_the_end_finds_a_distant_separator() {
    let folder = Folder::new();
    for ending in [0, 1, 65_535, 65_536, 65_537, 200_000] {
        let path = folder.write("log", &[b"one\r\n".to_vec(), vec![b'x'; ending]].concat());
        let options = Options {
            start: Start::End,
            separator: b"\r\n".to_vec(),
            ..following()
        };
        assert_eq!(open_path(&path, options).position(), 5);
    }
}

#[test]
fn long_line_is_cut_and_counted() {
    let folder = Folder::new();
    let path = folder.write("log", &[&b"one\n"[..], &[b'x'; 1000]].concat());
    let mut reader = open_path(&path, following());
    reader.expect_lines(&["one", &"x".repeat(100)]);
    assert_eq!(reader.position(), 4);
    folder.append("log", b"xx\ntwo\n");
    reader.expect_lines(&["two"]);
    assert_eq!(reader.position(), 1011);
    assert_eq!(
        reader.count_warnings("the line at byte 4 is longer than the event size of 100 bytes"),
        1
    );
    folder.append("log", &[b'y'; 1000]);
    reader.expect_lines(&[&"y".repeat(100)]);
    assert_eq!(
        reader.count_warnings("cut"),
        1,
        "the warning is not repeated for each line"
    );
}

#[test]
fn large_line_gets_its_own_batch() {
    let folder = Folder::new();
    let content = [&b"small\n"[..], &[b'x'; 1 << 20], b"\nsmall\n"].concat();
    let path = folder.write("log", &content);
    let batch = EventBatch::new(128, 2 << 20).unwrap();
    let mut reader = open_with(
        Source::Path(path),
        Options {
            timeout: LONG,
            ..options()
        },
        batch,
        BLOCK,
    )
    .unwrap();
    let sizes: Vec<Vec<usize>> = std::iter::from_fn(|| reader.next().ok())
        .map(|lines| lines.iter().map(Vec::len).collect())
        .collect();
    assert_eq!(sizes, [vec![5], vec![1 << 20], vec![5]]);
}
