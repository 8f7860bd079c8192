//! The structs that the host's opaque handles point to.

use std::ffi::CString;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, AtomicUsize};

use falco_plugin_api::{ss_instance_t, ss_plugin_event, ss_plugin_t};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::{AsyncEvents, Extract, Instance, Listen, Parse, Plugin, Source};

use crate::capability::{CurrentSink, Snapshot};
use crate::extraction::Extraction;
use crate::fork;
use crate::log::Log;
use crate::owner::LastError;
use crate::per_thread::PerThread;
use crate::routines::Routines;
use crate::strings::{Errors, Strings};
use crate::table;

/// The state of a plugin (`ss_plugin_t`), shared between the host's threads.
pub(crate) struct PluginState {
    /// Declared before the plugin, so that what the plugin keeps in the caches is dropped before the plugin.
    pub(crate) extraction: PerThread<Extraction>,
    /// Increases whenever a source is opened or closed.
    pub(crate) generation: AtomicU64,
    /// The number of sources that are open.
    pub(crate) open_sources: AtomicUsize,
    /// `None` if init failed: the state then only holds the reason.
    pub(crate) plugin: Option<Box<dyn Plugin>>,
    pub(crate) log: Log,
    pub(crate) errors: Arc<Errors>,
    /// The tables of the host, and those that the plugin has added to it.
    pub(crate) tables: Arc<table::Host>,
    pub(crate) strings: Strings,
    pub(crate) snapshot: PerThread<Snapshot>,
    pub(crate) last_error: LastError,
    pub(crate) sink: CurrentSink,
    pub(crate) routines: Routines,
}

impl PluginState {
    /// # Safety
    /// `state` is NULL, or a state of [`crate::init::init`] that is not destroyed during `'a`.
    #[inline]
    pub(crate) unsafe fn from_handle<'a>(state: *mut ss_plugin_t) -> Option<&'a Self> {
        // SAFETY: the caller's promise.
        unsafe { state.cast::<Self>().as_ref() }
    }

    /// Returns the plugin as an event source.
    #[inline]
    pub(crate) fn source(&self) -> Result<&dyn Source, Error> {
        let source = self.plugin()?.as_source();
        source.ok_or_else(|| Error::text("the plugin is not an event source"))
    }

    /// Returns the plugin as an extractor of fields.
    #[inline]
    pub(crate) fn extract(&self) -> Result<&dyn Extract, Error> {
        let extract = self.plugin()?.as_extract();
        extract.ok_or_else(|| Error::text("the plugin has no fields"))
    }

    /// Returns the plugin as a sender of async events.
    pub(crate) fn async_events(&self) -> Result<&dyn AsyncEvents, Error> {
        let async_events = self.plugin()?.as_async_events();
        async_events.ok_or_else(|| Error::text("the plugin has no async events"))
    }

    /// Returns the plugin as a listener of captures.
    pub(crate) fn listen(&self) -> Result<&dyn Listen, Error> {
        let listen = self.plugin()?.as_listen();
        listen.ok_or_else(|| Error::text("the plugin does not listen to captures"))
    }

    /// Returns the plugin as a parser of events.
    #[inline]
    pub(crate) fn parse(&self) -> Result<&dyn Parse, Error> {
        let parse = self.plugin()?.as_parse();
        parse.ok_or_else(|| Error::text("the plugin parses no events"))
    }

    #[inline]
    pub(crate) fn plugin(&self) -> Result<&dyn Plugin, Error> {
        let plugin = self.plugin.as_deref();
        plugin.ok_or_else(|| Error::text("the plugin was not initialised"))
    }

    /// Keeps an error for `get_last_error`. A forked child keeps none, because the lock may never be released there.
    pub(crate) fn set_error(&self, error: &Error) {
        if !fork::is_child() {
            self.errors.set(&error.to_string());
        }
    }
}

/// An open event source (`ss_instance_t`), used by one of the host's threads at a time.
pub(crate) struct InstanceState {
    pub(crate) instance: Box<dyn Instance>,
    /// Whether `next_batch` has panicked. This ends the source, because its state is unknown then.
    pub(crate) panicked: bool,
    /// The address of each event of the current batch.
    pub(crate) pointers: Vec<*mut ss_plugin_event>,
    pub(crate) progress: CString,
}

impl InstanceState {
    /// # Safety
    /// `instance` is NULL, or an instance of `open` that is not closed or used elsewhere during `'a`.
    #[inline]
    pub(crate) unsafe fn from_handle<'a>(instance: *mut ss_instance_t) -> Option<&'a mut Self> {
        // SAFETY: the caller's promise.
        unsafe { instance.cast::<Self>().as_mut() }
    }
}
