//! Native code gets unique names, and the dynamic linker opens what was rewritten.

use std::ffi::CString;
use std::fs;
use std::path::Path;

use falco_plugin_bundle::format::Kind;
use falco_plugin_packer::elf::Elf;
use serde_json::{Value, json};

use crate::compiler::compile;
use crate::support::{Bundle, Packer, extension, library};

const ID: &str = "0123456789abcdef";
const NEED: &str = "int two(void); int four(void) { return 2 * two(); }";

/// Makes an extension module that needs a library by a search path, with versioned symbols. Neither uses Python.
fn packer_with_library(flags: &[&str]) -> Packer {
    let mut packer = Packer::new(Vec::new());
    packer.write("versions", b"DEP_1 { global: two; local: *; };");
    let dep = ["-Wl,-soname,libdep.so.1", "-Wl,--version-script=versions"];
    compile(
        &packer,
        "libdep.so.1",
        "int two(void) { return 2; }",
        &[&dep, flags].concat(),
    );
    let linked = ["libdep.so.1", "-Wl,-rpath,$ORIGIN"];
    let path = compile(&packer, "fast.so", NEED, &[&linked, flags].concat());
    packer.plan["entries"] = json!([extension("package.fast", path)]);
    packer
}

/// Opens a rewritten extension module and its library, with an id. Returns the result of its function.
fn call(bundle: &Bundle, folder: &Path, id: &str) -> i32 {
    let entries = bundle.entries();
    let mut opened = std::ptr::null_mut();
    for entry in entries.iter().rev() {
        let path = folder.join(format!("{id}.{}", entry.name));
        fs::write(&path, bundle.data(entry, id)).unwrap();
        let path = CString::new(path.into_os_string().into_encoded_bytes()).unwrap();
        // SAFETY: the library has no code that runs when it is opened.
        opened = unsafe { libc::dlopen(path.as_ptr(), libc::RTLD_NOW | libc::RTLD_LOCAL) };
        assert!(!opened.is_null(), "{}", entry.name);
    }
    // SAFETY: the library is open, and the name ends with a zero byte.
    let four = unsafe { libc::dlsym(opened, c"four".as_ptr()) };
    assert!(!four.is_null());
    // SAFETY: the function has this signature.
    unsafe { std::mem::transmute::<*mut libc::c_void, extern "C" fn() -> i32>(four)() }
}

#[test]
fn extension_and_found_library_get_unique_names() {
    let packer = packer_with_library(&[]);
    let (reply, bundle) = packer.pack();
    let dep = fs::canonicalize(packer.path("libdep.so.1")).unwrap();
    assert_eq!(reply["libraries"][0]["soname"], "libdep.so.1");
    assert_eq!(reply["libraries"][0]["path"], dep.to_str().unwrap());

    let (fast, dep) = (bundle.entry("package.fast"), bundle.entry("libdep.so.1"));
    assert_eq!((fast.kind, dep.kind), (Kind::Extension, Kind::Library));
    assert_eq!(
        fast.needs()
            .map(|need| bundle.entries()[need as usize])
            .collect::<Vec<_>>(),
        [dep]
    );
    let data = bundle.data(&fast, ID);
    let elf = Elf::parse(&data).unwrap();
    assert_eq!(elf.soname(), Ok(Some("0123456789abcdef-package.fast.so")));
    assert!(elf.needed().unwrap().contains(&"0123456789abcdef-libdep.so.1"));
    assert!(!data.windows(7).any(|window| window == b".symtab"));
    assert_eq!(call(&bundle, packer.folder.path(), ID), 4);
}

#[test]
fn rewritten_files_open_with_every_layout() {
    let layouts: [&[&str]; 3] = [
        // The dynamic table has no free entries, so it moves.
        &["-Wl,--spare-dynamic-tags=0"],
        &["-Wl,-z,separate-code", "-Wl,-z,max-page-size=0x200000"],
        &["-Wl,--hash-style=sysv", "-Wl,-z,norelro"],
    ];
    for flags in layouts {
        let mut packer = packer_with_library(flags);
        for debug_symbols in [false, true] {
            packer.plan["debug_symbols"] = debug_symbols.into();
            let (_, bundle) = packer.pack();
            let id = if debug_symbols { "1111111111111111" } else { ID };
            assert_eq!(call(&bundle, packer.folder.path(), id), 4, "{flags:?}");
        }
    }
}

#[test]
fn debug_symbols_are_kept_on_request() {
    let mut packer = packer_with_library(&[]);
    packer.plan["debug_symbols"] = true.into();
    let (_, bundle) = packer.pack();
    let data = bundle.data(&bundle.entry("package.fast"), ID);
    assert!(data.windows(7).any(|window| window == b".symtab"));
    assert!(data.windows(11).any(|window| window == b".debug_info"));
}

