//! Capabilities, and the symbols that make them.

use crate::functions;

/// A capability of plugins. A plugin has it if its library exports its required symbols.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Capability {
    Sourcing,
    Extraction,
    Parsing,
    AsyncEvents,
    Listening,
}

impl Capability {
    pub const ALL: [Self; 5] = [
        Self::Sourcing,
        Self::Extraction,
        Self::Parsing,
        Self::AsyncEvents,
        Self::Listening,
    ];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Sourcing => "sourcing",
            Self::Extraction => "extraction",
            Self::Parsing => "parsing",
            Self::AsyncEvents => "async events",
            Self::Listening => "listening",
        }
    }

    /// Returns the functions that belong to the capability, in the order of the list.
    pub fn functions(self) -> impl Iterator<Item = &'static Function> {
        FUNCTIONS
            .iter()
            .filter(move |function| function.capability == Some(self))
    }
}

/// A function of the plugin API.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Function {
    pub symbol: &'static str,
    /// The capability that it belongs to; `None` if it is a function of every plugin.
    pub capability: Option<Capability>,
    /// Whether every plugin must have it, or every plugin with its capability.
    pub is_required: bool,
    /// Whether the libraries of this SDK export it.
    pub is_implemented: bool,
}

macro_rules! capability {
    (every) => {
        None
    };
    ($capability:ident) => {
        Some(Capability::$capability)
    };
}

macro_rules! list {
    ($($implemented:ident $capability:ident $need:ident $symbol:literal
        $name:ident($($param:ident: $type:ty),*) -> $result:ty;)*
    ) => {
        /// All functions of the plugin API.
        pub const FUNCTIONS: &[Function] = &[$(Function {
            symbol: $symbol,
            capability: capability!($capability),
            is_required: matches!(stringify!($need).as_bytes(), b"required"),
            is_implemented: !matches!(stringify!($implemented).as_bytes(), b"unimplemented"),
        },)*];
    };
}

functions!(all => list);
