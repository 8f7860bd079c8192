//! `plugin_init`, as the stub calls it.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use falco_plugin_api_table::{FAILURE, SUCCESS, StartReply, StartRequest, Table, functions};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::Plugin;
use falco_plugin_engine::table::HostTables;

use crate::capability::{self, CurrentSink};
use crate::fork;
use crate::guard::guard;
use crate::lifecycle::{destroy, get_last_error};
use crate::log::Log;
use crate::owner::LastError;
use crate::per_thread::PerThread;
use crate::request::Request;
use crate::routines::Routines;
use crate::state::PluginState;
use crate::strings::{Errors, Strings, from_host};
use crate::table;
use crate::trace;

macro_rules! declare_table {
    ($($symbol:literal $name:ident($state:ident; $($param:ident: $type:ty),*) -> $result:ty => $answer:block;)*) => {
        /// The functions of the plugin API, as the stub calls them.
        pub static TABLE: Table = Table {
            destroy,
            get_last_error,
            $($name: capability::$name,)*
        };
    };
}

functions!(calls => declare_table);

/// Exports the function that the stub calls, [`START_SYMBOL`](crate::api::START_SYMBOL). `$make` makes the plugin: a
/// function `fn(&Request, &str, Log, Arc<dyn HostTables>) -> Result<Box<dyn Plugin>, Error>`.
#[macro_export]
macro_rules! export_start {
    ($make:path) => {
        /// # Safety
        /// Only the stub calls this. Request and reply are valid during the call.
        #[unsafe(export_name = $crate::api::start_symbol!())]
        pub unsafe extern "C" fn falco_plugin_sdk_start(
            request: *const $crate::api::StartRequest,
            reply: *mut $crate::api::StartReply,
        ) {
            // SAFETY: the caller's promise.
            unsafe { reply.write($crate::init::init(&*request, $make)) }
        }
    };
}

/// Makes a plugin from the stub's request, and the host's configuration string, log and tables. If that fails, the state
/// only holds the reason. Tables can be opened and added only while `make` runs.
///
/// # Safety
/// All of the request is valid during the call; the host's owner and log function until `destroy`.
pub unsafe fn init(
    request: &StartRequest,
    make: impl FnOnce(&Request, &str, Log, Arc<dyn HostTables>) -> Result<Box<dyn Plugin>, Error>,
) -> StartReply {
    // SAFETY: the caller's promise.
    let (log, last_error) = unsafe { (Log::new(request.input), LastError::new(request.input)) };
    let call = trace::is_wanted().then(|| trace::Call::begin(Some(&log), "init"));
    let table = if call.is_some() { &trace::TABLE } else { &TABLE };
    let errors = Arc::new(Errors::default());
    // SAFETY: the caller's promise.
    let tables = unsafe { table::Host::new(request.input, Arc::clone(&errors)) };
    fork::watch();
    let plugin = guard(|| {
        // SAFETY: the host's input is valid during the call.
        let _open = unsafe { tables.begin_init(request.input) };
        let tables: Arc<dyn HostTables> = Arc::new(table::Tables(Arc::clone(&tables)));
        // SAFETY: the request is valid, and the host's configuration NULL or a NUL-terminated string.
        let (request, config) = unsafe { (Request::read(request), from_host((*request.input).config)) };
        make(&request, &config, log.clone(), tables)
    });
    let rc = if plugin.is_ok() { SUCCESS } else { FAILURE };
    let plugin = plugin.map_err(|error| errors.set(&error.to_string())).ok();
    if let Some(call) = call {
        call.end(trace::code_name(rc));
    }
    let state = Box::new(PluginState {
        plugin,
        log,
        errors,
        tables,
        strings: Strings::default(),
        snapshot: PerThread::default(),
        last_error,
        sink: CurrentSink::default(),
        routines: Routines::default(),
        extraction: PerThread::default(),
        generation: AtomicU64::default(),
        open_sources: AtomicUsize::default(),
    });
    StartReply {
        table,
        state: Box::into_raw(state).cast(),
        rc,
    }
}
