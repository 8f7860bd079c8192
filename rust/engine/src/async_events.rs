//! Sending async events to the host.

use std::cell::RefCell;

use crate::calls::Calls;
use crate::error::Error;
use crate::event::{AsyncEventName, NO_PLUGIN_ID, NO_TIMESTAMP};

/// The bytes of memory that a thread keeps for encoding its next event.
const KEPT_BYTES: usize = 1 << 20;

/// The host's function that takes async events.
pub trait AsyncHandler: Send + Sync {
    /// Passes an encoded event to the host, which copies it. May be called from several threads.
    ///
    /// # Errors
    /// The host refuses the event. A host does not report that its queue is full.
    fn send(&self, event: &[u8]) -> Result<(), Error>;
}

/// Why a sink did not pass on an event.
#[derive(Debug)]
pub enum SinkError {
    /// The sink was closed: the host takes no events any more.
    Closed,
    /// The host refused the event, or the event is too large.
    Refused(Error),
}

/// Passes async events to the host until it is closed. Any thread may send.
pub struct AsyncSink {
    handler: Box<dyn AsyncHandler>,
    calls: Calls,
    /// The timestamp of events that have none.
    timestamp: u64,
    plugin_id: u32,
}

impl AsyncSink {
    /// Makes a sink for a host that writes the plugin id and missing timestamps itself, as one does that captures.
    pub fn new(handler: Box<dyn AsyncHandler>) -> Self {
        Self::for_file(handler, NO_TIMESTAMP, NO_PLUGIN_ID)
    }

    /// Makes a sink for a host that writes the events into a capture file as they are.
    ///
    /// `timestamp` is that of events without one. `plugin_id` is the id of the open source: without it, a host that
    /// reads the file would pass the events only to plugins that parse system calls.
    pub fn for_file(handler: Box<dyn AsyncHandler>, timestamp: u64, plugin_id: u32) -> Self {
        Self {
            handler,
            calls: Calls::new(),
            timestamp,
            plugin_id,
        }
    }

    /// Sends an event: when this returns, the host has a copy of it.
    pub fn send(&self, name: &AsyncEventName, timestamp: u64, data: &[u8]) -> Result<(), SinkError> {
        thread_local!(static BUFFER: RefCell<Vec<u8>> = const { RefCell::new(Vec::new()) });
        let Some(_call) = self.calls.begin() else {
            return Err(SinkError::Closed);
        };
        let timestamp = if timestamp == NO_TIMESTAMP {
            self.timestamp
        } else {
            timestamp
        };
        let send = |buffer: &mut Vec<u8>| {
            let sent = name
                .encode(timestamp, self.plugin_id, data, buffer)
                .and_then(|()| self.handler.send(buffer));
            if buffer.capacity() > KEPT_BYTES {
                *buffer = Vec::new();
            }
            sent.map_err(SinkError::Refused)
        };
        // The buffer is in use if the host calls back into the plugin, and gone while the thread ends.
        let sent = BUFFER.try_with(|buffer| buffer.try_borrow_mut().ok().map(|mut buffer| send(&mut buffer)));
        sent.ok().flatten().unwrap_or_else(|| send(&mut Vec::new()))
    }

    /// Returns whether the sink was closed.
    pub fn is_closed(&self) -> bool {
        self.calls.are_ended()
    }

    /// Closes the sink. Blocks until the host's function, if it is running, has returned; it is not called afterwards.
    /// Must not be called from within that function.
    pub fn close(&self) {
        self.calls.end(None);
    }
}

#[cfg(test)]
mod tests {
    use std::sync::mpsc::{Receiver, Sender, channel};
    use std::sync::{Arc, Mutex};
    use std::thread;

    use super::*;

    /// Keeps the events, and refuses those without data.
    #[derive(Default)]
    struct Kept(Arc<Mutex<Vec<Vec<u8>>>>);

