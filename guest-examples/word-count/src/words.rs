//! Words, and how a text is cut between them.

/// The words of a text, in small letters. An apostrophe inside a word belongs to it.
pub fn words(text: &str) -> impl Iterator<Item = String> {
    let is_part = |c: char| c.is_alphanumeric() || c == '\'';
    let words = text.split(move |c| !is_part(c)).map(|word| word.trim_matches('\''));
    words.filter(|word| !word.is_empty()).map(str::to_lowercase)
}

/// A text in pieces of about so many bytes, cut at white space. What has no word in it is left out.
pub fn pieces(text: &str, bytes: usize) -> impl Iterator<Item = &str> {
    let mut rest = text;
    std::iter::from_fn(move || {
        rest = rest.trim_start();
        if rest.is_empty() {
            return None;
        }
        let least = rest.floor_char_boundary(bytes.min(rest.len()));
        let cut = rest[least..].find(char::is_whitespace).map_or(rest.len(), |end| least + end);
        let (piece, after) = rest.split_at(cut);
        rest = after;
        Some(piece)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_told_from_what_stands_between_them() {
        let found: Vec<_> = words("Don't say: 'Never'!\n2 Größen, snow-white").collect();
        assert_eq!(found, ["don't", "say", "never", "2", "größen", "snow", "white"]);
    }

    #[test]
    fn pieces_are_cut_between_words_and_lose_none() {
        let text = "one two  three\nfour — fünf six";
        for bytes in 1..40 {
            let joined: Vec<_> = pieces(text, bytes).flat_map(words).collect();
            assert_eq!(joined, words(text).collect::<Vec<_>>(), "{bytes}");
        }
        assert_eq!(pieces("a b c d", 2).collect::<Vec<_>>(), ["a b", "c d"]);
        assert_eq!(pieces(" \n", 5).count(), 0);
    }
}
