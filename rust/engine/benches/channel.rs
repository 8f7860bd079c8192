//! Sends a message through a channel into the batch of a push instance.

mod support;

use std::sync::Arc;
use std::thread;

use criterion::{BenchmarkId, Criterion, criterion_group, criterion_main};
use falco_plugin_engine::event::EventBatch;
use falco_plugin_engine::event::{DEFAULT_EVENT_SIZE, NO_TIMESTAMP};
use falco_plugin_engine::source::channel::{
    DEFAULT_CAPACITY, DEFAULT_MAX_BYTES, Message, Payload, Receiver, Refusal, Sender, channel,
};
use falco_plugin_engine::source::clock::DEFAULT_TIMEOUT;
use falco_plugin_engine::source::context::Context;
use falco_plugin_engine::source::push::PushInstance;

/// Reference-counted bytes, like those of Python.
#[derive(Clone)]
struct Shared(Arc<[u8]>);

impl Payload for Shared {
    fn bytes(&self) -> &[u8] {
        &self.0
    }
}

impl Shared {
    fn new(size: usize) -> Self {
        Self(vec![b'1'; size].into())
    }

    fn message(&self) -> Message<Self> {
        Message::Event {
            payload: self.clone(),
            timestamp: NO_TIMESTAMP,
        }
    }
}

const SIZES: [usize; 2] = [300, 1024];

fn open() -> (Sender<Shared>, PushInstance<Shared>) {
    let (sender, receiver): (_, Receiver<Shared>) =
        channel(DEFAULT_CAPACITY, DEFAULT_MAX_BYTES, DEFAULT_EVENT_SIZE).unwrap();
    let instance = PushInstance::new(receiver, Context::new(), DEFAULT_TIMEOUT, |_, _| {});
    (sender, instance)
}

/// Sends a whole batch, then receives it, on one thread: the cost without synchronization of two threads.
fn in_turns(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("channel: send 128, take 128, one thread");
    for size in SIZES {
        let payload = Shared::new(size);
        let (sender, mut instance) = open();
        let mut batch = EventBatch::with_defaults();
        group.bench_function(BenchmarkId::new("one by one", size), |bencher| {
            support::measure_event(bencher, || {
                for _ in 0..batch.batch_size() {
                    assert!(sender.try_send(payload.message()).is_ok());
                }
                batch.clear();
                instance.next_batch(&mut batch).unwrap()
            });
        });
        group.bench_function(BenchmarkId::new("in one call", size), |bencher| {
            support::measure_event(bencher, || {
                let messages = (0..batch.batch_size()).map(|_| payload.message());
                assert!(matches!(sender.try_send_all(messages), Ok((_, None))));
                batch.clear();
                instance.next_batch(&mut batch).unwrap()
            });
        });
    }
    group.finish();
}

fn with_a_producer(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("channel: from a thread that sends one by one");
    for size in SIZES {
        let payload = Shared::new(size);
        let (sender, mut instance) = open();
        let producer = thread::spawn(move || send_until_closed(&sender, &payload));
        let mut batch = EventBatch::with_defaults();
        group.bench_function(BenchmarkId::from_parameter(size), |bencher| {
            support::measure_event(bencher, || {
                batch.clear();
                instance.next_batch(&mut batch).unwrap_or(0)
            });
        });
        instance.close();
        producer.join().unwrap();
    }
    group.finish();
}

fn send_until_closed(sender: &Sender<Shared>, payload: &Shared) {
    loop {
        match sender.try_send(payload.message()) {
            Ok(()) => {}
            Err((Refusal::Full, _)) => {
                sender.wait_for_space(payload.bytes().len(), None);
            }
            Err((Refusal::Closed, _)) => break,
        }
    }
}

criterion_group! {
    name = benches;
    config = support::criterion();
    targets = in_turns, with_a_producer
}
criterion_main!(benches);
