//! Plugins that panic or lack a capability, called through the table of functions: the host gets errors.

use std::ffi::{CStr, c_char};
use std::ptr;

use falco_plugin_abi::api::{EOF, FAILURE, SUCCESS, StartRequest};
use falco_plugin_abi::init::{TABLE, init};
use falco_plugin_api::{ss_plugin_event_input, ss_plugin_field_extract_input, ss_plugin_init_input, ss_plugin_t};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{Event, EventBatch};
use falco_plugin_engine::extract::Cache;
use falco_plugin_engine::plugin::{Instance, OpenParam, Plugin, Source};

struct Panics;

impl Plugin for Panics {
    fn as_source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn destroy(&self) {
        panic!("destroy panics")
    }
}

impl Source for Panics {
    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error> {
        assert_eq!(params, "good", "open panics");
        Ok(Box::new(Self))
    }

    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error> {
        panic!("list_open_params panics")
    }

    fn event_to_string<'c>(&self, _: &'c mut Cache, _: &Event<'_>) -> &'c str {
        panic!("event_to_string panics")
    }
}

impl Instance for Panics {
    fn next_batch(&mut self) -> Result<(), Error> {
        panic!("next_batch panics")
    }

    fn events(&mut self) -> &mut EventBatch {
        unreachable!()
    }

    fn progress(&mut self) -> (f64, String) {
        panic!("progress panics")
    }

    fn close(&mut self) {
        panic!("close panics")
    }
}

/// A plugin without capabilities.
struct Plain;

impl Plugin for Plain {
    fn destroy(&self) {}
}

/// Initialises a plugin, and passes its state to `code`, which destroys it.
fn with_state(plugin: impl Plugin + 'static, code: impl FnOnce(*mut ss_plugin_t)) {
    extern "C" fn check_code(_: *const c_char, _: *mut c_char, _: usize) -> bool {
        true
    }
    let input = ss_plugin_init_input {
        config: ptr::null(),
        owner: ptr::null_mut(),
        get_owner_last_error: None,
        tables: ptr::null(),
        log_fn: None,
    };
    let request = StartRequest {
        library: c"".as_ptr(),
        core: c"".as_ptr(),
        python: c"".as_ptr(),
        folders: c"".as_ptr(),
        manifest: ptr::NonNull::dangling().as_ptr(),
        manifest_len: 0,
        archive: ptr::NonNull::dangling().as_ptr(),
        archive_len: 0,
        bundle: ptr::null(),
        input: &raw const input,
        check_code,
    };
    // SAFETY: request and input outlive the state.
    let reply = unsafe { init(&request, |_, _, _| Ok(Box::new(plugin))) };
    assert_eq!(reply.rc, SUCCESS);
    code(reply.state);
}

fn last_error(state: *mut ss_plugin_t) -> String {
    // SAFETY: the state is not destroyed, and the string valid until this thread's next call.
    unsafe { CStr::from_ptr((TABLE.get_last_error)(state)) }
        .to_string_lossy()
        .into_owned()
}

#[test]
fn functions_of_missing_capabilities_fail_with_message() {
    let mut rc = i32::MAX;
    // SAFETY: a struct of pointers, which may all be NULL.
    let fields = unsafe { std::mem::zeroed::<ss_plugin_field_extract_input>() };
    // SAFETY: the state is used on this thread alone, and destroyed last.
    with_state(Plain, |state| unsafe {
        assert!((TABLE.open)(state, ptr::null(), &raw mut rc).is_null());
        assert_eq!(
            (rc, last_error(state).as_str()),
            (FAILURE, "the plugin is not an event source")
        );
        assert_eq!((TABLE.extract_fields)(state, ptr::null(), &raw const fields), FAILURE);
        assert_eq!(last_error(state), "the plugin has no fields");
        (TABLE.destroy)(state);
    });
}

#[test]
fn panics_become_errors_and_end_the_source() {
    let mut rc = i32::MAX;
    // SAFETY: the state is used on this thread alone, as a host uses it, and destroyed last.
    with_state(Panics, |state| unsafe {
        assert!((TABLE.open)(state, c"bad".as_ptr(), &raw mut rc).is_null());
        assert_eq!(rc, FAILURE);
        assert!(last_error(state).contains("open panics"));

        assert!((TABLE.list_open_params)(state, &raw mut rc).is_null());
        assert_eq!(rc, FAILURE);
        assert!(last_error(state).ends_with("please report it: list_open_params panics"));

        let event = falco_plugin_engine::event::encode_header(0, 0);
        let event_input = ss_plugin_event_input {
            evt: event.as_ptr().cast(),
            evtnum: 1,
            evtsrc: ptr::null(),
        };
        let text = (TABLE.event_to_string)(state, &raw const event_input);
        assert_eq!(CStr::from_ptr(text), c"<event_to_string failed>");
        assert!(last_error(state).ends_with("please report it: event_to_string panics"));

        let instance = (TABLE.open)(state, c"good".as_ptr(), &raw mut rc);
        assert_eq!(rc, 0);
        let next = || {
            let (mut count, mut events) = (u32::MAX, ptr::null_mut());
            let rc = (TABLE.next_batch)(state, instance, &raw mut count, &raw mut events);
            assert_eq!(count, 0);
            rc
        };
        assert_eq!(next(), FAILURE);
        assert!(last_error(state).ends_with("please report it: next_batch panics"));
        assert_eq!(
            [next(), next()],
            [EOF, EOF],
            "the state of the instance is unknown after a panic"
        );

        let mut hundredths = u32::MAX;
        assert!(CStr::from_ptr((TABLE.get_progress)(state, instance, &raw mut hundredths)).is_empty());
        assert_eq!(hundredths, 0);
        (TABLE.close)(state, instance);
        (TABLE.destroy)(state);
    });
}
