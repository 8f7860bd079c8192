//! Patterns of JSON pointers: RFC 6901, with tokens that stand for each element or for a field's argument.

/// A pattern such as `/spec/containers/{index|*}/image`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Pattern {
    text: String,
    steps: Vec<Step>,
}

/// One step into a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Step {
    /// A member, or an element where the token is a number.
    Token(Token),
    /// `*`: each element of an array.
    Each,
    /// `{index}`: the element that the index argument names.
    Index,
    /// `{index|*}`: that element, or each where there is no argument.
    IndexOrEach,
    /// `{key}`: the key argument as a token.
    Key,
    /// `{pointer}`: the key argument as the whole pointer.
    Pointer,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Token {
    pub(crate) text: String,
    pub(crate) index: Option<u64>,
    /// The first eight bytes of the token and a closing quote, and which bits are compared: none if the key may be
    /// spelled in another way.
    head: Head,
    mask: u64,
}

/// Up to eight bytes of a text, which are compared in one step.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Head(u64);

impl Head {
    /// Takes the bytes at an offset. Those behind the end of the text are zero.
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

    /// One of 64 bits, for the first two bytes.
    #[inline]
    pub(crate) fn bit(self) -> u64 {
        1 << ((self.0 ^ self.0 >> 5) & 63)
    }
}

impl Token {
    pub(crate) fn new(text: String) -> Self {
        let quoted = [text.as_bytes(), b"\""].concat();
        let len = quoted.len().min(8);
        // A quote or a backslash of a key is escaped, and U+FFFD may stand for any bad byte.
        let mask = if text.contains(['"', '\\', char::REPLACEMENT_CHARACTER]) {
            0
        } else {
            u64::MAX >> (64 - 8 * len)
        };
        Self {
            index: array_index(&text),
            head: Head::at(&quoted, 0),
            mask,
            text,
        }
    }

    /// Whether a key without backslashes is the token's only if it has the same bytes.
    #[inline]
    pub(crate) fn is_plain(&self) -> bool {
        self.mask != 0
    }

    /// The bits that the heads of its key may have.
    #[inline]
    pub(crate) fn bit(&self) -> u64 {
        // Of an empty key the first byte is the closing quote, and the second one any.
        if self.text.is_empty() {
            u64::MAX
        } else {
            self.head.bit()
        }
    }

    /// Whether a key begins as the token does, as far as its head goes.
    #[inline]
    pub(crate) fn begins(&self, head: Head) -> bool {
        (head.0 ^ self.head.0) & self.mask == 0
    }

    /// Whether the key at `pos`, which begins as the token does, is the token to its end.
    #[inline]
    pub(crate) fn ends(&self, json: &[u8], pos: usize) -> bool {
        let len = self.text.len();
        len < 8 || json.get(pos + len) == Some(&b'"') && json[pos + 8..pos + len] == self.text.as_bytes()[8..]
    }
}

/// Why a text is not a pattern, worded to follow "the pointer …".
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct PatternError(String);

/// Whether a field takes an argument.
#[derive(Debug, Default, Clone, Copy, PartialEq, Eq)]
pub enum ArgumentMode {
    #[default]
    No,
    Optional,
    Required,
}

impl Pattern {
    pub fn parse(text: &str) -> Result<Self, PatternError> {
        if text == "{pointer}" {
            return Ok(Self {
                text: text.to_owned(),
                steps: vec![Step::Pointer],
            });
        }
        let steps = split(text)?.map(step).collect::<Result<Vec<_>, _>>()?;
        let has = |wanted: &Step| steps.contains(wanted);
        if has(&Step::Index) && has(&Step::IndexOrEach) {
            return Err(PatternError("has both {index} and {index|*}: use one of them".into()));
        }
        let text = text.to_owned();
        Ok(Self { text, steps })
    }

    /// The pattern as it was written.
    pub fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn steps(&self) -> &[Step] {
        &self.steps
    }

    /// Whether it may name several values.
    pub fn is_list(&self) -> bool {
        self.steps
            .iter()
            .any(|step| matches!(step, Step::Each | Step::IndexOrEach))
    }

