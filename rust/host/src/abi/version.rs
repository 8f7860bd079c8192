//! Versions of the plugin API.

use std::fmt;

/// The plugin API of the Falco that this host stands for.
pub const HOST_API: ApiVersion = ApiVersion {
    major: 3,
    minor: 12,
    patch: 0,
};

/// A version of the plugin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiVersion {
    major: u32,
    minor: u32,
    patch: u32,
}

impl ApiVersion {
    /// Reads a version such as `3.12.0`. Returns `None` for anything but three numbers.
    pub fn parse(text: &str) -> Option<Self> {
        let mut numbers = text.split('.').map(|number| number.parse().ok());
        let version = Self {
            major: numbers.next()??,
            minor: numbers.next()??,
            patch: numbers.next()??,
        };
        numbers.next().is_none().then_some(version)
    }

    /// Returns whether a host of this version loads a plugin that requires `required`.
    pub fn accepts(self, required: Self) -> bool {
        self.major == required.major && self.minor >= required.minor
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}.{}.{}", self.major, self.minor, self.patch)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn host_accepts_its_major_and_no_later_minor() {
        let accepts = |text| HOST_API.accepts(ApiVersion::parse(text).unwrap());
        assert!(accepts("3.12.0") && accepts("3.0.0") && accepts("3.12.7"));
        assert!(!accepts("3.13.0") && !accepts("2.12.0") && !accepts("4.0.0"));
    }

    #[test]
    fn parse_rejects_anything_but_three_numbers() {
        for wrong in ["", "3", "3.1", "3.1.x", "3.1.0.0", "-3.1.0"] {
            assert_eq!(ApiVersion::parse(wrong), None, "{wrong}");
        }
    }
}
