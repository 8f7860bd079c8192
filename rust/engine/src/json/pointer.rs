//! Patterns of JSON pointers (RFC 6901), with tokens that stand for each element or for the argument of a field.

/// A pattern such as `/spec/containers/{index|*}/image`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    steps: Vec<Step>,
}

/// One step of a pattern.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member, or an element if the token is a number.
    Token(Token),
    /// `*`: each element of an array.
    Each,
    /// `{index}`: the element that the index argument names.
    Index,
    /// `{index|*}`: that element, or each element if there is no argument.
    IndexOrEach,
    /// `{key}`: the key argument as a token.
    Key,
    /// `{pointer}`: the key argument as the whole pointer.
    Pointer,
}

/// A reference token: the name of a member, or the index of an element.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) index: Option<u64>,
    /// The first eight bytes of the token, followed by a closing quote.
    head: Head,
    /// The bits of `head` to compare; 0 if a key can be the token's with other bytes.
    mask: u64,
}

/// Up to eight bytes of a key, compared in one step.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head(u64);

impl Head {
    /// Reads the bytes at an offset. Bytes after the end of the text are 0.
    #[inline]
    pub(crate) fn at(text: &[u8], pos: usize) -> Self {
        let rest = text.get(pos..).unwrap_or_default();
        match rest.first_chunk() {
            Some(bytes) => Self(u64::from_le_bytes(*bytes)),
            None => {
                let mut bytes = [0; 8];
                bytes[..rest.len()].copy_from_slice(rest);
                Self(u64::from_le_bytes(bytes))
            }
        }
    }

    /// Returns one of 64 bits, chosen by the first two bytes.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        1 << ((self.0 ^ self.0 >> 5) & 63)
    }
}

impl Token {
    pub(crate) fn new(text: String) -> Self {
        let quoted = [text.as_bytes(), b"\""].concat();
        let len = quoted.len().min(8);
        // Keys write a quote and a backslash as escapes, and U+FFFD may stand for any invalid byte.
        let mask = if text.contains(['"', '\\', char::REPLACEMENT_CHARACTER]) {
            0
        } else {
            u64::MAX >> (64 - 8 * len)
        };
        Self {
            index: parse_index(&text),
            head: Head::at(&quoted, 0),
            mask,
            text,
        }
    }

    /// Returns whether a key without escapes must have the same bytes as the token.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.mask != 0
    }

    /// Returns the bits that the head of a matching key can have ([`Head::bit`]).
    #[inline]
    pub(crate) fn bit(&self) -> u64 {
        // For an empty key, the first byte is the closing quote, and the second can be any.
        if self.text.is_empty() {
            u64::MAX
        } else {
            self.head.bit()
        }
    }

    /// Returns whether the head of a key matches the token.
    #[inline]
    pub(crate) fn matches_head(&self, head: Head) -> bool {
        (head.0 ^ self.head.0) & self.mask == 0
    }

    /// Returns whether the rest of the key at `pos`, whose head matches, equals the token.
    #[inline]
    pub(crate) fn matches_rest(&self, json: &[u8], pos: usize) -> bool {
        let len = self.text.len();
        len < 8 || json.get(pos + len) == Some(&b'"') && json[pos + 8..pos + len] == self.text.as_bytes()[8..]
    }
}

/// Why a string is not a pattern. The message continues "the pointer …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// Whether a field has an argument.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentMode {
    #[default]
    None,
    Optional,
    Required,
}

impl Pattern {
    /// Parses a pattern.
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "{pointer}" {
            return Ok(Self {
                text: text.to_owned(),
                steps: vec![Step::Pointer],
            });
        }
        let steps = split(text)?.map(parse_step).collect::<Result<Vec<_>, _>>()?;
        let has = |wanted: &Step| steps.contains(wanted);
        if has(&Step::Index) && has(&Step::IndexOrEach) {
            return Err(PatternError("has both {index} and {index|*}: use one of them".into()));
        }
        let text = text.to_owned();
        Ok(Self { text, steps })
    }

    /// Returns the pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Returns whether the pattern can name several values.
    pub fn is_list(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Each | Step::IndexOrEach))
    }

    /// Returns whether the pattern uses an index argument.
    pub fn index(&self) -> ArgumentMode {
        self.mode(&[Step::Index], &[Step::IndexOrEach])
    }

    /// Returns whether the pattern uses a key argument.
    pub fn key(&self) -> ArgumentMode {
        self.mode(&[Step::Key, Step::Pointer], &[])
    }

    fn mode(&self, required: &[Step], optional: &[Step]) -> ArgumentMode {
        let has = |wanted: &[Step]| self.steps.iter().any(|step| wanted.contains(step));
        match (has(required), has(optional)) {
            (true, _) => ArgumentMode::Required,
            (false, true) => ArgumentMode::Optional,
            (false, false) => ArgumentMode::None,
        }
    }
}

/// Returns the tokens of a JSON pointer that was passed as an argument, with `~1` and `~0` resolved.
///
/// The first `/` may be missing, and any other `~` stands for itself: otherwise a rule with such a pointer would
/// silently never match.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let skipped = usize::from(pointer.is_empty() || pointer.starts_with('/'));
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    pointer.split('/').skip(skipped).map(unescaped)
}

