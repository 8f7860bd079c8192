use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn records(payload: &[u8], options: Options<'_>) -> Vec<String> {
    split(payload, options)
        .into_iter()
        .map(|record| String::from_utf8_lossy(&payload[record]).into_owned())
        .collect()
}

const PLAIN: Options<'_> = Options {
    lines: false,
    items: None,
};
const LINES: Options<'_> = Options {
    lines: true,
    items: None,
};
const ITEMS: Options<'_> = Options {
    lines: false,
    items: Some(b"items"),
};

fn check(options: Options<'_>, table: &[(&str, &[&str])]) {
    for (payload, expected) in table {
        assert_eq!(records(payload.as_bytes(), options), *expected, "{payload:?}");
    }
}

/// Checks that each payload is one unchanged record.
fn check_whole(options: Options<'_>, payloads: &[&str]) {
    for payload in payloads {
        assert_eq!(records(payload.as_bytes(), options), [*payload], "{payload:?}");
    }
}

#[test]
fn split_keeps_one_document_unchanged() {
    check_whole(
        PLAIN,
        &[
            "{}",
            "[]",
            " {\"a\": 1}\r\n",
            "\u{feff}{\"a\": 1}",
            "{\n  \"a\": [\n    {\"b\": 1},\n    {\"c\": 2}\n  ]\n}\n",
            "{\"a\": \"}{\", \"b\": \"\\\"}{\"}",
            "{\"a\": 1} and text",
            "{\"a\": 1}\nand text",
            "[1, {\"a\": 1}]",
            "[[{\"a\": 1}], [{\"b\": 2}]]",
            "\"a string {\"",
            "17",
            "text [with] {brackets}",
            "void f()\n{\n  g();\n}\n",
            "a=1&b=2",
        ],
    );
    check(PLAIN, &[("", &[]), (" \r\n\0", &[]), ("\u{feff}", &[]), (",\n,", &[])]);
}

#[test]
fn split_keeps_a_damaged_document_whole() {
    check_whole(
        PLAIN,
        &[
            r#"{"a": 1, "b"#,
            r#"{"a": "\x5C\u12", "b": NaN, "c": 007}"#,
            r#"{"a" 1, "b": [}, "c": 2]"#,
            "{\"a\": \"raw\nlines\", \"b\": 2}",
            // The last line is a whole document, but it is indented, so it is not a record.
            "{\n  \"user\": 1,\n  \"items\": [\n    {\"x\": 1},\n    {\"y\": 2}\n",
        ],
    );
}

