//! Async events and captures, called through the table of functions as a host calls them.

mod support;

use std::collections::HashMap;
use std::ffi::{CStr, c_char};
use std::ptr;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::mpsc::{Receiver, Sender, channel};
use std::sync::{Arc, Mutex};
use std::thread::{self, JoinHandle};
use std::time::{Duration, SystemTime};

use falco_plugin_abi::api::{FAILURE, SUCCESS};
use falco_plugin_abi::init::TABLE;
use falco_plugin_api::{
    ss_plugin_capture_listen_input, ss_plugin_event, ss_plugin_init_input, ss_plugin_owner_t, ss_plugin_rc,
    ss_plugin_routine_fn_t, ss_plugin_routine_state_t, ss_plugin_routine_t, ss_plugin_routine_vtable, ss_plugin_t,
};
use falco_plugin_engine::async_events::{AsyncSink, SinkError};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{AsyncEventName, Event, EventBatch, NO_TIMESTAMP};
use falco_plugin_engine::extract::Cache;
use falco_plugin_engine::plugin::{AsyncEvents, Instance, Listen, OpenParam, Plugin, Source};
use falco_plugin_engine::routine::Routine;
use support::start_with;

const HANGS: Duration = Duration::from_secs(60);

/// The host's side of a plugin.
#[derive(Default)]
struct Host {
    events: Mutex<Vec<Vec<u8>>>,
    /// The message for the next events, which are refused.
    refusal: Mutex<Option<&'static str>>,
    routines: Mutex<HashMap<usize, (ss_plugin_routine_fn_t, usize)>>,
    unsubscribed: AtomicUsize,
}

impl Host {
    fn owner(&self) -> *mut ss_plugin_owner_t {
        ptr::from_ref(self).cast_mut().cast()
    }

    fn data(&self) -> Vec<Vec<u8>> {
        let events = self.events.lock().unwrap();
        events.iter().map(|event| event[50..].to_vec()).collect()
    }
}

/// # Safety
/// The owner is that of a host.
unsafe fn host<'a>(owner: *mut ss_plugin_owner_t) -> &'a Host {
    // SAFETY: the caller's promise.
    unsafe { &*owner.cast::<Host>() }
}

unsafe extern "C-unwind" fn handler(
    owner: *mut ss_plugin_owner_t,
    event: *const ss_plugin_event,
    message: *mut c_char,
) -> ss_plugin_rc {
    // SAFETY: the owner of the test, a whole event, and a buffer of 1024 bytes.
    unsafe {
        let host = host(owner);
        if let Some(refusal) = *host.refusal.lock().unwrap() {
            let refusal = CStr::from_ptr(refusal.as_ptr().cast());
            ptr::copy_nonoverlapping(refusal.as_ptr(), message, refusal.count_bytes() + 1);
            return FAILURE;
        }
        let bytes = std::slice::from_raw_parts(event.cast::<u8>(), (*event).len as usize);
        host.events.lock().unwrap().push(bytes.to_vec());
    }
    SUCCESS
}

unsafe extern "C-unwind" fn last_error(_: *mut ss_plugin_owner_t) -> *const c_char {
    c"the owner's last error".as_ptr()
}

unsafe extern "C-unwind" fn subscribe(
    owner: *mut ss_plugin_owner_t,
    function: ss_plugin_routine_fn_t,
    state: *mut ss_plugin_routine_state_t,
) -> *mut ss_plugin_routine_t {
    // SAFETY: the owner of the test.
    let mut routines = unsafe { host(owner) }.routines.lock().unwrap();
    let handle = routines.len() + 1;
    routines.insert(handle, (function, state as usize));
    ptr::without_provenance_mut(handle)
}

unsafe extern "C-unwind" fn no_pool(
    _: *mut ss_plugin_owner_t,
    _: ss_plugin_routine_fn_t,
    _: *mut ss_plugin_routine_state_t,
) -> *mut ss_plugin_routine_t {
    ptr::null_mut()
}

