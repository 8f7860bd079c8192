//! Words of messages: numbers with their noun, and the name that was probably meant.

/// The least similarity of a suggested name, from 0 to 1.
const SUGGESTED_FROM: f64 = 0.7;

/// Returns a number with its noun, such as `1 event` or `2 events`.
pub fn counted(number: usize, noun: &str) -> String {
    let plural = if number == 1 { "" } else { "s" };
    format!("{number} {noun}{plural}")
}

/// Returns ` did you mean X?` with the most similar one of the names; an empty string if none is similar.
pub fn did_you_mean<'n>(name: &str, names: impl IntoIterator<Item = &'n str>) -> String {
    let rated = (names.into_iter()).map(|other| (strsim::normalized_damerau_levenshtein(name, other), other));
    let nearest = rated.max_by(|one, other| one.0.total_cmp(&other.0));
    match nearest {
        Some((similarity, nearest)) if similarity >= SUGGESTED_FROM => format!(" did you mean {nearest}?"),
        _ => String::new(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counted_has_the_plural_except_for_one() {
        let counted: Vec<_> = [0, 1, 2].map(|number| counted(number, "event")).into();
        assert_eq!(counted, ["0 events", "1 event", "2 events"]);
    }

    #[test]
    fn did_you_mean_suggests_only_a_similar_name() {
        let names = ["threads", "containers", "comm"];
        for (name, expected) in [
            ("thraeds", " did you mean threads?"),
            ("container", " did you mean containers?"),
            ("com", " did you mean comm?"),
            ("sessions", ""),
            ("", ""),
        ] {
            assert_eq!(did_you_mean(name, names), expected, "{name}");
        }
        assert_eq!(did_you_mean("threads", []), "");
    }
}
