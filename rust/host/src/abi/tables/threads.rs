//! The table `threads`, with the fields that libs gives it.

use falco_plugin_api::{
    ss_plugin_state_type_SS_PLUGIN_ST_BOOL as BOOL, ss_plugin_state_type_SS_PLUGIN_ST_INT64 as INT64,
    ss_plugin_state_type_SS_PLUGIN_ST_STRING as STRING, ss_plugin_state_type_SS_PLUGIN_ST_UINT8 as UINT8,
    ss_plugin_state_type_SS_PLUGIN_ST_UINT16 as UINT16, ss_plugin_state_type_SS_PLUGIN_ST_UINT32 as UINT32,
    ss_plugin_state_type_SS_PLUGIN_ST_UINT64 as UINT64,
};

use crate::abi::tables::builtin::Schema;

/// The name of the table of threads.
pub(super) const NAME: &str = "threads";

/// The fields of a thread before its sub-tables (`sinsp_threadinfo::get_static_fields`).
const FIELDS: &[(&str, u32)] = &[
    ("tid", INT64),
    ("pid", INT64),
    ("ptid", INT64),
    ("reaper_tid", INT64),
    ("sid", INT64),
    ("comm", STRING),
    ("exe", STRING),
    ("exe_path", STRING),
    ("exe_writable", BOOL),
    ("exe_upper_layer", BOOL),
    ("exe_lower_layer", BOOL),
    ("exe_from_memfd", BOOL),
    ("flags", UINT32),
    ("fd_limit", INT64),
    ("uid", UINT32),
    ("gid", UINT32),
    ("loginuid", UINT32),
    ("exe_ino", UINT64),
    ("exe_ino_ctime", UINT64),
    ("exe_ino_mtime", UINT64),
    ("vtid", INT64),
    ("vpid", INT64),
    ("vpgid", INT64),
    ("pgid", INT64),
    ("pidns_init_start_ts", UINT64),
    ("root", STRING),
    ("tty", UINT32),
];

/// The fields of a file descriptor (`sinsp_fdinfo::get_static_fields`).
const DESCRIPTOR_FIELDS: &[(&str, u32)] = &[
    ("type", UINT8),
    ("open_flags", UINT32),
    ("name", STRING),
    ("name_raw", STRING),
    ("old_name", STRING),
    ("flags", UINT32),
    ("dev", UINT32),
    ("mount_id", UINT32),
    ("ino", UINT64),
    ("pid", INT64),
    ("fd", INT64),
    ("socket_ipv4_src_ip", UINT32),
    ("socket_ipv4_dest_dip", UINT32),
    ("socket_ipv4_src_port", UINT16),
    ("socket_ipv4_dst_port", UINT16),
    ("socket_ipv4_l4_proto", UINT8),
    ("socket_ipv6_src_ip_low", UINT64),
    ("socket_ipv6_src_ip_high", UINT64),
    ("socket_ipv6_dest_ip_low", UINT64),
    ("socket_ipv6_dest_ip_high", UINT64),
    ("socket_ipv6_src_port", UINT16),
    ("socket_ipv6_dst_port", UINT16),
    ("socket_ipv6_l4_proto", UINT8),
    ("socket_ipv4_server_ip", UINT32),
    ("socket_ipv4_server_port", UINT16),
    ("socket_ipv4_server_l4_proto", UINT8),
    ("socket_ipv6_server_ip_low", UINT64),
    ("socket_ipv6_server_ip_high", UINT64),
    ("socket_ipv6_server_port", UINT16),
    ("socket_ipv6_server_l4_proto", UINT8),
    ("socket_unix_src", UINT64),
    ("socket_unix_dest", UINT64),
];

/// Returns the schema of the table.
pub(super) fn schema() -> Schema {
    let mut threads = Schema::new(NAME, INT64, true);
    for (name, kind) in FIELDS {
        threads = threads.with(name, *kind, false);
    }
    let list = |name| Schema::new(name, UINT64, false).with("value", STRING, false);
    let cgroups = Schema::new("cgroups", UINT64, false)
        .with("first", STRING, false)
        .with("second", STRING, false);
    let mut descriptors = Schema::new("file_descriptors", INT64, true);
    for (name, kind) in DESCRIPTOR_FIELDS {
        descriptors = descriptors.with(name, *kind, false);
    }
    threads
        .with_subtable("args", list("args"))
        .with_subtable("env", list("env"))
        .with_subtable("cgroups", cgroups)
        .with_subtable("file_descriptors", descriptors)
        .with("cwd", STRING, true)
}
