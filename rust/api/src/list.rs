//! The list of the functions of the plugin API.

/// Passes a selection of the list to the macro `$generate`: `functions!(calls => generate)`.
///
/// A selection is `all` or `calls`; see [`select!`](crate::select) for the rows that `$generate` gets. It is expanded
/// where the names of [`types`](crate::types) and `core::ffi::c_char` are in scope.
///
/// The list has a block for the functions of every plugin, and one for each capability. In it the functions are
/// grouped by who implements them:
///
/// - `metadata`: the stub answers from the manifest, without Python (`rust/stub/metadata.rs`).
/// - `lifecycle`: the stub implements it by hand (`rust/stub/exports.rs`).
/// - `calls`: the stub passes the call on to the SDK through [`Table`](crate::Table). The block after `=>` is the
///   stub's answer if init failed before there was an SDK, or if the state is NULL.
/// - `newer`: as `metadata`, for a function that the header of the crate `falco_plugin_api` does not have yet.
/// - `unimplemented`: known to hosts, but not yet part of this SDK.
///
/// A row begins with `required` if every plugin must have the function, or every plugin with the capability.
#[macro_export]
macro_rules! functions {
    ($selection:ident => $generate:ident) => {
        $crate::select! { $selection => $generate
            every {
                metadata {
                    required "plugin_get_required_api_version" get_required_api_version() -> *const c_char;
                    required "plugin_get_version" get_version() -> *const c_char;
                    required "plugin_get_name" get_name() -> *const c_char;
                    required "plugin_get_description" get_description() -> *const c_char;
                    required "plugin_get_contact" get_contact() -> *const c_char;
                    optional "plugin_get_init_schema"
                        get_init_schema(schema_type: *mut ss_plugin_schema_type) -> *const c_char;
                }
                newer {
                    optional "plugin_get_required_event_schema_version"
                        get_required_event_schema_version(state: *mut ss_plugin_t) -> *const c_char;
                }
                lifecycle {
                    required "plugin_init"
                        init(input: *const ss_plugin_init_input, rc: *mut ss_plugin_rc) -> *mut ss_plugin_t;
                    required "plugin_destroy" destroy(state: *mut ss_plugin_t) -> ();
                    required "plugin_get_last_error" get_last_error(state: *mut ss_plugin_t) -> *const c_char;
                }
                calls {
                    optional "plugin_set_config"
                        set_config(state: *mut ss_plugin_t, input: *const ss_plugin_set_config_input) -> ss_plugin_rc
                        => { $crate::FAILURE };
                    optional "plugin_get_metrics"
                        get_metrics(state: *mut ss_plugin_t, num_metrics: *mut u32) -> *mut ss_plugin_metric
                        => { $crate::write(num_metrics, 0); core::ptr::null_mut() };
                }
            }
            Sourcing {
                metadata {
                    optional "plugin_get_id" get_id() -> u32;
                    optional "plugin_get_event_source" get_event_source() -> *const c_char;
                }
                calls {
                    required "plugin_open"
                        open(state: *mut ss_plugin_t, params: *const c_char, rc: *mut ss_plugin_rc)
                        -> *mut ss_instance_t
                        => { $crate::write(rc, $crate::FAILURE); core::ptr::null_mut() };
                    required "plugin_close"
                        close(state: *mut ss_plugin_t, instance: *mut ss_instance_t) -> ()
                        => {};
                    required "plugin_next_batch"
                        next_batch(
                            state: *mut ss_plugin_t,
                            instance: *mut ss_instance_t,
                            nevts: *mut u32,
                            evts: *mut *mut *mut ss_plugin_event,
                        ) -> ss_plugin_rc
                        => { $crate::write(nevts, 0); $crate::FAILURE };
                    optional "plugin_get_progress"
                        get_progress(
                            state: *mut ss_plugin_t,
                            instance: *mut ss_instance_t,
                            progress_pct: *mut u32,
                        ) -> *const c_char
                        => { $crate::write(progress_pct, 0); c"".as_ptr() };
                    optional "plugin_list_open_params"
                        list_open_params(state: *mut ss_plugin_t, rc: *mut ss_plugin_rc) -> *const c_char
                        => { $crate::write(rc, $crate::FAILURE); core::ptr::null() };
                    optional "plugin_event_to_string"
                        event_to_string(state: *mut ss_plugin_t, event: *const ss_plugin_event_input) -> *const c_char
                        => { core::ptr::null() };
                }
            }
            Extraction {
                metadata {
                    required "plugin_get_fields" get_fields() -> *const c_char;
                    optional "plugin_get_extract_event_sources" get_extract_event_sources() -> *const c_char;
                    optional "plugin_get_extract_event_types"
                        get_extract_event_types(numtypes: *mut u32, state: *mut ss_plugin_t) -> *mut u16;
                }
                calls {
                    required "plugin_extract_fields"
                        extract_fields(
                            state: *mut ss_plugin_t,
                            event: *const ss_plugin_event_input,
                            input: *const ss_plugin_field_extract_input,
                        ) -> ss_plugin_rc
                        => { $crate::FAILURE };
                }
            }
            Parsing {
                metadata {
                    optional "plugin_get_parse_event_sources" get_parse_event_sources() -> *const c_char;
                    optional "plugin_get_parse_event_types"
                        get_parse_event_types(numtypes: *mut u32, state: *mut ss_plugin_t) -> *mut u16;
                }
                calls {
                    required "plugin_parse_event"
                        parse_event(
                            state: *mut ss_plugin_t,
                            event: *const ss_plugin_event_input,
                            input: *const ss_plugin_event_parse_input,
                        ) -> ss_plugin_rc
                        => { $crate::FAILURE };
                }
            }
            AsyncEvents {
                metadata {
                    required "plugin_get_async_events" get_async_events() -> *const c_char;
                    optional "plugin_get_async_event_sources" get_async_event_sources() -> *const c_char;
                }
                calls {
                    required "plugin_set_async_event_handler"
                        set_async_event_handler(
                            state: *mut ss_plugin_t,
                            owner: *mut ss_plugin_owner_t,
                            handler: ss_plugin_async_event_handler_t,
                        ) -> ss_plugin_rc
                        => { if handler.is_none() { $crate::SUCCESS } else { $crate::FAILURE } };
                    optional "plugin_dump_state"
                        dump_state(
                            state: *mut ss_plugin_t,
                            owner: *mut ss_plugin_owner_t,
                            handler: ss_plugin_async_event_handler_t,
                        ) -> ss_plugin_rc
                        => { $crate::FAILURE };
                }
            }
            Listening {
                calls {
                    required "plugin_capture_open"
                        capture_open(state: *mut ss_plugin_t, input: *const ss_plugin_capture_listen_input)
                        -> ss_plugin_rc
                        => { $crate::FAILURE };
                    required "plugin_capture_close"
                        capture_close(state: *mut ss_plugin_t, input: *const ss_plugin_capture_listen_input)
                        -> ss_plugin_rc
                        => { $crate::SUCCESS };
                }
            }
        }
    };
}

