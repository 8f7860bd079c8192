//! Keeps the table `threads` by the lists and the events of a capture file, as far as plugins need it.
//!
//! | from | changes |
//! |---|---|
//! | the list of threads | adds a thread |
//! | the list of file descriptors | adds one to a thread; the threads of a process share them |
//! | `clone`, `clone3`, `fork`, `vfork` | add a thread with values of its parent, and copies of its file descriptors |
//! | `execve`, `execveat` | change the program of a thread; add the thread if it is not known |
//! | `chdir` | changes the current folder of the process |
//! | `procexit` | removes the thread before the next event |
//!
//! libs also follows each open and close of a file. This host does not.

use std::collections::HashMap;
use std::sync::Arc;

use falco_plugin_schema::{RawEvent, Value as Parameter};

use crate::abi::tables::builtin::{BuiltIn, Entry, Value};
use crate::abi::tables::registry::Registry;
use crate::abi::tables::thread_fields::{Fields, copy_entries, folder, joined};
use crate::scap::Content::{Number, Strings, Text};
use crate::scap::{Content, Listed, Values};

/// Flags of threads (`PPM_CL_…`).
const CLONE_NEWPID: u64 = 1 << 6;
const CLONE_PARENT: u64 = 1 << 8;
const CLONE_THREAD: u64 = 1 << 13;
const NAME_CHANGED: u64 = 1 << 17;
const ACTIVE: u64 = 1 << 19;
const CHILD_IN_PIDNS: u64 = 1 << 29;
/// The bits of `exe_flags` of `execve`, and the fields that they set.
const EXE_FLAGS: [(u64, &str); 4] = [
    (1, "exe_writable"),
    (1 << 1, "exe_upper_layer"),
    (1 << 2, "exe_from_memfd"),
    (1 << 3, "exe_lower_layer"),
];
/// For so many nanoseconds, a new thread is the one that its parent made (libs: `CLONE_STALE_TIME_NS`).
const CLONE_AGE: u64 = 2_000_000_000;
/// The sub-table of file descriptors.
const DESCRIPTORS: &str = "file_descriptors";
/// The numbers that are -1, or the largest one, before they are known.
const UNKNOWN: [&str; 12] = [
    "pid",
    "ptid",
    "sid",
    "vpgid",
    "pgid",
    "reaper_tid",
    "fd_limit",
    "vtid",
    "vpid",
    "uid",
    "gid",
    "loginuid",
];
/// The fields that a new thread has from its parent, or from the main thread of its process.
const INHERITED: [&str; 14] = [
    "exe_path",
    "exe_writable",
    "exe_upper_layer",
    "exe_lower_layer",
    "exe_from_memfd",
    "root",
    "sid",
    "vpgid",
    "pgid",
    "tty",
    "loginuid",
    "exe_ino",
    "exe_ino_ctime",
    "exe_ino_mtime",
];
/// The parameters of events that start threads and programs, with the fields that they set.
const STARTED: [(&str, &str); 7] = [
    ("exe", "exe"),
    ("args", "args"),
    ("pid", "pid"),
    ("fdlimit", "fd_limit"),
    ("cgroups", "cgroups"),
    ("uid", "uid"),
    ("gid", "gid"),
];
/// Those of events that only start programs.
const EXECUTED: [(&str, &str); 8] = [
    ("env", "env"),
    ("tty", "tty"),
    ("vpgid", "vpgid"),
    ("loginuid", "loginuid"),
    ("exe_ino", "exe_ino"),
    ("exe_ino_ctime", "exe_ino_ctime"),
    ("exe_ino_mtime", "exe_ino_mtime"),
    ("pgid", "pgid"),
];

/// The table `threads` during a run over a capture file.
pub struct ThreadTable {
    table: Arc<BuiltIn>,
    fields: Fields,
    descriptor_fields: Fields,
    /// The thread whose end was the last event.
    ended: Option<i64>,
    /// The times at which threads were added by events.
    cloned: HashMap<i64, u64>,
    /// The paths of the programs that threads are about to execute.
    executing: HashMap<i64, Vec<u8>>,
}

impl ThreadTable {
    pub fn new(registry: &Registry) -> Self {
        let table = Arc::clone(&registry.threads);
        let fields = Fields::of(&table.schema);
        let descriptors = fields.0[DESCRIPTORS].subtable.as_deref();
        Self {
            descriptor_fields: descriptors.map(Fields::of).unwrap_or_default(),
            table,
            fields,
            ended: None,
            cloned: HashMap::new(),
            executing: HashMap::new(),
        }
    }

