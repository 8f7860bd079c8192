//! Calls the functions of the plugin API on built libraries in any order: on states whose init failed, on several states
//! and threads, and with NULL as handles. It makes no calls that the API leaves undefined: handles are not used after they
//! were destroyed, and no instance is used by two threads at one time.
//!
//! The host is a fake: its tables, its thread pool and its handler of async events fail as the input demands, and report
//! each use of them that the API forbids.

mod beside;
mod call;
mod extract;
mod input;
mod library;
mod listening;
mod memory;
mod outside;
mod owner;
mod parse;
mod sending;
mod slot;
mod tables;

use std::thread;

use arbitrary::{Arbitrary, Unstructured};

use beside::Beside;
use call::Call;
use library::Library;
use memory::read_string;
use slot::Slot;

/// How many states there can be at one time.
const SLOTS: usize = 4;
/// More steps have not found more faults.
const MOST_STEPS: usize = 48;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// A bit for each slot that begins with an initialised state. Otherwise few inputs would get that far.
    initialised: u8,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Here(u8, Call<'a>),
    /// On a thread that ends after the call.
    Elsewhere(u8, Call<'a>),
    /// On two threads at the same time, with different states.
    Both([(u8, Call<'a>); 2]),
    /// With other calls on the same state at the same time, which the API allows on any thread.
    Beside(u8, Beside<'a>, Option<Call<'a>>),
    /// Unloads a library and loads it again, if there is no state of it.
    Reload(u8),
}

/// Loads all libraries and Python, because the fuzzer counts code that is loaded before the first input.
pub fn load() {
    let mut slot = Slot::default();
    run(&mut slot, &Call::initialise(0));
}

/// Checks one sequence of calls.
///
/// # Panics
/// If the result of a call is not valid in the plugin API.
pub fn check(input: &[u8]) {
    let Ok(Input { initialised, steps }) = Input::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    let mut slots: [Slot; SLOTS] = std::array::from_fn(|_| Slot::default());
    for (library, slot) in (0..).zip(&mut slots) {
        if initialised & (1 << library) != 0 {
            run(slot, &Call::initialise(library));
        }
    }
    for step in steps.iter().take(MOST_STEPS) {
        match step {
            Step::Here(slot, call) => run(&mut slots[index(*slot)], call),
            Step::Elsewhere(slot, call) => {
                let slot = &mut slots[index(*slot)];
                thread::scope(|scope| scope.spawn(|| run(slot, call)).join()).expect("no call panics");
            }
            Step::Both([(one, first), (other, second)]) => {
                let Ok([one, other]) = slots.get_disjoint_mut([index(*one), index(*other)]) else {
                    continue;
                };
                thread::scope(|scope| {
                    scope.spawn(|| run(one, first));
                    run(other, second);
                });
            }
            Step::Beside(slot, beside, call) => beside::run(&mut slots[index(*slot)], beside, call.as_ref()),
            Step::Reload(number) => {
                let library = Library::get(*number);
                if slots.iter().all(|slot| !slot.uses(library)) {
                    library.reload();
                }
            }
        }
        owner::check_faults();
    }
    drop(slots);
    owner::check_faults();
}

fn run(slot: &mut Slot, call: &Call<'_>) {
    match call {
        Call::Describe { without_outputs } => slot.library.describe(*without_outputs),
        Call::Init {
            library,
            config,
            without_rc,
            tables,
            failures,
        } => slot.init(Library::get(*library), config, *without_rc, *tables, *failures),
        Call::Destroy => slot.destroy(),
        Call::Open { params, without_rc } => slot.open(params, *without_rc),
        Call::Close {
            instance,
            without_state,
        } => slot.close(*instance, *without_state),
        Call::NextBatch { instance, without } => slot.next_batch(*instance, *without),
        Call::Progress { instance, without } => slot.progress(*instance, *without),
        Call::ListOpenParams { without_rc } => slot.list_open_params(*without_rc),
        Call::LastError => drop(slot.last_error()),
        Call::Text(event) => {
            if let Some(get) = slot.functions().event_to_string {
                input::with_event(slot, event.as_ref(), |input| {
                    // SAFETY: the state is NULL or one of init, the event NULL or valid. The text stays valid until the
                    // next call.
                    let _ = unsafe { read_string(get(slot.state, input)) };
                });
            }
        }
        Call::Extract {
            event,
            fields,
            with_offsets,
            access,
            without_input,
        } => extract::extract(
            slot,
            event.as_ref(),
            fields.as_deref(),
            *with_offsets,
            *access,
            *without_input,
        ),
        Call::Parse {
            event,
            access,
            without_input,
        } => parse::parse(slot, event.as_ref(), *access, *without_input),
        Call::SetHandler { is_set } => sending::set_handler(slot, *is_set),
        Call::DumpState { without_handler } => sending::dump_state(slot, *without_handler),
        Call::CaptureOpen {
            pool,
            access,
            without_input,
        } => listening::open(slot, *pool, *access, *without_input),
        Call::CaptureClose {
            pool,
            access,
            without_input,
        } => listening::close(slot, *pool, *access, *without_input),
        Call::Failures(failures) => {
            if let Some(owner) = slot.owner {
                owner.set_failures(*failures);
            }
        }
        Call::Metrics { without_output } => slot::check_metrics(&slot.functions(), slot.state, *without_output),
        Call::SetConfig(config) => slot.set_config(config),
    }
}

fn index(slot: u8) -> usize {
    usize::from(slot) % SLOTS
}

#[cfg(test)]
mod tests {
    use crate::corpus;

    #[test]
    fn calls_return_valid_results_in_any_order() {
        corpus::check("calls", 64, corpus::bytes(), super::check);
    }
}
