//! Models: programs of two or three threads that loom runs in every relevant order (`make loom`). A wait that never
//! ends fails the test.

#![cfg(loom)]

mod context;
mod sending;
mod state;
mod tables;

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::task::{Wake, Waker};
use std::time::Duration;

use falco_plugin_engine::error::Error;
use falco_plugin_engine::event::EventBatch;
use falco_plugin_engine::source::channel::{Message, Refusal, Sender, channel};
use falco_plugin_engine::source::clock::Clock;
use falco_plugin_engine::source::context::Context;
use falco_plugin_engine::source::metrics::{Backlog, SourceMetrics};
use falco_plugin_engine::source::push::PushInstance;
use loom::sync::{Condvar, Mutex};
use loom::thread;

type Instance = PushInstance<Vec<u8>>;

/// Runs a program in every order with at most `preemptions` preemptions of threads that could continue.
fn model(preemptions: usize, program: impl Fn() + Sync + Send + 'static) {
    let mut builder = loom::model::Builder::new();
    builder.preemption_bound = Some(preemptions);
    builder.max_branches = 10_000;
    builder.check(program);
}

/// Returns a counter that is not part of the model, and a function that reads it.
fn counter() -> (Arc<AtomicUsize>, impl Fn() -> usize) {
    let count = Arc::new(AtomicUsize::new(0));
    let read = Arc::clone(&count);
    (count, move || read.load(Ordering::Relaxed))
}

fn event(data: &[u8]) -> Message<Vec<u8>> {
    Message::Event {
        payload: data.to_vec(),
        timestamp: 0,
    }
}

/// Returns a sender, an instance without a timeout, its context, and a function that counts the dropped events.
fn push(capacity: usize, max_bytes: usize) -> (Sender<Vec<u8>>, Instance, Context, impl Fn() -> usize) {
    let (sender, receiver) = channel(capacity, max_bytes, 64).unwrap();
    let context = Context::new();
    let (count, dropped) = counter();
    let instance = PushInstance::new(receiver, context.clone(), Duration::MAX, move |dropped, _| {
        count.fetch_add(dropped, Ordering::Relaxed);
    });
    (sender, instance, context, dropped)
}

/// Sends a message, and waits for space if the channel is full.
fn send(sender: &Sender<Vec<u8>>, data: &[u8]) -> Result<(), Refusal> {
    let mut message = event(data);
    loop {
        match sender.try_send(message) {
            Ok(()) => return Ok(()),
            Err((Refusal::Full, refused)) => message = refused,
            Err((Refusal::Closed, _)) => return Err(Refusal::Closed),
        }
        assert!(sender.wait_for_space(message.payload_len(), None));
    }
}

/// Calls `next_batch` once.
fn call(instance: &mut Instance, batch_size: u32) -> Result<Vec<Vec<u8>>, Error> {
    let mut batch = EventBatch::new(batch_size, 64).unwrap();
    instance.next_batch(&mut batch)?;
    Ok((0..batch.len()).map(|at| batch.get(at).unwrap().1.to_vec()).collect())
}

/// Returns all events until the end of the source.
fn all(instance: &mut Instance, batch_size: u32) -> Vec<Vec<u8>> {
    let mut events = Vec::new();
    loop {
        match call(instance, batch_size) {
            Ok(batch) => events.extend(batch),
            Err(Error::Eof) => return events,
            Err(error) => panic!("{error}"),
        }
    }
}

#[test]
fn send_during_close_is_delivered_dropped_or_refused() {
    model(3, || {
        let (sender, mut instance, _, dropped) = push(4, 100);
        let producer = thread::spawn(move || {
            ["a", "b"]
                .iter()
                .filter(|data| send(&sender, data.as_bytes()).is_ok())
                .count()
        });
        let delivered = call(&mut instance, 1).unwrap().len();
        instance.close();
        assert_eq!(producer.join().unwrap(), delivered + dropped());
        assert!(matches!(call(&mut instance, 1), Err(Error::Eof)));
    });
}