    /// Adds an entry of a list.
    pub fn list(&self, listed: Listed<'_>) {
        match listed {
            Listed::Thread(values) => self.list_thread(&values),
            Listed::Descriptor { thread, values } => {
                let Some(descriptors) = self.descriptors_of(thread) else {
                    return;
                };
                let entry = descriptors.new_entry();
                for (name, content) in &values {
                    self.descriptor_fields.set(&entry, name, content);
                }
                let fd = self.descriptor_fields.number(&entry, "fd") as i64;
                descriptors.insert(fd.into(), entry);
            }
        }
    }

    fn list_thread(&self, values: &Values<'_>) {
        let entry = self.new_thread();
        for (name, content) in values {
            self.fields.set(&entry, name, content);
        }
        let flags = self.fields.number(&entry, "flags") | NAME_CHANGED | ACTIVE;
        self.fields.set(&entry, "flags", &Number(flags));
        let (tid, pid) = (self.id(&entry, "tid"), self.id(&entry, "pid"));
        if tid == pid {
            let cwd = joined(b"", &self.fields.text(&entry, "cwd"));
            self.fields.set(&entry, "cwd", &Text(&folder(cwd)));
        } else {
            // As in libs, only the main thread of a process has these.
            self.fields.set(&entry, "cwd", &Text(b""));
            self.fields.set(&entry, "env", &Strings(b""));
            self.share_descriptors(&entry, pid);
        }
        self.table.insert(tid.into(), entry);
    }

    /// Changes the table by an event, before plugins get the event.
    pub fn update(&mut self, event: &RawEvent<'_>) {
        if let Some(ended) = self.ended.take() {
            self.table.remove(ended.into());
            self.cloned.remove(&ended);
            self.executing.remove(&ended);
        }
        let (Some(tid), Some(kind)) = (event.thread_id(), event.event_type()) else {
            return;
        };
        match kind.name() {
            "clone" | "clone3" | "fork" | "vfork" => self.add_clone(event, tid),
            "execve" | "execveat" => self.execute(event, tid),
            "chdir" => self.change_folder(event, tid),
            "procexit" => self.ended = Some(tid),
            _ => {}
        }
    }

    /// Adds a thread, by the event of the thread itself or by that of its parent.
    fn add_clone(&mut self, event: &RawEvent<'_>, tid: i64) {
        let result = match number(event, "res") {
            Some(result) if result as i64 >= 0 => result as i64,
            _ => return,
        };
        let flags = number(event, "flags").unwrap_or(0);
        let is_thread = flags & CLONE_THREAD != 0;
        let of_event = |name| number(event, name).map(|number| number as i64);
        let vtid = of_event("vtid").unwrap_or(tid);
        let (child, parent, pid, ptid) = if result == 0 {
            let (pid, ptid) = (of_event("pid").unwrap_or(tid), of_event("ptid").unwrap_or(-1));
            (tid, if is_thread { pid } else { ptid }, pid, ptid)
        } else {
            // In another namespace, the result is not the id that events have.
            if flags & (CHILD_IN_PIDNS | CLONE_NEWPID | CLONE_PARENT) != 0 || vtid != tid {
                return;
            }
            let pid = if is_thread {
                of_event("pid").unwrap_or(tid)
            } else {
                result
            };
            let ptid = if is_thread { of_event("ptid").unwrap_or(-1) } else { tid };
            (result, tid, pid, ptid)
        };
        let is_recent = |added: &u64| event.timestamp().wrapping_sub(*added) < CLONE_AGE;
        if self.cloned.get(&child).is_some_and(is_recent) && self.table.get(child.into()).is_some() {
            return;
        }
        let entry = self.new_thread();
        if let Some(parent) = self.table.get(parent.into()) {
            for name in INHERITED {
                let field = &self.fields.0[name];
                entry.set(field, parent.get(field));
            }
            if is_thread {
                self.share_descriptors(&entry, pid);
            } else {
                self.fields.set(&entry, "cwd", &Text(&self.fields.text(&parent, "cwd")));
                for name in ["env", DESCRIPTORS] {
                    copy_entries(self.fields.table(&parent, name), self.fields.table(&entry, name));
                }
            }
        }
        self.start(event, &entry);
        let (vtid, vpid) = match result {
            0 => (vtid, of_event("vpid").unwrap_or(-1)),
            _ => (child, pid),
        };
        for (name, id) in [
            ("tid", child),
            ("pid", pid),
            ("ptid", ptid),
            ("vtid", vtid),
            ("vpid", vpid),
        ] {
            self.fields.set(&entry, name, &Number(id as u64));
        }
        self.fields.set(&entry, "flags", &Number(flags));
        self.table.insert(child.into(), entry);
        self.cloned.insert(child, event.timestamp());
    }

