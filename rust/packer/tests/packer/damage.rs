//! A damaged ELF file is refused or rewritten, and never makes the packer panic.

use std::fs;
use std::sync::LazyLock;

use falco_plugin_packer::elf::{Names, rewrite};
use proptest::prelude::*;
use proptest::sample::Index;

use crate::compiler::compile;
use crate::support::Packer;

static LIBRARY: LazyLock<Vec<u8>> = LazyLock::new(|| {
    let packer = Packer::new(Vec::new());
    let code = "#include <stdio.h>\nint PyLong_Check(int); int f(void) { return PyLong_Check(puts(\"a\")); }";
    fs::read(compile(&packer, "fast.so", code, &["-Wl,-rpath,/nowhere"])).unwrap()
});

proptest! {
    #[test]
    fn damaged_library_does_not_panic(
        damage in proptest::collection::vec((any::<Index>(), any::<u8>()), 1..8),
        // Most of what is read is at the beginning.
        range in prop_oneof![Just(64), Just(0x300), Just(0x1000), Just(usize::MAX)],
        end in any::<Index>(),
        is_cut in any::<bool>(),
        keeps_symbols in any::<bool>(),
    ) {
        let mut library = LIBRARY.clone();
        for (position, value) in damage {
            let position = position.index(range.min(library.len()));
            library[position] = value;
        }
        if is_cut {
            library.truncate(end.index(library.len()));
        }
        let name = |name: &str| format!("0000000000000000-{name}");
        let names = Names {
            soname: Some(name("fast.so")),
            renamed: [("libc.so.6".to_owned(), name("libc.so.6"))].into(),
            added: vec![name("libpython")],
        };
        if let Ok(rewritten) = rewrite(&library, &names, keeps_symbols) {
            for patch in rewritten.patches {
                prop_assert!(rewritten.data[patch as usize..].starts_with(b"0000000000000000-"));
            }
        }
    }
}
