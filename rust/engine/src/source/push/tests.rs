use super::*;
use crate::event::NO_TIMESTAMP;
use crate::source::channel::{Refusal, Sender, channel};
use crate::source::metrics::{Backlog, SourceMetrics};
use proptest::prelude::*;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;

const LONG: Duration = Duration::from_secs(60);

fn event(data: &[u8]) -> Message<Vec<u8>> {
    Message::Event {
        payload: data.to_vec(),
        timestamp: NO_TIMESTAMP,
    }
}

fn send<P: Payload>(sender: &Sender<P>, message: Message<P>) -> Result<(), Refusal> {
    sender.try_send(message).map_err(|(refused, _)| refused)
}

fn instance(timeout: Duration) -> (Sender<Vec<u8>>, PushInstance<Vec<u8>>, Context) {
    let (sender, receiver) = channel(1024, 64 << 20, 1 << 22).unwrap();
    let context = Context::new();
    (
        sender,
        PushInstance::new(receiver, context.child(), timeout, |_, _| {}),
        context,
    )
}

fn batch(batch_size: u32) -> EventBatch {
    EventBatch::new(batch_size, 1 << 22).unwrap()
}

#[test]
fn next_batch_returns_events_in_order_then_eof() {
    let (sender, mut instance, _) = instance(LONG);
    send(
        &sender,
        Message::Event {
            payload: b"a".to_vec(),
            timestamp: 5,
        },
    )
    .unwrap();
    send(&sender, event(b"b")).unwrap();
    drop(sender.clone());
    sender.close();
    drop(sender);
    let mut batch = batch(4);
    assert_eq!(instance.next_batch(&mut batch).unwrap(), 2);
    assert_eq!(batch.get(0), Some((5, &b"a"[..])));
    assert_eq!(batch.get(1), Some((NO_TIMESTAMP, &b"b"[..])));
    assert!(matches!(instance.next_batch(&mut batch), Err(Error::Eof)));
}

#[test]
fn next_batch_reports_a_dropped_last_sender_after_its_events() {
    for (close, dropped) in [(false, true), (true, false)] {
        let (sender, mut instance, _) = instance(LONG);
        let last = sender.clone();
        send(&last, event(b"a")).unwrap();
        // Only the last sender counts, however the others ended.
        drop(sender);
        if close {
            last.close();
        }
        drop(last);
        assert_eq!(instance.next_batch(&mut batch(4)).unwrap(), 1);
        let end = instance.next_batch(&mut batch(4)).unwrap_err();
        assert_eq!(matches!(end, Error::SenderDropped), dropped, "{end}");
        assert!(matches!(instance.next_batch(&mut batch(4)), Err(Error::Eof)));
    }
}

#[test]
fn source_ends_normally_if_senders_drop_after_the_end() {
    type End = fn(&mut PushInstance<Vec<u8>>, &Context);
    let ends: [End; 2] = [|instance, _| instance.close(), |_, context| context.cancel()];
    for end in ends {
        let (sender, mut instance, context) = instance(LONG);
        end(&mut instance, &context);
        drop(sender);
        assert!(matches!(instance.next_batch(&mut batch(4)), Err(Error::Eof)));
        assert!(instance.take_pending_error().is_none());
    }
}

#[test]
fn timeout_message_ends_the_batch_and_error_the_source() {
    let (sender, mut instance, _) = instance(LONG);
    send(&sender, event(b"a")).unwrap();
    send(&sender, Message::Error(Box::new(Error::Timeout))).unwrap();
    send(&sender, event(b"b")).unwrap();
    send(&sender, Message::Error(Box::new(Error::text("boom")))).unwrap();
    send(&sender, event(b"lost")).unwrap();
    assert_eq!(instance.next_batch(&mut batch(9)).unwrap(), 1);
    assert_eq!(instance.next_batch(&mut batch(9)).unwrap(), 1);
    assert_eq!(instance.next_batch(&mut batch(9)).unwrap_err().to_string(), "boom");
    assert!(matches!(instance.next_batch(&mut batch(9)), Err(Error::Eof)));
    assert_eq!(send(&sender, event(b"c")), Err(Refusal::Closed));
}