unsafe extern "C-unwind" fn unsubscribe(owner: *mut ss_plugin_owner_t, _: *mut ss_plugin_routine_t) -> ss_plugin_rc {
    // SAFETY: the owner of the test.
    unsafe { host(owner) }.unsubscribed.fetch_add(1, Ordering::Relaxed);
    SUCCESS
}

fn listen_input(host: &Host, routine: &mut ss_plugin_routine_vtable) -> ss_plugin_capture_listen_input {
    ss_plugin_capture_listen_input {
        owner: host.owner(),
        routine,
        table_reader_ext: ptr::null_mut(),
        table_writer_ext: ptr::null_mut(),
        get_owner_last_error: None,
    }
}

/// Sends events on a thread until it is stopped, and records what happens.
#[derive(Default)]
struct Sending {
    sinks: Mutex<Vec<Arc<AsyncSink>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
    stops: AtomicUsize,
    fails: bool,
    panics: bool,
    closes: AtomicUsize,
    rounds: Arc<AtomicUsize>,
    interval: Duration,
    /// The rounds wait for a message.
    released: Arc<Mutex<Option<Receiver<()>>>>,
}

fn name() -> AsyncEventName {
    AsyncEventName::new("changed").unwrap()
}

impl Plugin for Sending {
    fn as_async_events(&self) -> Option<&dyn AsyncEvents> {
        Some(self)
    }

    fn as_listen(&self) -> Option<&dyn Listen> {
        Some(self)
    }

    fn as_source(&self) -> Option<&dyn Source> {
        Some(self)
    }

    fn destroy(&self) {}
}

impl Source for Sending {
    fn id(&self) -> u32 {
        900
    }

    fn open(&self, _: &str) -> Result<Box<dyn Instance>, Error> {
        Ok(Box::new(Opened))
    }

    fn list_open_params(&self) -> Result<Vec<OpenParam>, Error> {
        Ok(Vec::new())
    }

    fn event_to_string<'c>(&self, _: &'c mut Cache, _: &Event<'_>) -> &'c str {
        ""
    }
}

/// A source that is open, and that nobody reads.
struct Opened;

impl Instance for Opened {
    fn next_batch(&mut self) -> Result<(), Error> {
        unreachable!()
    }

    fn events(&mut self) -> &mut EventBatch {
        unreachable!()
    }

    fn progress(&mut self) -> (f64, String) {
        unreachable!()
    }

    fn close(&mut self) {}
}

impl AsyncEvents for Sending {
    fn start(&self, sink: Arc<AsyncSink>) -> Result<(), Error> {
        self.sinks.lock().unwrap().push(Arc::clone(&sink));
        assert!(!self.panics, "start panics");
        if self.fails {
            return Err(Error::text("start fails"));
        }
        let thread = thread::spawn(move || while sink.send(&name(), NO_TIMESTAMP, b"data").is_ok() {});
        *self.thread.lock().unwrap() = Some(thread);
        Ok(())
    }

    fn stop(&self) {
        self.stops.fetch_add(1, Ordering::Relaxed);
        if let Some(thread) = self.thread.lock().unwrap().take() {
            thread.join().unwrap();
        }
        assert!(!self.panics, "stop panics");
    }

    fn dump_state(&self, sink: Arc<AsyncSink>) -> Result<(), Error> {
        self.sinks.lock().unwrap().push(Arc::clone(&sink));
        match sink.send(&name(), NO_TIMESTAMP, b"state") {
            Ok(()) => Ok(()),
            Err(SinkError::Closed) => unreachable!("the sink is open during the call"),
            Err(SinkError::Refused(error)) => Err(error),
        }
    }
}

impl Listen for Sending {
    fn capture_open(&self) -> Result<Vec<Routine>, Error> {
        if self.fails {
            return Err(Error::text("capture_open fails"));
        }
        let (rounds, released) = (Arc::clone(&self.rounds), Arc::clone(&self.released));
        let routine = Routine::new(self.interval, move || {
            rounds.fetch_add(1, Ordering::Relaxed);
            if let Some(released) = &*released.lock().unwrap() {
                let _ = released.recv();
            }
        });
        Ok(vec![routine])
    }

