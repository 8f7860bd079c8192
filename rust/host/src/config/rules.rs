//! The rules of a schema for one value, without its inner values.

use regress::Regex;
use serde_json::{Number, Value};

use crate::config::node::{Node, is_whole, strings, type_of};
use crate::config::problem::{INTEGER, Position, Problem};
use crate::text::count::format_count;

/// The distance from a whole number that a quotient may have, because fractions are not exact.
const TOLERANCE: f64 = 1e-9;
const TYPES: [&str; 7] = ["null", "boolean", INTEGER, "number", "string", "array", "object"];

/// The problems of a value, or why the schema is invalid.
pub type Problems = Result<Vec<Problem>, String>;

/// Checks the type.
pub fn check_types(schema: &Node, value: &Value, position: &Position) -> Problems {
    let types: Vec<String> = match schema.get("type") {
        Some(Value::String(one)) => vec![one.clone()],
        several => strings(several).map(str::to_owned).collect(),
    };
    if let Some(unknown) = types.iter().find(|one| !TYPES.contains(&one.as_str())) {
        return Err(format!("the type {unknown:?} does not exist"));
    }
    let fits = types.is_empty() || types.iter().any(|one| has_type(value, one));
    Ok(if fits {
        Vec::new()
    } else {
        vec![position.type_problem(types, value)]
    })
}

/// Returns whether a value has a type.
fn has_type(value: &Value, type_: &str) -> bool {
    match value {
        // A number without a fraction is an integer, also if it is written as a float. Falco accepts 64 bits.
        Value::Number(number) if type_ == INTEGER => {
            number.is_i64() || (number.is_f64() && is_whole(value) && is_64_bit(number.as_f64().unwrap_or(f64::NAN)))
        }
        value => type_of(value) == type_,
    }
}

fn is_64_bit(number: f64) -> bool {
    const END: f64 = 9_223_372_036_854_775_808.0;
    (-END..END).contains(&number)
}

/// Checks `const` and `enum`.
pub fn check_choice(schema: &Node, value: &Value, position: &Position) -> Vec<Problem> {
    let mut found = Vec::new();
    if let Some(only) = schema.get("const").filter(|only| !is_equal(only, value)) {
        found.push(position.problem(format!("expected {only}")));
    }
    if let Some(Value::Array(options)) = schema.get("enum")
        && !options.iter().any(|option| is_equal(option, value))
    {
        let options: Vec<_> = options.iter().map(Value::to_string).collect();
        found.push(position.problem(format!("expected one of {}", options.join(", "))));
    }
    found
}

/// Checks the limits of a number.
pub fn check_limits(schema: &Node, number: &Number, position: &Position) -> Problems {
    type Fits = fn(f64, f64) -> bool;
    let rules: [(&str, &str, Fits); 5] = [
        ("minimum", "at least", |number, limit| number >= limit),
        ("maximum", "at most", |number, limit| number <= limit),
        ("exclusiveMinimum", "more than", |number, limit| number > limit),
        ("exclusiveMaximum", "less than", |number, limit| number < limit),
        ("multipleOf", "a multiple of", |number, step| {
            let times = number / step;
            (times - times.round()).abs() < TOLERANCE
        }),
    ];
    let number = number.as_f64().unwrap_or(f64::NAN);
    let mut found = Vec::new();
    for (word, words, fits) in rules {
        if let Some(limit) = limit(schema, word)?.filter(|limit| !fits(number, *limit)) {
            found.push(position.problem(format!("expected {words} {limit}")));
        }
    }
    Ok(found)
}

/// Checks the size of a string, an array or an object.
pub fn check_sizes(schema: &Node, size: usize, [least, most]: [&str; 2], of: &str, position: &Position) -> Problems {
    let size = size as f64;
    let mut found = Vec::new();
    if let Some(limit) = limit(schema, least)?.filter(|limit| size < *limit) {
        found.push(position.problem(format!("expected at least {}", format_count(limit, of))));
    }
    if let Some(limit) = limit(schema, most)?.filter(|limit| size > *limit) {
        found.push(position.problem(format!("expected at most {}", format_count(limit, of))));
    }
    Ok(found)
}

/// Returns the number of a keyword.
fn limit(schema: &Node, word: &str) -> Result<Option<f64>, String> {
    let limit = schema.get(word);
    limit
        .map(|limit| limit.as_f64().ok_or_else(|| format!("its {word} is not a number")))
        .transpose()
}

/// Returns whether a text contains a match of a pattern, which has the syntax of ECMAScript as in Falco.
pub fn is_match(pattern: &str, text: &str) -> Result<bool, String> {
    let pattern = Regex::new(pattern).map_err(|error| format!("its pattern {pattern} is invalid: {error}"))?;
    Ok(pattern.find(text).is_some())
}

/// Returns whether two values are equal; 1 and 1.0 are.
pub fn is_equal(one: &Value, other: &Value) -> bool {
    match (one, other) {
        (Value::Number(one), Value::Number(other)) if one.is_f64() || other.is_f64() => one.as_f64() == other.as_f64(),
        (Value::Array(one), Value::Array(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| is_equal(one, other))
        }
        (Value::Object(one), Value::Object(other)) => {
            let same = |(name, value)| other.get(name).is_some_and(|other| is_equal(value, other));
            one.len() == other.len() && one.iter().all(same)
        }
        (one, other) => one == other,
    }
}