    impl AsyncHandler for Kept {
        fn send(&self, event: &[u8]) -> Result<(), Error> {
            if event.ends_with(b"\0") {
                return Err(Error::text("no data"));
            }
            self.0.lock().unwrap().push(event.to_vec());
            Ok(())
        }
    }

    fn name() -> AsyncEventName {
        AsyncEventName::new("changed").unwrap()
    }

    #[test]
    fn send_passes_the_encoded_event_until_close() {
        let handler = Kept::default();
        let events = Arc::clone(&handler.0);
        let sink = AsyncSink::new(Box::new(handler));
        sink.send(&name(), 7, b"one").unwrap();
        let refused = sink.send(&name(), 7, b"").unwrap_err();
        assert!(matches!(&refused, SinkError::Refused(error) if error.to_string() == "no data"));
        sink.send(&name(), 7, &[1; 2 << 20]).unwrap();
        assert!(!sink.is_closed());
        sink.close();
        sink.close();
        assert!(sink.is_closed());
        assert!(matches!(sink.send(&name(), 7, b"two"), Err(SinkError::Closed)));
        let events = events.lock().unwrap();
        assert_eq!(events.len(), 2);
        assert!(events[0].ends_with(b"changed\0one") && events[1].ends_with(&[1; 2 << 20]));
    }

    #[test]
    fn sink_for_file_completes_events() {
        let handler = Kept::default();
        let events = Arc::clone(&handler.0);
        let sink = AsyncSink::for_file(Box::new(handler), 5, 900);
        sink.send(&name(), NO_TIMESTAMP, b"one").unwrap();
        sink.send(&name(), 7, b"two").unwrap();
        let events = events.lock().unwrap();
        let members = |event: &[u8]| (event[0], u32::from_le_bytes(event[38..42].try_into().unwrap()));
        assert_eq!((members(&events[0]), members(&events[1])), ((5, 900), (7, 900)));
    }

    #[test]
    fn close_waits_for_a_running_call() {
        struct Slow(Sender<()>, Mutex<Receiver<()>>, Arc<Mutex<bool>>);
        impl AsyncHandler for Slow {
            fn send(&self, _: &[u8]) -> Result<(), Error> {
                self.0.send(()).unwrap();
                self.1.lock().unwrap().recv().unwrap();
                *self.2.lock().unwrap() = true;
                Ok(())
            }
        }
        let (began, has_begun) = channel();
        let (release, released) = channel();
        let returned = Arc::new(Mutex::new(false));
        let sink = AsyncSink::new(Box::new(Slow(began, Mutex::new(released), Arc::clone(&returned))));
        thread::scope(|scope| {
            scope.spawn(|| sink.send(&name(), 0, b"data").unwrap());
            has_begun.recv().unwrap();
            let closing = scope.spawn(|| {
                sink.close();
                assert!(*returned.lock().unwrap());
            });
            while !sink.is_closed() {
                thread::yield_now();
            }
            release.send(()).unwrap();
            closing.join().unwrap();
        });
    }

    #[test]
    fn send_can_be_called_from_within_the_host() {
        struct Nested(Mutex<Option<Arc<AsyncSink>>>, Arc<Mutex<usize>>);
        impl AsyncHandler for Nested {
            fn send(&self, _: &[u8]) -> Result<(), Error> {
                *self.1.lock().unwrap() += 1;
                let inner = self.0.lock().unwrap().take();
                inner.map_or(Ok(()), |sink| sink.send(&name(), 0, b"inner").map_err(|_| Error::Eof))
            }
        }
        let count = Arc::new(Mutex::new(0));
        let inner = Arc::new(AsyncSink::new(Box::new(Nested(Mutex::new(None), Arc::clone(&count)))));
        let outer = AsyncSink::new(Box::new(Nested(Mutex::new(Some(inner)), Arc::clone(&count))));
        outer.send(&name(), 0, b"outer").unwrap();
        assert_eq!(*count.lock().unwrap(), 2);
    }
}
