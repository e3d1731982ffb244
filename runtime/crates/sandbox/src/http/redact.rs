//! Puts a placeholder wherever a secret's text stands, in one piece or in a stream of pieces.
//!
//! A stream holds back no more than what may still become a secret: less than the longest encoding of one. What is held
//! at the end is no secret and is let go.
//!
//! A text is cut only after this: half a secret at a cut would not be found any more. What is done for that grows with what
//! is kept and not with what was given.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use bytes::Bytes;

use super::patterns;
use crate::convert;

/// Bytes by which patterns are looked up; none is shorter.
const PREFIX: usize = 4;

pub(crate) struct Redactor {
    /// Each with the index of its placeholder.
    patterns: Vec<(Vec<u8>, usize)>,
    placeholders: Vec<String>,
    /// Patterns by their first bytes, the longest first.
    by_prefix: HashMap<[u8; PREFIX], Vec<usize>>,
    /// Which pairs of bytes begin a pattern: the quick answer for nearly every place in a text.
    pairs: Vec<u64>,
}

impl Redactor {
    /// For these texts and their placeholders.
    pub(crate) fn new<'a>(secrets: impl Iterator<Item = (&'a str, &'a str)>) -> Self {
        let mut placeholders = Vec::new();
        // The same pattern of two secrets is one of the first.
        let mut all = BTreeMap::new();
        for (text, placeholder) in secrets {
            for pattern in patterns::of(text) {
                all.entry(pattern).or_insert(placeholders.len());
            }
            placeholders.push(placeholder.to_owned());
        }
        let mut patterns: Vec<(Vec<u8>, usize)> = all.into_iter().collect();
        patterns.sort_by_key(|(pattern, _)| std::cmp::Reverse(pattern.len()));
        let mut by_prefix: HashMap<_, Vec<usize>> = HashMap::new();
        let mut pairs = vec![0; 1024];
        for (index, (pattern, _)) in patterns.iter().enumerate() {
            let prefix = pattern.first_chunk::<PREFIX>().expect("no pattern is so short");
            by_prefix.entry(*prefix).or_default().push(index);
            let pair = pair(prefix[0], prefix[1]);
            pairs[pair / 64] |= 1 << (pair % 64);
        }
        Self { patterns, placeholders, by_prefix, pairs }
    }

    /// False: no secret begins with these two bytes.
    fn begins_likely(&self, rest: &[u8]) -> bool {
        let [first, second, ..] = rest else { return false };
        let pair = pair(*first, *second);
        self.pairs[pair / 64] & 1 << (pair % 64) != 0
    }

    /// The secret that begins there, and whose.
    fn look(&self, rest: &[u8]) -> Option<(usize, usize)> {
        if !self.begins_likely(rest) {
            return None;
        }
        // The longest first.
        let mut likely = self.by_prefix.get(rest.first_chunk::<PREFIX>()?)?.iter().map(|index| &self.patterns[*index]);
        let (pattern, placeholder) = likely.find(|(pattern, _)| rest.starts_with(pattern))?;
        Some((pattern.len(), *placeholder))
    }

    /// Replaces what is in there. What was replaced, if anything was, and from where the rest is undecided.
    ///
    /// Where more may come, as much is left undecided as the longest pattern needs, whatever it is: were it less where nothing
    /// of a secret is in sight, whoever watches the pieces would learn of a secret by guessing its beginning.
    fn scan(&self, bytes: &[u8], is_end: bool) -> (Option<Vec<u8>>, usize) {
        let end = if is_end { bytes.len() } else { bytes.len().saturating_sub(self.longest() - 1) };
        self.scan_to(bytes, end, usize::MAX)
    }

    fn longest(&self) -> usize {
        self.patterns.first().map_or(1, |(pattern, _)| pattern.len())
    }

    /// Replaces what begins before the end, until more than so many bytes have come of it.
    fn scan_to(&self, bytes: &[u8], end: usize, room: usize) -> (Option<Vec<u8>>, usize) {
        let (mut out, mut copied, mut at, mut made): (Option<Vec<u8>>, _, _, _) = (None, 0, 0, 0);
        while at < end && made <= room {
            let Some((length, placeholder)) = self.look(&bytes[at..]) else {
                (at, made) = (at + 1, made + 1);
                continue;
            };
            let placeholder = self.placeholders[placeholder].as_bytes();
            let out = out.get_or_insert_default();
            out.extend_from_slice(&bytes[copied..at]);
            out.extend_from_slice(placeholder);
            (at, made) = (at + length, made + placeholder.len());
            copied = at;
        }
        if let Some(out) = &mut out {
            out.extend_from_slice(&bytes[copied..at]);
        }
        (out, at)
    }

    /// The same without secrets; none when there is none in it.
    pub(crate) fn replaced(&self, bytes: &[u8]) -> Option<Vec<u8>> {
        self.scan(bytes, true).0
    }

    /// Takes the secrets out of a text.
    pub(crate) fn text(&self, text: &mut String) {
        if let Some(replaced) = self.replaced(text.as_bytes()) {
            *text = String::from_utf8_lossy(&replaced).into_owned();
        }
    }

    /// Takes the secrets out of a text and shortens it to so many bytes, with a mark where it was cut.
    pub(crate) fn cut(&self, text: &mut String, max_bytes: usize) {
        // Without a secret in what is kept, the text is as it was.
        if let (Some(replaced), _) = self.scan_to(text.as_bytes(), text.len(), max_bytes) {
            // The last character may be a part of one; it is beyond the cut then.
            *text = String::from_utf8_lossy(&replaced).into_owned();
        }
        convert::cut(text, max_bytes);
    }

    /// Takes from a text that grows what is decided, without its secrets. What may yet become one stays.
    ///
    /// Unlike [`Pieces`] it shows by what stays how a secret begins: for those who may know it.
    pub(crate) fn settle(&self, text: &mut Vec<u8>) -> Vec<u8> {
        let mut settled = Vec::new();
        loop {
            let end = self.undecided(text);
            if end == 0 {
                return settled;
            }
            let (mut replaced, at) = self.scan_to(text, end, usize::MAX);
            let rest = text.split_off(at);
            settled.append(replaced.as_mut().unwrap_or(text));
            *text = rest;
        }
    }

    /// From where on a text is nothing but the beginning of a secret, whatever comes next.
    fn undecided(&self, text: &[u8]) -> usize {
        let from = text.len().saturating_sub(self.longest() - 1);
        (from..text.len()).find(|at| self.begins(&text[*at..])).unwrap_or(text.len())
    }

    /// Whether some secret begins with this and goes on.
    fn begins(&self, rest: &[u8]) -> bool {
        let goes_on = |(pattern, _): &(Vec<u8>, usize)| pattern.len() > rest.len() && pattern.starts_with(rest);
        match rest.first_chunk::<PREFIX>() {
            Some(_) if !self.begins_likely(rest) => false,
            Some(prefix) => {
                let likely = self.by_prefix.get(prefix).into_iter().flatten();
                likely.map(|index| &self.patterns[*index]).any(goes_on)
            }
            None => self.patterns.iter().any(goes_on),
        }
    }

    /// Takes the secrets out of a body.
    pub(crate) fn bytes(&self, bytes: &mut Bytes) {
        if let Some(replaced) = self.replaced(bytes) {
            *bytes = replaced.into();
        }
    }
}