    fn capture_close(&self) {
        self.closes.fetch_add(1, Ordering::Relaxed);
        assert!(!self.panics, "capture_close panics");
    }
}

/// Initialises a plugin, which the host shares, and passes its state to `code`. The state is destroyed afterwards.
fn with_state(host: &Host, plugin: &Arc<Sending>, code: impl FnOnce(*mut ss_plugin_t)) {
    struct Shared(Arc<Sending>);
    impl Plugin for Shared {
        fn as_async_events(&self) -> Option<&dyn AsyncEvents> {
            self.0.as_async_events()
        }
        fn as_listen(&self) -> Option<&dyn Listen> {
            self.0.as_listen()
        }
        fn as_source(&self) -> Option<&dyn Source> {
            self.0.as_source()
        }
        fn destroy(&self) {}
    }
    let input = ss_plugin_init_input {
        config: ptr::null(),
        owner: host.owner(),
        get_owner_last_error: Some(last_error),
        tables: ptr::null(),
        log_fn: None,
    };
    let shared = Shared(Arc::clone(plugin));
    // SAFETY: the host outlives the state, which is destroyed last.
    unsafe {
        let reply = start_with(&input, |_, _| Ok(Box::new(shared)));
        assert_eq!(reply.rc, SUCCESS);
        code(reply.state);
        (TABLE.destroy)(reply.state);
    }
}

fn error_of(state: *mut ss_plugin_t) -> String {
    // SAFETY: the state is not destroyed, and the string valid until this thread's next call.
    unsafe { CStr::from_ptr((TABLE.get_last_error)(state)) }
        .to_string_lossy()
        .into_owned()
}

fn set_handler(state: *mut ss_plugin_t, host: &Host, is_set: bool) -> ss_plugin_rc {
    // SAFETY: the state is not destroyed, and the host outlives it.
    unsafe { (TABLE.set_async_event_handler)(state, host.owner(), if is_set { Some(handler) } else { None }) }
}

fn wait_until(condition: impl Fn() -> bool) {
    let started = std::time::Instant::now();
    while !condition() {
        assert!(started.elapsed() < HANGS);
        thread::yield_now();
    }
}

#[test]
fn handler_gets_events_until_it_is_null_and_again_afterwards() {
    let (host, plugin) = (Host::default(), Arc::new(Sending::default()));
    with_state(&host, &plugin, |state| {
        assert_eq!(set_handler(state, &host, false), SUCCESS);
        for round in 1..=3 {
            assert_eq!(set_handler(state, &host, true), SUCCESS);
            wait_until(|| !host.events.lock().unwrap().is_empty());
            assert_eq!(set_handler(state, &host, false), SUCCESS);
            assert_eq!(plugin.stops.load(Ordering::Relaxed), round);
            let events = std::mem::take(&mut *host.events.lock().unwrap());
            // No timestamp and no thread id: the host sets the one, and refuses the other beside a plugin's source.
            assert!(events.iter().all(|event| event[..16] == [255; 16]));
            let sinks = plugin.sinks.lock().unwrap();
            let late = sinks.last().unwrap().send(&name(), 0, b"late");
            assert!(matches!(late, Err(SinkError::Closed)));
            assert!(host.events.lock().unwrap().is_empty());
        }
    });
    assert_eq!(plugin.stops.load(Ordering::Relaxed), 3);
}

#[test]
fn second_handler_and_destroy_end_the_first_one() {
    let (host, plugin) = (Host::default(), Arc::new(Sending::default()));
    with_state(&host, &plugin, |state| {
        assert_eq!(set_handler(state, &host, true), SUCCESS);
        assert_eq!(set_handler(state, &host, true), SUCCESS);
        assert!(plugin.sinks.lock().unwrap()[0].is_closed());
    });
    assert!(plugin.sinks.lock().unwrap()[1].is_closed());
    assert_eq!(plugin.stops.load(Ordering::Relaxed), 2);
}

