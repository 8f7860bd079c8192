//! The format of what `falco-plugin build` appends to the library: a manifest, a zip archive, and the bundle of a
//! self-contained library. The file may have been cut or changed since, so nothing here trusts a length.

use core::ffi::CStr;

use falco_plugin_bundle::format::HASH_LEN;

/// Position and hashes of the parts in the file. `falco-plugin build` finds the marker and writes the rest.
///
/// Falco has loaded the struct, so the hashes make sure that the other parts are those of the loaded library, even if the
/// file has been replaced since.
#[repr(C)]
pub struct Appended {
    pub marker: [u8; 16],
    pub offset: u64,
    pub manifest_len: u64,
    pub archive_len: u64,
    /// Bytes of the bundle, which follows the archive; 0 in a linked library.
    pub bundle_len: u64,
    /// The hash of manifest and archive.
    pub hash: [u8; HASH_LEN],
    /// The hash of the bundle's index, which has the hashes of the rest.
    pub index_hash: [u8; HASH_LEN],
}

impl Appended {
    /// Returns the length of manifest and archive together; `None` if no memory can have that length.
    pub fn len(&self) -> Option<usize> {
        let len = self.manifest_len.checked_add(self.archive_len)?;
        isize::try_from(len).ok().map(isize::cast_unsigned)
    }

    /// Returns the offset of the bundle in the file; `None` if there is none.
    pub fn bundle_offset(&self) -> Option<u64> {
        let archive = self.offset.checked_add(self.manifest_len)?;
        let offset = archive.checked_add(self.archive_len)?;
        (self.bundle_len > 0).then_some(offset)
    }
}

pub struct Parts<'a> {
    /// Pairs of NUL-terminated names and values.
    pub manifest: &'a [u8],
    pub archive: &'a [u8],
}

impl<'a> Parts<'a> {
    /// Splits the bytes into the parts. Returns `None` if they are not what was appended.
    pub fn new(bytes: &'a [u8], appended: &Appended) -> Option<Self> {
        if Some(bytes.len()) != appended.len() || blake3::hash(bytes) != appended.hash {
            return None;
        }
        let (manifest, archive) = bytes.split_at_checked(appended.manifest_len as usize)?;
        let ends = manifest.iter().filter(|&&byte| byte == 0).count();
        (manifest.last() == Some(&0) && ends % 2 == 0).then_some(Self { manifest, archive })
    }

    /// Returns a value of the manifest; "" if it has no such name.
    pub fn value(&self, name: &CStr) -> &'a CStr {
        let strings = self.manifest.split_inclusive(|&byte| byte == 0);
        let mut strings = strings.map_while(|string| CStr::from_bytes_with_nul(string).ok());
        while let (Some(key), Some(value)) = (strings.next(), strings.next()) {
            if key == name {
                return value;
            }
        }
        c""
    }
}
