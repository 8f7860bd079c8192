//! Work on all cores.

use std::num::NonZero;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Mutex, PoisonError};
use std::thread;

/// Calls `work` for each item, in order of the items, on as many threads as there are cores. Returns the results in the
/// same order, or the error of the first item that has one.
pub fn map<Item: Sync, Output: Send, Error: Send>(
    items: &[Item],
    work: impl Fn(&Item) -> Result<Output, Error> + Sync,
) -> Result<Vec<Output>, Error> {
    let next = AtomicUsize::new(0);
    let results = Mutex::new(Vec::with_capacity(items.len()));
    let cores = thread::available_parallelism().map_or(1, NonZero::get);
    thread::scope(|scope| {
        for _ in 0..cores.min(items.len()) {
            scope.spawn(|| {
                // Relaxed: only the number matters. The scope orders the results before their use.
                while let index = next.fetch_add(1, Ordering::Relaxed)
                    && let Some(item) = items.get(index)
                {
                    let result = work(item);
                    results
                        .lock()
                        .unwrap_or_else(PoisonError::into_inner)
                        .push((index, result));
                }
            });
        }
    });
    let mut results = results.into_inner().unwrap_or_else(PoisonError::into_inner);
    results.sort_unstable_by_key(|(index, _)| *index);
    results.into_iter().map(|(_, result)| result).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn map_keeps_the_order() {
        let items: Vec<u32> = (0..100).collect();
        assert_eq!(
            map(&items, |item| Ok::<_, ()>(item * 2)),
            Ok((0..100).map(|item| item * 2).collect())
        );
    }

    #[test]
    fn map_returns_the_first_error() {
        let fail = |item: &u32| if *item < 50 { Ok(*item) } else { Err(*item) };
        assert_eq!(map(&(0..100).collect::<Vec<_>>(), fail), Err(50));
    }
}
