//! The parsing of events.

use std::ptr;

use falco_plugin_abi::api::types::ss_plugin_event_parse_input;
use falco_plugin_abi::api::{FAILURE, SUCCESS};

use super::call::Event;
use super::input::with_event;
use super::owner;
use super::slot::Slot;
use super::tables::{Access, functions};

pub(super) fn parse(slot: &Slot, event: Option<&Event<'_>>, access: Access, without_input: bool) {
    let Some(parse) = slot.functions().parse_event else {
        return;
    };
    let (reader, writer) = functions(access);
    let input = ss_plugin_event_parse_input {
        owner: slot.owner_ptr(),
        get_owner_last_error: Some(owner::last_error),
        // SAFETY: structs of optional functions, for which all zeroes means that there are none.
        table_reader: unsafe { std::mem::zeroed() },
        // SAFETY: as above.
        table_writer: unsafe { std::mem::zeroed() },
        table_reader_ext: reader.cast_mut(),
        table_writer_ext: writer.cast_mut(),
    };
    with_event(slot, event, |event| {
        let input = if without_input { ptr::null() } else { &raw const input };
        // SAFETY: the state is NULL or one of init, event and input are NULL or valid during the call.
        let code = slot.in_call(|| unsafe { parse(slot.state, event, input) });
        assert!(matches!(code, SUCCESS | FAILURE), "parse_event: {code}");
        assert!(code == SUCCESS || !slot.last_error().is_empty());
        assert!(code == FAILURE || !slot.state.is_null());
    });
}
