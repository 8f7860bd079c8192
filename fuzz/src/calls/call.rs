//! The calls, as the fuzzer makes them up.

use arbitrary::Arbitrary;

#[derive(Debug, Arbitrary)]
pub(super) enum Call<'a> {
    Describe {
        without_outputs: bool,
    },
    Init {
        library: u8,
        config: Config<'a>,
        without_rc: bool,
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
        without_input: bool,
    },
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
    Any(&'a [u8]),
}

#[derive(Debug, Arbitrary)]
pub(super) enum Params<'a> {
    Null,
    Any(&'a [u8]),
    Source(u8, &'a [u8]),
}

/// An event that the host passes back for its text and its fields.
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