fn pair(first: u8, second: u8) -> usize {
    usize::from(u16::from_be_bytes([first, second]))
}

/// A body on its way through.
pub(super) struct Pieces {
    redactor: Arc<Redactor>,
    /// The beginning of a secret, perhaps.
    held: Vec<u8>,
}

impl Pieces {
    pub(super) fn new(redactor: Arc<Redactor>) -> Self {
        Self { redactor, held: Vec::new() }
    }

    /// What can be handed on after this piece. It may be nothing.
    pub(super) fn feed(&mut self, mut piece: Bytes) -> Bytes {
        if !self.held.is_empty() {
            self.held.extend_from_slice(&piece);
            piece = std::mem::take(&mut self.held).into();
        }
        let (replaced, end) = self.redactor.scan(&piece, false);
        self.held = piece[end..].to_vec();
        replaced.map_or_else(|| piece.slice(..end), Bytes::from)
    }

    /// What is left when nothing more comes.
    pub(super) fn finish(&mut self) -> Bytes {
        let held = std::mem::take(&mut self.held);
        self.redactor.replaced(&held).unwrap_or(held).into()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLACEHOLDER: &str = "sunaba-secret-KEY-0123456789abcdef";

    fn redactor(text: &str) -> Arc<Redactor> {
        Arc::new(Redactor::new([(text, PLACEHOLDER)].into_iter()))
    }

    fn streamed(redactor: &Arc<Redactor>, pieces: &[&[u8]]) -> String {
        let mut stream = Pieces::new(Arc::clone(redactor));
        let mut out = Vec::new();
        for piece in pieces {
            out.extend_from_slice(&stream.feed(Bytes::copy_from_slice(piece)));
        }
        out.extend_from_slice(&stream.finish());
        String::from_utf8(out).expect("text")
    }

    #[test]
    fn secret_is_found_however_it_is_split() {
        let redactor = redactor("hunter2-hunter2");
        let whole = b"a hunter2-hunter2 b hunter2-hunter3 hunter2-hunter2hunter2-hunter2 hunter2-hunt";
        let expected = format!("a {PLACEHOLDER} b hunter2-hunter3 {PLACEHOLDER}{PLACEHOLDER} hunter2-hunt");
        for size in 1..whole.len() {
            let pieces: Vec<&[u8]> = whole.chunks(size).collect();
            assert_eq!(streamed(&redactor, &pieces), expected, "{size}");
        }
    }

    #[test]
    fn what_is_held_back_tells_nothing_of_the_secret() {
        for piece in ["abc", "xhunter2-", "hunter2-hunter", &"no secret at all ".repeat(10)] {
            let mut stream = Pieces::new(redactor("hunter2-hunter2"));
            let mut other = Pieces::new(redactor("another-secret2"));
            assert_eq!(
                stream.feed(piece.to_owned().into()).len(),
                other.feed(piece.to_owned().into()).len(),
                "{piece}"
            );
        }
    }

    #[test]
    fn longest_secret_wins_and_is_waited_for() {
        let redactor = Redactor::new([("abcdefgh", "<short>"), ("abcdefghijkl", "<long>")].into_iter());
        let redactor = Arc::new(redactor);
        assert_eq!(streamed(&redactor, &[b"abcdefgh", b"ijkl"]), "<long>");
        assert_eq!(streamed(&redactor, &[b"abcdefgh", b"ijk."]), "<short>ijk.");
        assert_eq!(streamed(&redactor, &[b"abcdefgh"]), "<short>");
    }

    fn cut(redactor: &Redactor, text: &str, max_bytes: usize) -> String {
        let mut text = text.to_owned();
        redactor.cut(&mut text, max_bytes);
        text
    }

    #[test]
    fn text_is_cut_as_if_it_had_been_redacted_whole() {
        let redactor = redactor("hunter2-hunter2");
        for text in
            ["a hunter2-hunter2 b ああ hunter2-hunter2hunter2-hunter2 c", "ああああああ hunter2-hunter2", "no secret"]
        {
            let mut whole = text.to_owned();
            redactor.text(&mut whole);
            for max_bytes in 3..whole.len() + 3 {
                let mut expected = whole.clone();
                convert::cut(&mut expected, max_bytes);
                assert_eq!(cut(&redactor, text, max_bytes), expected, "{text} {max_bytes}");
            }
        }
    }

    #[test]
    fn what_is_cut_off_is_not_looked_at() {
        let redactor = redactor("hunter2-hunter2");
        let text = "hunter2-hunter2".repeat(100_000);
        let (replaced, at) = redactor.scan_to(text.as_bytes(), text.len(), 1024);
        let replaced = replaced.expect("there are secrets in it");
        assert!(replaced.len() <= 1024 + PLACEHOLDER.len(), "{}", replaced.len());
        assert!(at <= 1024, "{at}");
    }

    #[test]
    fn growing_text_is_held_only_where_a_secret_may_begin() {
        let redactor = redactor("hunter2-hunter2");
        let mut text = b"a line\n".to_vec();
        assert_eq!(redactor.settle(&mut text), b"a line\n");
        text.extend_from_slice(b"b hunter2-");
        assert_eq!((redactor.settle(&mut text), &text[..]), (b"b ".to_vec(), &b"hunter2-"[..]));
        text.extend_from_slice(b"hunter2\n");
        assert_eq!((redactor.settle(&mut text), &text[..]), (format!("{PLACEHOLDER}\n").into_bytes(), &b""[..]));
        text.extend_from_slice(b"hunter2-h");
        assert_eq!(redactor.settle(&mut text), b"");
        text.push(b'.');
        assert_eq!(redactor.settle(&mut text), b"hunter2-h.");
    }

    #[test]
    fn text_without_a_secret_is_not_copied() {
        assert!(redactor("hunter2-hunter2").replaced(&[b'h'; 100_000]).is_none());
    }

    #[test]
    fn secret_that_repeats_itself_is_found_in_time() {
        let text = "a".repeat(8 << 10);
        let redactor = redactor(&text);
        let near = format!("{}b", &text[1..]);
        assert_eq!(streamed(&redactor, &[near.as_bytes(), text.as_bytes()]), format!("{near}{PLACEHOLDER}"));
    }
}
