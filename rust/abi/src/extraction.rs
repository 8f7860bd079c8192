//! A request of the host for fields, and the memory in which the host reads their values.

use std::ffi::{CStr, c_char};
use std::ptr;
use std::str::Utf8Error;

use falco_plugin_api::{
    ss_plugin_byte_buffer, ss_plugin_extract_field, ss_plugin_extract_field__bindgen_ty_1 as Pointer,
    ss_plugin_extract_value_offsets, ss_plugin_field_extract_input,
};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{Event, HEADER_LEN};
use falco_plugin_engine::extract::{Argument, ArgumentMode, Cache, Field, Location, Value, Values, parse_index};
use falco_plugin_engine::plugin::Extract;

/// The fields of one call.
pub(crate) struct ExtractRequest<'a> {
    fields: &'a mut [ss_plugin_extract_field],
    /// Present if the host also requests the positions of the values in the event.
    offsets: Option<&'a mut ss_plugin_extract_value_offsets>,
}

impl<'a> ExtractRequest<'a> {
    /// # Safety
    /// All of the input is valid during `'a`, and nothing else uses it. It has all members of plugin API 3.11, the version
    /// that a library with fields requires.
    pub(crate) unsafe fn new(input: &'a ss_plugin_field_extract_input) -> Self {
        let count = input.num_fields as usize;
        // SAFETY: the caller's promise. There is one struct of offsets if one field is requested. Falco and its header
        // disagree on how many there are for several fields, so then none is touched.
        unsafe {
            Self {
                fields: if input.fields.is_null() {
                    &mut []
                } else {
                    std::slice::from_raw_parts_mut(input.fields, count)
                },
                offsets: if count == 1 { input.value_offsets.as_mut() } else { None },
            }
        }
    }

    /// Sets all fields to absent.
    pub(crate) fn set_absent(&mut self) {
        for field in &mut *self.fields {
            field.res = Pointer { u64_: ptr::null_mut() };
            field.res_len = 0;
        }
    }
}

/// The memory of one thread of the host: the cache of its last event, and the values of its last call as the host reads
/// them. They stay valid until the same thread's next call, whatever other threads do.
#[derive(Default)]
pub(crate) struct Extraction {
    pub(crate) cache: Cache,
    arrays: Arrays,
}

/// The values of one call, by their type. The bytes of strings and addresses are in the cache.
#[derive(Default)]
struct Arrays {
    /// For each field, the number of its values and the array that they are in.
    found: Vec<(usize, Array)>,
    numbers: Vec<u64>,
    bools: Vec<u32>,
    strings: Vec<*const c_char>,
    buffers: Vec<ss_plugin_byte_buffer>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Array {
    Numbers,
    Bools,
    Strings,
    Buffers,
}

// SAFETY: only the host follows the pointers, on the thread that made the call.
unsafe impl Send for Arrays {}

/// The number of values that an array keeps memory for between calls.
const KEPT_VALUES: usize = 1024;

impl Extraction {
    /// Extracts the requested fields, keeps the values here, and writes their addresses into the request.
    pub(crate) fn fill(
        &mut self,
        plugin: &dyn Extract,
        event: &Event<'_>,
        request: &mut ExtractRequest<'_>,
    ) -> Result<(), Error> {
        self.arrays.clear();
        let with_offsets = request.offsets.is_some();
        for field in &*request.fields {
            // SAFETY: the host's field, valid during the call.
            let values = unsafe { extract(plugin, &mut self.cache, event, field)? };
            self.arrays.add(values, with_offsets);
        }
        self.arrays.publish(request);
        Ok(())
    }
}

/// Returns the values of a field; `None` if its argument is not UTF-8.
///
/// # Safety
/// The field's argument is valid during the call.
unsafe fn extract<'c>(
    plugin: &dyn Extract,
    cache: &'c mut Cache,
    event: &Event<'_>,
    requested: &ss_plugin_extract_field,
) -> Result<Option<&'c Values>, Error> {
    let id = requested.field_id as usize;
    let field = plugin
        .fields()
        .get(id)
        .ok_or_else(|| Error::text(format!("there is no field with id {id}")))?;
    // SAFETY: the caller's promise. Rules are UTF-8, so a field has no value for a key that is not.
    let Ok(key) = (unsafe { key(field, requested) }) else {
        return Ok(None);
    };
    let argument = Argument {
        index: index(field, requested, key),
        key,
    };
    Ok(Some(plugin.extract(cache, event, id, &argument)))
}

