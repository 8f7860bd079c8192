//! An open source of the soak, and its threads.

use std::ffi::OsStr;
use std::sync::Arc;
use std::thread::{Scope, ScopedJoinHandle};

use falco_plugin_host::abi::Source;

use crate::expected::Expected;
use crate::lines::{self, Writer};
use crate::loaded::Initialised;
use crate::random::Dice;
use crate::reader::{Reader, is_requested};
use crate::spec::{Flags, Limits, SourceSpec};
use crate::{report, totals};

/// The name of the plugin's event source.
const SOURCE: &str = "soak";

/// An open source.
pub struct OpenSource<'scope> {
    spec: Arc<SourceSpec>,
    flags: Arc<Flags>,
    reader: ScopedJoinHandle<'scope, Reader<'scope>>,
    writer: Option<ScopedJoinHandle<'scope, ()>>,
}

impl<'scope> OpenSource<'scope> {
    /// Opens a source and starts its threads. Returns `None` if `open` failed.
    pub fn open(
        scope: &'scope Scope<'scope, '_>,
        plugin: &'scope Initialised<'scope>,
        spec: SourceSpec,
        limits: Limits,
        dice: Dice,
    ) -> Option<Self> {
        let spec = Arc::new(spec);
        let writer = spec
            .kind
            .reads_lines()
            .then(|| Writer::new(Arc::clone(&spec), plugin.version));
        // SAFETY: plugins of this SDK allow several open sources, and concurrent calls from several threads. Each thread has
        // its own results.
        let source = unsafe { Source::open_shared(&plugin.plugin, OsStr::new(&spec.params()), plugin.id, SOURCE) };
        let source = match source {
            Ok(source) if !spec.open_fails => source,
            result => {
                match result.err() {
                    Some(error) if spec.open_fails && is_requested(&error) => totals::RAISED_BY_OPEN.add(1),
                    other => report::fault(format!("open of a {} gave {other:?}", spec.kind.name())),
                }
                lines::remove(&spec.path);
                return None;
            }
        };
        totals::KINDS[spec.kind as usize].opens.add(1);
        let flags = Arc::new(Flags::default());
        let writer = writer.map(|writer| {
            let flags = Arc::clone(&flags);
            totals::THREADS.add(1);
            scope.spawn(move || writer.run(&flags))
        });
        let expected = Expected::new(spec.key, plugin.version, spec.producers, spec.count);
        let mut reader = Reader::new(source, expected, Arc::clone(&spec), Arc::clone(&flags), limits, dice);
        totals::THREADS.add(1);
        let reader = scope.spawn(move || {
            reader.run();
            reader
        });
        Some(Self {
            spec,
            flags,
            reader,
            writer,
        })
    }

    /// Ends the reader before the source ends.
    pub fn stop(&self) {
        self.flags.stop();
    }

    /// Waits for the reader, and closes the source.
    pub fn close(self) {
        let reader = self
            .reader
            .join()
            .unwrap_or_else(|_| report::abort("a reader panicked"));
        totals::CLOSES_MIDWAY.add(u64::from(!reader.has_ended()));
        drop(reader);
        self.flags.close();
        if let Some(writer) = self.writer {
            writer.join().unwrap_or_else(|_| report::abort("a writer panicked"));
            lines::remove(&self.spec.path);
        }
    }
}