#[test]
fn next_batch_times_out_on_an_empty_channel() {
    for timeout in [Duration::from_millis(20), Duration::ZERO] {
        let (sender, mut instance, _) = instance(timeout);
        let started = Instant::now();
        assert!(matches!(instance.next_batch(&mut batch(9)), Err(Error::Timeout)));
        assert!(started.elapsed() + Duration::from_millis(11) >= timeout);
        send(&sender, event(b"a")).unwrap();
        assert_eq!(instance.next_batch(&mut batch(9)).unwrap(), 1);
    }
}

#[test]
fn cancel_drops_and_counts_queued_events() {
    let (sender, receiver) = channel(16, 1024, 64).unwrap();
    let context = Context::new();
    let dropped = Arc::new(AtomicUsize::new(0));
    let count = Arc::clone(&dropped);
    let mut instance = PushInstance::new(receiver, context.clone(), LONG, move |dropped, _| {
        count.fetch_add(dropped, Ordering::Relaxed);
    });
    for _ in 0..3 {
        send(&sender, event(b"x")).unwrap();
    }
    context.cancel();
    assert!(matches!(instance.next_batch(&mut batch(9)), Err(Error::Eof)));
    assert_eq!(dropped.load(Ordering::Relaxed), 3);
}

#[test]
fn cancel_wakes_a_waiting_call() {
    let (_sender, mut instance, context) = instance(LONG);
    let waiting = thread::spawn(move || instance.next_batch(&mut batch(9)).map_err(|error| error.to_string()));
    thread::sleep(Duration::from_millis(20));
    let cancelled = Instant::now();
    context.cancel();
    assert_eq!(waiting.join().unwrap(), Err(Error::Eof.to_string()));
    assert!(cancelled.elapsed() < Duration::from_secs(30));
}

#[test]
fn next_batch_delivers_queued_events_immediately() {
    let (sender, mut instance, _) = instance(LONG);
    for round in 1..4 {
        for _ in 0..round {
            send(&sender, event(b"x")).unwrap();
        }
        assert_eq!(instance.next_batch(&mut batch(9)).unwrap(), round);
    }
}

#[test]
fn message_is_acknowledged_by_the_next_call() {
    let (sender, mut instance, _) = instance(Duration::ZERO);
    assert_eq!(sender.is_acknowledged(sender.position()), Ok(true));
    send(&sender, event(b"a")).unwrap();
    let first = sender.position();
    send(&sender, event(b"b")).unwrap();
    let second = sender.position();
    assert_eq!(instance.next_batch(&mut batch(1)).unwrap(), 1);
    assert_eq!(sender.is_acknowledged(first), Ok(false));
    assert_eq!(instance.next_batch(&mut batch(1)).unwrap(), 1);
    assert_eq!(
        (sender.is_acknowledged(first), sender.is_acknowledged(second)),
        (Ok(true), Ok(false))
    );
    instance.close();
    assert_eq!(
        (sender.is_acknowledged(first), sender.is_acknowledged(second)),
        (Ok(true), Err(Refusal::Closed))
    );
}

#[test]
fn message_is_not_acknowledged_while_its_batch_is_filled() {
    let (sender, mut instance, _) = instance(Duration::ZERO);
    let mut batch = batch(9);
    send(&sender, event(b"a")).unwrap();
    let first = sender.position();
    // An outer instance calls several times before its host receives the batch.
    assert_eq!(instance.next_batch(&mut batch).unwrap(), 1);
    assert!(matches!(instance.next_batch(&mut batch), Err(Error::Timeout)));
    send(&sender, event(b"b")).unwrap();
    assert_eq!(instance.next_batch(&mut batch).unwrap(), 1);
    assert_eq!(sender.is_acknowledged(first), Ok(false));
    batch.clear();
    assert!(matches!(instance.next_batch(&mut batch), Err(Error::Timeout)));
    assert_eq!(sender.is_acknowledged(sender.position()), Ok(true));
}

#[test]
fn channel_has_space_for_events_that_the_host_received() {
    for (capacity, max_bytes) in [(4, 100), (100, 4)] {
        let (sender, receiver) = channel(capacity, max_bytes, 64).unwrap();
        let mut instance = PushInstance::new(receiver, Context::new(), Duration::ZERO, |_, _| {});
        while send(&sender, event(b"x")).is_ok() {}
        for _ in 0..9 {
            instance.next_batch(&mut batch(1)).unwrap();
            assert_eq!(send(&sender, event(b"x")), Ok(()));
            assert_eq!(send(&sender, event(b"x")), Err(Refusal::Full));
        }
    }
}

