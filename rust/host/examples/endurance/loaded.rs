//! The libraries of the soak, and their plugins.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use falco_plugin_host::abi::{Library, Owner, Plugin};

use crate::reader::is_requested;
use crate::{report, totals};

/// The owner of the plugins that one thread initialises, one after another.
pub struct Host {
    owner: &'static Owner,
    /// Whether there is a plugin that may log.
    is_used: Arc<AtomicBool>,
}

impl Host {
    pub fn new() -> Self {
        let is_used = Arc::new(AtomicBool::new(false));
        let flag = Arc::clone(&is_used);
        let owner = Owner::leak(move |_, message| {
            if !flag.load(Ordering::SeqCst) {
                report::fault(format!("a log line after destroy: {message}"));
            }
            totals::RETRIES.add(u64::from(message.contains("is called again in")));
        });
        Self { owner, is_used }
    }

    /// Initialises a plugin that does not fail.
    pub fn init<'l>(&'l self, library: &'l Library, version: char) -> Initialised<'l> {
        self.is_used.store(true, Ordering::SeqCst);
        totals::INITS.add(1);
        let plugin = Plugin::init(library, OsStr::new(""), self.owner);
        Initialised {
            plugin: plugin.unwrap_or_else(|error| report::abort(error)),
            id: library.id(),
            version,
            is_used: &self.is_used,
        }
    }

    /// Initialises a plugin whose `init` raises an exception.
    pub fn init_failing(&self, library: &Library) {
        self.is_used.store(true, Ordering::SeqCst);
        totals::INITS.add(1);
        match Plugin::init(library, OsStr::new("fail"), self.owner) {
            Err(error) if is_requested(&error) => totals::RAISED_BY_INIT.add(1),
            other => report::abort(format!("init gave {:?}", other.err())),
        }
        self.is_used.store(false, Ordering::SeqCst);
    }
}

/// An initialised plugin.
pub struct Initialised<'l> {
    pub plugin: Plugin<'l>,
    pub id: u32,
    /// The version that the plugin puts into its events.
    pub version: char,
    is_used: &'l AtomicBool,
}

// SAFETY: plugins of this SDK allow concurrent calls from several threads. Each thread has its own results.
unsafe impl Sync for Initialised<'_> {}

impl Initialised<'_> {
    /// Destroys the plugin. After that, it must not log.
    pub fn destroy(self) {
        let Self { plugin, is_used, .. } = self;
        drop(plugin);
        is_used.store(false, Ordering::SeqCst);
    }
}

/// Puts a version of the plugin at a path, as an update does. Returns the letter of the version.
pub fn install(versions: &[&str], index: usize, path: &Path) -> char {
    let part = path.with_extension("part");
    let installed = fs::copy(versions[index], &part).and_then(|_| fs::rename(&part, path));
    if let Err(error) = installed {
        report::abort(format!("cannot copy {}: {error}", versions[index]));
    }
    char::from(b'a' + index as u8)
}

/// Loads a library.
pub fn load(path: &Path) -> Library {
    totals::LOADS.add(1);
    Library::load(path).unwrap_or_else(|error| report::abort(error))
}

/// Unloads a library, and checks that it is gone.
pub fn unload(library: Library, path: &Path) {
    drop(library);
    if Library::is_loaded(path) {
        report::fault(format!("{} is still loaded after dlclose", path.display()));
    }
    totals::UNLOADS.add(1);
}
