//! A library from crates.io inside a guest, unchanged: Markdown in, HTML that is safe to show out.
//!
//! A parser that strangers feed is what a sandbox is for: if it loops or takes too much memory, that is one failed
//! attempt and nothing else.

mod harmless;
mod outline;

use pulldown_cmark::{Options, Parser, html};
use sunaba_sdk::prelude::*;

use outline::{Heading, Outline};

#[data]
pub struct Document {
    /// CommonMark with tables, task lists and strikethrough.
    markdown: String,
    /// Lets the document's own HTML through, as it stands. Only for authors whom you trust: nothing in it is checked.
    #[serde(default)]
    allow_html: bool,
}

#[data]
#[derive(Debug)]
pub struct Page {
    /// The text of the first heading that has one.
    title: Option<String>,
    html: String,
    /// All headings, in order.
    outline: Vec<Heading>,
    /// Words of the text, code included and HTML not.
    words: u64,
}

/// Renders Markdown. HTML in it is shown as text, and links that are not to the web, to mail or within the site are
/// dropped, so the page can be shown to others; `allow_html` turns the first of these off.
#[handler(timeout = "10s", memory = "64MiB")]
pub fn render_markdown(input: Document) -> Result<Page, TaskError> {
    // Not heading attributes: they would let an author write `onclick`.
    let extensions = Options::ENABLE_TABLES | Options::ENABLE_TASKLISTS | Options::ENABLE_STRIKETHROUGH;
    let mut outline = Outline::default();
    // Every Markdown is valid, so nothing here can fail.
    let events = Parser::new_ext(&input.markdown, extensions).inspect(|event| outline.see(event));
    let mut page = String::with_capacity(input.markdown.len() * 3 / 2);
    html::push_html(&mut page, harmless::events(events, input.allow_html));
    let (outline, words) = outline.finish();
    let title = outline.iter().map(|heading| &heading.text).find(|text| !text.is_empty()).cloned();
    Ok(Page { title, html: page, outline, words })
}

export!(render_markdown);

#[cfg(test)]
mod tests {
    use super::*;
    use sunaba_sdk::testing::{Attempt, run_json};

    fn render(markdown: &str, allow_html: bool) -> Page {
        render_markdown(Document { markdown: markdown.into(), allow_html }).expect("every Markdown is valid")
    }

    #[test]
    fn renders_what_people_expect() {
        let html = render("A *b* ~~c~~ `d`\n\n- [x] e\n\n|f|\n|-|\n|g|\n", false).html;
        for part in ["<em>b</em>", "<del>c</del>", "<code>d</code>", "checked", "<th>f</th>", "<td>g</td>"] {
            assert!(html.contains(part), "{part}: {html}");
        }
    }

    #[test]
    fn title_is_the_first_heading_that_has_a_text() {
        assert_eq!(render("#\n\n## One\n\n# Two\n", false).title.as_deref(), Some("One"));
        assert_eq!(render("#\n\ntext\n", false).title, None);
    }

    #[test]
    fn html_is_shown_as_text_unless_it_is_allowed() {
        let markdown = "<script>alert(1)</script>\n\nHi <b onclick=\"alert(1)\">there</b>\n";
        assert_eq!(
            render(markdown, false).html,
            "<p>&lt;script&gt;alert(1)&lt;/script&gt;\n</p>\n\
             <p>Hi &lt;b onclick=\"alert(1)\"&gt;there&lt;/b&gt;</p>\n"
        );
        assert_eq!(
            render(markdown, true).html,
            "<script>alert(1)</script>\n<p>Hi <b onclick=\"alert(1)\">there</b></p>\n"
        );
    }

    #[test]
    fn html_does_not_change_the_count_of_words() {
        for allow_html in [false, true] {
            assert_eq!(render("<div>\none two\n</div>\n\nthree <b class=\"four five\">six</b>", allow_html).words, 2);
        }
    }

    #[test]
    fn html_is_refused_unless_the_input_says_otherwise() {
        let outcome = run_json::<render_markdown>(&Attempt::new().context(), r#"{"markdown":"<i>a</i>"}"#);
        let Ok(Outcome::Complete(page)) = outcome else { panic!("every Markdown is valid: {outcome:?}") };
        assert_eq!(
            String::from_utf8_lossy(&page.bytes),
            r#"{"title":null,"html":"<p>&lt;i&gt;a&lt;/i&gt;</p>\n","outline":[],"words":1}"#
        );
    }
}
