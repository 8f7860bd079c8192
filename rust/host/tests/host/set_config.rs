//! `--set-config`: a new configuration after init.

use std::fs;

use serde_json::json;

use crate::support::*;

const SCHEMA: &str = r#"SCHEMA="{\"type\":\"object\",\"properties\":{\"a\":{\"type\":\"integer\"}}}""#;

#[test]
fn set_config_comes_between_init_and_open() {
    let trace = temporary("trace-set-config");
    let output = host("run", &plugin(&["SET_CONFIG"]))
        .args(["--params", "s1", "--set-config", "new"])
        .env("TRACE", &trace)
        .output()
        .unwrap();
    assert!(stderr(&output).starts_with("[info] new\n"), "{}", stderr(&output));
    let traced = fs::read_to_string(&trace).unwrap();
    assert_eq!(
        traced.lines().collect::<Vec<_>>(),
        ["init", "set_config", "open", "next_batch elsewhere", "close", "destroy"]
    );
}

#[test]
fn refused_configuration_is_the_error() {
    for (flags, message) in [
        (&["SET_CONFIG"][..], "set_config failed: no such configuration"),
        (&[], "the plugin has no set_config: it lacks plugin_set_config"),
    ] {
        let (lines, output) = run_json(flags, &["--params", "s1", "--set-config", "refused"]);
        assert_eq!(
            (output.status.code(), &lines.last().unwrap()["error"]),
            (Some(1), &json!(message))
        );
        assert!(of_kind(&lines, "event").is_empty());
    }
}

#[test]
fn set_config_must_match_the_schema() {
    let flags = ["SET_CONFIG", SCHEMA];
    let (lines, output) = run_json(&flags, &["--set-config", "{\"a\": \"SECRET\"}"]);
    assert!(lines.is_empty());
    assert_eq!(
        stderr(&output),
        "falco-plugin-host: the configuration of the plugin sample does not match its schema: a: expected integer, got \
         string\n"
    );
    // As in Falco, an empty configuration is an empty object for a plugin with a schema.
    let (lines, _) = run_json(&flags, &["--set-config", ""]);
    assert_eq!(of_kind(&lines, "log")[0]["text"], "{}");
}
