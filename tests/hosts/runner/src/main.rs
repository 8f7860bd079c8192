//! `runner LIB [--with LIB] [--config TEXT] [--fields FIELDS] [--limit N]`
//!
//! Loads plugin libraries the way a host does, hands them to `falco_plugin_runner`, and prints one
//! JSON object a line: every event with the fields that were asked for, then how the capture ended.
//! The open parameters are always NULL, as that runner has no way to give any.

use falco_plugin_api::{plugin_api, ss_plugin_event};
use falco_plugin_runner::{CapturingPluginRunner, Event, ExtractedField, PluginRunner, ScapStatus};
use serde_json::{Value, json};
use std::ffi::{CStr, CString, c_void};
use std::io::Write;
use std::mem::size_of;
use std::process::ExitCode;
use std::time::{Duration, Instant, UNIX_EPOCH};

const QUIET_FOR: Duration = Duration::from_secs(5);
const PLUGIN_EVENT: u16 = 322;
/// Where the payload of a plugin event starts: header, two 4-byte lengths, the plugin id.
const PAYLOAD_AT: usize = size_of::<ss_plugin_event>() + 4 + 4 + 4;

type Failure = String;

struct Options {
    library: CString,
    others: Vec<CString>,
    config: CString,
    fields: Vec<String>,
    limit: Option<u64>,
}

fn options() -> Result<Options, Failure> {
    const USAGE: &str = "usage: runner LIB [--with LIB] [--config TEXT] [--fields FIELDS] [--limit N]";
    let text =
        |value: Option<String>| CString::new(value.ok_or(USAGE)?).map_err(|_| "an argument contains a NUL".to_string());
    let mut library = None;
    let mut others = Vec::new();
    let mut config = CString::default();
    let mut fields = Vec::new();
    let mut limit = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--config" => config = text(args.next())?,
            "--with" => others.push(text(args.next())?),
            "--fields" => fields = split(&args.next().ok_or(USAGE)?),
            "--limit" => {
                let value = args.next().ok_or(USAGE)?;
                limit = Some(value.parse().map_err(|_| format!("not a number: {value}"))?);
            }
            _ if library.is_none() && !arg.starts_with("--") => library = Some(text(Some(arg))?),
            _ => return Err(USAGE.into()),
        }
    }
    Ok(Options {
        library: library.ok_or(USAGE)?,
        others,
        config,
        fields,
        limit,
    })
}

/// Fields that are joined by commas; one between brackets belongs to an argument.
fn split(fields: &str) -> Vec<String> {
    let mut inside = false;
    fields
        .split(|char| {
            match char {
                '[' => inside = true,
                ']' => inside = false,
                _ => {}
            }
            char == ',' && !inside
        })
        .map(str::to_owned)
        .collect()
}

/// Opens the library and fills a table with every `plugin_*` symbol it has. Both stay for ever.
fn load(path: &CStr) -> Result<&'static plugin_api, Failure> {
    let handle = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_LOCAL | libc::RTLD_NOW) };
    if handle.is_null() {
        let why = unsafe { libc::dlerror() };
        if why.is_null() {
            return Err("dlopen failed".into());
        }
        return Err(unsafe { CStr::from_ptr(why) }.to_string_lossy().into_owned());
    }
    // Every member is an optional function pointer, for which all zeroes is "none".
    let api: &'static mut plugin_api = Box::leak(Box::new(unsafe { std::mem::zeroed() }));

    macro_rules! resolve {
        ($table:expr => $($name:ident)*) => { $({
            let slot = &raw mut $table.$name;
            assert_eq!(size_of_val(&$table.$name), size_of::<*mut c_void>());
            let symbol = concat!("plugin_", stringify!($name), "\0");
            unsafe { slot.cast::<*mut c_void>().write(libc::dlsym(handle, symbol.as_ptr().cast())) };
        })* };
    }
    resolve!(api => get_required_api_version get_init_schema init destroy get_last_error get_name
        get_description get_contact get_version set_config get_metrics);
    resolve!(api.__bindgen_anon_1 => get_id get_event_source open close list_open_params
        get_progress event_to_string next_batch);
    resolve!(api.__bindgen_anon_2 => get_extract_event_types get_extract_event_sources get_fields
        extract_fields);
    resolve!(api.__bindgen_anon_3 => get_parse_event_types get_parse_event_sources parse_event);
    resolve!(api.__bindgen_anon_4 => get_async_event_sources get_async_events
        set_async_event_handler dump_state);
    resolve!(api.__bindgen_anon_5 => capture_open capture_close);
    Ok(api)
}