/// Returns the argument of a field as a key, if the field takes a key and the host passes one.
///
/// # Safety
/// The field's argument is NULL or a NUL-terminated string during `'a`.
unsafe fn key<'a>(field: &Field, requested: &'a ss_plugin_extract_field) -> Result<Option<&'a str>, Utf8Error> {
    if field.key == ArgumentMode::None || requested.arg_present == 0 || requested.arg_key.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so a string by the caller's promise.
    unsafe { CStr::from_ptr(requested.arg_key) }.to_str().map(Some)
}

/// Returns the argument of a field as an index. If the field takes both, the index comes from a key that is a number:
/// hosts differ in what `arg_index` contains if the argument is not a number.
fn index(field: &Field, requested: &ss_plugin_extract_field, key: Option<&str>) -> Option<u64> {
    match (field.index, key) {
        (ArgumentMode::None, _) => None,
        (_, Some(key)) => parse_index(key),
        (_, None) => (requested.arg_present != 0).then_some(requested.arg_index),
    }
}

impl Arrays {
    #[inline]
    fn clear(&mut self) {
        clear_and_trim(&mut self.found);
        clear_and_trim(&mut self.numbers);
        clear_and_trim(&mut self.bools);
        clear_and_trim(&mut self.strings);
        clear_and_trim(&mut self.buffers);
        clear_and_trim(&mut self.starts);
        clear_and_trim(&mut self.lengths);
    }

    /// Adds the values of the next field. Their bytes are not copied; they stay valid until the thread's next event.
    #[inline]
    fn add(&mut self, values: Option<&Values>, with_offsets: bool) {
        let mut array = Array::Numbers;
        let values = values.map_or((&[][..], &[][..], &[][..]), |values| {
            (values.as_slice(), values.bytes(), values.locations())
        });
        let (values, bytes, locations) = values;
        let bytes = bytes.as_ptr();
        for value in values {
            match *value {
                Value::Number(number) => self.numbers.push(number),
                Value::Bool(value) => {
                    array = Array::Bools;
                    self.bools.push(value.into());
                }
                Value::Text { start } => {
                    array = Array::Strings;
                    self.strings.push(bytes.wrapping_add(start).cast());
                }
                Value::Address { start, len, .. } => {
                    array = Array::Buffers;
                    self.buffers.push(ss_plugin_byte_buffer {
                        len,
                        ptr: bytes.wrapping_add(start).cast(),
                    });
                }
            }
        }
        self.found.push((values.len(), array));
        if with_offsets {
            for &location in locations {
                self.starts.push(if location == Location::default() {
                    0
                } else {
                    location.start.saturating_add(HEADER_LEN as u32)
                });
                self.lengths.push(location.length);
            }
        }
    }

    /// Writes the addresses of the values into the request. Nothing is added afterwards, so pointers into the arrays stay
    /// valid until the arrays are cleared.
    #[inline]
    fn publish(&mut self, request: &mut ExtractRequest<'_>) {
        // The values of a field have one type. In its array they follow those of the preceding fields.
        let mut numbers = self.numbers.as_mut_ptr();
        let mut bools = self.bools.as_mut_ptr();
        let mut strings = self.strings.as_mut_ptr();
        let mut buffers = self.buffers.as_mut_ptr();
        for (field, &(count, array)) in request.fields.iter_mut().zip(&self.found) {
            if count == 0 {
                continue;
            }
            field.res_len = count as u64;
            field.res = match array {
                Array::Numbers => Pointer {
                    u64_: next_of(&mut numbers, count),
                },
                Array::Bools => Pointer {
                    boolean: next_of(&mut bools, count),
                },
                Array::Strings => Pointer {
                    str_: next_of(&mut strings, count),
                },
                Array::Buffers => Pointer {
                    buf: next_of(&mut buffers, count),
                },
            };
        }
        if let Some(offsets) = request.offsets.as_mut().filter(|_| !self.starts.is_empty()) {
            offsets.start = self.starts.as_mut_ptr();
            offsets.length = self.lengths.as_mut_ptr();
        }
    }
}

/// Removes all values, and frees memory beyond that of [`KEPT_VALUES`].
#[inline]
fn clear_and_trim<T: Copy>(memory: &mut Vec<T>) {
    memory.clear();
    if memory.capacity() > KEPT_VALUES {
        memory.shrink_to(KEPT_VALUES);
    }
}

/// Returns the address of the next `count` values of an array, and moves past them.
fn next_of<T>(next: &mut *mut T, count: usize) -> *mut T {
    let first = *next;
    *next = next.wrapping_add(count);
    first
}
