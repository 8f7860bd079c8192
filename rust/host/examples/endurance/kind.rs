//! The kinds of sources that the soak's plugin has.

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    Pull,
    Generator,
    Async,
    Retry,
    Push,
    Custom,
    File,
    Pipe,
}

impl Kind {
    pub const ALL: [Self; 8] = [
        Self::Pull,
        Self::Generator,
        Self::Async,
        Self::Retry,
        Self::Push,
        Self::Custom,
        Self::File,
        Self::Pipe,
    ];

    pub fn name(self) -> &'static str {
        match self {
            Self::Pull => "pull",
            Self::Generator => "generator",
            Self::Async => "async",
            Self::Retry => "retry",
            Self::Push => "push",
            Self::Custom => "custom",
            Self::File => "file",
            Self::Pipe => "pipe",
        }
    }

    /// Returns whether the source reads lines that this host writes.
    pub fn reads_lines(self) -> bool {
        matches!(self, Self::File | Self::Pipe)
    }
}
