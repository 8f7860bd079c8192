//! The types of the plugin API's functions.

use std::ffi::c_char;

use falco_plugin_api::{
    ss_instance_t, ss_plugin_event, ss_plugin_event_input, ss_plugin_field_extract_input, ss_plugin_init_input,
    ss_plugin_rc, ss_plugin_schema_type, ss_plugin_t,
};

pub type GetText = unsafe extern "C-unwind" fn() -> *const c_char;
pub type GetNumber = unsafe extern "C-unwind" fn() -> u32;
pub type GetSchema = unsafe extern "C-unwind" fn(*mut ss_plugin_schema_type) -> *const c_char;
pub type Init = unsafe extern "C-unwind" fn(*const ss_plugin_init_input, *mut ss_plugin_rc) -> *mut ss_plugin_t;
pub type Destroy = unsafe extern "C-unwind" fn(*mut ss_plugin_t);
pub type GetLastError = unsafe extern "C-unwind" fn(*mut ss_plugin_t) -> *const c_char;
pub type Open = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *const c_char, *mut ss_plugin_rc) -> *mut ss_instance_t;
pub type Close = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *mut ss_instance_t);
pub type NextBatch = unsafe extern "C-unwind" fn(
    *mut ss_plugin_t,
    *mut ss_instance_t,
    *mut u32,
    *mut *mut *mut ss_plugin_event,
) -> ss_plugin_rc;
pub type GetProgress = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *mut ss_instance_t, *mut u32) -> *const c_char;
pub type GetEventTypes = unsafe extern "C-unwind" fn(*mut u32, *mut ss_plugin_t) -> *const u16;
pub type EventToString = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *const ss_plugin_event_input) -> *const c_char;
pub type ExtractFields = unsafe extern "C-unwind" fn(
    *mut ss_plugin_t,
    *const ss_plugin_event_input,
    *const ss_plugin_field_extract_input,
) -> ss_plugin_rc;
pub type ListOpenParams = unsafe extern "C-unwind" fn(*mut ss_plugin_t, *mut ss_plugin_rc) -> *const c_char;
