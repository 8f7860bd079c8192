//! Modules and files are compressed in groups, and the bundle depends only on its content.

use falco_plugin_bundle::format::{Group, Kind};
use serde_json::{Value, json};

use crate::support::Packer;

fn packer_with(entries: &[(&str, &str, &str, usize)]) -> Packer {
    let mut packer = Packer::new(Vec::new());
    let mut plan = Vec::new();
    for (kind, name, group, len) in entries {
        let data: Vec<u8> = name.bytes().cycle().take(*len).collect();
        let path = packer.write(&format!("{name}.data"), &data);
        plan.push(json!({"kind": kind, "name": name, "group": group, "source": path}));
    }
    packer.plan["entries"] = Value::Array(plan);
    packer
}

#[test]
fn entries_of_a_group_share_blocks_of_four_mebibytes() {
    const LARGEST: usize = 4 << 20;
    let packer = packer_with(&[
        ("package", "json", "python", 600_000),
        ("module", "httpx", "httpx", 10),
        ("module", "json.decoder", "python", LARGEST - 600_000),
        ("module", "zlib", "python", 1),
        ("file", "large", "python", 2 * LARGEST),
        ("file", "empty", "python", 0),
    ]);
    let (reply, bundle) = packer.pack();
    let block = |name: &str| bundle.entry(name).block;
    assert_eq!(block("json"), block("json.decoder"));
    assert_ne!(block("json.decoder"), block("zlib"));
    assert_ne!(block("zlib"), block("large"));
    assert_eq!(bundle.index().block_count(), 5);
    let groups: Vec<_> = reply["groups"]
        .as_array()
        .unwrap()
        .iter()
        .map(|group| &group["len"])
        .collect();
    assert_eq!(groups, [3 * LARGEST + 1, 10]);

    let number = bundle.index().find(Group::Modules, "json").unwrap();
    assert_eq!(bundle.index().entry(number).unwrap().kind, Kind::Package);
    assert!(
        bundle
            .data(&bundle.entry("json.decoder"), "")
            .starts_with(b"json.decoderjson.")
    );
    assert_eq!(bundle.data(&bundle.entry("empty"), ""), b"");
}

#[test]
fn id_depends_on_plugin_names_and_content() {
    let id = |packer: &Packer| packer.run()["id"].as_str().unwrap().to_owned();
    let mut packer = packer_with(&[("module", "a", "g", 10), ("file", "b", "g", 10)]);
    let first = id(&packer);
    assert_eq!(
        id(&packer_with(&[("file", "b", "h", 10), ("module", "a", "g", 10)])),
        first
    );
    assert_ne!(
        id(&packer_with(&[("module", "a", "g", 10), ("module", "b", "g", 10)])),
        first
    );
    assert_ne!(
        id(&packer_with(&[("module", "a", "g", 10), ("file", "b", "g", 11)])),
        first
    );
    packer.plan["plugin"] = "another".into();
    assert_ne!(id(&packer), first);
}
