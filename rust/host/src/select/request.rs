//! Lists of fields that the user asks for: `a.b,c.d[argument]`, with arguments as in the filters of rules.

/// One field that the user asks for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Request {
    /// The field with its argument, as in the list.
    pub asked: String,
    pub name: String,
    pub argument: Option<String>,
}

impl Request {
    /// Makes a request for a field without an argument.
    pub fn plain(name: &str) -> Self {
        Self {
            asked: name.to_owned(),
            name: name.to_owned(),
            argument: None,
        }
    }
}

/// Reads a list of fields, separated by commas. An error names the field that is wrong.
pub fn parse_fields(list: &str) -> Result<Vec<Request>, String> {
    let mut requests = Vec::new();
    let mut rest = list;
    loop {
        let (request, after) = request(rest)?;
        requests.push(request);
        let after = after.trim_start();
        rest = match after.strip_prefix(',') {
            Some(rest) => rest,
            None if after.is_empty() => return Ok(requests),
            None => return Err(format!("{}: expected a comma before {after:?}", list.trim())),
        };
    }
}

/// Reads the request at the start of `text`. Returns it, and the rest of `text`.
fn request(text: &str) -> Result<(Request, &str), String> {
    let text = text.trim_start();
    let end = text.find(['[', ',']).unwrap_or(text.len());
    let name = text[..end].trim_end();
    if name.is_empty() || name.contains(char::is_whitespace) {
        return Err(format!("expected the name of a field, got {name:?}"));
    }
    let Some(bracketed) = text[end..].strip_prefix('[') else {
        return Ok((Request::plain(name), &text[end..]));
    };
    let wrong = |reason| format!("{name}[…]: {reason}");
    let (argument, after) = argument(bracketed).map_err(wrong)?;
    let after = after
        .strip_prefix(']')
        .ok_or_else(|| wrong("the bracket is not closed, or the argument has characters that need quotes"))?;
    let asked = text[..text.len() - after.len()].to_owned();
    let argument = Some(argument);
    Ok((
        Request {
            asked,
            name: name.to_owned(),
            argument,
        },
        after,
    ))
}

/// Reads the argument at the start of `text`. Returns it, and the rest of `text`.
fn argument(text: &str) -> Result<(String, &str), &'static str> {
    if let Some(quote) = text.chars().next().filter(|first| matches!(first, '\'' | '"')) {
        return quoted(&text[1..], quote);
    }
    let bare = |character: char| !matches!(character, '[' | ']' | '\'' | '"') && !character.is_whitespace();
    let end = text.find(|character| !bare(character)).unwrap_or(text.len());
    match end {
        0 => Err("the argument is empty"),
        end => Ok((text[..end].to_owned(), &text[end..])),
    }
}

/// Reads a quoted argument, after its opening quote.
fn quoted(text: &str, quote: char) -> Result<(String, &str), &'static str> {
    let mut argument = String::new();
    let mut characters = text.chars();
    while let Some(character) = characters.next() {
        match character {
            '\\' => argument.push(match characters.next() {
                Some('b') => '\u{8}',
                Some('f') => '\u{c}',
                Some('n') => '\n',
                Some('r') => '\r',
                Some('t') => '\t',
                Some(escaped @ ('\\' | '/')) => escaped,
                Some(escaped) if escaped == quote => escaped,
                _ => return Err("a backslash in quotes must be followed by b, f, n, r, t, \\, / or the quote"),
            }),
            character if character == quote => return Ok((argument, characters.as_str())),
            character => argument.push(character),
        }
    }
    Err("the quote is not closed")
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(list: &str) -> Vec<(String, String, Option<String>)> {
        let requests = parse_fields(list).expect(list);
        requests
            .into_iter()
            .map(|request| (request.asked, request.name, request.argument))
            .collect()
    }

    #[test]
    fn parse_reads_names_and_arguments() {
        for (list, expected) in [
            ("a.b", vec![("a.b", "a.b", None)]),
            (" a.b , c.d ", vec![("a.b", "a.b", None), ("c.d", "c.d", None)]),
            ("a.b[0]", vec![("a.b[0]", "a.b", Some("0"))]),
            (
                "a.b[x,y],c.d",
                vec![("a.b[x,y]", "a.b", Some("x,y")), ("c.d", "c.d", None)],
            ),
            (
                "jevt.value[/a/0~1b]",
                vec![("jevt.value[/a/0~1b]", "jevt.value", Some("/a/0~1b"))],
            ),
            (
                r#"a.b["x ] \"y\" \\ , z"]"#,
                vec![(r#"a.b["x ] \"y\" \\ , z"]"#, "a.b", Some(r#"x ] "y" \ , z"#))],
            ),
            ("a.b['it\\'s \"']", vec![("a.b['it\\'s \"']", "a.b", Some("it's \""))]),
            ("a.b['']", vec![("a.b['']", "a.b", Some(""))]),
            (r"a.b['\n\t\/']", vec![(r"a.b['\n\t\/']", "a.b", Some("\n\t/"))]),
            ("a.b[ü]", vec![("a.b[ü]", "a.b", Some("ü"))]),
        ] {
            let expected: Vec<_> = expected
                .into_iter()
                .map(|(asked, name, argument)| (asked.to_owned(), name.to_owned(), argument.map(str::to_owned)))
                .collect();
            assert_eq!(parsed(list), expected, "{list}");
        }
    }

    #[test]
    fn parse_names_the_field_that_is_wrong() {
        for (list, message) in [
            ("", "expected the name of a field, got \"\""),
            ("a.b,", "expected the name of a field, got \"\""),
            (",a.b", "expected the name of a field, got \"\""),
            ("a.b c.d", "expected the name of a field, got \"a.b c.d\""),
            ("[x]", "expected the name of a field, got \"\""),
            ("a.b[]", "a.b[…]: the argument is empty"),
            ("a.b[", "a.b[…]: the argument is empty"),
            ("a.b[x", "a.b[…]: the bracket is not closed"),
            (
                "a.b[x y]",
                "a.b[…]: the bracket is not closed, or the argument has characters that need quotes",
            ),
            ("a.b['x]", "a.b[…]: the quote is not closed"),
            (r"a.b['\x']", "a.b[…]: a backslash in quotes"),
            (r#"a.b['\"']"#, "a.b[…]: a backslash in quotes"),
            ("a.b[x]y", "expected a comma before \"y\""),
        ] {
            let error = parse_fields(list).expect_err(list);
            assert!(error.contains(message), "{list}: {error}");
        }
    }
}
