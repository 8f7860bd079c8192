//! Runs a target on the files of its corpus, and on damaged copies of them.

use std::panic::{AssertUnwindSafe, catch_unwind, resume_unwind};
use std::path::Path;

use proptest::prelude::*;
use proptest::sample::Index;
use proptest::test_runner::{Config, TestRunner};

/// Returns the files of a target's corpus.
///
/// # Panics
/// If the corpus is empty.
pub(crate) fn read(target: &str) -> Vec<Vec<u8>> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("corpus").join(target);
    let mut paths: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|file| file.unwrap().path())
        .collect();
    paths.sort();
    assert_ne!(paths.len(), 0, "{target} has no corpus");
    paths.iter().map(|path| std::fs::read(path).unwrap()).collect()
}

/// Checks the files unchanged, truncated, and with some bytes replaced by values of `replacement`.
pub(crate) fn check(target: &str, cases: u32, replacement: impl Strategy<Value = Vec<u8>>, check: fn(&[u8])) {
    let corpus = read(target);
    for input in &corpus {
        check_input(input, check);
    }
    let change = (any::<Index>(), 0_usize..4, replacement);
    let changes = (
        any::<Index>(),
        proptest::collection::vec(change, 0..4),
        any::<Option<Index>>(),
    );
    let mut runner = TestRunner::new(Config::with_cases(cases));
    let tested = runner.run(&changes, |(chosen, changes, cut)| {
        let mut input = chosen.get(&corpus).clone();
        for (at, removed, inserted) in changes {
            let at = at.index(input.len() + 1);
            input.splice(at..(at + removed).min(input.len()), inserted);
        }
        if let Some(cut) = cut {
            input.truncate(cut.index(input.len() + 1));
        }
        check_input(&input, check);
        Ok(())
    });
    tested.unwrap();
}

/// Generates any bytes as a replacement.
pub(crate) fn bytes() -> impl Strategy<Value = Vec<u8>> {
    proptest::collection::vec(any::<u8>(), 0..6)
}

/// Checks an input, and prints it if the check panics.
fn check_input(input: &[u8], check: fn(&[u8])) {
    if let Err(panic) = catch_unwind(AssertUnwindSafe(|| check(input))) {
        eprintln!("the input is b\"{}\"", input.escape_ascii());
        resume_unwind(panic);
    }
}
