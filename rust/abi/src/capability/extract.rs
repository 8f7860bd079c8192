//! What the host asks of fields, and the memory in which it reads their values.

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
use falco_plugin_engine::plugin::Plugin;

/// The fields of one call.
pub(crate) struct Asked<'a> {
    fields: &'a mut [ss_plugin_extract_field],
    /// Where the host wants to know the places of the values too.
    places: Option<&'a mut ss_plugin_extract_value_offsets>,
}

impl<'a> Asked<'a> {
    /// # Safety
    /// All of the input is valid during `'a`, and nobody else uses it. It has all members that plugin API 3.11 knows,
    /// which a library with fields requires.
    pub(crate) unsafe fn new(input: &'a ss_plugin_field_extract_input) -> Self {
        let count = input.num_fields as usize;
        // SAFETY: the caller's promise. One struct of places is there where there is one field; of several, header and
        // host disagree on how many there are, and none is touched.
        unsafe {
            Self {
                fields: if input.fields.is_null() {
                    &mut []
                } else {
                    std::slice::from_raw_parts_mut(input.fields, count)
                },
                places: if count == 1 { input.value_offsets.as_mut() } else { None },
            }
        }
    }

    pub(crate) fn set_absent(&mut self) {
        for field in &mut *self.fields {
            field.res = Pointer { u64_: ptr::null_mut() };
            field.res_len = 0;
        }
    }
}

/// What one thread of the host asks with: what it knows of the last event, and the values of its last call, as the host
/// reads them. They are good until the same thread asks again, whatever other threads do.
#[derive(Default)]
pub(crate) struct Extraction {
    pub(crate) cache: Cache,
    arrays: Arrays,
}

/// The values of one call, by their type. Texts and addresses stand in the cache.
#[derive(Default)]
struct Arrays {
    /// Of each field, how many values it has, and in which array.
    found: Vec<(usize, Array)>,
    numbers: Vec<u64>,
    bools: Vec<u32>,
    texts: Vec<*const c_char>,
    buffers: Vec<ss_plugin_byte_buffer>,
    starts: Vec<u32>,
    lengths: Vec<u32>,
}

#[derive(Clone, Copy)]
enum Array {
    Numbers,
    Bools,
    Texts,
    Buffers,
}

// SAFETY: the pointers are only the host's to follow, on the thread that asked.
unsafe impl Send for Arrays {}

/// Values whose memory is kept for the next call; more is given back.
const KEPT_VALUES: usize = 1024;

impl Extraction {
    /// Extracts what is asked, and leaves the values here.
    pub(crate) fn fill(&mut self, plugin: &dyn Plugin, event: &Event<'_>, asked: &mut Asked<'_>) -> Result<(), Error> {
        self.arrays.clear();
        let with_places = asked.places.is_some();
        for field in &*asked.fields {
            // SAFETY: the host's field, valid during the call.
            let values = unsafe { extract(plugin, &mut self.cache, event, field)? };
            self.arrays.add(values, with_places);
        }
        self.arrays.hand_over(asked);
        Ok(())
    }
}

/// The values of a field; `None` where the argument is none.
///
/// # Safety
/// The field's argument is valid during the call.
unsafe fn extract<'c>(
    plugin: &dyn Plugin,
    cache: &'c mut Cache,
    event: &Event<'_>,
    asked: &ss_plugin_extract_field,
) -> Result<Option<&'c Values>, Error> {
    let id = asked.field_id as usize;
    let field = plugin
        .fields()
        .get(id)
        .ok_or_else(|| Error::text(format!("there is no field with id {id}")))?;
    // SAFETY: the caller's promise. Rules are UTF-8; for a key that is not the field has no value.
    let Ok(key) = (unsafe { key(field, asked) }) else {
        return Ok(None);
    };
    let argument = Argument {
        index: index(field, asked, key),
        key,
    };
    Ok(Some(plugin.extract(cache, event, id, &argument)))
}

/// # Safety
/// The field's argument is NULL or a NUL-terminated string during `'a`.
unsafe fn key<'a>(field: &Field, asked: &'a ss_plugin_extract_field) -> Result<Option<&'a str>, Utf8Error> {
    if field.key == ArgumentMode::None || asked.arg_present == 0 || asked.arg_key.is_null() {
        return Ok(None);
    }
    // SAFETY: not NULL, so a string by the caller's promise.
    unsafe { CStr::from_ptr(asked.arg_key) }.to_str().map(Some)
}

/// Of a field that takes both, the index is the key where that is a number: hosts differ in what they leave in
/// `arg_index` where it is none.
fn index(field: &Field, asked: &ss_plugin_extract_field, key: Option<&str>) -> Option<u64> {
    match (field.index, key) {
        (ArgumentMode::None, _) => None,
        (_, Some(key)) => parse_index(key),
        (_, None) => (asked.arg_present != 0).then_some(asked.arg_index),
    }
}

impl Arrays {
    #[inline]
    fn clear(&mut self) {
        empty(&mut self.found);
        empty(&mut self.numbers);
        empty(&mut self.bools);
        empty(&mut self.texts);
        empty(&mut self.buffers);
        empty(&mut self.starts);
        empty(&mut self.lengths);
    }

    /// Adds the values of the next field. Their bytes stay where they are until the thread's next event.
    #[inline]
    fn add(&mut self, values: Option<&Values>, with_places: bool) {
        let mut array = Array::Numbers;
        let values = values.map_or((&[][..], &[][..], &[][..]), |values| {
            (values.as_slice(), values.bytes(), values.locations())
        });
        let (values, bytes, places) = values;
        let bytes = bytes.as_ptr();
        for value in values {
            match *value {
                Value::Number(number) => self.numbers.push(number),
                Value::Bool(value) => {
                    array = Array::Bools;
                    self.bools.push(value.into());
                }
                Value::Text { start } => {
                    array = Array::Texts;
                    self.texts.push(bytes.wrapping_add(start).cast());
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
        if with_places {
            for &place in places {
                self.starts.push(if place == Location::default() {
                    0
                } else {
                    place.start.saturating_add(HEADER_LEN as u32)
                });
                self.lengths.push(place.length);
            }
        }
    }

    /// Tells the host where the values are. Nothing is added afterwards, so that pointers into the arrays stay good until
    /// they are cleared.
    #[inline]
    fn hand_over(&mut self, asked: &mut Asked<'_>) {
        // A field's values are all of one type, and stand in its array behind those of the fields before it.
        let mut numbers = self.numbers.as_mut_ptr();
        let mut bools = self.bools.as_mut_ptr();
        let mut texts = self.texts.as_mut_ptr();
        let mut buffers = self.buffers.as_mut_ptr();
        for (field, &(count, array)) in asked.fields.iter_mut().zip(&self.found) {
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
                Array::Texts => Pointer {
                    str_: next_of(&mut texts, count),
                },
                Array::Buffers => Pointer {
                    buf: next_of(&mut buffers, count),
                },
            };
        }
        if let Some(places) = asked.places.as_mut().filter(|_| !self.starts.is_empty()) {
            places.start = self.starts.as_mut_ptr();
            places.length = self.lengths.as_mut_ptr();
        }
    }
}

#[inline]
fn empty<T: Copy>(memory: &mut Vec<T>) {
    memory.clear();
    if memory.capacity() > KEPT_VALUES {
        memory.shrink_to(KEPT_VALUES);
    }
}

/// Where the next `count` of an array begin.
fn next_of<T>(next: &mut *mut T, count: usize) -> *mut T {
    let place = *next;
    *next = next.wrapping_add(count);
    place
}
