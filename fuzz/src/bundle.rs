//! The index of a bundle: header, tables and names in front of the blocks of a self-contained library.
//!
//! Inputs that are almost valid come from tables of numbers. They are compared with a reader that copies everything into
//! lists, and searches them from the beginning.

use arbitrary::{Arbitrary, Unstructured};
use falco_plugin_bundle::format::{Group, HEADER_LEN, ID_LEN, Index, Kind, MAGIC, MAX_BLOCK_LEN, index_len};

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    id: Option<[u8; ID_LEN]>,
    blocks: Vec<(Place, u16, u16)>,
    entries: Vec<NewEntry<'a>>,
    numbers: Vec<u8>,
    /// Sorts the entries, as the packer does.
    is_sorted: bool,
    /// Bytes that replace others in the index.
    changes: Vec<(u16, u8)>,
    /// Bytes of the bundle behind the index.
    data_len: u64,
    cut: Option<u16>,
    prefix: &'a str,
}

#[derive(Debug, Clone, Copy, Arbitrary)]
enum Place {
    Behind(u8),
    Any(u64),
}

#[derive(Debug, Clone, Arbitrary)]
struct NewEntry<'a> {
    name: &'a str,
    kind: u8,
    block: u8,
    /// Covers its block, as native code does.
    is_whole: bool,
    offset: u16,
    len: u16,
    needs: (u8, u8),
    patches: (u8, u8),
    flags: u8,
}

/// An entry as the slow reader finds it.
#[derive(Debug, PartialEq, Eq)]
struct Found {
    group: u32,
    name: String,
    kind: u32,
    block: u32,
    range: (u32, u32),
    needs: Vec<u32>,
    patches: Vec<u32>,
}

/// Checks one bundle.
///
/// # Panics
/// If the reader accepts a damaged index, rejects a valid one, or finds other entries than the slow reader.
pub fn check(input: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    let (bytes, bundle_len) = encode(&input);
    let slow = read(&bytes, bundle_len);
    let index = Index::new(&bytes, bundle_len);
    assert_eq!(index.is_ok(), slow.is_some(), "{:?}", index.err());
    let (Ok(index), Some((id, slow))) = (index, slow) else {
        return;
    };
    assert_eq!(index.id().as_bytes(), id);
    assert_eq!(index.entry_count() as usize, slow.len());
    assert!(index.entry(index.entry_count()).is_none());
    assert!(index.block(index.block_count()).is_none());
    let entries: Vec<_> = (0..).map_while(|number| index.entry(number)).collect();
    let copied = entries.iter().map(|entry| Found {
        group: entry.kind.group() as u32,
        name: entry.name.to_owned(),
        kind: entry.kind as u32,
        block: entry.block,
        range: (entry.offset, entry.len),
        needs: entry.needs().collect(),
        patches: entry.patches().collect(),
    });
    assert!(copied.eq(slow.iter().map(|found| Found {
        needs: found.needs.clone(),
        patches: found.patches.clone(),
        name: found.name.clone(),
        ..*found
    })));
    for group in [Group::Modules, Group::Libraries, Group::Files] {
        for name in slow.iter().map(|found| found.name.as_str()).chain([input.prefix]) {
            let expected = slow
                .iter()
                .position(|found| found.group == group as u32 && found.name == name);
            assert_eq!(index.find(group, name), expected.map(|number| number as u32));
        }
        let found: Vec<u32> = index
            .with_prefix(group, input.prefix)
            .map(|(number, _)| number)
            .collect();
        let matching = slow
            .iter()
            .enumerate()
            .filter(|(_, found)| found.group == group as u32 && found.name.starts_with(input.prefix));
        assert_eq!(found, matching.map(|(number, _)| number as u32).collect::<Vec<_>>());
    }
    for entry in &entries {
        let block = index.block(entry.block).unwrap();
        assert!(block.offset + u64::from(block.stored_len) <= bundle_len);
        assert_eq!(block.hash, bytes[HEADER_LEN + 48 * entry.block as usize + 16..][..32]);
        if block.len <= 1 << 16 {
            let data = entry.data(&vec![0; block.len as usize]).map(<[u8]>::len);
            assert_eq!(data, Some(entry.len as usize));
        }
    }
}