#[test]
fn cancel_ends_a_waiting_call_and_a_waiting_sender() {
    model(2, || {
        let (sender, mut instance, context, dropped) = push(1, 100);
        // Only the cancel ends the source.
        let _open = sender.clone();
        let producer = thread::spawn(move || {
            ["a", "b"]
                .iter()
                .filter(|data| send(&sender, data.as_bytes()).is_ok())
                .count()
        });
        let canceller = thread::spawn(move || context.cancel());
        let delivered = all(&mut instance, 1).len();
        canceller.join().unwrap();
        assert_eq!(producer.join().unwrap(), delivered + dropped());
    });
}

#[test]
fn events_of_the_last_senders_arrive_before_the_end() {
    model(3, || {
        let (sender, mut instance, _, dropped) = push(4, 100);
        let other = sender.clone();
        let producers = [(sender, b"a"), (other, b"b")].map(|(sender, data)| {
            thread::spawn(move || {
                assert_eq!(send(&sender, data), Ok(()));
                sender.close();
            })
        });
        let mut events = all(&mut instance, 4);
        events.sort();
        assert_eq!((events, dropped()), (vec![b"a".to_vec(), b"b".to_vec()], 0));
        for producer in producers {
            producer.join().unwrap();
        }
    });
}

/// Ends two senders at the same time, each by `close` or by a drop. Returns whether the source ended with
/// [`Error::SenderDropped`] in each order.
fn ends_of_two_senders(closes: [bool; 2]) -> Vec<bool> {
    let dropped = Arc::new(std::sync::Mutex::new(Vec::new()));
    let seen = Arc::clone(&dropped);
    model(3, move || {
        let (sender, mut instance, _, _) = push(4, 100);
        let senders = [sender.clone(), sender];
        let producers = senders.into_iter().zip(closes).map(|(sender, closes)| {
            thread::spawn(move || {
                assert_eq!(send(&sender, b"a"), Ok(()));
                if closes {
                    sender.close();
                }
            })
        });
        let producers: Vec<_> = producers.collect();
        let mut events = 0;
        let end = loop {
            match call(&mut instance, 4) {
                Ok(batch) => events += batch.len(),
                Err(error) => break error,
            }
        };
        assert_eq!(events, 2, "all sent events arrive before the end");
        assert!(matches!(end, Error::Eof | Error::SenderDropped));
        assert!(matches!(call(&mut instance, 4), Err(Error::Eof)));
        seen.lock().unwrap().push(matches!(end, Error::SenderDropped));
        for producer in producers {
            producer.join().unwrap();
        }
    });
    let mut dropped = dropped.lock().unwrap().clone();
    dropped.sort_unstable();
    dropped.dedup();
    dropped
}

#[test]
fn source_ends_with_an_error_if_the_last_sender_is_dropped() {
    assert_eq!(ends_of_two_senders([true, true]), [false]);
    assert_eq!(ends_of_two_senders([false, false]), [true]);
    assert_eq!(ends_of_two_senders([true, false]), [false, true]);
}

#[test]
fn sender_dropped_during_close_is_not_an_error() {
    model(3, || {
        let (sender, mut instance, context, _) = push(4, 100);
        let producer = thread::spawn(move || drop(sender));
        context.cancel();
        assert!(matches!(call(&mut instance, 4), Err(Error::Eof)));
        instance.close();
        assert!(instance.take_pending_error().is_none());
        producer.join().unwrap();
    });
}

#[test]
fn close_by_another_thread_ends_a_waiting_sender() {
    model(3, || {
        let (sender, mut instance, _, _) = push(1, 100);
        let sender = Arc::new(sender);
        let producer = thread::spawn({
            let sender = Arc::clone(&sender);
            move || {
                ["a", "b"]
                    .iter()
                    .filter(|data| send(&sender, data.as_bytes()).is_ok())
                    .count()
            }
        });
        let closer = thread::spawn(move || sender.close());
        producer
            .join()
            .map(|sent| assert_eq!(all(&mut instance, 4).len(), sent))
            .unwrap();
        closer.join().unwrap();
    });
}