    pub fn index(&self) -> ArgumentMode {
        self.takes(&[Step::Index], &[Step::IndexOrEach])
    }

    pub fn key(&self) -> ArgumentMode {
        self.takes(&[Step::Key, Step::Pointer], &[])
    }

    fn takes(&self, required: &[Step], optional: &[Step]) -> ArgumentMode {
        let has = |wanted: &[Step]| self.steps.iter().any(|step| wanted.contains(step));
        match (has(required), has(optional)) {
            (true, _) => ArgumentMode::Required,
            (false, true) => ArgumentMode::Optional,
            (false, false) => ArgumentMode::None,
        }
    }
}

/// Returns the tokens of a JSON pointer that came as an argument, `~1` and `~0` resolved. Its first `/` may be missing, and
/// any other `~` stands for itself: a rule that has one would never fire otherwise, without a message.
pub(crate) fn tokens(pointer: &str) -> impl Iterator<Item = String> {
    let skipped = usize::from(pointer.is_empty() || pointer.starts_with('/'));
    let unescaped = |token: &str| token.replace("~1", "/").replace("~0", "~");
    pointer.split('/').skip(skipped).map(unescaped)
}

fn split(pointer: &str) -> Result<impl Iterator<Item = &str>, PatternError> {
    // "" is the whole document, and has no token; "/" has one, which is empty.
    if !pointer.is_empty() && !pointer.starts_with('/') {
        return Err(PatternError(format!(
            "{pointer:?} must begin with \"/\", such as \"/user/name\""
        )));
    }
    Ok(pointer.split('/').skip(1))
}

fn step(token: &str) -> Result<Step, PatternError> {
    match token {
        "*" => Ok(Step::Each),
        "{index}" => Ok(Step::Index),
        "{index|*}" => Ok(Step::IndexOrEach),
        "{key}" => Ok(Step::Key),
        "{pointer}" => Err(PatternError("has {pointer} as a part: it stands alone".into())),
        token if token.starts_with('{') && token.ends_with('}') => Err(PatternError(format!(
            "has {token}: it can have {{index}}, {{index|*}}, {{key}}, or be {{pointer}}"
        ))),
        token if ["{index", "{key", "{pointer"].iter().any(|part| token.contains(part)) => Err(PatternError(format!(
            "has {token}: an argument is all that stands between two slashes"
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

/// The number of an element, as RFC 6901 writes it: no sign, no leading zero.
pub fn array_index(token: &str) -> Option<u64> {
    let digits = token.bytes().all(|byte| byte.is_ascii_digit());
    (digits && (token == "0" || !token.starts_with('0')))
        .then(|| token.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_says_what_it_takes_and_whether_it_names_a_list() {
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
    fn tokens_are_unescaped() {
        let parsed = Pattern::parse("/a~1b/~0/~01//x{y}").unwrap();
        let token = |text: &str| Step::Token(Token::new(text.into()));
        assert_eq!(
            parsed.steps(),
            [token("a/b"), token("~"), token("~1"), token(""), token("x{y}")]
        );
    }

    #[test]
    fn what_is_no_pattern_is_refused_with_what_to_write() {
        for (text, problem) in [
            ("a/b", "\"a/b\" must begin with \"/\", such as \"/user/name\""),
            (
                "/a/b{key}",
                "has b{key}: an argument is all that stands between two slashes",
            ),
            ("/a/~2", "has \"~2\": write ~ as ~0, and / as ~1"),
            ("/a/~", "has \"~\": write ~ as ~0, and / as ~1"),
            ("/{pointer}", "has {pointer} as a part: it stands alone"),
            (
                "/a/{name}",
                "has {name}: it can have {index}, {index|*}, {key}, or be {pointer}",
            ),
            ("/{index}/{index|*}", "has both {index} and {index|*}: use one of them"),
        ] {
            assert_eq!(Pattern::parse(text).unwrap_err().to_string(), problem);
        }
    }

    #[test]
    fn the_first_slash_of_an_argument_may_be_missing() {
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
    fn an_index_is_written_without_sign_and_leading_zero() {
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
