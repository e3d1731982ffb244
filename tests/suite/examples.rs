//! The guests that do real work with libraries from crates.io, which must be as safe to feed as they are useful.

use std::path::Path;

use serde_json::{Value, json};

use crate::support::{guest, root, run_json, sunaba, text};

/// The page that a document becomes.
fn render(input: &Value) -> Value {
    let (code, report) = run_json("render-markdown", &["--input", &input.to_string()]);
    assert_eq!(code, 0, "{report:#}");
    report["output"].clone()
}

/// `--input` for a file.
fn at(file: &Path) -> String {
    format!("@{}", file.display())
}

/// The first bytes of a PNG: its signature, a header that claims this size, and the beginning of its pixels.
fn png_that_claims(width: u32, height: u32) -> Vec<u8> {
    let mut header = b"IHDR".to_vec();
    header.extend([width.to_be_bytes(), height.to_be_bytes()].concat());
    // 8 bits for each of red, green and blue, and nothing unusual.
    header.extend([8, 2, 0, 0, 0]);
    let sum = crc32(&header).to_be_bytes();
    [b"\x89PNG\r\n\x1a\n\0\0\0\x0d", &*header, &sum, b"\0\0\0\x01IDAT"].concat()
}

/// The checksum that a PNG has behind each of its parts.
fn crc32(bytes: &[u8]) -> u32 {
    let of_bits = |sum: u32, _| (sum >> 1) ^ (0xEDB8_8320 & (sum & 1).wrapping_neg());
    !bytes.iter().fold(!0, |sum, byte| (0..8).fold(sum ^ u32::from(*byte), of_bits))
}

#[test]
fn render_markdown_tells_what_the_page_is_about() {
    let page = render(&json!({"markdown": "# One *two*\n\nthree\n\n## [Four](https://a.b)\n"}));
    assert_eq!(
        page,
        json!({
            "title": "One two",
            "html": "<h1>One <em>two</em></h1>\n<p>three</p>\n<h2><a href=\"https://a.b\">Four</a></h2>\n",
            "outline": [{"level": 1, "text": "One two"}, {"level": 2, "text": "Four"}],
            "words": 4,
        })
    );
}

#[test]
fn render_markdown_lets_no_script_through() {
    let markdown = "<script>alert(1)</script>\n\n<img src=x onerror=alert(1)> [a](javascript:alert(1)) \
                    [b](JAVA&Tab;SCRIPT:alert(1)) ![c](data:text/html,d) <vbscript:e>\n";
    let page = render(&json!({"markdown": markdown}));
    assert_eq!(
        page["html"],
        "<p>&lt;script&gt;alert(1)&lt;/script&gt;\n</p>\n\
         <p>&lt;img src=x onerror=alert(1)&gt; a b c vbscript:e</p>\n"
    );
}

#[test]
fn render_markdown_lets_html_through_only_when_it_is_allowed() {
    for (allow_html, html) in [(false, "<p>&lt;i&gt;a&lt;/i&gt;</p>\n"), (true, "<p><i>a</i></p>\n")] {
        let page = render(&json!({"markdown": "<i>a</i>", "allow_html": allow_html}));
        assert_eq!(page["html"], html, "{allow_html}");
    }
}

#[test]
fn thumbnail_fits_its_side_and_keeps_the_ratio() {
    let sample = at(&root().join("guest-examples/thumbnail/sample/castle.png"));
    let file = guest("thumbnail").display().to_string();
    let output = sunaba(["run", &file, "thumbnail", "--quiet", "--input", &sample]);
    assert_eq!(output.status.code(), Some(0), "{}", text(&output.stderr));
    // A PNG begins with its signature and its header's length and name; then come width and height.
    let (start, size) = output.stdout.split_at(16);
    assert_eq!(start, b"\x89PNG\r\n\x1a\n\0\0\0\x0dIHDR");
    assert_eq!(size[..8], [0, 0, 0, 128, 0, 0, 0, 80]);
    assert!(output.stdout.ends_with(b"IEND\xae\x42\x60\x82"));

    let (_, report) = run_json("thumbnail", &["--input", &sample]);
    assert_eq!(report["output"]["media_type"], "image/png");
}

#[test]
fn thumbnail_of_rubbish_fails_fatally() {
    for rubbish in ["", "none of the three", "GIF89a"] {
        let (code, report) = run_json("thumbnail", &["--input", rubbish]);
        let failure = &report["failure"];
        assert_eq!((code, &failure["cause"]), (7, &json!("handler")), "{rubbish}");
        assert_eq!((&failure["kind"], &failure["disposition"]), (&json!("not-an-image"), &json!("fatal")), "{rubbish}");
    }
}

#[test]
fn thumbnail_of_a_bomb_is_refused() {
    let folder = tempfile::tempdir().expect("a folder");
    let file = folder.path().join("bomb.png");
    // Too long a side; and sides that are allowed of a picture that is not.
    for (width, height) in [(100_000, 100_000), (16_384, 16_384)] {
        std::fs::write(&file, png_that_claims(width, height)).expect("written");
        let (code, report) = run_json("thumbnail", &["--input", &at(&file)]);
        let failure = &report["failure"];
        assert_eq!((code, &failure["cause"]), (7, &json!("handler")), "{width} x {height}");
        assert_eq!((&failure["kind"], &failure["disposition"]), (&json!("too-large"), &json!("fatal")), "{report:#}");
        // Refused for what it claims, before there was memory for it.
        assert!(report["receipt"]["peak_memory_bytes"].as_u64().is_some_and(|peak| peak < 8 << 20), "{report:#}");
    }
}

#[test]
fn toil_computes_dirties_memory_and_says_when_it_began() {
    let toil = |order: &Value| run_json("toil", &["--input", &order.to_string()]).1;
    let (light, heavy) = (toil(&json!({})), toil(&json!({"steps": 100_000, "dirty_bytes": 4 << 20})));
    let receipt = |report: &Value, field: &str| report["receipt"][field].as_u64().expect("a number");
    assert!(receipt(&heavy, "fuel") > receipt(&light, "fuel") + 500_000, "{heavy:#}");
    assert!(receipt(&heavy, "peak_memory_bytes") >= receipt(&light, "peak_memory_bytes") + (3 << 20), "{heavy:#}");
    // By this machine's clock, and not by one of another year.
    assert!(light["output"]["began_us"].as_u64() < heavy["output"]["began_us"].as_u64());
    assert!(light["output"]["began_us"].as_u64().is_some_and(|began| began > 1_700_000_000_000_000), "{light:#}");
}
