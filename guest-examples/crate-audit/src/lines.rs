//! Counts the lines of a Rust file: enough of a lexer to tell code from comments and strings.

use sunaba_sdk::prelude::*;

/// The lines of some Rust source.
#[data]
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Lines {
    /// Lines with code on them, whatever else is there.
    pub code: u64,
    /// Lines with a comment and no code.
    pub comments: u64,
    /// Lines with neither.
    pub blank: u64,
    /// How often the keyword `unsafe` stands in code.
    pub unsafe_uses: u64,
}

/// Where in the source the scanner is.
enum Place {
    Code,
    LineComment,
    /// How deep the comment is nested.
    BlockComment(u32),
    String,
    /// How many `#` end it.
    RawString(usize),
}

impl Lines {
    pub fn add(&mut self, other: &Lines) {
        self.code += other.code;
        self.comments += other.comments;
        self.blank += other.blank;
        self.unsafe_uses += other.unsafe_uses;
    }

    pub fn of(source: &str) -> Lines {
        let mut scanner =
            Scanner { rest: source, lines: Lines::default(), place: Place::Code, code: false, comment: false };
        while !scanner.rest.is_empty() {
            scanner.step();
        }
        if !source.is_empty() && !source.ends_with('\n') {
            scanner.end_line();
        }
        scanner.lines
    }
}

struct Scanner<'a> {
    rest: &'a str,
    lines: Lines,
    place: Place,
    /// Whether the line has code or a comment so far.
    code: bool,
    comment: bool,
}

impl Scanner<'_> {
    fn step(&mut self) {
        if self.rest.starts_with('\n') {
            self.end_line();
            return self.skip(1);
        }
        match self.place {
            Place::Code => self.step_code(),
            Place::LineComment => self.mark(),
            Place::BlockComment(depth) => match () {
                () if self.rest.starts_with("/*") => self.enter(Place::BlockComment(depth + 1), 2),
                () if self.rest.starts_with("*/") && depth == 1 => self.enter(Place::Code, 2),
                () if self.rest.starts_with("*/") => self.enter(Place::BlockComment(depth - 1), 2),
                () => self.mark(),
            },
            Place::String => match () {
                // Not over the end of a line, which `step` must see.
                () if self.rest.starts_with('\\') && !self.rest[1..].starts_with('\n') => {
                    self.mark();
                    self.mark();
                }
                () if self.rest.starts_with('"') => self.enter(Place::Code, 1),
                () => self.mark(),
            },
            Place::RawString(hashes) => {
                let ends =
                    self.rest.starts_with('"') && self.rest[1..].bytes().take_while(|b| *b == b'#').count() >= hashes;
                if ends { self.enter(Place::Code, 1 + hashes) } else { self.mark() }
            }
        }
    }

    fn step_code(&mut self) {
        let rest = self.rest;
        if rest.starts_with("//") {
            self.place = Place::LineComment;
        } else if rest.starts_with("/*") {
            self.comment = true;
            self.place = Place::BlockComment(1);
            self.skip(2);
        } else if rest.starts_with('"') {
            self.code = true;
            self.place = Place::String;
            self.skip(1);
        } else if rest.starts_with('\'') {
            self.code = true;
            self.skip(char_literal(rest));
        } else if rest.starts_with(is_word) {
            self.code = true;
            let word = &rest[..rest.find(|c| !is_word(c)).unwrap_or(rest.len())];
            self.lines.unsafe_uses += u64::from(word == "unsafe");
            self.skip(word.len());
            let hashes = self.rest.bytes().take_while(|byte| *byte == b'#').count();
            if matches!(word, "r" | "br" | "cr") && self.rest[hashes..].starts_with('"') {
                self.place = Place::RawString(hashes);
                self.skip(hashes + 1);
            }
        } else {
            self.mark();
        }
    }

    /// Goes over one character of the place that the scanner is in.
    fn mark(&mut self) {
        let Some(c) = self.rest.chars().next() else { return };
        if !c.is_whitespace() {
            match self.place {
                Place::LineComment | Place::BlockComment(_) => self.comment = true,
                Place::Code | Place::String | Place::RawString(_) => self.code = true,
            }
        }
        self.skip(c.len_utf8());
    }

    /// Goes over so many bytes, which belong to the place that is left, into another.
    fn enter(&mut self, place: Place, bytes: usize) {
        match self.place {
            Place::BlockComment(_) => self.comment = true,
            _ => self.code = true,
        }
        self.place = place;
        self.skip(bytes);
    }

    fn skip(&mut self, bytes: usize) {
        self.rest = &self.rest[bytes..];
    }

    fn end_line(&mut self) {
        match (self.code, self.comment) {
            (true, _) => self.lines.code += 1,
            (false, true) => self.lines.comments += 1,
            (false, false) => self.lines.blank += 1,
        }
        (self.code, self.comment) = (false, false);
        if matches!(self.place, Place::LineComment) {
            self.place = Place::Code;
        }
    }
}

fn is_word(c: char) -> bool {
    c.is_alphanumeric() || c == '_'
}

/// How many bytes the character literal at the start has; 1 when it is a lifetime.
fn char_literal(text: &str) -> usize {
    let mut chars = text.char_indices().skip(1);
    match chars.next() {
        Some((_, '\\')) => {
            // The escaped character itself may be a quote.
            chars.next();
            chars.find(|(_, c)| *c == '\'' || *c == '\n').map_or(text.len(), |(end, c)| end + usize::from(c == '\''))
        }
        Some(_) => match chars.next() {
            Some((end, '\'')) => end + 1,
            _ => 1,
        },
        None => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(source: &str) -> (u64, u64, u64, u64) {
        let lines = Lines::of(source);
        (lines.code, lines.comments, lines.blank, lines.unsafe_uses)
    }

    #[test]
    fn tells_code_comments_and_blank_lines_apart() {
        assert_eq!(counts(""), (0, 0, 0, 0));
        assert_eq!(counts("fn a() {}\n\n// b\n/* c\n\nd */ fn e() {}\n   \n"), (2, 2, 3, 0));
        assert_eq!(counts("let a = 1; // one"), (1, 0, 0, 0));
    }

    #[test]
    fn nested_comments_end_where_they_should() {
        assert_eq!(counts("/* /* */ unsafe */\nunsafe {}\n"), (1, 1, 0, 1));
    }

    #[test]
    fn unsafe_counts_only_as_a_keyword_in_code() {
        let source =
            "unsafe fn a() { unsafe { b() } }\n\"unsafe\"; // unsafe\nlet unsafe_code = r#\"unsafe \" unsafe\"#;\n";
        assert_eq!(counts(source), (3, 0, 0, 2));
    }

    #[test]
    fn quotes_in_characters_and_lifetimes_open_no_string() {
        assert_eq!(
            counts("let q = '\"'; unsafe {}\nfn f<'a>(x: &'a str) {} // \"\nlet b = '\\''; // x\n"),
            (3, 0, 0, 1)
        );
    }

    #[test]
    fn strings_may_span_lines() {
        assert_eq!(counts("let s = \"a\n// no comment \\\" \nb\"; // c\n"), (3, 0, 0, 0));
        assert_eq!(counts("let s = \"a \\\n b\";\n"), (2, 0, 0, 0));
    }
}