#[test]
fn failed_start_closes_the_sink() {
    for (fails, panics, message) in [(true, false, "start fails"), (false, true, "start panics")] {
        let plugin = Arc::new(Sending {
            fails,
            panics,
            ..Sending::default()
        });
        let host = Host::default();
        with_state(&host, &plugin, |state| {
            assert_eq!(set_handler(state, &host, true), FAILURE);
            assert!(error_of(state).ends_with(message));
            assert_eq!(plugin.stops.load(Ordering::Relaxed), 1);
            assert!(plugin.sinks.lock().unwrap()[0].is_closed());
            // A panic of stop, too, must not keep the handler.
            assert_eq!(set_handler(state, &host, false), SUCCESS);
        });
    }
}

#[test]
fn refused_event_has_the_message_of_the_host_or_its_owner() {
    let (host, plugin) = (Host::default(), Arc::new(Sending::default()));
    with_state(&host, &plugin, |state| {
        // SAFETY: the state is not destroyed, and the host outlives it.
        let dump = |handler| unsafe { (TABLE.dump_state)(state, host.owner(), handler) };
        assert_eq!(dump(None), FAILURE);
        assert_eq!(error_of(state), "dump_state was called without a handler");
        for (refusal, message) in [("not here\0", "not here"), ("\0", "the owner's last error")] {
            *host.refusal.lock().unwrap() = Some(refusal);
            assert_eq!(dump(Some(handler)), FAILURE);
            assert_eq!(error_of(state), message);
        }
        *host.refusal.lock().unwrap() = None;
        assert_eq!(dump(Some(handler)), SUCCESS);
        assert_eq!(host.data(), [b"state"]);
        let sinks = plugin.sinks.lock().unwrap();
        assert!(sinks.iter().all(|sink| sink.is_closed()));
    });
}

#[test]
fn dump_state_writes_time_and_plugin_id_of_the_open_source() {
    let (host, plugin) = (Host::default(), Arc::new(Sending::default()));
    with_state(&host, &plugin, |state| {
        let before = SystemTime::now();
        // SAFETY: the state is not destroyed, the host outlives it, and the instance is closed once.
        unsafe {
            let dump = || (TABLE.dump_state)(state, host.owner(), Some(handler));
            assert_eq!(dump(), SUCCESS);
            let mut rc = FAILURE;
            let instance = (TABLE.open)(state, c"".as_ptr(), &raw mut rc);
            assert_eq!((dump(), rc), (SUCCESS, SUCCESS));
            (TABLE.close)(state, instance);
            assert_eq!(dump(), SUCCESS);
        }
        let events = host.events.lock().unwrap();
        let ids: Vec<u32> = events
            .iter()
            .map(|event| u32::from_le_bytes(event[38..42].try_into().unwrap()))
            .collect();
        assert_eq!(ids, [0, 900, 0]);
        for event in &*events {
            let time =
                SystemTime::UNIX_EPOCH + Duration::from_nanos(u64::from_le_bytes(event[..8].try_into().unwrap()));
            assert!((before..=SystemTime::now()).contains(&time), "{time:?}");
        }
    });
}

#[test]
fn routine_runs_on_a_thread_if_the_host_has_no_pool() {
    let (host, plugin) = (Host::default(), Arc::new(Sending::default()));
    let mut pool = ss_plugin_routine_vtable {
        subscribe: Some(no_pool),
        unsubscribe: Some(unsubscribe),
    };
    let input = listen_input(&host, &mut pool);
    with_state(&host, &plugin, |state| {
        for closes in 1..=2 {
            let before = plugin.rounds.load(Ordering::Relaxed);
            // SAFETY: the state is not destroyed, and the input valid.
            unsafe {
                assert_eq!((TABLE.capture_open)(state, &raw const input), SUCCESS);
                wait_until(|| plugin.rounds.load(Ordering::Relaxed) > before + 2);
                assert_eq!((TABLE.capture_close)(state, &raw const input), SUCCESS);
            }
            let rounds = plugin.rounds.load(Ordering::Relaxed);
            thread::sleep(Duration::from_millis(5));
            assert_eq!(plugin.rounds.load(Ordering::Relaxed), rounds);
            assert_eq!(plugin.closes.load(Ordering::Relaxed), closes);
        }
    });
    assert_eq!(host.unsubscribed.load(Ordering::Relaxed), 0);
}

