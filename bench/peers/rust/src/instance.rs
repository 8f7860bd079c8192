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
    Channel(Receiver<&'static [u8]>),
}

impl Instance {
    /// Starts a thread that sends the payloads. After the instance was dropped, the thread ends at its next send.
    pub fn through_channel(workload: Workload) -> Self {
        let (sender, receiver) = bounded(CAPACITY);
        thread::spawn(move || {
            for payload in workload {
                if sender.send(payload).is_err() {
                    break;
                }
            }
        });
        Self::Channel(receiver)
    }
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
            Self::Channel(receiver) => {
                let first = receiver.recv_timeout(TIMEOUT).map_err(|error| match error {
                    RecvTimeoutError::Timeout => FailureReason::Timeout,
                    RecvTimeoutError::Disconnected => FailureReason::Eof,
                })?;
                batch.add(Self::plugin_event(first))?;
                for payload in receiver.try_iter().take(BATCH_EVENTS - 1) {
                    batch.add(Self::plugin_event(payload))?;
                }
            }
        }
        Ok(())
    }
}