/// A plugin with a JSON schema gets `{}` where no configuration is given, as from the real host.
fn effective_config(api: &plugin_api, config: CString) -> CString {
    let Some(get_init_schema) = api.get_init_schema else {
        return config;
    };
    let mut kind = falco_plugin_api::ss_plugin_schema_type_SS_PLUGIN_SCHEMA_NONE;
    unsafe { get_init_schema(&mut kind) };
    let json = kind == falco_plugin_api::ss_plugin_schema_type_SS_PLUGIN_SCHEMA_JSON;
    if json && config.is_empty() {
        c"{}".into()
    } else {
        config
    }
}

fn base64(data: &[u8]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let mut out = String::with_capacity(data.len().div_ceil(3) * 4);
    for group in data.chunks(3) {
        let byte = |at: usize| u32::from(group.get(at).copied().unwrap_or(0));
        let bits = byte(0) << 16 | byte(1) << 8 | byte(2);
        for at in 0..4 {
            if at <= group.len() {
                out.push(LETTERS[(bits >> (18 - 6 * at) & 63) as usize].into());
            } else {
                out.push('=');
            }
        }
    }
    out
}

/// The payload and the timestamp of a plugin event, after a check of its layout.
fn read_event(event: &Event) -> Result<(&[u8], u64), Failure> {
    if event.buf.is_null() {
        return Err("a NULL event".into());
    }
    let header = unsafe { event.buf.read_unaligned() };
    let (ts, len, kind, params) = (header.ts, header.len as usize, header.type_, header.nparams);
    if kind != PLUGIN_EVENT || params != 2 || len < PAYLOAD_AT {
        return Err(format!("a bad event: type {kind}, {params} parameters, length {len}"));
    }
    let whole = unsafe { std::slice::from_raw_parts(event.buf.cast::<u8>(), len) };
    let word = |at: usize| u32::from_ne_bytes(whole[at..at + 4].try_into().unwrap()) as usize;
    let lengths = size_of::<ss_plugin_event>();
    let (id_len, data_len) = (word(lengths), word(lengths + 4));
    if id_len != 4 || data_len != len - PAYLOAD_AT {
        return Err(format!(
            "a bad event: parameters of {id_len} and {data_len} bytes in {len}"
        ));
    }
    Ok((&whole[PAYLOAD_AT..], ts))
}

fn print(line: &Value) -> Result<(), Failure> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{line}")
        .and_then(|()| out.flush())
        .map_err(|e| e.to_string())
}

/// The values of a field. The runner makes one value of a list of one, so that all are lists here.
fn values(field: &ExtractedField) -> Value {
    match field {
        ExtractedField::None => Value::Null,
        ExtractedField::Vec(list) => list.iter().map(value).collect(),
        one => json!([value(one)]),
    }
}

fn value(field: &ExtractedField) -> Value {
    let nanos = |duration: Duration| u64::try_from(duration.as_nanos()).unwrap_or_default();
    match field {
        ExtractedField::U64(number) => json!(number),
        ExtractedField::Bool(value) => json!(value),
        ExtractedField::RelTime(duration) => json!(nanos(*duration)),
        ExtractedField::AbsTime(time) => json!(nanos(time.duration_since(UNIX_EPOCH).unwrap_or_default())),
        ExtractedField::String(text) => json!(text.to_string_lossy()),
        ExtractedField::IpAddr(address) => json!(address),
        ExtractedField::IpNet(network) => json!(network.0),
        ExtractedField::None | ExtractedField::Vec(_) => Value::Null,
    }
}

