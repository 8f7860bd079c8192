//! Copies an event into a batch.

mod support;

use std::hint::black_box;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use falco_plugin_engine::event::EventBatch;
use falco_plugin_engine::event::NO_TIMESTAMP;

fn append(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("batch: append");
    for size in [0, 300, 1024, 65536] {
        let payload = vec![b'1'; size];
        let mut batch = EventBatch::with_defaults();
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            bencher.iter(|| {
                if batch.is_full() {
                    batch.clear();
                }
                batch.append(black_box(&payload), NO_TIMESTAMP).unwrap();
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = append
}
criterion_main!(benches);
