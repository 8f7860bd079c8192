//! The functions of the plugin API that the manifest answers. They need neither a state nor Python.

use core::ffi::{CStr, c_char};

use falco_plugin_api_table::types::{ss_plugin_schema_type, ss_plugin_t};
use falco_plugin_api_table::write;

use crate::event_types::EventTypes;
use crate::image;

static EXTRACT_EVENT_TYPES: EventTypes = EventTypes::new();
static PARSE_EVENT_TYPES: EventTypes = EventTypes::new();
const SCHEMA_NONE: ss_plugin_schema_type = 0;
const SCHEMA_JSON: ss_plugin_schema_type = 1;

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_required_api_version() -> *const c_char {
    value_or(c"required_api_version", c"3.5.0")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_name() -> *const c_char {
    value_or(c"name", c"unreadable")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_description() -> *const c_char {
    let problem = &image::get().problem;
    if problem.is_empty() {
        image::manifest(c"description").as_ptr()
    } else {
        problem.as_ptr()
    }
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_contact() -> *const c_char {
    image::manifest(c"contact").as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_version() -> *const c_char {
    value_or(c"version", c"0.0.0")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_event_source() -> *const c_char {
    value_or(c"event_source", c"unreadable")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_fields() -> *const c_char {
    value_or(
        c"fields",
        c"[{\"name\":\"unreadable.library\",\"type\":\"string\",\"desc\":\"Why init fails\"}]",
    )
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_extract_event_sources() -> *const c_char {
    value_or(c"extract_event_sources", c"[]")
}

/// Returns the type of plugin events, unless the plugin extracts fields from other events.
///
/// # Safety
/// The count is NULL or the host's to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_extract_event_types(count: *mut u32, _state: *mut ss_plugin_t) -> *mut u16 {
    // SAFETY: the list is a NUL-terminated string of the manifest. The rest is the caller's promise.
    unsafe { EXTRACT_EVENT_TYPES.read(CStr::from_ptr(value_or(c"extract_event_types", c"322")), count) }
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_parse_event_sources() -> *const c_char {
    value_or(c"parse_event_sources", c"[]")
}

/// # Safety
/// The count is NULL or the host's to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_parse_event_types(count: *mut u32, _state: *mut ss_plugin_t) -> *mut u16 {
    // SAFETY: the list is a NUL-terminated string of the manifest. The rest is the caller's promise.
    unsafe { PARSE_EVENT_TYPES.read(CStr::from_ptr(value_or(c"parse_event_types", c"322")), count) }
}

/// Libraries export this only if they read events whose parameters the schema defines: hosts without such events do not ask.
#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_required_event_schema_version(_state: *mut ss_plugin_t) -> *const c_char {
    c"4.0.0".as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_async_events() -> *const c_char {
    value_or(c"async_events", c"[\"unreadable\"]")
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_async_event_sources() -> *const c_char {
    value_or(c"async_event_sources", c"[]")
}

/// # Safety
/// The type is NULL or the host's to be written.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn plugin_get_init_schema(schema_type: *mut ss_plugin_schema_type) -> *const c_char {
    let schema = image::manifest(c"schema");
    // SAFETY: the caller's promise.
    unsafe { write(schema_type, if schema.is_empty() { SCHEMA_NONE } else { SCHEMA_JSON }) };
    schema.as_ptr()
}

#[unsafe(no_mangle)]
pub extern "C" fn plugin_get_id() -> u32 {
    // SAFETY: `value_or` returns a NUL-terminated string, which is never freed while the library is loaded.
    let digits = unsafe { CStr::from_ptr(value_or(c"id", c"999")) }.to_bytes().iter();
    digits.fold(0, |id: u32, digit| {
        id.wrapping_mul(10).wrapping_add(u32::from(digit.wrapping_sub(b'0')))
    })
}

/// Returns a value of the manifest. If the manifest cannot be read, returns `unreadable`, which hosts accept: they then
/// call init, which reports the problem.
fn value_or(name: &CStr, unreadable: &'static CStr) -> *const c_char {
    let is_readable = image::get().problem.is_empty();
    if is_readable { image::manifest(name) } else { unreadable }.as_ptr()
}
