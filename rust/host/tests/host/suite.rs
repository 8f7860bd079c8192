//! The official test suite of JSON schemas, draft 7: https://github.com/json-schema-org/JSON-Schema-Test-Suite.

use std::fs;
use std::path::Path;

use falco_plugin_host::config::find_problems;
use serde_json::Value;

/// The files that have references by URI, and so need not be answered. Falco fails with such references too.
const WITH_URIS: &[&str] = &["definitions.json", "ref.json", "refRemote.json"];

#[test]
#[ignore = "needs JSON_SCHEMA_TEST_SUITE, the path of a clone of JSON-Schema-Test-Suite"]
fn validator_agrees_with_the_official_suite() {
    let clone = std::env::var_os("JSON_SCHEMA_TEST_SUITE").expect("JSON_SCHEMA_TEST_SUITE must be a path");
    let (mut right, mut refused) = (0, 0);
    for entry in fs::read_dir(Path::new(&clone).join("tests/draft7")).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            continue;
        }
        let name = path.file_name().unwrap().to_string_lossy().into_owned();
        let groups: Vec<Value> = serde_json::from_slice(&fs::read(&path).unwrap()).unwrap();
        for group in groups {
            for test in group["tests"].as_array().unwrap() {
                let case = format!("{name}: {} / {}", group["description"], test["description"]);
                match find_problems(&group["schema"], &test["data"]) {
                    Ok(problems) => {
                        assert_eq!(Value::Bool(problems.is_empty()), test["valid"], "{case}: {problems:?}");
                        right += 1;
                    }
                    Err(reason) => {
                        assert!(WITH_URIS.contains(&name.as_str()), "{case}: {reason}");
                        assert!(reason.starts_with("it has no schema at "), "{case}: {reason}");
                        refused += 1;
                    }
                }
            }
        }
    }
    println!("{right} right answers, {refused} references by URI refused");
    assert!(right > 800);
}
