//! The calls, as the fuzzer makes them up.

use arbitrary::{Arbitrary, Unstructured};

use super::listening::HostPool;
use super::tables::{Access, HostTables};

#[derive(Debug, Arbitrary)]
pub(super) enum Call<'a> {
    Describe {
        without_outputs: bool,
    },
    Init {
        library: u8,
        config: Config<'a>,
        without_rc: bool,
        tables: HostTables,
        /// As in [`Call::Failures`].
        failures: u64,
    },
    Destroy,
    Open {
        params: Params<'a>,
        without_rc: bool,
    },
    Close {
        instance: u8,
        without_state: bool,
    },
    NextBatch {
        instance: u8,
        without: Without,
    },
    Progress {
        instance: u8,
        without: Without,
    },
    ListOpenParams {
        without_rc: bool,
    },
    LastError,
    Text(Option<Event<'a>>),
    Extract {
        event: Option<Event<'a>>,
        fields: Option<Vec<FieldRequest<'a>>>,
        with_offsets: bool,
        access: Access,
        without_input: bool,
    },
    Parse {
        event: Option<Event<'a>>,
        access: Access,
        without_input: bool,
    },
    SetHandler {
        is_set: bool,
    },
    DumpState {
        without_handler: bool,
    },
    CaptureOpen {
        pool: HostPool,
        access: Access,
        without_input: bool,
    },
    CaptureClose {
        pool: HostPool,
        access: Access,
        without_input: bool,
    },
    /// Lets the host's functions fail in later calls, one bit for each function call in turn.
    Failures(u64),
    Metrics {
        without_output: bool,
    },
    SetConfig(Config<'a>),
}

impl Call<'_> {
    /// Initialises a library with a valid configuration.
    pub(super) fn initialise(library: u8) -> Self {
        Self::Init {
            library,
            config: Config::Good,
            without_rc: false,
            tables: HostTables::Good,
            failures: 0,
        }
    }
}

/// The argument that a call on an instance lacks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Arbitrary)]
pub(super) enum Without {
    Nothing,
    State,
    Instance,
    Outputs,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Config<'a> {
    NoInput,
    Null,
    Good,
    /// A configuration of `fuzz/plugins/state.py`.
    Actions {
        action: u32,
        sends: u8,
    },
    Any(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
pub(super) enum Params<'a> {
    Null,
    Any(&'a [u8]),
    Source(u8, &'a [u8]),
}

/// An event that the host passes for its text, its fields and its parsing.
#[derive(Debug, Arbitrary)]
pub(super) struct Event<'a> {
    pub(super) number: u64,
    pub(super) source: Option<&'a [u8]>,
    pub(super) memory: Memory<'a>,
}

#[derive(Debug, Arbitrary)]
pub(super) enum Memory<'a> {
    Null,
    /// An event of an instance's last batch.
    Batch {
        instance: u8,
        index: u8,
    },
    /// A valid event with a timestamp and a payload.
    Payload(u64, &'a [u8]),
    /// Any bytes, with their length in the header.
    Any(&'a [u8]),
    /// An event of another type with its parameters, damaged at some offsets.
    WithParams {
        kind: Kind,
        thread_id: i8,
        params: Vec<Bytes<'a>>,
        damage: Vec<(u8, u8)>,
    },
}

/// At most 255 bytes, after their number. So an input can be written by hand.
#[derive(Debug, Clone, Copy)]
pub(super) struct Bytes<'a>(pub(super) &'a [u8]);

impl<'a> Arbitrary<'a> for Bytes<'a> {
    fn arbitrary(input: &mut Unstructured<'a>) -> arbitrary::Result<Self> {
        let len = usize::from(u8::arbitrary(input)?);
        input.bytes(len.min(input.len())).map(Self)
    }
}

#[derive(Debug, Clone, Copy, Arbitrary)]
pub(super) enum Kind {
    /// A type whose parameters `fuzz/plugins/state.py` reads.
    Parsed(u8),
    Any(u16),
}

#[derive(Debug, Arbitrary)]
pub(super) struct FieldRequest<'a> {
    /// The id of a field, the first id that does not exist, or one far from it.
    pub(super) id: u8,
    pub(super) index: u64,
    pub(super) key: Option<&'a [u8]>,
    pub(super) present: bool,
    pub(super) list: u32,
}
