//! The check that a source delivers each of its events once and in order.

use std::fmt;

use crate::plan::{self, HEAD, TAIL};

/// The events of a source that have not arrived yet.
pub struct Expected {
    key: u64,
    version: char,
    /// The number of events of each producer.
    count: u32,
    /// For each producer, the number of its next event.
    next: Vec<u32>,
    /// The number of empty events whose producer is not known yet.
    unclaimed: u64,
    head: Vec<u8>,
}

/// Why a payload is wrong.
#[derive(Debug)]
pub struct Wrong(&'static str);

impl fmt::Display for Wrong {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.0)
    }
}

impl Expected {
    /// Expects `count` events of each producer.
    pub fn new(key: u64, version: char, producers: usize, count: u32) -> Self {
        Self {
            key,
            version,
            count,
            next: vec![0; producers],
            unclaimed: 0,
            head: Vec::with_capacity(HEAD),
        }
    }

    /// Checks a payload, and expects the next one.
    pub fn accept(&mut self, payload: &[u8]) -> Result<(), Wrong> {
        if payload.is_empty() {
            self.unclaimed += 1;
            return match self.unclaimed <= self.empty_due() {
                true => Ok(()),
                false => Err(Wrong("an empty event that is not expected")),
            };
        }
        if payload.len() < HEAD + TAIL.len() {
            return Err(Wrong("an event that is too short"));
        }
        let (producer, number) = plan::read_head(payload).ok_or(Wrong("an event with a malformed head"))?;
        if producer >= self.next.len() {
            return Err(Wrong("an event of an unknown producer"));
        }
        if number < self.next[producer] {
            return Err(Wrong("an event that came twice, or too late"));
        }
        if !self.claim_empty(producer, number) {
            return Err(Wrong("an event before an earlier expected one"));
        }
        let body = &payload[HEAD..payload.len() - TAIL.len()];
        if plan::body(self.key, producer, number).map(<[u8]>::len) != Some(body.len()) {
            return Err(Wrong("an event of another size"));
        }
        self.head.clear();
        plan::write_head(&mut self.head, self.version, self.key, producer, number, body);
        if !payload.starts_with(&self.head) || !payload.ends_with(TAIL) {
            return Err(Wrong("an event with other bytes"));
        }
        self.next[producer] += 1;
        Ok(())
    }

    /// Checks that all events have arrived. Returns each problem.
    pub fn finish(&mut self) -> Vec<String> {
        let mut problems = Vec::new();
        for producer in 0..self.next.len() {
            if !self.claim_empty(producer, self.count) {
                let (next, count) = (self.next[producer], self.count);
                problems.push(format!("event {next} of {count} of producer {producer} is missing"));
            }
        }
        if self.unclaimed > 0 {
            problems.push(format!("{} empty events too many arrived", self.unclaimed));
        }
        problems
    }

    fn is_empty_due(&self, producer: usize, number: u32) -> bool {
        number < self.count && plan::body(self.key, producer, number).is_none()
    }

    /// Returns how many empty events may arrive before the next other event of each producer.
    fn empty_due(&self) -> u64 {
        let due = self.next.iter().enumerate().map(|(producer, next)| {
            (*next..)
                .take_while(|number| self.is_empty_due(producer, *number))
                .count() as u64
        });
        due.sum()
    }

    /// Counts empty events as those of a producer, up to the event `end`. Returns whether that event is due then.
    fn claim_empty(&mut self, producer: usize, end: u32) -> bool {
        while self.next[producer] < end {
            if self.unclaimed == 0 || !self.is_empty_due(producer, self.next[producer]) {
                return false;
            }
            self.unclaimed -= 1;
            self.next[producer] += 1;
        }
        self.next[producer] == end
    }
}
