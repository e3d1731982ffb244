//! What somebody may have meant by a word that nobody knows.

/// Shorter words are meant as they are written, but for one letter.
const LONG: usize = 6;
/// Longer words are not compared: nobody mistypes them.
const MAX_BYTES: usize = 128;

/// The known word that is nearest to one that is not known: the same but for its case, `-` for `_`, one letter or, of longer
/// words, two; or else one of which either begins with the other. None when nothing is near.
pub fn nearest<'k>(word: &str, known: impl IntoIterator<Item = &'k str>) -> Option<&'k str> {
    if word.is_empty() || word.len() > MAX_BYTES {
        return None;
    }
    let word = plain(word);
    let allowed = if word.len() < LONG { 1 } else { 2 };
    let rank = |name: &str| {
        let name = plain(name);
        let begins = word.len().min(name.len()) > 2 && (name.starts_with(&word) || word.starts_with(&name));
        match distance(&word, &name) {
            near if near <= allowed && near < word.len() => Some(near),
            _ => begins.then_some(allowed + 1),
        }
    };
    let close = known.into_iter().filter(|name| name.len() <= MAX_BYTES);
    close.filter_map(|name| Some((rank(name)?, name))).min_by_key(|(rank, _)| *rank).map(|(_, name)| name)
}

fn plain(word: &str) -> String {
    word.to_lowercase().replace('-', "_")
}

/// Letters that are put in, left out, changed, or swapped with their neighbours: the optimal string alignment.
fn distance(a: &str, b: &str) -> usize {
    let (a, b): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let (mut before, mut last, mut row) = (Vec::new(), Vec::new(), (0..=b.len()).collect::<Vec<_>>());
    for i in 1..=a.len() {
        before = std::mem::replace(&mut last, std::mem::replace(&mut row, before));
        row.clear();
        row.push(i);
        for j in 1..=b.len() {
            let changed = last[j - 1] + usize::from(a[i - 1] != b[j - 1]);
            let mut best = changed.min(last[j] + 1).min(row[j - 1] + 1);
            if i > 1 && j > 1 && a[i - 1] == b[j - 2] && a[i - 2] == b[j - 1] {
                best = best.min(before[j - 2] + 1);
            }
            row.push(best);
        }
    }
    row[b.len()]
}

#[cfg(test)]
mod tests {
    use super::*;

    const KNOWN: [&str; 7] = ["name", "timeout_ms", "tags", "retry_on", "retry_for_ms", "on_failure", "key"];

    #[test]
    fn what_is_near_is_found() {
        for (word, meant) in [
            ("nmae", "name"),
            ("nme", "name"),
            ("timeout", "timeout_ms"),
            ("timeoutMs", "timeout_ms"),
            ("on-failure", "on_failure"),
            ("onfailure", "on_failure"),
            ("Tag", "tags"),
            ("retry", "retry_on"),
            ("retry_fr_ms", "retry_for_ms"),
            ("keys", "key"),
        ] {
            assert_eq!(nearest(word, KNOWN), Some(meant), "{word}");
        }
    }

    #[test]
    fn what_is_not_near_is_not_made_up() {
        for word in ["", "tasks", "x", "t", "on", "afterwards", "prioritize", &"name".repeat(40)] {
            assert_eq!(nearest(word, KNOWN), None, "{word}");
        }
    }

    #[test]
    fn nearest_of_several_is_taken() {
        assert_eq!(nearest("parts", ["part-of-it", "path", "part", "party"]), Some("part"));
        assert_eq!(nearest("part", ["parts/1", "park"]), Some("park"));
        assert_eq!((distance("abcd", "abdc"), distance("", "abc"), distance("kitten", "sitting")), (1, 3, 3));
    }
}
