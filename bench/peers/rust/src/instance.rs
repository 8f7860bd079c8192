//! Fills batches in two ways: directly, and from a channel.

use std::thread;
use std::time::Duration;

use crossbeam_channel::{Receiver, RecvTimeoutError, bounded};
use falco_plugin::FailureReason;
use falco_plugin::anyhow::Error;
use falco_plugin::source::{EventBatch, SourcePluginInstance};

use crate::Peer;
use crate::workload::Workload;

const BATCH_EVENTS: usize = 128;
const CAPACITY: usize = 128;
const TIMEOUT: Duration = Duration::from_millis(30);

pub enum Instance {
    Batch(Workload),
    /// From threads that send ready payloads.
    Ready(Receiver<&'static [u8]>),
    /// From threads that make each payload.
    Encoded(Receiver<Vec<u8>>),
}

/// Starts threads that send payloads, each with its own workload. After the receiver was dropped, a thread ends at its next
/// send.
pub fn channel<W>(threads: usize, workload: impl Fn() -> Result<W, Error>) -> Result<Receiver<W::Item>, Error>
where
    W: Iterator<Item: Send + 'static> + Send + 'static,
{
    let (sender, receiver) = bounded(CAPACITY);
    for _ in 0..threads {
        let (sender, mut payloads) = (sender.clone(), workload()?);
        thread::spawn(move || payloads.try_for_each(|payload| sender.send(payload)));
    }
    Ok(receiver)
}

/// Adds the payloads that wait in the channel to a batch. Waits for the first one.
fn receive<P: AsRef<[u8]>>(receiver: &Receiver<P>, batch: &mut EventBatch) -> Result<(), Error> {
    let first = receiver.recv_timeout(TIMEOUT).map_err(|error| match error {
        RecvTimeoutError::Timeout => FailureReason::Timeout,
        RecvTimeoutError::Disconnected => FailureReason::Eof,
    })?;
    batch.add(Instance::plugin_event(first.as_ref()))?;
    for payload in receiver.try_iter().take(BATCH_EVENTS - 1) {
        batch.add(Instance::plugin_event(payload.as_ref()))?;
    }
    Ok(())
}

impl SourcePluginInstance for Instance {
    type Plugin = Peer;

    fn next_batch(&mut self, _: &mut Peer, batch: &mut EventBatch) -> Result<(), Error> {
        batch.reserve(BATCH_EVENTS);
        match self {
            Self::Batch(workload) => {
                for payload in workload.take(BATCH_EVENTS) {
                    batch.add(Self::plugin_event(payload))?;
                }
            }
            Self::Ready(receiver) => receive(receiver, batch)?,
            Self::Encoded(receiver) => receive(receiver, batch)?,
        }
        Ok(())
    }
}
