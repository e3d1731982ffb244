//! The style sheet, the script and the icon: in the program, and named by their digest, so that a browser may keep them.

use std::sync::LazyLock;

use axum::http::{HeaderValue, StatusCode, header};
use axum::response::{IntoResponse as _, Response};
use sunaba_task::Digest;

const STYLE: &str = include_str!("../../assets/ui.css");
const SCRIPT: &str = include_str!("../../assets/ui.js");
const ICON: &str = include_str!("../../assets/icon.svg");
const PLACE: &str = "/ui/assets/";

struct Asset {
    path: String,
    media_type: &'static str,
    text: &'static str,
}

static ALL: LazyLock<[Asset; 3]> = LazyLock::new(|| {
    let asset = |name: &str, media_type, text: &'static str| {
        let digest = Digest::of(text.as_bytes()).to_string();
        let digest = digest.rsplit(':').next().unwrap_or_default();
        let (stem, ending) = name.split_once('.').unwrap_or((name, ""));
        Asset { path: format!("{PLACE}{stem}-{}.{ending}", &digest[..16]), media_type, text }
    };
    [
        asset("ui.css", "text/css; charset=utf-8", STYLE),
        asset("ui.js", "text/javascript; charset=utf-8", SCRIPT),
        asset("icon.svg", "image/svg+xml", ICON),
    ]
});

pub(super) fn style() -> &'static str {
    &ALL[0].path
}

pub(super) fn script() -> &'static str {
    &ALL[1].path
}

pub(super) fn icon() -> &'static str {
    &ALL[2].path
}

/// What is at this path, if it is one of theirs.
pub(super) fn find(path: &str) -> Option<Response> {
    if !path.starts_with(PLACE) {
        return None;
    }
    let Some(asset) = ALL.iter().find(|asset| asset.path == path) else {
        return Some((StatusCode::NOT_FOUND, "there is nothing here").into_response());
    };
    let headers = [
        (header::CONTENT_TYPE, HeaderValue::from_static(asset.media_type)),
        (header::CACHE_CONTROL, HeaderValue::from_static("public, max-age=31536000, immutable")),
    ];
    Some((headers, asset.text).into_response())
}
