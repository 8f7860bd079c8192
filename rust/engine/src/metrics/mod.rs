//! Metrics: numbers that a plugin changes, and that the host reads from any thread at any time.
//!
//! Each number is atomic, and reading one takes no lock of user code. The list of a plugin's [`Metrics`] does not change
//! after its init.

mod time;

use std::borrow::Cow;
use std::ffi::CStr;
use std::fmt;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicI64, AtomicU64, Ordering};

pub use time::TimeCounter;

/// The value of a metric.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Value {
    /// A whole number that only increases, until it wraps around.
    Counter(u64),
    /// A whole number that can decrease.
    Int(i64),
    /// A number that can decrease.
    Float(f64),
}

/// A number that only increases. Clones share the number.
#[derive(Debug, Clone, Default)]
pub struct Counter(Arc<AtomicU64>);

impl Counter {
    #[inline]
    pub fn add(&self, n: u64) {
        self.0.fetch_add(n, Ordering::Relaxed);
    }

    #[inline]
    pub fn value(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that can increase and decrease. It is whole or fractional, as the number that was set last. Clones share the
/// number.
#[derive(Debug, Clone, Default)]
pub struct Gauge(Arc<Cells>);

/// A whole and a fractional number, each in its own cell: a reader never sees the bits of the one as the other.
#[derive(Debug, Default)]
struct Cells {
    /// Which of the cells counts. Written after the cell, with release order; read before it, with acquire order.
    is_float: AtomicBool,
    int: AtomicI64,
    /// The bits of an `f64`.
    float: AtomicU64,
}

impl Gauge {
    #[inline]
    pub fn set_int(&self, value: i64) {
        self.0.int.store(value, Ordering::Relaxed);
        self.0.is_float.store(false, Ordering::Release);
    }

    #[inline]
    pub fn set_float(&self, value: f64) {
        self.0.float.store(value.to_bits(), Ordering::Relaxed);
        self.0.is_float.store(true, Ordering::Release);
    }

    /// Adds a whole number. A whole value wraps around at the limits of `i64`.
    #[inline]
    pub fn add_int(&self, n: i64) {
        if self.0.is_float.load(Ordering::Acquire) {
            self.add_float(n as f64);
        } else {
            self.0.int.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Adds a fractional number, which makes a whole value fractional. Only this change can lose what another thread
    /// adds at the same moment.
    pub fn add_float(&self, n: f64) {
        if !self.0.is_float.load(Ordering::Acquire) {
            return self.set_float(self.0.int.load(Ordering::Relaxed) as f64 + n);
        }
        let add = |bits| Some((f64::from_bits(bits) + n).to_bits());
        // The function always returns a value, so the update cannot fail.
        let _ = self.0.float.fetch_update(Ordering::Relaxed, Ordering::Relaxed, add);
    }

    /// Returns the value: [`Value::Int`] or [`Value::Float`].
    #[inline]
    pub fn value(&self) -> Value {
        if self.0.is_float.load(Ordering::Acquire) {
            Value::Float(f64::from_bits(self.0.float.load(Ordering::Relaxed)))
        } else {
            Value::Int(self.0.int.load(Ordering::Relaxed))
        }
    }
}

/// One metric: a name, and where its value is.
pub struct Metric {
    name: Cow<'static, CStr>,
    cell: Cell,
}

enum Cell {
    Counter(Counter),
    Gauge(Gauge),
    Read(Box<dyn Fn() -> Value + Send + Sync>),
}

impl fmt::Debug for Metric {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Metric")
            .field("name", &self.name)
            .field("value", &self.value())
            .finish()
    }
}

impl Metric {
    /// The name without that of the plugin: lower-case letters, digits and `_`.
    pub fn name(&self) -> &CStr {
        &self.name
    }

    #[inline]
    pub fn value(&self) -> Value {
        match &self.cell {
            Cell::Counter(counter) => Value::Counter(counter.value()),
            Cell::Gauge(gauge) => gauge.value(),
            Cell::Read(read) => read(),
        }
    }
}

/// The metrics of a plugin. A plugin builds the list during init, and returns it unchanged from then on.
#[derive(Debug, Default)]
pub struct Metrics(Vec<Metric>);

impl Metrics {
    pub const fn new() -> Self {
        Self(Vec::new())
    }

    /// Adds a counter, which the caller keeps a clone of.
    pub fn add_counter(&mut self, name: impl Into<Cow<'static, CStr>>, counter: &Counter) {
        self.add(name.into(), Cell::Counter(counter.clone()));
    }

    /// Adds a gauge, which the caller keeps a clone of.
    pub fn add_gauge(&mut self, name: impl Into<Cow<'static, CStr>>, gauge: &Gauge) {
        self.add(name.into(), Cell::Gauge(gauge.clone()));
    }

    /// Adds a number that `read` returns. It is called on any thread of the host, and must neither block nor wait for
    /// Python.
    pub fn add_read(&mut self, name: impl Into<Cow<'static, CStr>>, read: impl Fn() -> Value + Send + Sync + 'static) {
        self.add(name.into(), Cell::Read(Box::new(read)));
    }

    fn add(&mut self, name: Cow<'static, CStr>, cell: Cell) {
        debug_assert!(
            self.0.iter().all(|metric| metric.name != name),
            "two metrics have the name {name:?}"
        );
        self.0.push(Metric { name, cell });
    }

    pub fn iter(&self) -> std::slice::Iter<'_, Metric> {
        self.0.iter()
    }
}

impl<'m> IntoIterator for &'m Metrics {
    type Item = &'m Metric;
    type IntoIter = std::slice::Iter<'m, Metric>;

    fn into_iter(self) -> Self::IntoIter {
        self.iter()
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;

    #[test]
    fn gauge_has_the_kind_of_the_last_number() {
        let gauge = Gauge::default();
        assert_eq!(gauge.value(), Value::Int(0));
        for (change, expected) in [
            (Gauge::add_int as fn(&Gauge, i64), Value::Int(-3)),
            (|gauge, _| gauge.add_float(0.5), Value::Float(-2.5)),
            (Gauge::add_int, Value::Float(-5.5)),
            (|gauge, _| gauge.set_float(1.25), Value::Float(1.25)),
            (|gauge, _| gauge.add_float(1.0), Value::Float(2.25)),
            (Gauge::set_int, Value::Int(-3)),
            (Gauge::add_int, Value::Int(-6)),
        ] {
            change(&gauge, -3);
            assert_eq!(gauge.value(), expected);
        }
    }

    #[test]
    fn numbers_of_several_threads_add_up() {
        let (counter, whole, fractional) = (Counter::default(), Gauge::default(), Gauge::default());
        fractional.set_float(0.0);
        thread::scope(|scope| {
            for _ in 0..4 {
                scope.spawn(|| {
                    for _ in 0..1000 {
                        counter.add(2);
                        whole.add_int(-1);
                        fractional.add_float(0.5);
                    }
                });
            }
        });
        assert_eq!(counter.value(), 8000);
        assert_eq!(
            (whole.value(), fractional.value()),
            (Value::Int(-4000), Value::Float(2000.0))
        );
    }

    #[test]
    fn gauge_is_never_read_with_the_bits_of_the_other_kind() {
        let gauge = Gauge::default();
        let is_written = |value| matches!(value, Value::Int(0 | 7)) || value == Value::Float(0.5);
        thread::scope(|scope| {
            let writer = scope.spawn(|| {
                for _ in 0..20_000 {
                    gauge.set_float(0.5);
                    gauge.set_int(7);
                }
            });
            while !writer.is_finished() {
                let value = gauge.value();
                assert!(is_written(value), "{value:?}");
            }
        });
    }

    #[test]
    fn metrics_return_current_values_in_order() {
        let (counter, gauge) = (Counter::default(), Gauge::default());
        let mut metrics = Metrics::new();
        metrics.add_counter(c"requests", &counter);
        metrics.add_gauge(c"waiting".to_owned(), &gauge);
        let read = counter.clone();
        metrics.add_read(c"twice", move || Value::Counter(2 * read.value()));
        counter.add(4);
        gauge.set_int(-1);
        let found: Vec<_> = metrics.iter().map(|metric| (metric.name(), metric.value())).collect();
        assert_eq!(
            found,
            [
                (c"requests", Value::Counter(4)),
                (c"waiting", Value::Int(-1)),
                (c"twice", Value::Counter(8)),
            ]
        );
    }
}