    /// Changes the program of a thread.
    fn execute(&mut self, event: &RawEvent<'_>, tid: i64) {
        let Some(result) = number(event, "res") else {
            // The beginning of the call, which has the path.
            let path = parameter(event, "filename").or_else(|| parameter(event, "pathname"));
            if let Some(Text(path)) = path {
                self.executing.insert(tid, path.to_vec());
            }
            return;
        };
        let begun = self.executing.remove(&tid);
        if (result as i64) < 0 {
            return;
        }
        let entry = self.table.get(tid.into()).unwrap_or_else(|| {
            let entry = self.new_thread();
            for (name, parameter) in [("vtid", "tid"), ("vpid", "pid"), ("ptid", "ptid")] {
                let id = number(event, parameter).unwrap_or(u64::MAX);
                self.fields.set(&entry, name, &Number(id));
            }
            self.fields.set(&entry, "tid", &Number(tid as u64));
            self.table.insert(tid.into(), Arc::clone(&entry));
            entry
        });
        self.start(event, &entry);
        self.fields.set(&entry, "pgid", &Number(u64::MAX));
        for (name, field) in EXECUTED {
            if let Some(content) = parameter(event, name) {
                self.fields.set(&entry, field, &content);
            }
        }
        if let Some(flags) = number(event, "flags") {
            for (bit, field) in EXE_FLAGS {
                self.fields.set(&entry, field, &Number((flags & bit != 0).into()));
            }
        }
        let begun = begun.map(|path| joined(&self.fields.text(&entry, "cwd"), &path));
        match (parameter(event, "trusted_exepath"), begun) {
            (Some(path), _) => self.fields.set(&entry, "exe_path", &path),
            (None, Some(path)) => self.fields.set(&entry, "exe_path", &Text(&path)),
            (None, None) => {}
        }
        self.fields.set(&entry, "flags", &Number(NAME_CHANGED | ACTIVE));
    }

    /// Sets the fields that the events of new threads and of new programs have.
    fn start(&self, event: &RawEvent<'_>, entry: &Entry) {
        for (name, field) in STARTED {
            match parameter(event, name) {
                Some(content) => self.fields.set(entry, field, &content),
                None if name == "args" => self.fields.set(entry, field, &Strings(b"")),
                None => {}
            }
        }
        let name = parameter(event, "comm").or_else(|| parameter(event, "exe"));
        self.fields.set(entry, "comm", &name.unwrap_or(Text(b"")));
    }

    fn change_folder(&self, event: &RawEvent<'_>, tid: i64) {
        let (Some(result), Some(Text(path))) = (number(event, "res"), parameter(event, "path")) else {
            return;
        };
        let thread = self.table.get(tid.into());
        let main = thread.and_then(|thread| self.table.get(self.id(&thread, "pid").into()));
        if let Some(main) = main.filter(|_| result as i64 >= 0) {
            let cwd = joined(&self.fields.text(&main, "cwd"), path);
            self.fields.set(&main, "cwd", &Text(&folder(cwd)));
        }
    }

    fn new_thread(&self) -> Arc<Entry> {
        let entry = self.table.new_entry();
        for name in UNKNOWN {
            self.fields.set(&entry, name, &Number(u64::MAX));
        }
        entry
    }

    /// Makes a thread use the file descriptors of the main thread of its process.
    fn share_descriptors(&self, entry: &Entry, pid: i64) {
        if let Some(descriptors) = self.descriptors_of(pid) {
            entry.set(&self.fields.0[DESCRIPTORS], Value::Table(descriptors));
        }
    }

    fn descriptors_of(&self, tid: i64) -> Option<Arc<BuiltIn>> {
        let entry = self.table.get(tid.into())?;
        self.fields.table(&entry, DESCRIPTORS)
    }

    fn id(&self, entry: &Entry, name: &str) -> i64 {
        self.fields.number(entry, name) as i64
    }
}

/// Returns a parameter of an event; `None` if it is missing, empty or malformed.
fn parameter<'e>(event: &RawEvent<'e>, name: &str) -> Option<Content<'e>> {
    let params = event.params();
    let position = params.find(name)?;
    let bytes = params.bytes(position).filter(|bytes| !bytes.is_empty())?;
    match params.value(position)? {
        Parameter::Signed(number) => Some(Number(number as u64)),
        Parameter::Unsigned(number) => Some(Number(number)),
        Parameter::Text(text) => Some(Text(text)),
        Parameter::Strings(_) | Parameter::Bytes(_) => Some(Strings(bytes)),
        _ => None,
    }
}

fn number(event: &RawEvent<'_>, name: &str) -> Option<u64> {
    match parameter(event, name)? {
        Number(number) => Some(number),
        _ => None,
    }
}
