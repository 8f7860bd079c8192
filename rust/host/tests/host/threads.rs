//! The table `threads` of a run over a capture file: its lists, and the events that change it.

use std::collections::BTreeMap;

use falco_plugin_host::scap::Capture;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::captures::*;
use crate::support::*;

/// The newest formats of the lists, which have the lengths of entries, and the oldest ones.
const THREADS: u32 = 0x215;
const OLD_THREADS: u32 = 0x202;
const DESCRIPTORS: u32 = 0x218;
const OLD_DESCRIPTORS: u32 = 0x203;
const CLONE: u16 = 223;
const EXECVE_BEGIN: u16 = 292;
const CHDIR: u16 = 95;
const PROCEXIT: u16 = 186;

fn text(text: &str) -> Vec<u8> {
    [&(text.len() as u16).to_le_bytes(), text.as_bytes()].concat()
}

fn ids(ids: &[i64]) -> Vec<u8> {
    ids.iter().flat_map(|id| id.to_le_bytes()).collect()
}

/// Returns an entry with its length.
fn sized(entry: &[u8]) -> Vec<u8> {
    [&(entry.len() as u32 + 4).to_le_bytes(), entry].concat()
}

/// Encodes a thread as the list of version 9 has it, without the last fields.
fn thread(tid: i64, pid: i64, ptid: i64, comm: &str) -> Vec<u8> {
    let mut entry = ids(&[tid, pid, ptid, 3, 4]);
    for value in [comm, "argv0", "/usr/bin/bash (deleted)", "-c\0ls", "/home/eve"] {
        entry.extend(text(value));
    }
    entry.extend(1024_u64.to_le_bytes());
    for number in [1_u32, 1000, 100, 1, 2, 3] {
        entry.extend(number.to_le_bytes());
    }
    entry.extend([0; 16]);
    entry.extend(text("HOME=/home/eve\0A=B\0"));
    entry.extend(ids(&[5, 6]));
    entry.extend(text("cpuset=/a\0mem_cgroup=/b\0"));
    entry.extend(text("/root"));
    entry
}

/// Runs a plugin over a capture file, which each test names itself.
fn run_json_over(name: &str, blocks: &[Vec<u8>]) -> (Vec<Value>, String) {
    let path = write(name, blocks);
    let output = host("run", &plugin(&["NO_SOURCE", "PARSES=5"]))
        .arg("--scap")
        .arg(&path)
        .args(["--tables", "threads", "--json"])
        .output()
        .unwrap();
    let lines = stdout(&output)
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    (lines, stderr(&output))
}

/// Returns the fields of the threads at the end of a run, by their keys.
fn threads_of(name: &str, blocks: &[Vec<u8>]) -> BTreeMap<i64, Value> {
    let (lines, messages) = run_json_over(name, blocks);
    let tables = of_kind(&lines, "table");
    assert_eq!(tables.len(), 1, "{messages} {lines:?}");
    let entries = tables[0]["entries"].as_array().unwrap();
    let threads = entries
        .iter()
        .map(|entry| (entry["key"].as_i64().unwrap(), entry["fields"].clone()));
    threads.collect()
}

fn values(list: &Value, field: &str) -> Vec<String> {
    let entries = list.as_array().unwrap().iter();
    entries
        .map(|entry| entry["fields"][field].as_str().unwrap().to_owned())
        .collect()
}

fn u64s(numbers: &[i64]) -> Vec<Vec<u8>> {
    numbers.iter().map(|number| number.to_le_bytes().to_vec()).collect()
}

/// Encodes an event of a thread at a time.
fn event_of(tid: i64, time: u64, code: u16, params: &[Vec<u8>]) -> Vec<u8> {
    let params: Vec<&[u8]> = params.iter().map(Vec::as_slice).collect();
    let mut event = event(code, &params, true);
    event[..8].copy_from_slice(&time.to_le_bytes());
    event[8..16].copy_from_slice(&tid.to_le_bytes());
    event_block(CURRENT, &event)
}

/// Encodes the end of `clone`: its result, flags, and the ids of its thread.
fn clone_event(tid: i64, time: u64, result: i64, flags: u32, [pid, ptid, vtid, vpid]: [i64; 4]) -> Vec<u8> {
    let mut params = u64s(&[result]);
    params.extend([b"sh\0".to_vec(), b"-x\0".to_vec()]);
    params.extend(u64s(&[tid, pid, ptid]));
    params.extend([b"\0".to_vec(), 64_u64.to_le_bytes().to_vec()]);
    params.extend([vec![0; 8], vec![0; 8], vec![0; 4], vec![0; 4], vec![0; 4]]);
    params.extend([b"child\0".to_vec(), b"cpu=/c\0".to_vec(), flags.to_le_bytes().to_vec()]);
    params.extend([7_u32.to_le_bytes().to_vec(), 8_u32.to_le_bytes().to_vec()]);
    params.extend(u64s(&[vtid, vpid]));
    event_of(tid, time, CLONE, &params)
}