#[test]
fn delivered_event_is_acknowledged_after_the_end() {
    let (sender, mut instance, _) = instance(Duration::ZERO);
    send(&sender, event(b"a")).unwrap();
    sender.fail(Error::text("boom"));
    send(&sender, event(b"lost")).unwrap();
    assert_eq!(instance.next_batch(&mut batch(9)).unwrap(), 1);
    assert_eq!(sender.is_acknowledged(1), Err(Refusal::Closed));
    assert_eq!(instance.next_batch(&mut batch(9)).unwrap_err().to_string(), "boom");
    assert_eq!(
        (sender.is_acknowledged(1), sender.is_acknowledged(3)),
        (Ok(true), Err(Refusal::Closed))
    );
}

#[test]
fn dropped_event_is_never_acknowledged() {
    let (sender, mut instance, _) = instance(Duration::ZERO);
    // The second event is put back, because it is too large for the rest of the batch.
    send(&sender, event(b"a")).unwrap();
    send(&sender, event(&vec![0; 2 << 20])).unwrap();
    send(&sender, event(b"b")).unwrap();
    assert_eq!(instance.next_batch(&mut batch(9)).unwrap(), 1);
    instance.close();
    assert!(matches!(instance.next_batch(&mut batch(9)), Err(Error::Eof)));
    assert_eq!(sender.is_acknowledged(1), Ok(true));
    assert_eq!(sender.is_acknowledged(2), Err(Refusal::Closed));
    assert_eq!(sender.is_acknowledged(3), Err(Refusal::Closed));
}

#[test]
fn registered_task_wakes_once_for_each_change() {
    struct Woken(AtomicUsize);
    impl std::task::Wake for Woken {
        fn wake(self: Arc<Self>) {
            self.0.fetch_add(1, Ordering::Relaxed);
        }
    }
    let woken = Arc::new(Woken(AtomicUsize::new(0)));
    let waker = std::task::Waker::from(Arc::clone(&woken));
    let (sender, mut instance, _) = instance(Duration::ZERO);
    send(&sender, event(b"a")).unwrap();
    let mut times = 0;
    let mut is_woken_by = |change: &mut dyn FnMut()| {
        sender.register(&waker);
        sender.register(&waker);
        change();
        change();
        times += 1;
        assert_eq!(woken.0.load(Ordering::Relaxed), times);
    };
    is_woken_by(&mut || drop(instance.next_batch(&mut batch(9))));
    let other = sender.clone();
    is_woken_by(&mut || other.close());
    is_woken_by(&mut || instance.close());
}

#[test]
fn large_event_gets_its_own_batch() {
    let (sender, mut instance, _) = instance(Duration::ZERO);
    for len in [10, 2 << 20, 10] {
        send(&sender, event(&vec![1; len])).unwrap();
    }
    let sizes: Vec<_> = (0..3)
        .map(|_| {
            let mut batch = batch(9);
            instance.next_batch(&mut batch).unwrap();
            batch.get(0).unwrap().1.len()
        })
        .collect();
    assert_eq!(sizes, [10, 2 << 20, 10]);
}

#[test]
fn channel_counts_payloads_until_they_are_released() {
    static RELEASED: AtomicUsize = AtomicUsize::new(0);
    struct Counted(Vec<u8>);
    impl Payload for Counted {
        fn bytes(&self) -> &[u8] {
            &self.0
        }
        fn release(payloads: Vec<Self>) {
            RELEASED.fetch_add(payloads.len(), Ordering::Relaxed);
        }
    }
    let message = |len| Message::Event {
        payload: Counted(vec![0; len]),
        timestamp: 0,
    };
    let (sender, receiver) = channel(3, 100, 1000).unwrap();
    let mut instance = PushInstance::new(receiver, Context::new(), Duration::ZERO, |_, _| {});
    assert_eq!(send(&sender, message(500)), Ok(()), "a larger message passes alone");
    assert_eq!(send(&sender, message(0)), Err(Refusal::Full));
    instance.next_batch(&mut batch(9)).unwrap();
    assert_eq!(
        RELEASED.load(Ordering::Relaxed),
        0,
        "the host's thread releases nothing"
    );
    for _ in 0..3 {
        assert_eq!(send(&sender, message(10)), Ok(()));
    }
    assert_eq!(RELEASED.load(Ordering::Relaxed), 1);
    assert_eq!(send(&sender, message(10)), Err(Refusal::Full));
    assert!(!sender.wait_for_space(10, Some(Instant::now())));
}