#[test]
fn clone_during_close_keeps_the_source_open_or_is_closed() {
    model(3, || {
        let (sender, mut instance, _, _) = push(4, 100);
        let sender = Arc::new(sender);
        let closer = thread::spawn({
            let sender = Arc::clone(&sender);
            move || sender.close()
        });
        let cloner = thread::spawn(move || {
            let clone = Sender::clone(&sender);
            let sent = !clone.is_sender_closed() && send(&clone, b"a").is_ok();
            clone.close();
            usize::from(sent)
        });
        let seen = all(&mut instance, 1).len();
        closer.join().unwrap();
        assert_eq!(cloner.join().unwrap(), seen);
    });
}

#[test]
fn error_wakes_the_host_and_follows_earlier_events() {
    model(3, || {
        let (sender, mut instance, _, _) = push(1, 100);
        let _keeps_the_source_open = sender.clone();
        let producer = thread::spawn(move || {
            send(&sender, b"a").unwrap();
            sender.fail(Error::text("boom"));
        });
        assert_eq!(call(&mut instance, 4).unwrap(), [b"a"]);
        assert_eq!(call(&mut instance, 4).unwrap_err().to_string(), "boom");
        assert!(matches!(call(&mut instance, 4), Err(Error::Eof)));
        producer.join().unwrap();
    });
}

/// Runs two senders on a channel with space for one payload, limited by count or by bytes.
fn run_two_senders(capacity: usize, max_bytes: usize) {
    model(2, move || {
        let (sender, mut instance, _, _) = push(capacity, max_bytes);
        let other = sender.clone();
        let first = thread::spawn(move || {
            for data in [b"a1", b"a2"] {
                send(&sender, data).unwrap();
            }
            sender.close();
        });
        let second = thread::spawn(move || {
            send(&other, b"b1").unwrap();
            other.close();
        });
        let events = all(&mut instance, 4);
        let (from_second, from_first): (Vec<_>, Vec<_>) = events.into_iter().partition(|data| data[0] == b'b');
        assert_eq!(
            (from_first, from_second),
            (vec![b"a1".to_vec(), b"a2".to_vec()], vec![b"b1".to_vec()])
        );
        first.join().unwrap();
        second.join().unwrap();
    });
}

#[test]
fn two_senders_share_one_free_slot() {
    run_two_senders(1, 100);
}

#[test]
fn two_senders_share_the_bytes_of_one_payload() {
    run_two_senders(100, 3);
}

#[test]
fn sender_that_waits_for_a_drained_channel_continues_when_the_host_waits_for_more() {
    model(3, || {
        let (sender, mut instance, _, _) = push(4, 100);
        let producer = thread::spawn(move || {
            for data in [b"a", b"b"] {
                send(&sender, data).unwrap();
                sender.wait_until_drained(None);
            }
            sender.close();
        });
        assert_eq!(all(&mut instance, 2), [b"a", b"b"]);
        producer.join().unwrap();
    });
}

#[test]
fn close_wakes_a_sender_that_waits_for_a_drained_channel() {
    model(3, || {
        let (sender, mut instance, _, dropped) = push(4, 100);
        let producer = thread::spawn(move || {
            let sent = send(&sender, b"a").is_ok();
            sender.wait_until_drained(None);
            sent
        });
        instance.close();
        assert_eq!(usize::from(producer.join().unwrap()), dropped());
    });
}

#[test]
fn flush_returns_only_after_the_host_comes_back() {
    model(3, || {
        let (sender, mut instance, _, _) = push(4, 100);
        // Load it with relaxed order: flush must order the host's work before its return.
        let handled = Arc::new(loom::sync::atomic::AtomicUsize::new(0));
        let producer = thread::spawn({
            let handled = Arc::clone(&handled);
            move || {
                send(&sender, b"a").unwrap();
                send(&sender, b"b").unwrap();
                assert_eq!(sender.wait_until_acknowledged(1, None), Ok(true));
                assert!(handled.load(Ordering::Relaxed) >= 1);
            }
        });
        while let Ok(batch) = call(&mut instance, 1) {
            handled.fetch_add(batch.len(), Ordering::Relaxed);
        }
        assert_eq!(handled.load(Ordering::Relaxed), 2);
        producer.join().unwrap();
    });
}

