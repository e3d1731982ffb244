//! Takes out of a document what could do something to whoever reads it.

use pulldown_cmark::{Event, Tag, TagEnd};

/// Where links may lead, besides places of the same site. A list of what is allowed, because the list of what can run
/// a script is known to the browser alone.
const SCHEMES: [&str; 3] = ["http", "https", "mailto"];

/// The same events with links to anywhere else dropped (their text stays) and, unless it is allowed, HTML as text.
pub fn events<'a>(events: impl Iterator<Item = Event<'a>>, allow_html: bool) -> impl Iterator<Item = Event<'a>> {
    // Whether each open link or image is kept: a link can hold an image, so there may be two.
    let mut open = Vec::new();
    events.filter_map(move |event| match event {
        Event::Html(html) | Event::InlineHtml(html) if !allow_html => Some(Event::Text(html)),
        Event::Start(Tag::HtmlBlock) if !allow_html => Some(Event::Start(Tag::Paragraph)),
        Event::End(TagEnd::HtmlBlock) if !allow_html => Some(Event::End(TagEnd::Paragraph)),
        Event::Start(Tag::Link { ref dest_url, .. } | Tag::Image { ref dest_url, .. }) => {
            let keep = is_harmless(dest_url);
            open.push(keep);
            keep.then_some(event)
        }
        Event::End(TagEnd::Link | TagEnd::Image) => open.pop().unwrap_or(true).then_some(event),
        other => Some(other),
    })
}

/// Whether a link has no scheme, or one that is allowed. Browsers skip blanks and line ends in a scheme; here they make
/// it another word, which is not on the list.
fn is_harmless(link: &str) -> bool {
    let start = &link[..link.find(['/', '?', '#']).unwrap_or(link.len())];
    match start.split_once(':') {
        Some((scheme, _)) => SCHEMES.iter().any(|allowed| scheme.eq_ignore_ascii_case(allowed)),
        None => true,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn html(markdown: &str) -> String {
        let mut html = String::new();
        pulldown_cmark::html::push_html(&mut html, events(pulldown_cmark::Parser::new(markdown), false));
        html
    }

    #[test]
    fn links_that_lead_somewhere_are_kept() {
        for link in ["https://a.b/c:d", "HTTP://a.b", "mailto:a@b.c", "/a:b", "a/b", "?a=b:c", "#a:b", "//a.b", ""] {
            assert!(is_harmless(link), "{link}");
        }
    }

    #[test]
    fn links_that_run_something_are_not() {
        for link in [
            "javascript:alert(1)",
            "JavaScript:alert(1)",
            " javascript:alert(1)",
            "java\tscript:alert(1)",
            "\u{1}javascript:alert(1)",
            "javascript://a.b/%0Aalert(1)",
            "vbscript:a",
            "data:text/html,<script>alert(1)</script>",
            "file:///etc/passwd",
            "blob:https://a.b/c",
        ] {
            assert!(!is_harmless(link), "{link}");
        }
    }

    #[test]
    fn text_of_a_dropped_link_stays() {
        assert_eq!(html("[*a*](javascript:b) c"), "<p><em>a</em> c</p>\n");
        assert_eq!(html("[a]\n\n[a]: <data:b>"), "<p>a</p>\n");
        assert_eq!(html("<javascript:a>"), "<p>javascript:a</p>\n");
        assert_eq!(html("[a](java&Tab;script:b)"), "<p>a</p>\n");
        assert_eq!(html("[a](&#106;avascript:b)"), "<p>a</p>\n");
    }

    #[test]
    fn link_and_its_image_are_judged_apart() {
        let image = "<img src=\"a.png\" alt=\"b\" />";
        assert_eq!(html("[![b](a.png)](javascript:c)"), format!("<p>{image}</p>\n"));
        assert_eq!(html("[![b](data:a)](c)"), "<p><a href=\"c\">b</a></p>\n");
        assert_eq!(html("![b](data:a)"), "<p>b</p>\n");
    }
}
