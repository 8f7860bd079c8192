//! The functions of a loaded plugin library, as a host calls them.

use core::ffi::{CStr, c_char, c_void};
use core::mem::transmute;

use crate::functions;
use crate::types::*;

macro_rules! field {
    (every required $type:ty) => { $type };
    ($capability:ident $need:ident $type:ty) => { Option<$type> };
}

macro_rules! value {
    (every required $address:expr) => {
        $address?
    };
    ($capability:ident $need:ident $address:expr) => {
        $address
    };
}

macro_rules! declare {
    ($($implemented:ident $capability:ident $need:ident $symbol:literal
        $name:ident($($param:ident: $type:ty),*) -> $result:ty;)*
    ) => {
        /// The type of each function. Plugins of other SDKs may unwind, so it is `extern "C-unwind"`.
        #[allow(non_camel_case_types)]
        pub mod signatures {
            use super::*;

            $(pub type $name = unsafe extern "C-unwind" fn($($param: $type),*) -> $result;)*
        }

        /// The functions of a loaded plugin library. Those that every plugin must have are always present. The others are
        /// `None` if the library does not export them.
        #[derive(Debug, Clone, Copy)]
        pub struct Functions {
            $(pub $name: field!($capability $need signatures::$name),)*
        }

        impl Functions {
            /// Looks up all functions. `address_of` returns the address of a symbol, or NULL if there is no such symbol.
            /// The functions may be called while the library is loaded.
            ///
            /// Returns `None` if the library lacks a function that every plugin must have.
            ///
            /// # Safety
            /// `address_of` returns NULL, or the address of a function with the signature that the list has for the
            /// symbol.
            pub unsafe fn find(mut address_of: impl FnMut(&CStr) -> *mut c_void) -> Option<Self> {
                Some(Self {
                    $($name: value!($capability $need {
                        let address = address_of(c_symbol(concat!($symbol, "\0")));
                        // SAFETY: an Option of a function pointer has the layout of a pointer, and is None if that is
                        // NULL. The signature is the caller's promise.
                        unsafe { transmute::<*mut c_void, Option<signatures::$name>>(address) }
                    }),)*
                })
            }
        }
    };
}

functions!(all => declare);

/// # Panics
/// If `symbol` does not end with its only NUL.
const fn c_symbol(symbol: &'static str) -> &'static CStr {
    match CStr::from_bytes_with_nul(symbol.as_bytes()) {
        Ok(symbol) => symbol,
        Err(_) => panic!("a symbol must end with its only NUL"),
    }
}

#[cfg(test)]
mod tests {
    use core::ptr;

    use falco_plugin_api::plugin_api;

    use super::*;
    use crate::FUNCTIONS;

    /// The group of functions of Falco's own header that a capability's functions are in.
    macro_rules! group {
        (every $api:ident) => {
            $api
        };
        (Sourcing $api:ident) => {
            $api.__bindgen_anon_1
        };
        (Extraction $api:ident) => {
            $api.__bindgen_anon_2
        };
        (Parsing $api:ident) => {
            $api.__bindgen_anon_3
        };
        (AsyncEvents $api:ident) => {
            $api.__bindgen_anon_4
        };
        (Listening $api:ident) => {
            $api.__bindgen_anon_5
        };
    }

    /// The function in Falco's own header, unless it is newer than the header.
    macro_rules! in_header {
        (newer $capability:ident $api:ident $name:ident) => {
            None
        };
        ($implemented:ident $capability:ident $api:ident $name:ident) => {
            group!($capability $api).$name
        };
    }

    macro_rules! is_newer {
        (newer) => {
            1
        };
        ($implemented:ident) => {
            0
        };
    }

    macro_rules! assign {
        ($($implemented:ident $capability:ident $need:ident $symbol:literal
            $name:ident($($param:ident: $type:ty),*) -> $result:ty;)*
        ) => {
            /// Compiles only if names and signatures of the list are those of Falco's header.
            fn from_header(api: &plugin_api) -> Option<Functions> {
                Some(Functions { $($name: value!($capability $need in_header!($implemented $capability api $name)),)* })
            }

            /// The number of functions that the header does not have.
            const NEWER: usize = 0 $(+ is_newer!($implemented))*;
        };
    }

    functions!(all => assign);

    #[test]
    fn signatures_match_the_header_of_falco() {
        // SAFETY: a struct of optional function pointers, which are `None` if all zeroes.
        let api = unsafe { core::mem::zeroed::<plugin_api>() };
        assert!(from_header(&api).is_none());
        let pointers = size_of::<plugin_api>() / size_of::<fn()>();
        assert_eq!(pointers + NEWER, FUNCTIONS.len());
    }

    #[test]
    fn find_requires_only_functions_of_every_plugin() {
        let find = |lacks: Option<&str>| {
            let address_of = |symbol: &CStr| {
                let function = FUNCTIONS
                    .iter()
                    .find(|function| function.symbol.as_bytes() == symbol.to_bytes());
                let function = function.expect("only symbols of the list are looked up");
                let is_there = function.capability.is_none() && function.is_required && lacks != Some(function.symbol);
                if is_there { ptr::dangling_mut() } else { ptr::null_mut() }
            };
            // SAFETY: the functions are not called.
            unsafe { Functions::find(address_of) }
        };
        let found = find(None).expect("no required function is missing");
        assert!(found.open.is_none() && found.get_init_schema.is_none());
        assert!(find(Some("plugin_get_contact")).is_none());
    }
}
