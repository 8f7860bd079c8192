//! ELF files of the machine's architecture: reading what the dynamic linker reads, and changing names.
//!
//! Both use only the program headers and the dynamic table, as the dynamic linker does. Section headers may be absent.

mod read;
mod rewrite;

pub use read::{Elf, ElfError};
pub use rewrite::{Names, Rewritten, rewrite};
