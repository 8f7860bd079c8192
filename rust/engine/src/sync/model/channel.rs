//! A model of two channels: one of capacity 1, for a token, and one of capacity 0 that is only ever disconnected. A
//! `Select` waits on several of them.
//!
//! The model guarantees no more than crossbeam does: a sender that finds the token present does not synchronize with
//! the receiver.

use std::marker::PhantomData;
use std::sync::{Arc, Weak};

use loom::sync::atomic::{AtomicBool, Ordering, fence};
use loom::sync::{Condvar, Mutex};

use super::time::{self, Instant};

pub fn bounded<T>(_: usize) -> (Sender<T>, Receiver<T>) {
    let shared = Arc::new(Shared {
        token: AtomicBool::new(false),
        disconnected: AtomicBool::new(false),
        waiters: Mutex::default(),
    });
    (Sender(Arc::clone(&shared), PhantomData), Receiver(shared, PhantomData))
}

pub struct Sender<T>(Arc<Shared>, PhantomData<T>);

pub struct Receiver<T>(Arc<Shared>, PhantomData<T>);

struct Shared {
    token: AtomicBool,
    disconnected: AtomicBool,
    waiters: Mutex<Vec<Weak<Waiter>>>,
}

/// A thread that waits, and whether it was woken.
#[derive(Default)]
struct Waiter(Mutex<bool>, Condvar);

impl Shared {
    fn is_ready(&self) -> bool {
        self.token.load(Ordering::Acquire) || self.disconnected.load(Ordering::Acquire)
    }

    fn wake(&self) {
        let mut waiters = self.waiters.lock().unwrap();
        waiters.retain(|waiter| waiter.strong_count() > 0);
        for waiter in waiters.iter().filter_map(Weak::upgrade) {
            *waiter.0.lock().unwrap() = true;
            waiter.1.notify_all();
        }
    }
}

impl Sender<()> {
    pub fn try_send(&self, (): ()) -> Result<(), ()> {
        fence(Ordering::SeqCst);
        if self.0.token.load(Ordering::Relaxed) || self.0.token.swap(true, Ordering::Release) {
            return Err(());
        }
        self.0.wake();
        Ok(())
    }
}

impl<T> Drop for Sender<T> {
    fn drop(&mut self) {
        self.0.disconnected.store(true, Ordering::Release);
        self.0.wake();
    }
}

#[derive(Debug, PartialEq, Eq)]
pub struct Timeout;

#[derive(Debug, PartialEq, Eq)]
pub enum RecvTimeoutError {
    Timeout,
    Disconnected,
}

impl<T> Receiver<T> {
    pub fn try_recv(&self) -> Result<(), ()> {
        self.0.token.swap(false, Ordering::Acquire).then_some(()).ok_or(())
    }

    pub fn recv(&self) -> Result<T, RecvTimeoutError> {
        Select(vec![&self.0]).ready();
        Err(RecvTimeoutError::Disconnected)
    }

    pub fn recv_deadline(&self, deadline: Instant) -> Result<T, RecvTimeoutError> {
        Err(match Select(vec![&self.0]).ready_deadline(deadline) {
            Ok(_) => RecvTimeoutError::Disconnected,
            Err(Timeout) => RecvTimeoutError::Timeout,
        })
    }
}

pub struct Select<'a>(Vec<&'a Shared>);

impl<'a> Select<'a> {
    pub fn new() -> Self {
        Self(Vec::new())
    }

    pub fn recv<T>(&mut self, receiver: &'a Receiver<T>) -> usize {
        self.0.push(&receiver.0);
        self.0.len() - 1
    }

    pub fn ready(&mut self) -> usize {
        let waiter = Arc::new(Waiter::default());
        for shared in &self.0 {
            shared.waiters.lock().unwrap().push(Arc::downgrade(&waiter));
        }
        loop {
            if let Some(ready) = self.find_ready() {
                return ready;
            }
            let mut woken = waiter.0.lock().unwrap();
            while !*woken {
                woken = waiter.1.wait(woken).unwrap();
            }
            *woken = false;
        }
    }

    pub fn ready_deadline(&mut self, _: Instant) -> Result<usize, Timeout> {
        self.find_ready().ok_or_else(|| {
            time::pass();
            Timeout
        })
    }

    fn find_ready(&self) -> Option<usize> {
        self.0.iter().position(|shared| shared.is_ready())
    }
}
