//! Makes capture files.

use std::fs;
use std::path::PathBuf;

use crate::support::*;

pub const SECTION: u32 = 0x0a0d_0d0a;
/// The event blocks: old, old with flags, current, current with flags, large.
pub const OLD: u32 = 0x204;
pub const OLD_WITH_FLAGS: u32 = 0x208;
pub const CURRENT: u32 = 0x216;
pub const WITH_FLAGS: u32 = 0x217;
pub const LARGE: u32 = 0x221;
pub const CLOSE: u16 = 5;
pub const EXECVE: u16 = 293;

pub fn block(number: u32, content: &[u8]) -> Vec<u8> {
    let padded = content.len().next_multiple_of(4);
    let length = (12 + padded) as u32;
    let mut block = [number.to_le_bytes(), length.to_le_bytes()].concat();
    block.extend(content);
    block.resize(8 + padded, 0);
    block.extend(length.to_le_bytes());
    block
}

pub fn section() -> Vec<u8> {
    let mut content = 0x1a2b_3c4d_u32.to_le_bytes().to_vec();
    content.extend([1, 0, 2, 0]);
    content.extend([255; 8]);
    block(SECTION, &content)
}

/// Encodes an event, with or without the number of its parameters.
pub fn event(code: u16, params: &[&[u8]], has_count: bool) -> Vec<u8> {
    let lengths: Vec<u8> = params
        .iter()
        .flat_map(|param| (param.len() as u16).to_le_bytes())
        .collect();
    let header = if has_count { 26 } else { 22 };
    let length = header + lengths.len() + params.concat().len();
    let mut event = [&1_700_000_000_000_000_000_u64.to_le_bytes()[..], &77_u64.to_le_bytes()].concat();
    event.extend((length as u32).to_le_bytes());
    event.extend(code.to_le_bytes());
    if has_count {
        event.extend((params.len() as u32).to_le_bytes());
    }
    event.extend(lengths);
    event.extend(params.concat());
    event
}

/// Returns the block of an event.
pub fn event_block(number: u32, event: &[u8]) -> Vec<u8> {
    let before = if matches!(number, OLD_WITH_FLAGS | WITH_FLAGS) {
        6
    } else {
        2
    };
    block(number, &[&vec![0; before], event].concat())
}

pub fn write(name: &str, blocks: &[Vec<u8>]) -> PathBuf {
    let path = temporary(&format!("scap-{name}"));
    fs::write(&path, blocks.concat()).unwrap();
    path
}