fn split(pointer: &str) -> Result<impl Iterator<Item = &str>, PatternError> {
    // "" is the whole document and has no token; "/" has one empty token.
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(PatternError(format!(
            "{pointer:?} must begin with \"/\", such as \"/user/name\""
        )));
    }
    Ok(pointer.split('/').skip(1))
}

fn parse_step(token: &str) -> Result<Step, PatternError> {
    match token {
        "*" => Ok(Step::Each),
        "{index}" => Ok(Step::Index),
        "{index|*}" => Ok(Step::IndexOrEach),
        "{key}" => Ok(Step::Key),
        "{pointer}" => Err(PatternError("has {pointer} as a part: use {pointer} alone".into())),
        token if token.starts_with('{') && token.ends_with('}') => Err(PatternError(format!(
            "has {token}: use {{index}}, {{index|*}} or {{key}}, or {{pointer}} alone"
        ))),
        token if ["{index", "{key", "{pointer"].iter().any(|part| token.contains(part)) => Err(PatternError(format!(
            "has {token}: write nothing else between the two slashes around an argument"
        ))),
        token => unescape(token).map(Token::new).map(Step::Token),
    }
}

fn unescape(token: &str) -> Result<String, PatternError> {
    if !token.contains('~') {
        return Ok(token.to_owned());
    }
    let mut text = String::with_capacity(token.len());
    let mut chars = token.chars();
    while let Some(char) = chars.next() {
        text.push(match char {
            '~' => match chars.next() {
                Some('0') => '~',
                Some('1') => '/',
                _ => return Err(PatternError(format!("has {token:?}: write ~ as ~0, and / as ~1"))),
            },
            char => char,
        });
    }
    Ok(text)
}

/// Parses an index as RFC 6901 writes it, without sign and leading zeros.
pub fn parse_index(token: &str) -> Option<u64> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (token == "0" || !token.starts_with('0')))
        .then(|| token.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pattern_reports_arguments_and_lists() {
        for (text, list, index, key) in [
            ("", false, ArgumentMode::None, ArgumentMode::None),
            ("/a/b", false, ArgumentMode::None, ArgumentMode::None),
            ("/a/*/b", true, ArgumentMode::None, ArgumentMode::None),
            ("/a/{index}", false, ArgumentMode::Required, ArgumentMode::None),
            ("/a/{index|*}/b", true, ArgumentMode::Optional, ArgumentMode::None),
            ("/a/{index}/*", true, ArgumentMode::Required, ArgumentMode::None),
            ("/a/{key}", false, ArgumentMode::None, ArgumentMode::Required),
            (
                "/a/{index}/{key}",
                false,
                ArgumentMode::Required,
                ArgumentMode::Required,
            ),
            ("{pointer}", false, ArgumentMode::None, ArgumentMode::Required),
        ] {
            let pattern = Pattern::parse(text).unwrap();
            assert_eq!(
                (pattern.is_list(), pattern.index(), pattern.key()),
                (list, index, key),
                "{text}"
            );
        }
    }

    #[test]
    fn parse_unescapes_tokens() {
        let parsed = Pattern::parse("/a~1b/~0/~01//x{y}").unwrap();
        let token = |text: &str| Step::Token(Token::new(text.into()));
        assert_eq!(
            parsed.steps(),
            [token("a/b"), token("~"), token("~1"), token(""), token("x{y}")]
        );
    }

    #[test]
    fn parse_rejects_invalid_patterns_with_a_remedy() {
        for (text, problem) in [
            ("a/b", "\"a/b\" must begin with \"/\", such as \"/user/name\""),
            (
                "/a/b{key}",
                "has b{key}: write nothing else between the two slashes around an argument",
            ),
            ("/a/~2", "has \"~2\": write ~ as ~0, and / as ~1"),
            ("/a/~", "has \"~\": write ~ as ~0, and / as ~1"),
            ("/{pointer}", "has {pointer} as a part: use {pointer} alone"),
            (
                "/a/{name}",
                "has {name}: use {index}, {index|*} or {key}, or {pointer} alone",
            ),
            ("/{index}/{index|*}", "has both {index} and {index|*}: use one of them"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn tokens_accepts_a_missing_first_slash() {
        for (pointer, expected) in [
            ("", vec![]),
            ("/", vec![""]),
            ("/a/b", vec!["a", "b"]),
            ("a/b", vec!["a", "b"]),
            ("a~1b", vec!["a/b"]),
            ("/~/a~b/~01/~2", vec!["~", "a~b", "~1", "~2"]),
        ] {
            let found: Vec<_> = tokens(pointer).collect();
            assert_eq!(found, expected, "{pointer}");
        }
    }

    #[test]
    fn parse_index_rejects_signs_and_leading_zeros() {
        for (token, index) in [
            ("0", Some(0)),
            ("10", Some(10)),
            ("01", None),
            ("-1", None),
            ("", None),
            ("+1", None),
        ] {
            assert_eq!(Token::new(token.into()).index, index, "{token}");
        }
    }
}