/// Returns the index that the input describes, and the length of the bundle.
fn encode(input: &Input<'_>) -> (Vec<u8>, u64) {
    let mut entries = input.entries.clone();
    if input.is_sorted {
        entries.sort_by_key(|entry| (group_of(entry.kind.into()), entry.name));
    }
    let strings: String = entries.iter().map(|entry| entry.name).collect();
    let end = HEADER_LEN + input.blocks.len() * 48 + entries.len() * 44 + input.numbers.len() * 4 + strings.len();
    let mut bytes = MAGIC.to_vec();
    bytes.extend(input.id.unwrap_or(*b"0123456789abcdef"));
    for count in [input.blocks.len(), entries.len(), input.numbers.len(), strings.len()] {
        bytes.extend((count as u32).to_le_bytes());
    }
    for (place, stored_len, len) in &input.blocks {
        let offset = match *place {
            Place::Behind(distance) => end as u64 + u64::from(distance),
            Place::Any(offset) => offset,
        };
        bytes.extend(offset.to_le_bytes());
        bytes.extend(u32::from(*stored_len).to_le_bytes());
        bytes.extend(u32::from(*len).to_le_bytes());
        bytes.extend(hash_of(*stored_len));
    }
    let mut name_offset = 0;
    for entry in &entries {
        let block_len = input.blocks.get(usize::from(entry.block)).map_or(0, |(_, _, len)| *len);
        let (offset, len) = if entry.is_whole {
            (0, block_len)
        } else {
            (entry.offset, entry.len)
        };
        let numbers = [
            name_offset,
            entry.name.len() as u32,
            entry.kind.into(),
            entry.block.into(),
            offset.into(),
            len.into(),
            entry.needs.0.into(),
            entry.needs.1.into(),
            entry.patches.0.into(),
            entry.patches.1.into(),
            entry.flags.into(),
        ];
        bytes.extend(numbers.iter().flat_map(|number| number.to_le_bytes()));
        name_offset += entry.name.len() as u32;
    }
    bytes.extend(input.numbers.iter().flat_map(|number| u32::from(*number).to_le_bytes()));
    bytes.extend(strings.bytes());
    for (at, byte) in &input.changes {
        if let Some(changed) = bytes.get_mut(usize::from(*at)) {
            *changed = *byte;
        }
    }
    let bundle_len = (bytes.len() as u64).saturating_add(input.data_len);
    if let Some(cut) = input.cut {
        bytes.truncate(cut.into());
    }
    (bytes, bundle_len)
}

/// Returns any hash, which differs from block to block.
fn hash_of(stored_len: u16) -> Vec<u8> {
    stored_len.to_le_bytes().repeat(16)
}

/// Reads a whole index. Returns the id and the entries, or `None` if anything is not as the format requires.
fn read(bytes: &[u8], bundle_len: u64) -> Option<(Vec<u8>, Vec<Found>)> {
    let mut rest = bytes;
    let mut take = |len: u64| {
        let (taken, other) = rest.split_at_checked(usize::try_from(len).ok()?)?;
        rest = other;
        Some(taken)
    };
    if take(8)? != b"FPBUNDL2" {
        return None;
    }
    let id = take(16)?.to_vec();
    let counts = numbers(take(16)?);
    let [blocks, entries, shared, strings] = counts[..] else {
        return None;
    };
    let end = 40 + 48 * u64::from(blocks) + 44 * u64::from(entries) + 4 * u64::from(shared) + u64::from(strings);
    assert_eq!(index_len(bytes).ok(), Some(end));
    let blocks = take(48 * u64::from(blocks))?;
    let entries = take(44 * u64::from(entries))?;
    let shared = numbers(take(4 * u64::from(shared))?);
    let strings = std::str::from_utf8(take(u64::from(strings))?).ok()?;
    let is_hexadecimal = id.iter().all(|digit| b"0123456789abcdef".contains(digit));
    if end > bundle_len || !is_hexadecimal {
        return None;
    }
    let mut lengths = Vec::new();
    for block in blocks.chunks(48) {
        let offset = u64::from_le_bytes(block[..8].try_into().unwrap());
        let [stored_len, len] = numbers(&block[8..16])[..] else {
            return None;
        };
        let block_end = u128::from(offset) + u128::from(stored_len);
        if offset < end || block_end > u128::from(bundle_len) || len > MAX_BLOCK_LEN {
            return None;
        }
        lengths.push(len);
    }
    let mut found: Vec<Found> = Vec::new();
    for entry in entries.chunks(44) {
        let entry: Vec<u64> = numbers(entry).into_iter().map(u64::from).collect();
        let slice = |first: u64, count: u64| Some(shared.get(first as usize..(first + count) as usize)?.to_vec());
        found.push(Found {
            group: group_of(entry[2] as u32)?,
            name: strings
                .get(entry[0] as usize..(entry[0] + entry[1]) as usize)?
                .to_owned(),
            kind: entry[2] as u32,
            block: entry[3] as u32,
            range: (entry[4] as u32, entry[5] as u32),
            needs: slice(entry[6], entry[7])?,
            patches: slice(entry[8], entry[9])?,
        });
    }
    let is_valid = |entry: &Found| {
        let (offset, len) = (u64::from(entry.range.0), u64::from(entry.range.1));
        let is_native = entry.kind == Kind::Extension as u32 || entry.kind == Kind::Library as u32;
        lengths.get(entry.block as usize).is_some_and(|&block| {
            offset + len <= u64::from(block) && (!is_native || (offset, len) == (0, u64::from(block)))
        }) && entry.patches.iter().all(|patch| u64::from(*patch) + 16 <= len)
            && entry.needs.iter().all(|need| {
                let needed = found.get(*need as usize);
                needed.is_some_and(|needed| needed.kind == Kind::Library as u32)
            })
    };
    let keys: Vec<_> = found.iter().map(|entry| (entry.group, &entry.name)).collect();
    let is_sorted = keys.windows(2).all(|pair| pair[0] < pair[1]);
    (is_sorted && found.iter().all(is_valid)).then_some((id, found))
}

fn numbers(bytes: &[u8]) -> Vec<u32> {
    bytes
        .chunks(4)
        .map(|number| u32::from_le_bytes(number.try_into().unwrap()))
        .collect()
}

fn group_of(kind: u32) -> Option<u32> {
    match kind {
        0..=2 => Some(0),
        3 => Some(1),
        4 => Some(2),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use crate::corpus;

    #[test]
    fn index_equals_lists_of_slow_reader() {
        corpus::check("bundle", 2048, corpus::bytes(), super::check);
    }
}