/// A rewritten file has the layout of files that other tools changed: a segment at its end, and no sections.
#[test]
fn rewritten_file_can_be_rewritten() {
    let first = packer_with_library(&[]);
    let (_, bundle) = first.pack();
    let mut second = Packer::new(Vec::new());
    let data = |name: &str| bundle.data(&bundle.entry(name), ID);
    let fast = second.write("fast.so", &data("package.fast"));
    let dep = second.write("libdep.so.1", &data("libdep.so.1"));
    let name = format!("{ID}-libdep.so.1");
    second.plan["entries"] = json!([extension("fast", fast), library(&name, dep)]);
    let (_, bundle) = second.pack();
    assert_eq!(call(&bundle, second.folder.path(), "2222222222222222"), 4);
}

#[test]
fn extension_with_python_symbols_needs_libpython() {
    let mut packer = Packer::new(Vec::new());
    let uses = "void *PyLong_FromLong(long); void *one(void) { return PyLong_FromLong(1); }";
    let fast = compile(&packer, "fast.so", uses, &[]);
    let plain = compile(&packer, "plain.so", "int PyInit_plain(void) { return 1; }", &[]);
    let python = compile(
        &packer,
        "libpython3.99.so.1.0",
        "int PyLong_FromLong(long n) { return n; }",
        &[],
    );
    packer.plan["entries"] = json!([
        extension("fast", fast),
        extension("plain", plain),
        library("libpython3.99.so.1.0", python)
    ]);
    let (_, bundle) = packer.pack();
    let needed = |name: &str| {
        let data = bundle.data(&bundle.entry(name), ID);
        let needed: Vec<_> = Elf::parse(&data)
            .unwrap()
            .needed()
            .unwrap()
            .into_iter()
            .map(str::to_owned)
            .collect();
        (
            bundle.entry(name).needs().len(),
            needed
                .iter()
                .any(|name| name == "0123456789abcdef-libpython3.99.so.1.0"),
        )
    };
    assert_eq!(needed("fast"), (1, true));
    assert_eq!(needed("plain"), (0, false));
}

#[test]
fn system_first_library_keeps_its_name() {
    let mut packer = packer_with_library(&[]);
    let runtime = compile(
        &packer,
        "libgcc_s.so.1",
        "int gcc(void) { return 1; }",
        &["-Wl,-soname,libgcc_s.so.1"],
    );
    let uses = compile(
        &packer,
        "uses.so",
        "int gcc(void); int one(void) { return gcc(); }",
        &["libgcc_s.so.1"],
    );
    packer.plan["entries"] = json!([
        extension("uses", uses),
        {"kind": "library", "name": "libgcc_s.so.1", "path": runtime, "system_first": true},
    ]);
    let (_, bundle) = packer.pack();
    let library = bundle.entry("libgcc_s.so.1");
    assert!(library.is_system_first());
    assert_eq!(library.patches().len(), 0);
    let names =
        |name: &str, read: fn(&Elf<'_>) -> Value| read(&Elf::parse(&bundle.data(&bundle.entry(name), ID)).unwrap());
    assert_eq!(
        names("libgcc_s.so.1", |elf| json!(elf.soname().unwrap())),
        "libgcc_s.so.1"
    );
    assert_eq!(names("uses", |elf| json!(elf.needed().unwrap()[0])), "libgcc_s.so.1");
    assert_eq!(bundle.entry("uses").needs().len(), 1);
}

#[test]
fn library_without_a_soname_has_its_file_name() {
    let mut packer = Packer::new(Vec::new());
    compile(&packer, "libdep.so", "int two(void) { return 2; }", &[]);
    let linked = ["-L.", "-l:libdep.so", "-Wl,-rpath,$ORIGIN"];
    let fast = compile(&packer, "fast.so", NEED, &linked);
    packer.plan["entries"] = json!([extension("fast", fast)]);
    let (_, bundle) = packer.pack();
    assert_eq!(bundle.entry("libdep.so").kind, Kind::Library);
    assert_eq!(call(&bundle, packer.folder.path(), "3333333333333333"), 4);
}

#[test]
fn unique_symbols_are_separate_for_each_bundle() {
    let [first, second] = [7, 8].map(|value| {
        let mut packer = Packer::new(Vec::new());
        let code = format!(
            "__asm__(\".data\\n.globl table\\n.type table, %gnu_unique_object\\n.size table, 4\\ntable: .long {value}\\n.text\");
             extern int table; int four(void) {{ return table; }}"
        );
        let path = compile(&packer, "unique.so", &code, &[]);
        packer.plan["entries"] = json!([extension("unique", path)]);
        let (_, bundle) = packer.pack();
        call(&bundle, packer.folder.path(), &format!("{value:016x}"))
    });
    assert_eq!([first, second], [7, 8]);
}
