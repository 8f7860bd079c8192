//! The stub's request to make a plugin, as Rust values.

use std::ffi::{CStr, CString, c_char};

use falco_plugin_api_table::{StartRequest, StoredBundle};

/// A copy of the stub's request. Only `check` requires that the library stays loaded.
#[derive(Debug)]
pub struct Request {
    pub library: String,
    pub core: String,
    pub python: CString,
    pub archive: Vec<u8>,
    /// The bundle of a self-contained library.
    pub bundle: Option<StoredBundle>,
    manifest: Vec<(String, String)>,
    /// The folders of code whose permissions the stub has already checked.
    checked: Vec<String>,
    check: unsafe extern "C" fn(*const c_char, *mut c_char, usize) -> bool,
}

impl Request {
    /// # Safety
    /// All of the request is valid during the call. The library stays loaded as long as the returned value lives.
    pub unsafe fn read(request: &StartRequest) -> Self {
        // SAFETY: the caller's promise for the strings and the two blocks of bytes.
        unsafe {
            Self {
                library: string(request.library),
                core: string(request.core),
                python: CStr::from_ptr(request.python).to_owned(),
                archive: std::slice::from_raw_parts(request.archive, request.archive_len).to_vec(),
                bundle: request.bundle.as_ref().copied(),
                manifest: pairs(std::slice::from_raw_parts(request.manifest, request.manifest_len)),
                checked: string(request.folders).lines().map(str::to_owned).collect(),
                check: request.check_code,
            }
        }
    }

    /// Returns a value of the manifest; empty if it has no such name.
    pub fn manifest(&self, key: &str) -> &str {
        self.manifest
            .iter()
            .find(|(name, _)| name == key)
            .map_or("", |(_, value)| value)
    }

    /// Checks the permissions of a folder that code is imported from, or of one file, unless the stub has checked it.
    ///
    /// # Errors
    /// Falco runs as root, and others can change the code. The string names the path.
    pub fn check_code(&self, folder: &CStr) -> Result<(), String> {
        if self
            .checked
            .iter()
            .any(|checked| checked.as_bytes() == folder.to_bytes())
        {
            return Ok(());
        }
        let mut problem = [0 as c_char; 1024];
        // SAFETY: the library is loaded (see `read`), the path NUL-terminated, and the message no longer than its size.
        unsafe {
            if (self.check)(folder.as_ptr(), problem.as_mut_ptr(), problem.len()) {
                return Ok(());
            }
            Err(string(problem.as_ptr()))
        }
    }
}

/// # Safety
/// `string` points to a NUL-terminated string.
unsafe fn string(string: *const c_char) -> String {
    // SAFETY: the caller's promise.
    unsafe { CStr::from_ptr(string) }.to_string_lossy().into_owned()
}

/// Splits the manifest into names and values. A name without a value is left out.
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
    fn pairs_ends_with_manifest() {
        let pairs = super::pairs(b"name\0lines\0contact\0\0");
        assert_eq!(
            pairs,
            [("name".into(), "lines".into()), ("contact".into(), String::new())]
        );
        assert_eq!(super::pairs(b""), []);
    }
}