#[test]
fn next_batch_rejects_a_batch_with_a_smaller_event_size() {
    let (sender, mut instance, _) = instance(Duration::ZERO);
    send(&sender, event(b"a")).unwrap();
    let mut small = EventBatch::new(1, 7).unwrap();
    let message = instance.next_batch(&mut small).unwrap_err().to_string();
    assert!(message.contains('7') && message.contains("4194304"), "{message}");
    assert_eq!(instance.next_batch(&mut batch(1)).unwrap(), 1);
}

#[test]
fn close_wakes_blocked_senders_and_refuses_later_sends() {
    let (sender, receiver) = channel(1, 100, 100).unwrap();
    let closer = receiver.closer();
    send(&sender, event(b"a")).unwrap();
    let blocked = sender.clone();
    let waiting = thread::spawn(move || {
        assert!(blocked.wait_for_space(1, None));
        send(&blocked, event(b"b"))
    });
    thread::sleep(Duration::from_millis(20));
    closer.close();
    assert_eq!(waiting.join().unwrap(), Err(Refusal::Closed));
    drop(sender);
    assert!(closer.wait_for_senders(Instant::now()));
    drop(receiver);
}

#[derive(Debug, Clone)]
enum Action {
    Send(Vec<u8>, u64),
    Timeout,
    Flush,
    Pause,
}

