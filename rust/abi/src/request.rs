//! What the library in front hands over at init, as Rust values.

use std::ffi::{CStr, CString, c_char};

use crate::table::StartRequest;

/// A copy: nothing in it but `check_code` depends on the library staying loaded.
#[derive(Debug)]
pub struct Request {
    pub library: String,
    pub core: String,
    pub python: CString,
    pub archive: Vec<u8>,
    manifest: Vec<(String, String)>,
    /// The folders that need no further check.
    checked: Vec<String>,
    check: unsafe extern "C" fn(*const c_char, *mut c_char, usize) -> bool,
}

impl Request {
    /// # Safety
    /// All of the request is valid during the call, and the library stays loaded as long as what is returned.
    pub unsafe fn read(request: &StartRequest) -> Self {
        // SAFETY: the caller's promise: three strings and two blocks.
        unsafe {
            Self {
                library: text(request.library),
                core: text(request.core),
                python: CStr::from_ptr(request.python).to_owned(),
                archive: std::slice::from_raw_parts(request.archive, request.archive_len).to_vec(),
                manifest: pairs(std::slice::from_raw_parts(request.manifest, request.manifest_len)),
                checked: text(request.folders).lines().map(str::to_owned).collect(),
                check: request.check_code,
            }
        }
    }

    /// A value of the manifest; empty where there is none.
    pub fn manifest(&self, key: &str) -> &str {
        self.manifest
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value)
    }

    /// Checks a folder that code is imported from, or one file of it, unless the library in front has done so.
    ///
    /// # Errors
    /// Falco is root, and somebody else could plant code there: the text says where.
    pub fn check_code(&self, folder: &CStr) -> Result<(), String> {
        if self
            .checked
            .iter()
            .any(|checked| checked.as_bytes() == folder.to_bytes())
        {
            return Ok(());
        }
        let mut problem = [0 as c_char; 1024];
        // SAFETY: the library is loaded (see `read`), the string NUL-terminated, and the text gets no more than its size.
        unsafe {
            if (self.check)(folder.as_ptr(), problem.as_mut_ptr(), problem.len()) {
                return Ok(());
            }
            Err(text(problem.as_ptr()))
        }
    }
}

/// # Safety
/// `text` points to a NUL-terminated string.
unsafe fn text(text: *const std::ffi::c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}

fn pairs(manifest: &[u8]) -> Vec<(String, String)> {
    let mut parts = manifest
        .split(|&byte| byte == 0)
        .map(|part| String::from_utf8_lossy(part).into_owned());
    let mut pairs = Vec::new();
    while let (Some(name), Some(value)) = (parts.next(), parts.next()) {
        pairs.push((name, value));
    }
    pairs
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs_are_read_until_the_manifest_ends() {
        let pairs = super::pairs(b"name\0lines\0contact\0\0");
        assert_eq!(
            pairs,
            [("name".into(), "lines".into()), ("contact".into(), String::new())]
        );
        assert_eq!(super::pairs(b""), []);
    }
}
