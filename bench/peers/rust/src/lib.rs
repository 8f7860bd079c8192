//! The benchmark's plugin of the Rust SDK. Open params: `batch WORKLOAD` returns a full batch per call; `channel WORKLOAD`
//! sends from a separate thread through a channel of 128, and `channel-2 WORKLOAD` from two threads.

mod instance;
mod records;
mod workload;

use std::borrow::Cow;
use std::ffi::{CStr, CString};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use falco_plugin::anyhow::{Error, anyhow};
use falco_plugin::base::{Metric, MetricLabel, MetricType, MetricValue, Plugin};
use falco_plugin::event::PluginEvent;
use falco_plugin::event::events::{Event, RawEvent};
use falco_plugin::extract::{ExtractFieldInfo, ExtractPlugin, ExtractRequest, field};
use falco_plugin::parse::{EventInput as ParsedEvent, ParseInput, ParsePlugin};
use falco_plugin::source::{EventInput, SourcePlugin};
use falco_plugin::tables::import::{Entry, Field, Table, TableMetadata};
use falco_plugin::tables::{TablesInput, export};
use falco_plugin::{extract_plugin, parse_plugin, plugin, source_plugin};
use falco_event_schema::events::PPME_SYSCALL_EXECVE_19_X;
use serde::Deserialize;

use instance::{Instance, channel};
use records::Records;
use workload::Workload;

/// As many metrics as the plugin of this SDK has, numbers that other threads may change.
const METRICS: [&CStr; 16] = [
    c"one", c"two", c"three", c"four", c"five", c"six", c"seven", c"eight", c"nine", c"ten", c"eleven", c"twelve",
    c"thirteen", c"fourteen", c"fifteen", c"sixteen",
];

/// An entry of the peer's own table, which another plugin reads.
#[derive(export::Entry)]
pub struct Session {
    requests: export::Public<i64>,
    user: export::Public<CString>,
}

/// The table of threads of the host.
type Thread = Entry<Arc<ThreadMetadata>>;

#[derive(TableMetadata)]
#[entry_type(Thread)]
pub struct ThreadMetadata {
    comm: Field<CStr, Thread>,
    pid: Field<i64, Thread>,
    #[custom]
    program: Field<CStr, Thread>,
}

#[derive(Default)]
pub struct Peer {
    metrics: [AtomicU64; METRICS.len()],
    threads: Option<Table<i64, Thread>>,
    /// Held for the host, which has its address.
    _sessions: Option<Box<export::Table<i64, Session>>>,
}

/// Makes a table with 1000 entries.
fn sessions() -> Result<export::Table<i64, Session>, Error> {
    let mut sessions = export::Table::<i64, Session>::new(c"bench_sessions")?;
    for number in 0..1000 {
        let mut entry = sessions.create_entry()?;
        *entry.requests = number * 6;
        *entry.user = CString::new(format!("user-{number}"))?;
        sessions.insert(&number, entry);
    }
    Ok(sessions)
}

impl Plugin for Peer {
    const NAME: &'static CStr = c"bench-rust";
    const PLUGIN_VERSION: &'static CStr = c"0.0.0";
    const DESCRIPTION: &'static CStr = c"The workloads of the benchmark, made by the Rust SDK";
    const CONTACT: &'static CStr = c"";
    type ConfigType = ();

    fn new(input: Option<&TablesInput>, (): Self::ConfigType) -> Result<Self, Error> {
        let Some(input) = input else {
            return Ok(Self::default());
        };
        Ok(Self {
            threads: Some(input.get_table(c"threads")?),
            _sessions: Some(input.add_table(sessions()?)?),
            ..Self::default()
        })
    }

    fn get_metrics(&mut self) -> impl IntoIterator<Item = Metric> {
        METRICS.iter().zip(&self.metrics).map(|(name, metric)| {
            let value = MetricValue::U64(metric.load(Ordering::Relaxed));
            MetricLabel::new(name, MetricType::Monotonic).with_value(value)
        })
    }
}