#[test]
fn split_separates_consecutive_documents() {
    check(
        PLAIN,
        &[
            (r#"{"a":1}{"b":2}[3]"#, &[r#"{"a":1}"#, r#"{"b":2}"#, "[3]"]),
            ("{\"a\":1}\n{\"b\":2}\n", &[r#"{"a":1}"#, r#"{"b":2}"#]),
            ("{\"a\":1}\r\n\r\n \0{\"b\":2}\r\n", &[r#"{"a":1}"#, r#"{"b":2}"#]),
            ("{\"a\":1},{\"b\":2},\n", &[r#"{"a":1}"#, r#"{"b":2}"#]),
            ("\u{feff}{\"a\":1}\u{feff}{\"b\":2}", &[r#"{"a":1}"#, r#"{"b":2}"#]),
            ("\u{1e}{\"a\":1}\n\u{1e}{\"b\":2}\n", &[r#"{"a":1}"#, r#"{"b":2}"#]),
            (
                "{\n \"a\": 1\n}\n{\n \"b\": 2\n}",
                &["{\n \"a\": 1\n}", "{\n \"b\": 2\n}"],
            ),
            ("{\"a\":1} x {\"b\":2} y", &["{\"a\":1} x", "{\"b\":2} y"]),
            ("{\"a\":1}}{\"b\":2}", &["{\"a\":1}}", "{\"b\":2}"]),
            ("{\"a\":1}{\"b\":2}{\"c\":", &["{\"a\":1}", "{\"b\":2}", "{\"c\":"]),
            ("1\n\"x\"\nnull", &["1", "\"x\"", "null"]),
        ],
    );
}

#[test]
fn split_expands_arrays_of_objects() {
    check(
        PLAIN,
        &[
            ("[{\"a\":1}]", &["{\"a\":1}"]),
            (
                " [{\"a\":1}, {\"b\":[{}]} , {}]\n",
                &["{\"a\":1}", "{\"b\":[{}]}", "{}"],
            ),
            ("[\n{\"a\":1},\n{\"b\":2}\n]\n", &["{\"a\":1}", "{\"b\":2}"]),
            ("[{\"a\":1} {\"b\":2},]", &["{\"a\":1}", "{\"b\":2}"]),
            ("[{\"a\":1}:{\"b\":2}]", &["{\"a\":1}", "{\"b\":2}"]),
            ("[{\"a\":1},{\"b\":2},{\"c\":", &["{\"a\":1}", "{\"b\":2}", "{\"c\":"]),
            ("[{\"a\":1},", &["{\"a\":1}"]),
            ("[{\"a\":1}]{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
            ("[{\"a\":1}] text", &["{\"a\":1}", "text"]),
        ],
    );
    check(LINES, &[("[\n{\"a\":1},\n{\"b\":2}\n]", &["{\"a\":1}", "{\"b\":2}"])]);
}

#[test]
fn split_finds_the_lines_after_a_damaged_line() {
    for damaged in [
        r#"{"a":1"#,
        r#"{"a":"1"#,
        r#"{"a":"1}"#,
        r#"{"a":["#,
        r#"{"a":{"b":1}"#,
        r#"{"a":"#,
        r#"{"a"#,
        r#"[{"a":1},"#,
        "text",
        "\"",
        "x {",
        "17",
    ] {
        let payload = format!("{{\"x\":1}}\n{damaged}\n{{\"y\":\"2\"}}\n{{\"z\":{{}}}}\n");
        for options in [PLAIN, LINES] {
            let records = records(payload.as_bytes(), options);
            let is_batch = damaged == r#"[{"a":1},"#;
            let second = if is_batch { r#"{"a":1}"# } else { damaged };
            assert_eq!(records, ["{\"x\":1}", second, "{\"y\":\"2\"}", "{\"z\":{}}"]);
        }
    }
    check(
        PLAIN,
        &[("text\n{\"a\":1}\n{\"b\":2}", &["text", "{\"a\":1}", "{\"b\":2}"])],
    );
    // An extra quote leaves the array open, and a bracket in the next line closes it.
    check(PLAIN, &[("[\"\n{\"]\":1}", &["[\"", "{\"]\":1}"])]);
}

#[test]
fn split_keeps_each_declared_line() {
    check(
        LINES,
        &[
            ("a, b,\n c\r\n\n", &["a, b,", "c"]),
            ("{\"a\":1}\r\n\n{\"b\":2}", &["{\"a\":1}", "{\"b\":2}"]),
            (
                "{\"a\":1}{\"b\":2}\n{\"c\":3}",
                &["{\"a\":1}", "{\"b\":2}", "{\"c\":3}"],
            ),
            ("{\"a\":\n{\"b\":\n", &["{\"a\":", "{\"b\":"]),
            // A line cannot become part of another line's document.
            ("{\"a\":[\n{\"b\":2}\n]}\n", &["{\"a\":[", "{\"b\":2}", "]}"]),
            ("{\n \"a\": 1\n}\n", &["{\n \"a\": 1\n}"]),
            ("host {\"a\":1}\n", &["host {\"a\":1}"]),
        ],
    );
}

#[test]
fn split_expands_the_items_of_a_member() {
    check(
        ITEMS,
        &[
            (
                r#"{"kind":"List","items":[{"a":1}, {"b":2}]}"#,
                &["{\"a\":1}", "{\"b\":2}"],
            ),
            (
                r#"{"x":{"items":[1]},"y":"items","items":[{},5,"s"],"items":[7]}"#,
                &["{}", "5", "\"s\""],
            ),
            (
                r#"{"items":[{"a":"\x5C"},{"b":2},{"c":"#,
                &["{\"a\":\"\\x5C\"}", "{\"b\":2}", "{\"c\":"],
            ),
            (r#"[{"items":[{"a":1}]},{"b":2}]"#, &["{\"a\":1}", "{\"b\":2}"]),
            (r#"{"items":[]}"#, &[]),
            (r#"{"items":{"a":1}}"#, &["{\"items\":{\"a\":1}}"]),
            (r#"{"items" : null}"#, &["{\"items\" : null}"]),
            (r#"{"items"#, &["{\"items"]),
        ],
    );
}

fn object() -> impl Strategy<Value = Value> {
    let scalar = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::from),
        any::<i32>().prop_map(Value::from),
        "[a\"\\\\{}\\[\\]\n,: \u{e9}]{0,6}".prop_map(Value::from),
    ];
    let value = scalar.prop_recursive(3, 12, 3, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
            prop::collection::btree_map("[a\"{]{0,3}", inner, 0..3).prop_map(|members| json!(members)),
        ]
    });
    prop::collection::btree_map("[ab\"}\\]]{0,3}", value, 0..4).prop_map(|members| json!(members))
}

fn written(value: &Value, is_pretty: bool) -> String {
    if is_pretty {
        serde_json::to_string_pretty(value).unwrap()
    } else {
        value.to_string()
    }
}

proptest! {
    #[test]
    fn split_finds_documents_for_any_separator(
        objects in prop::collection::vec((object(), any::<bool>()), 2..5),
        between in prop::sample::select(vec!["", " ", "\n", "\r\n\r\n", ",", ",\n", "\u{feff}", "\0\n", "\u{1e}"]),
    ) {
        let texts: Vec<String> = objects.iter().map(|(value, is_pretty)| written(value, *is_pretty)).collect();
        prop_assert_eq!(records(texts.join(between).as_bytes(), PLAIN), &texts[..]);
        let array = format!("[{}]", texts.join(" , "));
        prop_assert_eq!(records(array.as_bytes(), PLAIN), &texts[..]);
        prop_assert_eq!(records(format!("{{\"n\": 1, \"items\" :{array}}}").as_bytes(), ITEMS), &texts[..]);
    }

    #[test]
    fn split_never_hides_a_line(
        objects in prop::collection::vec(object(), 1..6),
        damaged in prop::collection::vec(
            prop::sample::select(b"{}[]\"\\,: a1\xff".to_vec()), 0..12),
        at in any::<prop::sample::Index>(),
        lines in any::<bool>(),
    ) {
        let texts: Vec<String> = objects.iter().map(Value::to_string).collect();
        let mut payload = Vec::new();
        let at = at.index(texts.len());
        for (number, text) in texts.iter().enumerate() {
            if number == at {
                payload.extend_from_slice(&damaged);
                payload.push(b'\n');
            }
            payload.extend_from_slice(text.as_bytes());
            payload.push(b'\n');
        }
        let found = records(&payload, Options { lines, items: None });
        let mut rest = found.iter();
        for text in &texts {
            // A payload of one record keeps its white space and the text after the document.
            prop_assert!(rest.any(|record| record.trim_start().starts_with(text)), "{text} in {found:?}");
        }
    }

    #[test]
    fn split_drops_only_separators(
        payload in prop::collection::vec(prop::sample::select(b"{{}}[]\"\\,: \n\na1\xef\xbb\xbf\0".to_vec()), 0..40),
        lines in any::<bool>(),
    ) {
        let mut end = 0;
        let mut left = Vec::new();
        for record in split(&payload, Options { lines, items: None }) {
            prop_assert!(end <= record.start && record.start < record.end && record.end <= payload.len());
            left.extend_from_slice(&payload[end..record.start]);
            end = record.end;
        }
        left.extend_from_slice(&payload[end..]);
        prop_assert!(left.iter().all(|byte| b"\0 \n,:[]}\xef\xbb\xbf".contains(byte)), "{left:?}");
    }

    #[test]
    fn split_in_one_line_agrees_with_the_general_splitter(
        pieces in prop::collection::vec(prop::sample::select(vec![
            "{", "}", "[", "]", "\"", "\\", ",", ":", " ", "1", "{}", "{\"b\":[{}]}", "\"items\":[", "\"items\"", "\"a\":1,",
        ]), 0..12),
        at in any::<prop::sample::Index>(),
    ) {
        let mut payload = br#" {"a":{"items":[]},"items":[{"b":[1]},{"c":"]"} , {}],"d":2} "#.to_vec();
        let at = at.index(payload.len());
        payload.splice(at..at, pieces.concat().into_bytes());
        for payload in [pieces.concat().into_bytes(), payload] {
            prop_assert_eq!(split(&payload, ITEMS), split_any(&payload, ITEMS), "{}", String::from_utf8_lossy(&payload));
        }
    }
}

#[test]
fn split_in_one_line_reads_intact_documents() {
    let cases: [(&str, Option<&[&str]>); 9] = [
        (r#"{"items":[{"a":1},{}]}"#, Some(&[r#"{"a":1}"#, "{}"])),
        (" {\"n\": {\"items\": 1}, \"items\" : [ ] }\n", Some(&[])),
        (r#"{"items":[{}],"items":[]}"#, Some(&["{}"])),
        (r#"{"items":[{},5]}"#, None),
        (r#"{"items":[{}:{}]}"#, None),
        (r#"{"items":[{}]} text"#, None),
        (r#"{"items":[{}]"#, None),
        ("{\"items\":\n[{}]}", None),
        ("[{\"items\":[{}]}]", None),
    ];
    for (payload, expected) in cases {
        let found = one_line::split_items(payload.as_bytes(), b"items");
        let found = found.map(|records| records.into_iter().map(|record| &payload[record]).collect::<Vec<_>>());
        assert_eq!(found.as_deref(), expected, "{payload}");
    }
    // This name is the text between two quotes, but not a key.
    assert_eq!(one_line::split_items(br#"{"a":"b","c":[{}]}"#, br#"a":"b","c"#), None);
}

#[test]
fn split_finds_items_beyond_the_recorded_spans() {
    let items = vec![r#"{"a":[[],[]]}"#; 10_000].join(",");
    let payload = format!(r#"{{"items":[{items}]}}"#);
    let records = one_line::split_items(payload.as_bytes(), b"items").unwrap();
    assert_eq!(records, split_any(payload.as_bytes(), ITEMS));
    assert_eq!(records.len(), 10_000);
}

#[test]
fn split_takes_linear_time_for_one_long_line() {
    // Quadratic time would take minutes.
    for part in ["{}", "{}x", "[1]", "{\"items\":[{}]}"] {
        let payload = part.repeat(400_000 / part.len());
        assert!(split(payload.as_bytes(), ITEMS).len() >= 1_000, "{part}");
    }
}