#[test]
fn lists_fill_the_table() {
    let mut whole = thread(10, 10, 1, "bash");
    whole.extend(99_u64.to_le_bytes());
    whole.extend([11_u32.to_le_bytes(), 12_u32.to_le_bytes()].concat());
    whole.push(1);
    whole.extend([0; 24]);
    whole.push(1);
    whole.extend(ids(&[21, 22, 23]));
    whole.extend([1, 1]);
    whole.extend(ids(&[24]));
    whole.extend(b"fields of a newer version");
    // Without the fields that libs 0.10 inserted.
    let mut earlier = thread(11, 10, 1, "worker");
    earlier.extend(13_u32.to_le_bytes());
    let mut old = ids(&[12, 12, 1]);
    for value in ["old", "old", "-a", "/"] {
        old.extend(text(value));
    }
    old.extend(5_u64.to_le_bytes());
    old.extend([0; 12]);
    let named = |fd: i64, kind: u8, name: &str| sized(&[&ids(&[fd, 8])[..], &[kind], &text(name)].concat());
    let file = [
        &ids(&[3, 9])[..],
        &[16],
        &1_u32.to_le_bytes(),
        &text("/etc/passwd"),
        &77_u32.to_le_bytes(),
    ]
    .concat();
    let socket = [
        &ids(&[4, 0])[..],
        &[3, 127, 0, 0, 1, 10, 0, 0, 2, 0x50, 0, 0x90, 0x1f, 1],
    ]
    .concat();
    let mapped = |last: u8| [&[0; 10][..], &[255, 255, 10, 0, 0, last]].concat();
    let of_v6 = [&ids(&[5, 0])[..], &[4], &mapped(1), &mapped(2), &[1, 0, 2, 0, 1]].concat();
    let server = [&ids(&[6, 0])[..], &[6], &[0; 15], &[1, 0x50, 0, 1]].concat();
    let threads = threads_of(
        "lists",
        &[
            section(),
            block(THREADS, &[sized(&whole), sized(&earlier)].concat()),
            block(OLD_THREADS, &old),
            block(
                DESCRIPTORS,
                &[
                    ids(&[10]),
                    named(0, 1, "/dev/null"),
                    sized(&file),
                    sized(&socket),
                    sized(&of_v6),
                    sized(&server),
                    named(7, 99, "what"),
                ]
                .concat(),
            ),
            block(OLD_DESCRIPTORS, &[&ids(&[12, 1, 8])[..], &[7], &text("pipe")].concat()),
            block(
                OLD_DESCRIPTORS,
                &[&ids(&[404, 1, 8])[..], &[7], &text("of no thread")].concat(),
            ),
        ],
    );
    assert_eq!(threads.keys().copied().collect::<Vec<_>>(), [10, 11, 12]);
    let bash = &threads[&10];
    for (name, expected) in [
        ("comm", json!("bash")),
        ("exe_path", json!("/usr/bin/bash")),
        ("cwd", json!("/home/eve/")),
        ("root", json!("/root")),
        ("uid", json!(1000)),
        ("sid", json!(3)),
        ("vpgid", json!(4)),
        ("vtid", json!(5)),
        ("fd_limit", json!(1024)),
        ("reaper_tid", json!(-1)),
        ("pidns_init_start_ts", json!(99)),
        ("tty", json!(11)),
        ("loginuid", json!(12)),
        ("exe_writable", json!(true)),
        ("exe_upper_layer", json!(true)),
        ("exe_ino", json!(21)),
        ("exe_ino_mtime", json!(23)),
        ("exe_from_memfd", json!(true)),
        ("pgid", json!(24)),
    ] {
        assert_eq!(bash[name], expected, "{name}");
    }
    assert_eq!(values(&bash["args"], "value"), ["-c", "ls"]);
    assert_eq!(values(&bash["env"], "value"), ["HOME=/home/eve", "A=B"]);
    assert_eq!(values(&bash["cgroups"], "first"), ["cpuset", "memory"]);
    assert_eq!(values(&bash["cgroups"], "second"), ["/a", "/b"]);
    let descriptors = &bash["file_descriptors"];
    assert_eq!(
        values(descriptors, "name"),
        [
            "/dev/null",
            "/etc/passwd",
            "127.0.0.1:80->10.0.0.2:8080",
            "10.0.0.1:1->10.0.0.2:2",
            "[::1]:80",
            "unknown-type:[99]"
        ]
    );
    assert_eq!(descriptors[1]["fields"]["dev"], 77);
    assert_eq!(descriptors[3]["fields"]["type"], 3, "an address of IPv4 as one of IPv6");
    assert_eq!(descriptors[5]["fields"]["type"], 10);
    let worker = &threads[&11];
    assert_eq!((&worker["loginuid"], &worker["tty"]), (&json!(13), &json!(0)));
    assert_eq!((&worker["file_descriptors"], &worker["cwd"]), (descriptors, &json!("")));
    assert_eq!(values(&worker["env"], "value"), [""; 0]);
    let old = &threads[&12];
    assert_eq!(
        (&old["comm"], &old["uid"], &old["vtid"]),
        (&json!("old"), &json!(0), &json!(-1))
    );
    assert_eq!(
        (values(&old["file_descriptors"], "name"), &old["cwd"]),
        (vec!["pipe".to_owned()], &json!("/"))
    );
}