#[test]
fn routine_of_a_pool_stays_callable_after_the_end() {
    let (host, plugin) = (Host::default(), Arc::new(Sending::default()));
    let mut pool = ss_plugin_routine_vtable {
        subscribe: Some(subscribe),
        unsubscribe: Some(unsubscribe),
    };
    let input = listen_input(&host, &mut pool);
    with_state(&host, &plugin, |state| {
        let step = |handle| {
            let (function, routine) = host.routines.lock().unwrap()[&handle];
            // SAFETY: the pool may call a routine until it has purged itself, after the end of the capture.
            unsafe { function.unwrap()(state, ptr::with_exposed_provenance_mut(routine)) }
        };
        // SAFETY: the state is not destroyed, and the input valid.
        unsafe {
            assert_eq!((TABLE.capture_open)(state, &raw const input), SUCCESS);
            assert_eq!((step(1), plugin.rounds.load(Ordering::Relaxed)), (1, 1));
            assert_eq!((TABLE.capture_close)(state, &raw const input), SUCCESS);
        }
        assert_eq!(host.unsubscribed.load(Ordering::Relaxed), 1);
        assert_eq!((step(1), plugin.rounds.load(Ordering::Relaxed)), (1, 1));
    });
}

#[test]
fn routine_that_does_not_return_is_left_behind() {
    let (release, released): (Sender<()>, _) = channel();
    let plugin = Arc::new(Sending {
        released: Arc::new(Mutex::new(Some(released))),
        ..Sending::default()
    });
    let host = Host::default();
    let input = ss_plugin_capture_listen_input {
        routine: ptr::null_mut(),
        ..listen_input(
            &host,
            &mut ss_plugin_routine_vtable {
                subscribe: None,
                unsubscribe: None,
            },
        )
    };
    with_state(&host, &plugin, |state| {
        // SAFETY: the state is not destroyed, and the input valid.
        unsafe {
            assert_eq!((TABLE.capture_open)(state, &raw const input), SUCCESS);
            wait_until(|| plugin.rounds.load(Ordering::Relaxed) == 1);
            assert_eq!((TABLE.capture_close)(state, &raw const input), SUCCESS);
        }
        assert_eq!(plugin.closes.load(Ordering::Relaxed), 1);
        drop(release);
    });
    assert_eq!(plugin.rounds.load(Ordering::Relaxed), 1);
}

#[test]
fn failures_of_captures_reach_the_host_except_those_of_the_end() {
    let host = Host::default();
    let mut pool = ss_plugin_routine_vtable {
        subscribe: None,
        unsubscribe: None,
    };
    let input = listen_input(&host, &mut pool);
    let failing = Arc::new(Sending {
        fails: true,
        ..Sending::default()
    });
    with_state(&host, &failing, |state| {
        // SAFETY: the state is not destroyed, and the input valid or NULL.
        unsafe {
            assert_eq!((TABLE.capture_open)(state, ptr::null()), FAILURE);
            assert_eq!(error_of(state), "capture_open was called without its input");
            assert_eq!((TABLE.capture_open)(state, &raw const input), FAILURE);
            assert_eq!(error_of(state), "capture_open fails");
            assert_eq!((TABLE.capture_close)(state, ptr::null()), SUCCESS);
        }
    });
    assert_eq!(failing.closes.load(Ordering::Relaxed), 1);
}
