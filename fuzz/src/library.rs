//! The manifest and the archive that are appended to a library: the stub reads them while it is loaded, the SDK at init.

use std::ffi::{CStr, CString, c_char};
use std::ptr;

use arbitrary::{Arbitrary, Unstructured};
use falco_plugin_abi::Request;
use falco_plugin_abi::api::StartRequest;

use appended::{Appended, Parts};

// The stub has no standard library, and is not a crate that this one could depend on.
#[path = "../../rust/stub/appended.rs"]
mod appended;

const NAMES: [&CStr; 4] = [c"name", c"fields", c"core", c""];

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    manifest_len: Length,
    archive_len: Length,
    hash: Option<u64>,
    other_name: &'a str,
    appended: &'a [u8],
}

/// A length as it is written into the library. Most are a valid position in the bytes, because few inputs would be whole
/// with an arbitrary number.
#[derive(Debug, Clone, Copy, Arbitrary)]
enum Length {
    Valid(u16),
    Any(u64),
}

/// Checks one library.
///
/// # Panics
/// If the stub accepts damaged parts, rejects valid ones, or finds other values than the SDK.
pub fn check(input: &[u8]) {
    let Ok(input) = Input::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    let bytes = input.appended;
    let manifest_len = match input.manifest_len {
        Length::Valid(position) => u64::from(position) % (bytes.len() as u64 + 1),
        Length::Any(len) => len,
    };
    let archive_len = match input.archive_len {
        Length::Valid(_) => (bytes.len() as u64).wrapping_sub(manifest_len),
        Length::Any(len) => len,
    };
    let appended = Appended {
        marker: [0; 16],
        offset: 0,
        manifest_len,
        archive_len,
        bundle_len: archive_len,
        hash: input.hash.map_or_else(|| *blake3::hash(bytes).as_bytes(), wrong_hash),
        index_hash: [0; 32],
    };
    let bundle_offset = manifest_len.checked_add(archive_len).filter(|_| archive_len > 0);
    assert_eq!(appended.bundle_offset(), bundle_offset);
    let is_whole =
        manifest_len.checked_add(archive_len) == Some(bytes.len() as u64) && blake3::hash(bytes) == appended.hash;
    let pairs = is_whole.then(|| pairs(&bytes[..manifest_len as usize])).flatten();
    let parts = Parts::new(bytes, &appended);
    assert_eq!(parts.is_some(), pairs.is_some());
    let (Some(parts), Some(pairs)) = (parts, pairs) else {
        return;
    };
    assert_eq!([parts.manifest, parts.archive].concat(), bytes);
    let request = request(&parts);
    assert_eq!(request.archive, parts.archive);
    let other_name = CString::new(input.other_name.replace('\0', "")).unwrap_or_default();
    for name in NAMES.into_iter().chain([&*other_name]) {
        let found = pairs.iter().find(|(key, _)| *key == name.to_bytes());
        let value = found.map_or(&b""[..], |(_, value)| value);
        assert_eq!(parts.value(name).to_bytes(), value);
        // The SDK replaces invalid UTF-8, so a name with it may become equal to the other name.
        if let (Ok(name), Ok(_)) = (name.to_str(), std::str::from_utf8(parts.manifest)) {
            assert_eq!(request.manifest(name).as_bytes(), value);
        }
    }
}

/// Returns a hash that no bytes of an input have.
fn wrong_hash(number: u64) -> [u8; 32] {
    let mut hash = [0; 32];
    hash[..8].copy_from_slice(&number.to_le_bytes());
    hash
}

/// Returns the names and values of a manifest; `None` if it is not valid.
fn pairs(manifest: &[u8]) -> Option<Vec<(&[u8], &[u8])>> {
    let mut strings: Vec<_> = manifest.split(|byte| *byte == 0).collect();
    // The bytes after the last NUL.
    let rest = strings.pop()?;
    let (pairs, odd) = strings.as_chunks::<2>();
    (rest.is_empty() && odd.is_empty() && !pairs.is_empty())
        .then(|| pairs.iter().map(|&[key, value]| (key, value)).collect())
}

/// Returns the request of the stub as the SDK reads it.
fn request(parts: &Parts<'_>) -> Request {
    extern "C" fn check_code(_: *const c_char, _: *mut c_char, _: usize) -> bool {
        true
    }
    let request = StartRequest {
        library: c"/library".as_ptr(),
        core: c"/core".as_ptr(),
        python: c"/python".as_ptr(),
        folders: c"".as_ptr(),
        manifest: parts.manifest.as_ptr(),
        manifest_len: parts.manifest.len(),
        archive: parts.archive.as_ptr(),
        archive_len: parts.archive.len(),
        bundle: ptr::null(),
        input: ptr::null(),
        check_code,
    };
    // SAFETY: strings and blocks are valid during the call, and the function that checks code always.
    unsafe { Request::read(&request) }
}

#[cfg(test)]
mod tests {
    use crate::corpus;

    #[test]
    fn stub_and_sdk_read_the_same_parts() {
        corpus::check("library", 2048, corpus::bytes(), super::check);
    }
}
