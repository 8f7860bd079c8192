//! Files that cannot be packed are reported with their names and a remedy.

use std::fs;

use serde_json::json;

use crate::compiler::compile;
use crate::support::{Packer, extension, library};

/// Asserts that the plan is refused, and that nothing is written.
fn assert_refused(packer: &Packer, entry: Option<&str>, parts: &[&str]) {
    let reply = packer.run();
    let error = reply["error"].as_str().unwrap_or_else(|| panic!("{parts:?}: {reply}"));
    for part in parts {
        assert!(error.contains(part), "{error:?} does not contain {part:?}");
    }
    assert!(!error.contains('\n'), "{error}");
    assert_eq!(reply["entry"].as_str(), entry, "{error}");
    assert!(!packer.path("bundle").exists());
}

#[test]
fn file_that_is_not_a_shared_library_is_refused() {
    let mut packer = Packer::new(Vec::new());
    let path = compile(&packer, "fast.so", "int one(void) { return 1; }", &[]);
    let library = fs::read(&path).unwrap();
    let with = |offset: usize, value: u8| {
        let mut changed = library.clone();
        changed[offset] = value;
        changed
    };
    let without_dynamic = {
        let table = u64::from_le_bytes(library[32..40].try_into().unwrap()) as usize;
        let headers = (0..usize::from(library[56])).map(|number| table + 56 * number);
        let dynamic = headers.into_iter().find(|header| library[*header] == 2).unwrap();
        with(dynamic, 4)
    };
    let cases: [(&[u8], &str); 7] = [
        (b"", "it is not an ELF file"),
        (b"/* GNU ld script */ INPUT(libfast.so.1)", "it is not an ELF file"),
        (&library[..100], "it is damaged"),
        (&with(4, 1), "it was built for another architecture"),
        (
            &with(18, 243),
            "it was built for another architecture (ELF machine 243, expected ",
        ),
        (&with(16, 2), "it is an ELF file, but not a shared library"),
        (
            &without_dynamic,
            "it has no dynamic section, so it cannot be opened as a shared library",
        ),
    ];
    for (data, message) in cases {
        let path = packer.write("fast.so", data);
        packer.plan["entries"] = json!([extension("package.fast", &path)]);
        assert_refused(
            &packer,
            Some("package.fast"),
            &["cannot pack ", path.to_str().unwrap(), message],
        );
    }
}

#[test]
fn missing_library_is_named_with_a_remedy() {
    let mut packer = Packer::new(Vec::new());
    let dep = compile(
        &packer,
        "libdep.so",
        "int two(void) { return 2; }",
        &["-Wl,-soname,libdep.so.1"],
    );
    let fast = compile(
        &packer,
        "fast.so",
        "int two(void); int f(void) { return two(); }",
        &["libdep.so"],
    );
    fs::remove_file(dep).unwrap();
    packer.plan["entries"] = json!([extension("package.fast", fast)]);
    let parts = [
        "package.fast needs libdep.so.1, which the dynamic linker does not find",
        "--exclude",
    ];
    assert_refused(&packer, Some("package.fast"), &parts);
}

#[test]
fn two_libraries_of_one_name_are_refused() {
    let mut packer = Packer::new(Vec::new());
    let mut extensions = Vec::new();
    for folder in ["a", "b"] {
        fs::create_dir(packer.path(folder)).unwrap();
        let code = format!("int {folder}(void) {{ return 1; }}");
        compile(
            &packer,
            &format!("{folder}/libdep.so.1"),
            &code,
            &["-Wl,-soname,libdep.so.1"],
        );
        let code = format!("int {folder}(void); int f(void) {{ return {folder}(); }}");
        let linked = [&format!("{folder}/libdep.so.1"), "-Wl,-rpath,$ORIGIN"];
        extensions.push(extension(
            folder,
            compile(&packer, &format!("{folder}/fast.so"), &code, &linked),
        ));
    }
    packer.plan["entries"] = json!(extensions);
    let parts = [
        "libdep.so.1 exists twice with different content: ",
        "/a/libdep.so.1",
        "/b/libdep.so.1",
    ];
    assert_refused(&packer, Some("libdep.so.1"), &parts);

    // Equal files are one library.
    fs::copy(packer.path("a/libdep.so.1"), packer.path("b/libdep.so.1")).unwrap();
    let (reply, _) = packer.pack();
    assert_eq!(reply["libraries"].as_array().unwrap().len(), 1);
}

