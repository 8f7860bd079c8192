//! Any sequence of calls of the plugin API on built libraries: states that failed to be initialised, several at once, on
//! several threads, without handles, out of order. What the API leaves undefined is not done: handles that are gone are
//! not used, and neither is one instance by two threads at once.

mod library;
mod owner;
mod slot;

use std::thread;

use arbitrary::{Arbitrary, Unstructured};

use library::Library;
use slot::{Call, Slot};

/// States that there may be at once.
const SLOTS: usize = 4;
/// More calls find nothing more.
const MOST_STEPS: usize = 48;

#[derive(Debug, Arbitrary)]
struct Input<'a> {
    /// Bits of the slots that begin with a good state, each of another library. Few inputs would come so far else.
    initialised: u8,
    steps: Vec<Step<'a>>,
}

#[derive(Debug, Arbitrary)]
enum Step<'a> {
    Here(u8, Call<'a>),
    /// On a thread that ends after it.
    Elsewhere(u8, Call<'a>),
    /// On two threads at once, with different states.
    Both([(u8, Call<'a>); 2]),
    /// Unloads a library and loads it anew, where nothing of it is left.
    Reload(u8),
}

/// Loads the libraries, and what they load: the fuzzer counts the code that there is before the first input.
pub fn load() {
    let mut slot = Slot::default();
    slot.call(&Call::initialise(0));
}

/// Checks one sequence of calls.
///
/// # Panics
/// If a call does not answer as the API says.
pub fn check(input: &[u8]) {
    let Ok(Input { initialised, steps }) = Input::arbitrary_take_rest(Unstructured::new(input)) else {
        return;
    };
    let mut slots: [Slot; SLOTS] = std::array::from_fn(|_| Slot::default());
    for (library, slot) in (0..).zip(&mut slots) {
        if initialised & (1 << library) != 0 {
            slot.call(&Call::initialise(library));
        }
    }
    for step in steps.iter().take(MOST_STEPS) {
        match step {
            Step::Here(slot, call) => slots[index(*slot)].call(call),
            Step::Elsewhere(slot, call) => {
                let slot = &mut slots[index(*slot)];
                thread::scope(|scope| scope.spawn(|| slot.call(call)).join()).expect("no call panics");
            }
            Step::Both([(one, first), (other, second)]) => {
                let Ok([one, other]) = slots.get_disjoint_mut([index(*one), index(*other)]) else {
                    continue;
                };
                thread::scope(|scope| {
                    scope.spawn(|| one.call(first));
                    other.call(second);
                });
            }
            Step::Reload(number) => {
                let library = Library::get(*number);
                if slots.iter().all(|slot| !slot.uses(library)) {
                    library.reload();
                }
            }
        }
    }
}

fn index(slot: u8) -> usize {
    usize::from(slot) % SLOTS
}

#[cfg(test)]
mod tests {
    use crate::corpus;

    #[test]
    fn calls_in_any_order_are_answered() {
        corpus::check("calls", 64, corpus::bytes(), super::check);
    }
}