/// Selects rows of the list for [`functions!`](crate::functions).
///
/// | selection | each row that `$generate` gets |
/// |---|---|
/// | `all` | `implemented every required "plugin_get_name" get_name() -> *const c_char;` |
/// | `calls` | `"plugin_close" close(state; instance: *mut ss_instance_t) -> () => {};` |
#[doc(hidden)]
#[macro_export]
macro_rules! select {
    (all => $generate:ident $($capability:ident {
        $(metadata { $(
            $metadata_need:ident $metadata_symbol:literal
                $metadata:ident($($metadata_param:ident: $metadata_type:ty),* $(,)?) -> $metadata_result:ty;
        )* })?
        $(newer { $(
            $newer_need:ident $newer_symbol:literal
                $newer:ident($($newer_param:ident: $newer_type:ty),* $(,)?) -> $newer_result:ty;
        )* })?
        $(lifecycle { $(
            $lifecycle_need:ident $lifecycle_symbol:literal
                $lifecycle:ident($($lifecycle_param:ident: $lifecycle_type:ty),* $(,)?) -> $lifecycle_result:ty;
        )* })?
        $(calls { $(
            $call_need:ident $call_symbol:literal
                $call:ident($($call_param:ident: $call_type:ty),* $(,)?) -> $call_result:ty => $answer:block;
        )* })?
        $(unimplemented { $(
            $other_need:ident $other_symbol:literal
                $other:ident($($other_param:ident: $other_type:ty),* $(,)?) -> $other_result:ty;
        )* })?
    })*) => {
        $generate! { $(
            $($(
                implemented $capability $metadata_need $metadata_symbol
                    $metadata($($metadata_param: $metadata_type),*) -> $metadata_result;
            )*)?
            $($(
                newer $capability $newer_need $newer_symbol
                    $newer($($newer_param: $newer_type),*) -> $newer_result;
            )*)?
            $($(
                implemented $capability $lifecycle_need $lifecycle_symbol
                    $lifecycle($($lifecycle_param: $lifecycle_type),*) -> $lifecycle_result;
            )*)?
            $($(
                implemented $capability $call_need $call_symbol $call($($call_param: $call_type),*) -> $call_result;
            )*)?
            $($(
                unimplemented $capability $other_need $other_symbol
                    $other($($other_param: $other_type),*) -> $other_result;
            )*)?
        )* }
    };
    (calls => $generate:ident $($capability:ident {
        $(metadata { $($metadata:tt)* })?
        $(newer { $($newer:tt)* })?
        $(lifecycle { $($lifecycle:tt)* })?
        $(calls { $(
            $need:ident $symbol:literal
                $call:ident($state:ident: *mut ss_plugin_t $(, $param:ident: $type:ty)* $(,)?) -> $result:ty
                => $answer:block;
        )* })?
        $(unimplemented { $($unimplemented:tt)* })?
    })*) => {
        $generate! { $($($(
            $symbol $call($state; $($param: $type),*) -> $result => $answer;
        )*)?)* }
    };
}