#[test]
fn flush_during_close_never_acknowledges_dropped_events() {
    model(3, || {
        let (sender, mut instance, _, dropped) = push(4, 100);
        let producer = thread::spawn(move || {
            let sent = ["a", "b"].map(|data| send(&sender, data.as_bytes()).is_ok());
            assert_eq!(sender.wait_until_acknowledged(2, None), Err(Refusal::Closed));
            sent.iter().filter(|sent| **sent).count()
        });
        let delivered = call(&mut instance, 1).unwrap().len();
        instance.close();
        assert!(matches!(call(&mut instance, 1), Err(Error::Eof)));
        assert_eq!(producer.join().unwrap(), delivered + dropped());
    });
}

#[test]
fn close_wakes_senders_that_wait_for_space_or_host() {
    model(3, || {
        let (sender, receiver) = channel(1, 100, 64).unwrap();
        send(&sender, b"a").unwrap();
        let other = sender.clone();
        let flush = thread::spawn(move || assert_eq!(other.wait_until_acknowledged(1, None), Err(Refusal::Closed)));
        let blocked = thread::spawn(move || assert_eq!(send(&sender, b"b"), Err(Refusal::Closed)));
        receiver.closer().close();
        flush.join().unwrap();
        blocked.join().unwrap();
    });
}

/// A task that no thread runs: the test waits until it is woken.
#[derive(Default)]
struct Task(Mutex<bool>, Condvar);

impl Wake for Task {
    fn wake(self: Arc<Self>) {
        *self.0.lock().unwrap() = true;
        self.1.notify_all();
    }
}

impl Task {
    fn wait(&self) {
        let mut woken = self.0.lock().unwrap();
        while !*woken {
            woken = self.1.wait(woken).unwrap();
        }
        *woken = false;
    }
}

#[test]
fn registered_task_wakes_for_space_and_acknowledgement() {
    model(3, || {
        let (sender, mut instance, _, _) = push(1, 100);
        let producer = thread::spawn(move || {
            let task = Arc::new(Task::default());
            let waker = Waker::from(Arc::clone(&task));
            let until = |done: &mut dyn FnMut() -> bool| loop {
                sender.register(&waker);
                if done() {
                    return;
                }
                task.wait();
            };
            for data in [b"a", b"b"] {
                until(&mut || sender.try_send(event(data)).is_ok());
            }
            until(&mut || sender.is_acknowledged(2) == Ok(true));
            sender.close();
        });
        assert_eq!(all(&mut instance, 1).len(), 2);
        producer.join().unwrap();
    });
}

#[test]
fn metrics_never_count_more_than_was_sent() {
    model(2, || {
        let metrics = Arc::new(SourceMetrics::default());
        let (sender, mut instance, _, _) = push(2, 100);
        sender.count_in(&metrics);
        let reader = thread::spawn({
            let metrics = Arc::clone(&metrics);
            move || {
                let Backlog { events, bytes } = metrics.backlog();
                assert!(events <= 2 && bytes <= 3, "{events} {bytes}");
            }
        });
        let producer = thread::spawn(move || {
            send(&sender, b"a").unwrap();
            send(&sender, b"bc").unwrap();
            sender.close();
        });
        assert_eq!(all(&mut instance, 1).len(), 2);
        producer.join().unwrap();
        reader.join().unwrap();
        assert_eq!(metrics.backlog(), Backlog::default());
    });
}

#[test]
fn closer_waits_for_the_last_sender() {
    model(3, || {
        let (sender, receiver) = channel::<Vec<u8>>(1, 100, 64).unwrap();
        let closer = receiver.closer();
        let producer = thread::spawn(move || {
            let other = sender.clone();
            sender.close();
            drop(other);
        });
        closer.close();
        // The wait may time out first; if it returns true, no sender is left.
        let passed = Clock::start(Duration::ZERO).deadline().unwrap();
        if closer.wait_for_senders(passed) {
            assert_eq!(closer.senders(), 0);
        }
        producer.join().unwrap();
        assert!(closer.wait_for_senders(passed));
    });
}
