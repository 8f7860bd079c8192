//! The routines of an open capture: on the host's thread pool if it has one, else each on its own thread.

use std::ptr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread;
use std::time::{Duration, Instant};

use falco_plugin_api::{
    ss_plugin_bool, ss_plugin_capture_listen_input, ss_plugin_routine_state_t, ss_plugin_routine_t, ss_plugin_t,
};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::routine::Routine;

use crate::fork;
use crate::guard::guard;
use crate::signals;

/// How long one step occupies a thread of the host's pool. The pool calls a routine again immediately, and other routines
/// need its threads too.
const POOL_STEP: Duration = Duration::from_millis(100);
/// How long one step occupies a thread of the routine itself.
const THREAD_STEP: Duration = Duration::from_secs(3600);
/// How long the end of a capture waits for all its routines.
const TIME_TO_STOP: Duration = Duration::from_secs(1);

/// The routines of a plugin.
#[derive(Default)]
pub(crate) struct Routines(Mutex<Lists>);

#[derive(Default)]
struct Lists {
    running: Vec<Running>,
    /// Routines that the host's pool may still call, until it purges itself after the end of the capture. They are kept
    /// until the plugin is destroyed.
    stopped: Vec<Arc<Routine>>,
}

struct Running {
    routine: Arc<Routine>,
    /// The handle of the host's pool; NULL for a routine on its own thread.
    handle: *mut ss_plugin_routine_t,
}

// SAFETY: the handle is only passed back to the host's pool.
unsafe impl Send for Running {}

impl Routines {
    /// Starts routines. If this fails, some of them may run, and `stop` stops them.
    ///
    /// # Safety
    /// The input is the host's, valid during the call. This value lives until the host's pool calls no routine any more.
    pub(crate) unsafe fn start(
        &self,
        routines: Vec<Routine>,
        input: &ss_plugin_capture_listen_input,
    ) -> Result<(), Error> {
        let mut lists = self.lock();
        for routine in routines {
            let routine = Arc::new(routine);
            // SAFETY: the caller's promise. The routine is in one of the lists as long as this value lives.
            let handle = unsafe { subscribe(input, &routine) };
            if handle.is_null() {
                start_thread(Arc::clone(&routine))?;
            }
            lists.running.push(Running { routine, handle });
        }
        Ok(())
    }

    /// Stops all routines, and waits for those that are running. Returns how many have not returned in time.
    ///
    /// # Safety
    /// The input is the host's, valid during the call.
    pub(crate) unsafe fn stop(&self, input: Option<&ss_plugin_capture_listen_input>) -> usize {
        let running = std::mem::take(&mut self.lock().running);
        if fork::is_child() {
            return 0;
        }
        let deadline = Instant::now() + TIME_TO_STOP;
        // SAFETY: the caller's promise.
        let unsubscribe =
            input.and_then(|input| unsafe { input.routine.as_ref() }?.unsubscribe.map(|f| (f, input.owner)));
        let mut remaining = 0;
        for Running { routine, handle } in running {
            if let (false, Some((unsubscribe, owner))) = (handle.is_null(), unsubscribe) {
                // A pool that does not know the routine any more does not call it either.
                // SAFETY: the handle came from this owner's pool.
                let _ = unsafe { unsubscribe(owner, handle) };
            }
            remaining += usize::from(!routine.stop(deadline));
            if !handle.is_null() {
                self.lock().stopped.push(routine);
            }
        }
        remaining
    }

    fn lock(&self) -> MutexGuard<'_, Lists> {
        // A panic cannot leave a list half changed.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Passes a routine to the host's pool. Returns NULL if the host has none.
///
/// # Safety
/// The input is the host's. The routine lives until the host's pool does not call it any more.
unsafe fn subscribe(input: &ss_plugin_capture_listen_input, routine: &Arc<Routine>) -> *mut ss_plugin_routine_t {
    // SAFETY: the caller's promise.
    unsafe {
        let Some(subscribe) = input.routine.as_ref().and_then(|pool| pool.subscribe) else {
            return ptr::null_mut();
        };
        subscribe(input.owner, Some(step), Arc::as_ptr(routine).cast_mut().cast())
    }
}

/// The function that the host's pool calls again and again.
///
/// It always returns true: for false the pool changes its list of routines on this thread, without a lock. A stopped
/// routine was removed from the list.
///
/// # Safety
/// `routine` came from [`subscribe`].
unsafe extern "C-unwind" fn step(_state: *mut ss_plugin_t, routine: *mut ss_plugin_routine_state_t) -> ss_plugin_bool {
    // SAFETY: the routine lives as long as the pool calls it.
    let routine = unsafe { &*routine.cast_const().cast::<Routine>() };
    let _ = guard(|| Ok(routine.step(POOL_STEP)));
    1
}

fn start_thread(routine: Arc<Routine>) -> Result<(), Error> {
    let started = thread::Builder::new().name("falco-routine".into()).spawn(move || {
        signals::block_all();
        while guard(|| Ok(routine.step(THREAD_STEP))).unwrap_or(false) {}
    });
    match started {
        Ok(_) => Ok(()),
        Err(error) => Err(Error::text(format!("cannot start a thread for a routine: {error}"))),
    }
}
