//! Calls a pull function for an event.

mod support;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::{EventBatch, EventWriter};
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::context::Context;
use falco_plugin_engine::source::pull::PullInstance;

fn pull(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("pull: a function that writes once");
    for size in [1, 300, 1024, 65536] {
        let payload = vec![b'1'; size];
        let mut function = |_: &Context, writer: &mut EventWriter| -> Result<(), Error> {
            writer.write(&payload)?;
            Ok(())
        };
        let mut instance = PullInstance::new(Context::new(), DEFAULT_TIMEOUT);
        let mut batch = EventBatch::with_defaults();
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            support::measure_event(bencher, || {
                batch.clear();
                instance.next_batch(&mut function, &mut batch).unwrap()
            });
        });
    }
    group.finish();
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = pull
}
criterion_main!(benches);
