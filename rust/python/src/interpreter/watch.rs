//! `Watch`: reports user code that does not return.

use std::sync::mpsc::{self, RecvTimeoutError, Sender};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::Duration;

use falco_plugin_abi::signals;
use pyo3::prelude::*;

/// The longest time between two reports.
const LONGEST_WAIT: Duration = Duration::from_secs(60);

/// Calls ``report(seconds)`` on its own thread until it is stopped. Not public.
///
/// The first report comes after the given seconds. The time to the next report doubles each time, up to a minute.
///
/// Args:
///     seconds: the time to the first report.
///     report: is called with the seconds since the watch was made. If it raises, the reports end.
#[pyclass(frozen, module = "falco_plugin._core")]
pub(crate) struct Watch {
    /// Locked for a moment only, and never while Python code runs.
    report: Arc<Mutex<Option<Py<PyAny>>>>,
    /// The thread ends when this is dropped.
    running: Mutex<Option<Sender<()>>>,
}

#[pymethods]
impl Watch {
    // If no thread can be started, nothing is reported.
    #[new]
    fn new(seconds: f64, report: Py<PyAny>) -> Self {
        let (running, stopped) = mpsc::channel();
        let report = Arc::new(Mutex::new(Some(report)));
        let shared = Arc::clone(&report);
        let first = Duration::try_from_secs_f64(seconds).unwrap_or(LONGEST_WAIT);
        let started = thread::Builder::new().name("falco-watch".into()).spawn(move || {
            signals::block_all();
            let (mut passed, mut wait) = (first, first);
            while stopped.recv_timeout(wait) == Err(RecvTimeoutError::Timeout) {
                if !make_report(&shared, passed) {
                    break;
                }
                wait = passed.min(LONGEST_WAIT);
                passed += wait;
            }
        });
        Self {
            report,
            running: Mutex::new(started.is_ok().then_some(running)),
        }
    }

    /// Ends the reports. Does not wait for a report that is in progress.
    fn stop(&self) {
        drop(lock(&self.running).take());
        let report = lock(&self.report).take();
        drop(report);
    }
}

/// Makes a report. Returns whether to continue.
fn make_report(report: &Mutex<Option<Py<PyAny>>>, passed: Duration) -> bool {
    Python::attach(|py| {
        let report = lock(report).as_ref().map(|report| report.clone_ref(py));
        report.is_some_and(|report| report.call1(py, (passed.as_secs_f64(),)).is_ok())
    })
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