fn actions() -> impl Strategy<Value = Vec<Action>> {
    prop::collection::vec(
        prop_oneof![
            8 => (prop::collection::vec(any::<u8>(), 0..200), any::<u64>()).prop_map(|(data, ts)| Action::Send(data, ts)),
            1 => Just(Action::Timeout),
            1 => Just(Action::Flush),
            1 => Just(Action::Pause),
        ],
        0..60,
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn every_event_arrives_once_and_in_its_producers_order(
        producers in prop::collection::vec(actions(), 1..4),
        batch_size in 1u32..9, capacity in 1usize..6, max_bytes in 1usize..500,
        (fails, closes) in any::<(bool, bool)>(),
    ) {
        let (sender, receiver) = channel(capacity, max_bytes, 256).unwrap();
        let mut instance = PushInstance::new(receiver, Context::new(), LONG, |_, _| {});
        let is_timeout = |action: &&Action| matches!(action, Action::Timeout);
        let mut timeouts = producers.iter().flatten().filter(is_timeout).count();
        // The number of events of each producer that the host has acknowledged.
        let acknowledged: Arc<Vec<_>> = Arc::new(producers.iter().map(|_| AtomicUsize::new(0)).collect());
        let threads: Vec<_> = producers.iter().cloned().enumerate().map(|(number, actions)| {
            let (sender, acknowledged) = (sender.clone(), Arc::clone(&acknowledged));
            thread::spawn(move || {
                let mut sent = 0;
                for action in actions {
                    let mut message = match action {
                        Action::Send(mut payload, timestamp) => {
                            sent += 1;
                            payload.insert(0, number as u8);
                            Message::Event { payload, timestamp }
                        }
                        Action::Timeout => Message::Error(Box::new(Error::Timeout)),
                        Action::Flush => {
                            let position = sender.position();
                            assert_eq!(sender.wait_until_acknowledged(position, Some(Instant::now() + LONG)), Ok(true));
                            assert_eq!(acknowledged[number].load(Ordering::SeqCst), sent);
                            continue;
                        }
                        Action::Pause => {
                            thread::sleep(Duration::from_micros(300));
                            continue;
                        }
                    };
                    while let Err((Refusal::Full, refused)) = sender.try_send(message) {
                        message = refused;
                        assert!(sender.wait_for_space(message.payload_len(), Some(Instant::now() + LONG)));
                    }
                }
            })
        }).collect();
        let waiter = thread::spawn(move || {
            for thread in threads { thread.join().unwrap(); }
            if fails { sender.fail(Error::text("boom")); }
            if closes { sender.close(); }
        });
        let mut seen: Vec<Vec<(u64, Vec<u8>)>> = vec![Vec::new(); producers.len()];
        let end = loop {
            for (acknowledged, seen) in acknowledged.iter().zip(&seen) {
                acknowledged.store(seen.len(), Ordering::SeqCst);
            }
            let mut batch = EventBatch::new(batch_size, 256).unwrap();
            match instance.next_batch(&mut batch) {
                Ok(added) => prop_assert_eq!(added, batch.len()),
                Err(Error::Timeout) => {
                    prop_assert!(batch.is_empty() && timeouts > 0, "the timeout comes from a producer, not from the clock");
                    timeouts -= 1;
                }
                Err(error) => break error.to_string(),
            }
            for index in 0..batch.len() {
                let (timestamp, data) = batch.get(index).unwrap();
                seen[data[0] as usize].push((timestamp, data[1..].to_vec()));
            }
        };
        waiter.join().unwrap();
        prop_assert_eq!(end, match (fails, closes) {
            (true, _) => "boom".to_owned(),
            (false, true) => Error::Eof.to_string(),
            (false, false) => Error::SenderDropped.to_string(),
        });
        for (actions, seen) in producers.iter().zip(&seen) {
            let sent: Vec<_> = actions.iter().filter_map(|action| match action {
                Action::Send(data, timestamp) => Some((*timestamp, data.clone())),
                _ => None,
            }).collect();
            prop_assert_eq!(&sent, seen);
        }
    }
}

#[test]
fn metrics_count_what_waits_in_channels_and_what_is_dropped() {
    let metrics = Arc::new(SourceMetrics::default());
    let (sender, mut instance, _) = instance(Duration::ZERO);
    sender.count_in(&metrics);
    // The first plugin keeps the channel.
    sender.count_in(&Arc::default());
    let (other, other_receiver) = channel::<Vec<u8>>(8, 1024, 64).unwrap();
    other.count_in(&metrics);
    let backlog = |events, bytes| Backlog { events, bytes };
    assert_eq!(metrics.backlog(), backlog(0, 0));
    for data in ["a", "bc", "def"] {
        send(&sender, event(data.as_bytes())).unwrap();
    }
    send(&other, event(b"other")).unwrap();
    assert_eq!(metrics.backlog(), backlog(4, 11));
    let mut batch = batch(2);
    assert_eq!(instance.next_batch(&mut batch).unwrap(), 2);
    assert_eq!(metrics.backlog(), backlog(2, 8), "delivered events do not wait");
    send(&sender, event(b"gh")).unwrap();
    assert_eq!(metrics.backlog(), backlog(3, 10));
    batch.clear();
    assert_eq!(instance.next_batch(&mut batch).unwrap(), 2);
    assert_eq!(metrics.backlog(), backlog(1, 5));
    send(&sender, event(b"late")).unwrap();
    sender.count_refused();
    drop(other);
    drop(other_receiver);
    assert_eq!(metrics.backlog(), backlog(1, 4));
    instance.close();
    assert_eq!(metrics.backlog(), backlog(0, 0));
    assert_eq!((metrics.dropped.value(), metrics.refused.value()), (2, 1));
}

proptest! {
    #[test]
    fn backlog_is_what_was_sent_and_not_delivered(steps in proptest::collection::vec((0..3_u8, 1..20_usize), 0..40)) {
        let metrics = Arc::new(SourceMetrics::default());
        let (sender, mut instance, _) = instance(Duration::ZERO);
        sender.count_in(&metrics);
        let (mut sent, mut sent_bytes, mut delivered, mut delivered_bytes) = (0, 0, 0, 0);
        for (step, number) in steps {
            if step < 2 {
                for len in 0..number {
                    send(&sender, event(&vec![0; len])).unwrap();
                    sent += 1;
                    sent_bytes += len as u64;
                }
            } else {
                let mut batch = batch(number as u32);
                let count = instance.next_batch(&mut batch).unwrap_or(0);
                delivered += count as u64;
                delivered_bytes += (0..count).map(|at| batch.get(at).unwrap().1.len() as u64).sum::<u64>();
            }
            let expected = Backlog { events: sent - delivered, bytes: sent_bytes - delivered_bytes };
            prop_assert_eq!(metrics.backlog(), expected);
        }
    }
}