#[test]
fn libraries_that_need_each_other_are_refused() {
    let mut packer = Packer::new(Vec::new());
    compile(
        &packer,
        "liba.so",
        "int a(void) { return 1; }",
        &["-Wl,-soname,liba.so"],
    );
    let b = compile(
        &packer,
        "libb.so",
        "int a(void); int b(void) { return a(); }",
        &["liba.so", "-Wl,-soname,libb.so"],
    );
    let a = compile(
        &packer,
        "liba.so",
        "int b(void); int a(void) { return b(); }",
        &["libb.so", "-Wl,-soname,liba.so"],
    );
    packer.plan["entries"] = json!([library("liba.so", a), library("libb.so", b)]);
    assert_refused(&packer, Some("libb.so"), &["libb.so and liba.so need each other"]);
}

#[test]
fn extension_without_libpython_is_refused() {
    let mut packer = Packer::new(Vec::new());
    let fast = compile(
        &packer,
        "fast.so",
        "int PyLong_Check(int); int f(void) { return PyLong_Check(1); }",
        &[],
    );
    packer.plan["entries"] = json!([extension("fast", fast)]);
    assert_refused(
        &packer,
        Some("fast"),
        &["fast uses symbols of Python, but no libpython is to be packed"],
    );
}

#[test]
fn invalid_plan_is_refused() {
    let mut packer = Packer::new(Vec::new());
    let blob = packer.write("blob", b"0123456789");
    let module = |source| json!({"kind": "module", "name": "a", "group": "a", "source": source});
    let missing = packer.path("missing");
    let cases = [
        (
            json!([module(json!([blob, 8, 3]))]),
            Some("a"),
            "ends before the data of a",
        ),
        (
            json!([module(json!([blob, u64::MAX, u64::MAX]))]),
            Some("a"),
            "ends before the data of a",
        ),
        (json!([module(json!(missing))]), None, "cannot read "),
        (json!([extension("a", &missing)]), None, "cannot read "),
        (
            json!([module(json!(blob)), module(json!(blob))]),
            Some("a"),
            "two entries are named a",
        ),
        (
            json!([{"kind": "egg", "name": "a"}]),
            None,
            "the plan is not valid: unknown variant `egg`",
        ),
        (
            json!([{"kind": "module", "name": "a"}]),
            None,
            "the plan is not valid: missing field `group`",
        ),
    ];
    for (entries, entry, message) in cases {
        packer.plan["entries"] = entries;
        assert_refused(&packer, entry, &[message]);
    }
}

#[test]
fn linker_and_output_that_do_not_work_are_named() {
    let mut packer = Packer::new(Vec::new());
    compile(&packer, "libdep.so", "int two(void) { return 2; }", &[]);
    let fast = compile(
        &packer,
        "fast.so",
        "int two(void); int f(void) { return two(); }",
        &["-L.", "-l:libdep.so"],
    );
    packer.plan["linker"] = json!("/nowhere/ld.so");
    packer.plan["entries"] = json!([extension("fast", fast)]);
    assert_refused(
        &packer,
        None,
        &["cannot run the dynamic linker /nowhere/ld.so: No such file"],
    );
    packer.plan["entries"] = json!([]);
    packer.plan["output"] = json!("/nowhere/bundle");
    assert_refused(&packer, None, &["cannot write /nowhere/bundle: No such file"]);
}
