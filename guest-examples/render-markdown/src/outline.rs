//! What a document is about, gathered while it is rendered: its headings and the number of its words.

use pulldown_cmark::{Event, Tag, TagEnd};
use sunaba_sdk::prelude::*;

#[data]
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Heading {
    /// From 1 to 6.
    pub level: u8,
    /// Without its formatting.
    pub text: String,
}

#[derive(Default)]
pub struct Outline {
    headings: Vec<Heading>,
    words: u64,
    in_heading: bool,
    in_word: bool,
}

impl Outline {
    pub fn see(&mut self, event: &Event<'_>) {
        match event {
            Event::Text(text) | Event::Code(text) => self.text(text),
            Event::SoftBreak | Event::HardBreak => self.text(" "),
            // The end of a word only where a block begins or ends: `un*believ*able` is one.
            Event::Start(Tag::Emphasis | Tag::Strong | Tag::Strikethrough | Tag::Link { .. } | Tag::Image { .. })
            | Event::End(TagEnd::Emphasis | TagEnd::Strong | TagEnd::Strikethrough | TagEnd::Link | TagEnd::Image) => {}
            Event::Start(tag) => {
                self.in_word = false;
                if let Tag::Heading { level, .. } = tag {
                    self.in_heading = true;
                    self.headings.push(Heading { level: *level as u8, text: String::new() });
                }
            }
            Event::End(tag) => {
                self.in_word = false;
                self.in_heading &= !matches!(tag, TagEnd::Heading(_));
            }
            _ => {}
        }
    }

    /// The headings, and how many words there were.
    pub fn finish(self) -> (Vec<Heading>, u64) {
        (self.headings, self.words)
    }

    fn text(&mut self, text: &str) {
        for c in text.chars() {
            self.words += u64::from(!self.in_word && !c.is_whitespace());
            self.in_word = !c.is_whitespace();
        }
        if self.in_heading
            && let Some(heading) = self.headings.last_mut()
        {
            heading.text.push_str(text);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pulldown_cmark::{Options, Parser};

    fn outline(markdown: &str) -> (Vec<(u8, String)>, u64) {
        let mut outline = Outline::default();
        Parser::new_ext(markdown, Options::ENABLE_TABLES).for_each(|event| outline.see(&event));
        let (headings, words) = outline.finish();
        (headings.into_iter().map(|heading| (heading.level, heading.text)).collect(), words)
    }

    #[test]
    fn headings_keep_their_order_level_and_text() {
        let (headings, _) =
            outline("# One *two* `three`\n\ntext\n\n### [Four](a) <b>five</b>\n\n#\n\nSix\nseven\n===\n");
        let texts = [(1, "One two three"), (3, "Four five"), (1, ""), (1, "Six seven")];
        assert_eq!(headings, texts.map(|(level, text)| (level, text.to_owned())));
    }

    #[test]
    fn words_end_at_blanks_and_blocks_and_nowhere_else() {
        for (markdown, words) in [
            ("", 0),
            ("one", 1),
            ("un*believ*able", 1),
            ("one\ntwo  \nthree", 3),
            ("# one\ntwo", 2),
            ("- one\n- two", 2),
            ("|one|two|\n|-|-|\n|three||", 3),
            ("    let code = 1;", 4),
            ("![one two](a.png)three", 2),
        ] {
            assert_eq!(outline(markdown).1, words, "{markdown}");
        }
    }
}
