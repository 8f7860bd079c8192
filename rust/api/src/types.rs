//! The types in the signatures of the plugin API, under their names in `plugin_api.h`.

#[cfg(feature = "bindings")]
pub use falco_plugin_api::{
    ss_instance_t, ss_plugin_async_event_handler_t, ss_plugin_capture_listen_input, ss_plugin_event,
    ss_plugin_event_input, ss_plugin_event_parse_input, ss_plugin_field_extract_input, ss_plugin_init_input,
    ss_plugin_metric, ss_plugin_owner_t, ss_plugin_rc, ss_plugin_schema_type, ss_plugin_set_config_input, ss_plugin_t,
};

#[cfg(not(feature = "bindings"))]
pub use opaque::*;

/// The same names for a crate that never looks into the structs.
#[cfg(not(feature = "bindings"))]
mod opaque {
    #![allow(non_camel_case_types)]

    use core::ffi::{c_int, c_uint};

    pub type ss_plugin_rc = c_int;
    pub type ss_plugin_schema_type = c_uint;
    pub type ss_plugin_async_event_handler_t = Option<unsafe extern "C" fn()>;

    macro_rules! opaque {
        ($($name:ident)*) => {$(
            #[repr(C)]
            pub struct $name([u8; 0]);
        )*};
    }

    opaque! {
        ss_instance_t ss_plugin_capture_listen_input ss_plugin_event ss_plugin_event_input ss_plugin_event_parse_input
        ss_plugin_field_extract_input ss_plugin_init_input ss_plugin_metric ss_plugin_owner_t
        ss_plugin_set_config_input ss_plugin_t
    }
}
