//! The extraction of fields.

use std::ffi::{CStr, CString};
use std::net::IpAddr;
use std::ptr;

use falco_plugin_abi::api::types::ss_plugin_field_extract_input;
use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_api::{
    ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer, ss_plugin_extract_value_offsets,
};
use falco_plugin_host::abi::Type;

use super::call::{Event, FieldRequest};
use super::input::with_event;
use super::library::Library;
use super::memory::{c_string, read_all, read_string};
use super::owner;
use super::slot::Slot;
use super::tables::{Access, functions};

pub(super) fn extract(
    slot: &Slot,
    event: Option<&Event<'_>>,
    requests: Option<&[FieldRequest<'_>]>,
    with_offsets: bool,
    access: Access,
    without_input: bool,
) {
    let Some(extract) = slot.functions().extract_fields else {
        return;
    };
    let keys: Vec<_> = requests
        .into_iter()
        .flatten()
        .map(|request| request.key.map(c_string))
        .collect();
    let mut fields: Vec<_> = requests
        .into_iter()
        .flatten()
        .zip(&keys)
        .map(|(request, key)| field(slot.library, request, key))
        .collect();
    let mut offsets = ss_plugin_extract_value_offsets {
        start: ptr::dangling_mut(),
        length: ptr::dangling_mut(),
    };
    let input = ss_plugin_field_extract_input {
        owner: slot.owner_ptr(),
        get_owner_last_error: Some(owner::last_error),
        num_fields: fields.len() as u32,
        fields: if requests.is_some() {
            fields.as_mut_ptr()
        } else {
            ptr::null_mut()
        },
        // SAFETY: a struct of optional functions, for which all zeroes means that there are none.
        table_reader: unsafe { std::mem::zeroed() },
        table_reader_ext: functions(access).0.cast_mut(),
        value_offsets: if with_offsets {
            &raw mut offsets
        } else {
            ptr::null_mut()
        },
    };
    let length = with_event(slot, event, |event| {
        let input = if without_input { ptr::null() } else { &raw const input };
        // SAFETY: the state is NULL or one of init, event and input are NULL or valid during the call.
        let code = slot.in_call(|| unsafe { extract(slot.state, event, input) });
        assert!(matches!(code, SUCCESS | FAILURE), "extract_fields: {code}");
        assert!(code == SUCCESS || !slot.last_error().is_empty());
        // SAFETY: NULL, or an event that is valid and has a header.
        let event = unsafe { event.as_ref() }.filter(|event| !event.evt.is_null());
        // SAFETY: as above.
        event
            .filter(|_| code == SUCCESS)
            .map(|event| unsafe { event.evt.read_unaligned() }.len)
    });
    // The host reads no values of a failed call.
    let Some(length) = length else { return };
    for field in &fields {
        check_values(slot.library, field);
    }
    if let [field] = &fields[..]
        && with_offsets
        && field.res_len > 0
    {
        let count = field.res_len as usize;
        // SAFETY: there are as many offsets as values.
        let (starts, lengths) = unsafe {
            (
                std::slice::from_raw_parts(offsets.start, count),
                std::slice::from_raw_parts(offsets.length, count),
            )
        };
        let ends = starts.iter().zip(lengths).map(|(start, len)| start.checked_add(*len));
        assert!(ends.flatten().filter(|end| *end <= length).count() == count);
    }
}

fn field(library: &Library, request: &FieldRequest<'_>, key: &Option<CString>) -> ss_plugin_extract_field {
    let known = library.fields.len() as u32;
    let id = match request.id {
        u8::MAX => u32::MAX,
        id => u32::from(id) % (known + 1),
    };
    ss_plugin_extract_field {
        res: Pointer {
            u64_: ptr::dangling_mut(),
        },
        res_len: u64::MAX,
        field_id: id,
        field: ptr::null(),
        arg_key: key.as_deref().map_or(ptr::null(), CStr::as_ptr),
        arg_index: request.index,
        arg_present: request.present.into(),
        ftype: library.fields.get(id as usize).map_or(0, |(type_, _)| type_.code()),
        flist: request.list,
    }
}

fn check_values(library: &Library, field: &ss_plugin_extract_field) {
    let count = field.res_len as usize;
    if count == 0 {
        return;
    }
    let (type_, is_list) = library.fields[field.field_id as usize];
    assert!(is_list || count == 1);
    // SAFETY: the plugin reports that many values of the field's type there, valid until the next call.
    unsafe {
        match type_ {
            Type::String => {
                for &value in std::slice::from_raw_parts(field.res.str_, count) {
                    assert!(read_string(value).is_some());
                }
            }
            Type::Bool => {
                assert!(
                    std::slice::from_raw_parts(field.res.boolean, count)
                        .iter()
                        .all(|value| *value <= 1)
                );
            }
            Type::Uint64 | Type::Abstime | Type::Reltime => {
                read_all(std::slice::from_raw_parts(field.res.u64_, count));
            }
            Type::Ipaddr | Type::Ipnet => {
                for value in std::slice::from_raw_parts(field.res.buf, count) {
                    let bytes = std::slice::from_raw_parts(value.ptr.cast::<u8>(), value.len as usize);
                    let v4 = <[u8; 4]>::try_from(bytes).map(IpAddr::from);
                    v4.or_else(|_| <[u8; 16]>::try_from(bytes).map(IpAddr::from))
                        .expect("an address");
                }
            }
        }
    }
}
