//! A plugin of the Rust SDK that sends async events of 300 bytes as fast as it can, on its own thread.

use std::ffi::CStr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};

use falco_plugin::anyhow::{Error, anyhow};
use falco_plugin::async_event::{AsyncEventPlugin, AsyncHandler};
use falco_plugin::base::Plugin;
use falco_plugin::tables::TablesInput;
use falco_plugin::{async_event_plugin, plugin};

const DATA: [u8; 300] = [b'x'; 300];

#[derive(Default)]
pub struct Peer {
    stops: Arc<AtomicBool>,
    thread: Option<JoinHandle<()>>,
}

impl Plugin for Peer {
    const NAME: &'static CStr = c"bench-sending";
    const PLUGIN_VERSION: &'static CStr = c"0.0.0";
    const DESCRIPTION: &'static CStr = c"Sends async events";
    const CONTACT: &'static CStr = c"";
    type ConfigType = ();

    fn new(_: Option<&TablesInput>, (): Self::ConfigType) -> Result<Self, Error> {
        Ok(Self::default())
    }
}

impl AsyncEventPlugin for Peer {
    const ASYNC_EVENTS: &'static [&'static str] = &["bench_changed"];
    const EVENT_SOURCES: &'static [&'static str] = &[];

    fn start_async(&mut self, handler: AsyncHandler) -> Result<(), Error> {
        self.stops.store(false, Ordering::Relaxed);
        let stops = Arc::clone(&self.stops);
        self.thread = Some(thread::spawn(move || {
            while !stops.load(Ordering::Relaxed) && handler.emit(Self::async_event(c"bench_changed", &DATA)).is_ok() {}
        }));
        Ok(())
    }

    fn stop_async(&mut self) -> Result<(), Error> {
        self.stops.store(true, Ordering::Relaxed);
        match self.thread.take().map(JoinHandle::join) {
            Some(Err(_)) => Err(anyhow!("the thread has panicked")),
            _ => Ok(()),
        }
    }
}

plugin!(Peer);
async_event_plugin!(Peer);
