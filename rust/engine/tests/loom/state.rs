//! State tables, which several plugins and the host use, and the events of `dump_state`.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use falco_plugin_engine::async_events::{AsyncHandler, AsyncSink};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::AsyncEventName;
use falco_plugin_engine::table::{Data, DataType, OwnTable, Stored};
use loom::thread;

use crate::model;

#[test]
fn sinks_of_a_capture_and_of_its_state_close_independently() {
    struct Host(Arc<AtomicUsize>, Arc<AtomicUsize>);
    impl AsyncHandler for Host {
        fn send(&self, _: &[u8]) -> Result<(), Error> {
            assert_eq!(
                self.1.load(Ordering::Relaxed),
                0,
                "the host is called after the close of its sink"
            );
            self.0.fetch_add(1, Ordering::Relaxed);
            Ok(())
        }
    }
    model(3, || {
        let make = || {
            let (sent, closed) = (Arc::new(AtomicUsize::new(0)), Arc::new(AtomicUsize::new(0)));
            (
                Arc::new(AsyncSink::new(Box::new(Host(Arc::clone(&sent), Arc::clone(&closed))))),
                sent,
                closed,
            )
        };
        let (capture, _, capture_closed) = make();
        let (state, state_sent, state_closed) = make();
        let send = |sink: &AsyncSink| sink.send(&AsyncEventName::new("changed").unwrap(), 0, b"data").is_ok();
        let method = thread::spawn({
            let capture = Arc::clone(&capture);
            move || send(&capture)
        });
        // `dump_state` on the thread of the host, while a method sends and another thread ends the capture.
        let dump = thread::spawn(move || {
            assert!(
                send(&state),
                "the end of the capture does not close the sink of dump_state"
            );
            state.close();
            state_closed.store(1, Ordering::Relaxed);
            assert!(!send(&state));
            assert_eq!(state_sent.load(Ordering::Relaxed), 1);
        });
        capture.close();
        capture_closed.store(1, Ordering::Relaxed);
        method.join().unwrap();
        dump.join().unwrap();
    });
}

#[test]
fn entry_shows_a_value_that_is_written_while_its_field_is_added() {
    model(3, || {
        let table = Arc::new(OwnTable::new("sessions", DataType::Int64, &[("user", DataType::String)]).unwrap());
        table.insert(Data::Int(1), table.new_entry()).unwrap();
        // Another plugin adds its field and writes it, while the owner writes its own field of the same entry.
        let other = thread::spawn({
            let table = table.clone();
            move || {
                let added = table.add_field(c"added", DataType::Int64).unwrap();
                let entry = table.get(Data::Int(1)).unwrap().unwrap();
                entry.set(added, Data::Int(7)).unwrap();
                added
            }
        });
        let user = table.field(c"user").unwrap();
        let entry = table.get(Data::Int(1)).unwrap().unwrap();
        entry.set(user, Data::Text(c"eve")).unwrap();
        let added = other.join().unwrap();
        assert_eq!(entry.get(added).unwrap(), Stored::Int(7));
        assert_eq!(entry.get(user).unwrap().data(), Data::Text(c"eve"));
    });
}
