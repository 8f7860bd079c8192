//! What stands behind the host's opaque handles.

use std::ffi::CString;
use std::sync::atomic::AtomicU64;

use falco_plugin_api::ss_plugin_event;
use falco_plugin_engine::error::Error;
use falco_plugin_engine::plugin::{Instance, Plugin};

use crate::capability::extract::Extraction;
use crate::fork;
use crate::log::Log;
use crate::per_thread::PerThread;
use crate::strings::{Errors, Texts};

/// `ss_plugin_t`. Shared between the host's threads.
pub(crate) struct PluginState {
    /// Before the plugin: what it has left there is dropped first.
    pub(crate) extraction: PerThread<Extraction>,
    /// Goes up whenever a source is opened or closed.
    pub(crate) generation: AtomicU64,
    /// `None` where init failed: the state then only carries the reason.
    pub(crate) plugin: Option<Box<dyn Plugin>>,
    pub(crate) log: Log,
    pub(crate) errors: Errors,
    pub(crate) texts: Texts,
}

impl PluginState {
    /// Keeps what the host is told by `get_last_error`. In a child its lock may never be released again.
    pub(crate) fn set_error(&self, error: &Error) {
        if !fork::is_child() {
            self.errors.set(&error.to_string());
        }
    }
}

/// `ss_instance_t`. Used by one of the host's threads at a time.
pub(crate) struct InstanceState {
    pub(crate) instance: Box<dyn Instance>,
    /// Whether `next_batch` has panicked, which was the source's error: nobody knows what it left behind.
    pub(crate) panicked: bool,
    /// Where each event of the current batch begins.
    pub(crate) pointers: Vec<*mut ss_plugin_event>,
    pub(crate) progress: CString,
}
