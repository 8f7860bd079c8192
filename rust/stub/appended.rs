//! The format of what `falco-plugin build` appends to the library: a manifest and a zip archive. The file may have been
//! cut or changed since, so nothing here trusts a length.

use core::ffi::CStr;

/// Position and checksum of the parts in the file. `falco-plugin build` finds the marker and writes the rest.
#[repr(C)]
pub struct Appended {
    pub marker: [u8; 16],
    pub offset: u64,
    pub manifest_len: u64,
    pub archive_len: u64,
    /// The checksum of manifest and archive.
    pub crc32: u64,
    /// Bytes of the bundle, which follows the archive; 0 in a linked library.
    pub bundle_len: u64,
    pub bundle_crc32: u64,
}

impl Appended {
    /// Returns the length of both parts together; `None` if no memory can have that length.
    pub fn len(&self) -> Option<usize> {
        let len = self.manifest_len.checked_add(self.archive_len)?;
        isize::try_from(len).ok().map(isize::cast_unsigned)
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
        if Some(bytes.len()) != appended.len() || u64::from(crc32(bytes)) != appended.crc32 {
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

const CRC_TABLE: [u32; 256] = {
    let mut table = [0; 256];
    let mut index = 0;
    while index < 256 {
        let mut value = index as u32;
        let mut bit = 0;
        while bit < 8 {
            value = if value & 1 == 1 {
                0xedb8_8320 ^ (value >> 1)
            } else {
                value >> 1
            };
            bit += 1;
        }
        table[index] = value;
        index += 1;
    }
    table
};

pub fn crc32(bytes: &[u8]) -> u32 {
    !bytes.iter().fold(u32::MAX, |crc, &byte| {
        CRC_TABLE[((crc ^ u32::from(byte)) & 0xff) as usize] ^ (crc >> 8)
    })
}