/// One field: its values, and where in the event the first of them stands; or the result code of a failure.
fn extract(capture: &mut CapturingPluginRunner, event: &Event, field: &str) -> Result<Value, Failure> {
    let unknown = || format!("no plugin has the field {field} for this event");
    // Without value offsets, as from an older host, and with them.
    let plain = capture.extract_field(event, field).ok_or_else(unknown)?;
    let placed = capture.extract_field_with_range(event, field).ok_or_else(unknown)?;
    match (plain, placed) {
        (Ok(plain), Ok((placed, place))) if plain == placed => {
            let place = (place.start <= place.end).then_some([place.start, place.len()]);
            Ok(json!({ "field": field, "values": values(&plain), "place": place }))
        }
        (Err(plain), Err(placed)) if plain == placed => Ok(json!({ "field": field, "rc": plain })),
        (plain, placed) => Err(format!("{field} is {plain:?} at first and then {placed:?}")),
    }
}

fn describe(capture: &mut CapturingPluginRunner, event: &Event, fields: &[String]) -> Result<Value, Failure> {
    let text = match capture.extract_field(event, "evt.plugininfo") {
        Some(Ok(ExtractedField::String(text))) => Some(text.to_string_lossy().into_owned()),
        _ => None,
    };
    let fields = fields
        .iter()
        .map(|field| extract(capture, event, field))
        .collect::<Result<Vec<_>, _>>()?;
    let (data, timestamp) = read_event(event)?;
    Ok(json!({
        "number": event.evt_num,
        "timestamp": timestamp,
        "data_base64": base64(data),
        "text": text,
        "fields": fields,
    }))
}

/// Prints events until the capture ends by itself, by the limit, or by silence.
fn capture(
    capture: &mut CapturingPluginRunner,
    fields: &[String],
    limit: Option<u64>,
) -> Result<&'static str, Failure> {
    let mut seen = 0;
    let mut last_event = Instant::now();
    while limit.is_none_or(|limit| seen < limit) {
        match capture.next_event() {
            Ok(event) => {
                print(&describe(capture, &event, fields)?)?;
                seen += 1;
                last_event = Instant::now();
            }
            Err(error) => match error.downcast_ref::<ScapStatus>() {
                Some(ScapStatus::Eof) => return Ok("eof"),
                Some(ScapStatus::Timeout) if last_event.elapsed() < QUIET_FOR => {
                    std::thread::sleep(Duration::from_millis(1));
                }
                Some(ScapStatus::Timeout) => return Ok("timeout"),
                _ => return Err(format!("{error:#}")),
            },
        }
    }
    Ok("limit")
}

fn run() -> Result<(), Failure> {
    let options = options()?;
    let mut runner = PluginRunner::new();
    let mut register = |library: &CStr, config: CString| {
        let api = load(library)?;
        let config = effective_config(api, config);
        runner.register_plugin(api, &config).map_err(|e| format!("{e:#}"))
    };
    register(&options.library, options.config)?;
    for other in &options.others {
        register(other, CString::default())?;
    }
    let mut running = runner.start_capture().map_err(|e| format!("{e:#}"))?;
    let ended = capture(&mut running, &options.fields, options.limit);
    let stopped = running.stop_capture().map_err(|e| format!("{e:#}"));
    let ended = ended.and_then(|end| stopped.map(|_runner| end));
    match ended {
        Ok(end) => print(&json!({ "end": end })),
        Err(why) => {
            print(&json!({ "end": format!("failure: {why}") }))?;
            Err(why)
        }
    }
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("runner: {}", why.replace(['\n', '\r'], " "));
            ExitCode::FAILURE
        }
    }
}
