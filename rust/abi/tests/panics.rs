//! A plugin whose functions panic, through the table of functions: the host hears of it, and lives.

use std::ffi::{CStr, c_char, c_void};
use std::ptr;

use falco_plugin_abi::functions::{TABLE, init};
use falco_plugin_abi::table::StartRequest;
use falco_plugin_api::{ss_plugin_event_input, ss_plugin_init_input};
use falco_plugin_engine::event::EventBatch;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::Event;
use falco_plugin_engine::extract::{Argument, Cache, Field, Values};
use falco_plugin_engine::plugin::{Instance, OpenParam, Plugin};

const FAILURE: i32 = 1;
const EOF: i32 = 2;

struct Panics;

impl Plugin for Panics {
    fn open(&self, params: &str) -> Result<Box<dyn Instance>, Error> {
        assert_eq!(params, "good", "open panics");
        Ok(Box::new(Self))
    }

    fn event_to_string<'c>(&self, _: &'c mut Cache, _: &Event<'_>) -> &'c str {
        panic!("event_to_string panics")
    }

    fn fields(&self) -> &[Field] {
        &[]
    }

    fn extract<'c>(&self, _: &'c mut Cache, _: &Event<'_>, _: usize, _: &Argument<'_>) -> &'c Values {
        unreachable!()
    }

    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error> {
        panic!("list_open_params panics")
    }

    fn destroy(&self) {
        panic!("destroy panics")
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

#[test]
fn a_panic_is_an_error_and_the_end_of_its_source() {
    let input = ss_plugin_init_input {
        config: ptr::null(),
        owner: ptr::null_mut(),
        get_owner_last_error: None,
        tables: ptr::null(),
        log_fn: None,
    };
    extern "C" fn check_code(_: *const c_char, _: *mut c_char, _: usize) -> bool {
        true
    }
    let request = StartRequest {
        library: c"".as_ptr(),
        core: c"".as_ptr(),
        python: c"".as_ptr(),
        folders: c"".as_ptr(),
        manifest: ptr::NonNull::dangling().as_ptr(),
        manifest_len: 0,
        archive: ptr::NonNull::dangling().as_ptr(),
        archive_len: 0,
        input: (&raw const input).cast(),
        check_code,
    };
    let mut rc = i32::MAX;
    // SAFETY: request and input outlive the state, which is used as a host does, on this thread alone, and destroyed last.
    unsafe {
        let state = init(&request, |_, _, _| Ok(Box::new(Panics))).state;
        let last_error = || {
            CStr::from_ptr((TABLE.get_last_error)(state))
                .to_str()
                .unwrap()
                .to_owned()
        };

        assert!((TABLE.open)(state, c"bad".as_ptr(), &raw mut rc).is_null());
        assert_eq!(rc, FAILURE);
        assert!(last_error().contains("open panics"));

        assert!((TABLE.list_open_params)(state, &raw mut rc).is_null());
        assert_eq!(rc, FAILURE);
        assert!(last_error().ends_with("please report it: list_open_params panics"));

        let event = falco_plugin_engine::event::encode_header(0, 0);
        let event_input = ss_plugin_event_input {
            evt: event.as_ptr().cast(),
            evtnum: 1,
            evtsrc: ptr::null(),
        };
        let text = (TABLE.event_to_string)(state, (&raw const event_input).cast());
        assert_eq!(CStr::from_ptr(text), c"<event_to_string failed>");
        assert!(last_error().ends_with("please report it: event_to_string panics"));

        let instance = (TABLE.open)(state, c"good".as_ptr(), &raw mut rc);
        assert_eq!(rc, 0);
        let next = || {
            let (mut count, mut events) = (u32::MAX, ptr::null_mut::<*mut c_void>());
            let rc = (TABLE.next_batch)(state, instance, &raw mut count, &raw mut events);
            assert_eq!(count, 0);
            rc
        };
        assert_eq!(next(), FAILURE);
        assert!(last_error().ends_with("please report it: next_batch panics"));
        assert_eq!(
            [next(), next()],
            [EOF, EOF],
            "nobody knows what the panic has left behind"
        );

        let mut hundredths = u32::MAX;
        assert!(CStr::from_ptr((TABLE.get_progress)(state, instance, &raw mut hundredths)).is_empty());
        assert_eq!(hundredths, 0);
        (TABLE.close)(state, instance);
        (TABLE.destroy)(state);
    }
}
