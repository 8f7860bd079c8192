//! The function table between the stub and the SDK.

use core::ffi::c_char;

use crate::functions;
use crate::types::*;

macro_rules! declare {
    ($($symbol:literal $name:ident($state:ident; $($param:ident: $type:ty),*) -> $result:ty => $answer:block;)*) => {
        /// The SDK's implementation of the functions that the stub passes on to it.
        ///
        /// The state is the SDK's own, which [`StartReply`](crate::StartReply) returns. It is never NULL.
        #[repr(C)]
        pub struct Table {
            pub destroy: unsafe extern "C" fn(state: *mut ss_plugin_t),
            pub get_last_error: unsafe extern "C" fn(state: *mut ss_plugin_t) -> *const c_char,
            $(pub $name: unsafe extern "C" fn($state: *mut ss_plugin_t, $($param: $type),*) -> $result,)*
        }
    };
}

functions!(calls => declare);