impl SourcePlugin for Peer {
    type Instance = Instance;
    type Event<'a> = RawEvent<'a>;
    const EVENT_SOURCE: &'static CStr = c"bench";
    const PLUGIN_ID: u32 = 999;

    fn open(&mut self, params: Option<&str>) -> Result<Self::Instance, Error> {
        let (mode, workload) = params.and_then(|params| params.split_once(' ')).unwrap_or_default();
        let (mode, threads) = mode.split_once('-').unwrap_or((mode, "1"));
        match (mode, workload.strip_prefix("json:")) {
            ("batch", _) => Ok(Instance::Batch(Workload::new(workload)?)),
            ("channel", None) => Ok(Instance::Ready(channel(threads.parse()?, || Workload::new(workload))?)),
            ("channel", Some(file)) => Ok(Instance::Encoded(channel(threads.parse()?, || Records::new(file))?)),
            _ => Err(anyhow!("unknown mode: {params:?}")),
        }
    }

    fn event_to_string(&mut self, _: &EventInput<RawEvent>) -> Result<CString, Error> {
        Ok(CString::default())
    }
}

/// The members of a log line that the fields read; serde skips the others.
#[derive(Deserialize)]
struct Line<'a> {
    #[serde(borrow)]
    level: Cow<'a, str>,
    #[serde(borrow)]
    trace_id: Cow<'a, str>,
}

impl Peer {
    fn constant(&mut self, _: ExtractRequest<Self>) -> Result<u64, Error> {
        Ok(42)
    }

    fn level(&mut self, request: ExtractRequest<Self>) -> Result<CString, Error> {
        let event = request.event.event()?;
        let line: Line = serde_json::from_slice(event.params.event_data)?;
        Ok(CString::new(&*line.level)?)
    }

    fn last(&mut self, request: ExtractRequest<Self>) -> Result<CString, Error> {
        let event = request.event.event()?;
        let line: Line = serde_json::from_slice(event.params.event_data)?;
        Ok(CString::new(&*line.trace_id)?)
    }
}

impl Peer {
    /// Returns the entry of the event's thread.
    fn thread(&self, request: &ExtractRequest<Self>) -> Result<Thread, Error> {
        let threads = self.threads.as_ref().ok_or_else(|| anyhow!("the host passes no tables"))?;
        threads.get_entry(request.table_reader, &request.event.event()?.metadata.tid)
    }

    fn comm(&mut self, request: ExtractRequest<Self>) -> Result<CString, Error> {
        Ok(self.thread(&request)?.get_comm(request.table_reader)?.to_owned())
    }

    fn pid(&mut self, request: ExtractRequest<Self>) -> Result<u64, Error> {
        Ok(self.thread(&request)?.get_pid(request.table_reader)?.try_into()?)
    }
}

impl ExtractPlugin for Peer {
    type Event<'a> = Event<PluginEvent<&'a [u8]>>;
    type ExtractContext = ();
    const EXTRACT_FIELDS: &'static [ExtractFieldInfo<Self>] = &[
        field("bench.const", &Self::constant),
        field("bench.level", &Self::level),
        field("bench.last", &Self::last),
        field("table.comm", &Self::comm),
        field("table.pid", &Self::pid),
    ];
}

impl ParsePlugin for Peer {
    type Event<'a> = Event<PPME_SYSCALL_EXECVE_19_X<'a>>;

    /// Writes the program of the call into the entry of its thread.
    fn parse_event(&mut self, event: &ParsedEvent<Self::Event<'_>>, input: &ParseInput) -> Result<(), Error> {
        let threads = self.threads.as_ref().ok_or_else(|| anyhow!("the host passes no tables"))?;
        let event = event.event()?;
        let thread = threads.get_entry(&input.reader, &event.metadata.tid)?;
        thread.set_program(&input.writer, event.params.exe.unwrap_or_default())
    }
}

plugin!(Peer);
source_plugin!(Peer);
extract_plugin!(Peer);
parse_plugin!(Peer);