#[test]
fn events_change_the_table() {
    let second = 1_000_000_000;
    let execve = |res: i64, path: &str| {
        let mut params = u64s(&[res]);
        params.extend([b"prog\0".to_vec(), b"a\0b\0".to_vec()]);
        params.extend(u64s(&[20, 20, 10]));
        params.push(b"\0".to_vec());
        params.extend([
            64_u64.to_le_bytes().to_vec(),
            vec![0; 8],
            vec![0; 8],
            vec![0; 4],
            vec![0; 4],
            vec![0; 4],
        ]);
        params.extend([
            b"prog\0".to_vec(),
            Vec::new(),
            b"E=1\0".to_vec(),
            9_u32.to_le_bytes().to_vec(),
        ]);
        params.extend([ids(&[31]), 32_u32.to_le_bytes().to_vec(), 5_u32.to_le_bytes().to_vec()]);
        params.extend([vec![0; 8], vec![0; 8], vec![0; 8], ids(&[41]), ids(&[42]), ids(&[43])]);
        params.extend([50_u32.to_le_bytes().to_vec(), path.as_bytes().to_vec(), ids(&[51])]);
        params
    };
    let descriptors = [
        ids(&[10]),
        sized(&[&ids(&[0, 8])[..], &[1], &text("/dev/null")].concat()),
    ]
    .concat();
    let threads = threads_of(
        "thread-events",
        &[
            section(),
            block(THREADS, &sized(&thread(10, 10, 1, "bash"))),
            block(DESCRIPTORS, &descriptors),
            event_of(10, 1, CHDIR, &[vec![0; 8], b"../tmp/./x//\0".to_vec()]),
            event_of(10, 1, CHDIR, &[ids(&[-2]), b"/missing\0".to_vec()]),
            // A failed call, a child whose own event comes first, and that of its parent, which changes nothing.
            clone_event(10, second, -11, 0, [10, 1, 10, 10]),
            clone_event(20, second, 0, 0, [20, 10, 20, 20]),
            event_of(20, second + 1, EXECVE_BEGIN, &[b"bin/prog\0".to_vec()]),
            event_of(20, second + 2, EXECVE, &execve(0, "")),
            clone_event(10, second + 3, 20, 0, [10, 1, 10, 10]),
            // A thread, by its parent; one of another namespace, whose parent does not know its id; an unknown program.
            clone_event(10, second, 21, 1 << 13, [10, 1, 10, 10]),
            clone_event(10, second, 2, 1 << 29, [10, 1, 10, 10]),
            event_of(30, second, EXECVE, &execve(0, "/usr/bin/prog (deleted)\0")),
            event_of(30, second, EXECVE, &execve(-2, "/usr/bin/other\0")),
            // A process that ends, and its successor with the same id.
            clone_event(10, second, 40, 0, [10, 1, 10, 10]),
            event_of(40, second, PROCEXIT, &u64s(&[0])),
            event_of(10, second, CLOSE, &u64s(&[0])),
        ],
    );
    assert_eq!(threads.keys().copied().collect::<Vec<_>>(), [10, 20, 21, 30]);
    assert_eq!(threads[&10]["cwd"], "/home/tmp/x/");
    let child = &threads[&20];
    for (name, expected) in [
        ("comm", json!("prog")),
        ("exe_path", json!("/home/tmp/x/bin/prog")),
        ("pid", json!(20)),
        ("ptid", json!(10)),
        ("uid", json!(50)),
        ("gid", json!(8)),
        ("sid", json!(3)),
        ("cwd", json!("/home/tmp/x/")),
        ("root", json!("/root")),
        ("vpgid", json!(31)),
        ("exe_writable", json!(true)),
        ("exe_from_memfd", json!(true)),
        ("exe_ino_mtime", json!(43)),
        ("pgid", json!(51)),
    ] {
        assert_eq!(child[name], expected, "{name}");
    }
    assert_eq!(
        (values(&child["args"], "value"), values(&child["env"], "value")),
        (vec!["a".into(), "b".into()], vec!["E=1".to_owned()])
    );
    assert_eq!(values(&child["cgroups"], "second"), ["/c"]);
    assert_eq!(values(&child["file_descriptors"], "name"), ["/dev/null"]);
    let of_process = &threads[&21];
    assert_eq!(
        (&of_process["pid"], &of_process["ptid"], &of_process["comm"]),
        (&json!(10), &json!(1), &json!("child"))
    );
    assert_eq!(
        (&of_process["exe_path"], &of_process["cwd"]),
        (&json!("/usr/bin/bash"), &json!(""))
    );
    assert_eq!(of_process["file_descriptors"], threads[&10]["file_descriptors"]);
    let unknown = &threads[&30];
    assert_eq!(
        (&unknown["exe_path"], &unknown["ptid"], &unknown["sid"]),
        (&json!("/usr/bin/prog"), &json!(10), &json!(-1))
    );
}

#[test]
fn damaged_list_ends_the_run_with_its_offset() {
    let whole = sized(&thread(10, 10, 1, "bash"));
    let with_length = |length: u32| [&length.to_le_bytes()[..], &whole[4..]].concat();
    let short = "the length of an entry is too small for its fields";
    let long = "an entry is longer than its list";
    for (number, content, fault) in [
        (THREADS, with_length(3), short),
        (THREADS, with_length(40), short),
        (THREADS, with_length(u32::MAX), long),
        (THREADS, with_length(whole.len() as u32 + 4), long),
        (OLD_THREADS, whole.clone(), long),
        (DESCRIPTORS, vec![0; 4], long),
        (DESCRIPTORS, [ids(&[10]), sized(&[0; 16])].concat(), short),
        (
            OLD_DESCRIPTORS,
            [&ids(&[10, 1, 1])[..], &[99, 0, 0, 0]].concat(),
            "an entry has an unknown type",
        ),
    ] {
        let (lines, _) = run_json_over("damaged-list", &[section(), block(number, &content)]);
        let ends = of_kind(&lines, "end");
        let error = ends[0]["error"].as_str().unwrap();
        let expected = format!("the list of threads or files in the block at offset 28 is damaged: {fault}");
        assert!(error.ends_with(&expected), "{error}");
    }
}

#[test]
fn many_threads_that_are_their_own_parents_are_kept() {
    let mut content = Vec::new();
    for tid in 1..=5_000 {
        content.extend(sized(&thread(tid, tid % 7, tid + 1, "loop")));
    }
    // Each is the main thread of the other, and executes a program of the other.
    content.extend(sized(&thread(-3, -2, -3, "one")));
    content.extend(sized(&thread(-2, -3, -2, "other")));
    let path = write(
        "many",
        &[
            section(),
            block(THREADS, &content),
            clone_event(-3, 1, 0, 1 << 13, [-3, -3, -3, -3]),
            event_of(-2, 1, CHDIR, &[vec![0; 8], b"x\0".to_vec()]),
        ],
    );
    let output = host("run", &plugin(&["NO_SOURCE", "PARSES=5"]))
        .arg("--scap")
        .arg(&path)
        .args(["--tables", "threads"])
        .output()
        .unwrap();
    let text = stdout(&output);
    assert!(text.contains("table threads: 5002 entries\n"), "{}", stderr(&output));
    assert!(text.contains(" comm=other "), "{}", stderr(&output));
}

proptest! {
    #[test]
    fn any_damage_of_lists_is_an_error_or_an_entry(at in 28_usize..400, value: u8, cut in 0_usize..300) {
        let descriptor = sized(&[&ids(&[3, 9])[..], &[16], &[0; 4], &text("/etc/passwd")].concat());
        let mut content = [
            section(),
            block(THREADS, &sized(&thread(10, 10, 1, "bash"))),
            block(DESCRIPTORS, &[ids(&[10]), descriptor].concat()),
        ].concat();
        let at = at.min(content.len() - 1);
        content[at] = value;
        content.truncate(content.len() - cut);
        let path = temporary("scap-any-list");
        std::fs::write(&path, content).unwrap();
        if let Ok(mut capture) = Capture::open(&path) {
            let _ = capture.read_lists(&mut |_| ());
            let _ = capture.next_event();
        }
    }
}
