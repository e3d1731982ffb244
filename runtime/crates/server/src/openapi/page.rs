//! The document as a page for people: without scripts, and with nothing that is loaded from elsewhere.

use std::fmt::Write as _;
use std::sync::LazyLock;

use serde_json::{Map, Value};

use super::openapi;

/// How it looks.
pub(crate) const STYLE: &str = include_str!("style.css");

static PAGE: LazyLock<String> = LazyLock::new(|| written(openapi()));

/// The page.
pub(crate) fn page() -> &'static str {
    &PAGE
}

/// A text with what a page takes for its own made inert.
fn inert(text: &str) -> String {
    let mut inert = String::with_capacity(text.len());
    for char in text.chars() {
        match char {
            '&' => inert.push_str("&amp;"),
            '<' => inert.push_str("&lt;"),
            '>' => inert.push_str("&gt;"),
            '"' => inert.push_str("&quot;"),
            '\'' => inert.push_str("&#39;"),
            char => inert.push(char),
        }
    }
    inert
}

/// A text in which code stands between backticks, and what matters between two stars.
fn prose(text: &str) -> String {
    let mut told = String::new();
    for (number, part) in inert(text).split('`').enumerate() {
        if number % 2 == 1 {
            let _ = write!(told, "<code>{part}</code>");
            continue;
        }
        for (number, part) in part.split("**").enumerate() {
            let _ = if number % 2 == 1 { write!(told, "<strong>{part}</strong>") } else { write!(told, "{part}") };
        }
    }
    told
}

fn said<'a>(value: &'a Value, name: &str) -> &'a str {
    value.get(name).and_then(Value::as_str).unwrap_or_default()
}

fn fields<'a>(value: &'a Value, name: &str) -> impl Iterator<Item = (&'a String, &'a Value)> {
    value.get(name).and_then(Value::as_object).into_iter().flat_map(Map::iter)
}

fn list<'a>(value: &'a Value, name: &str) -> &'a [Value] {
    value.get(name).and_then(Value::as_array).map_or(&[], Vec::as_slice)
}

fn written(document: &Value) -> String {
    let mut page = String::with_capacity(256 << 10);
    let info = &document["info"];
    let _ = write!(
        page,
        "<!doctype html><html lang=en><meta charset=utf-8><meta name=viewport content=\"width=device-width,initial-scale=1\">\
         <meta name=color-scheme content=\"light dark\"><title>{title} API</title><link rel=stylesheet href=/docs/style.css>\
         <header><h1>{title} API <small>{version}</small></h1>",
        title = inert(said(info, "title")),
        version = inert(said(info, "version")),
    );
    for paragraph in said(info, "description").split("\n\n") {
        let _ = write!(page, "<p>{}</p>", prose(paragraph));
    }
    page.push_str("<p><a href=/v1/openapi.json>The OpenAPI 3.1 document</a>, for programs.</p></header><nav><ul>");
    for tag in list(document, "tags") {
        let name = inert(said(tag, "name"));
        let _ = write!(page, "<li><a href=\"#{name}\">{name}</a>");
    }
    page.push_str("<li><a href=\"#schemas\">schemas</a></ul></nav><main>");
    for tag in list(document, "tags") {
        let name = said(tag, "name");
        let _ =
            write!(page, "<section><h2 id=\"{0}\">{0}</h2><p>{1}</p>", inert(name), prose(said(tag, "description")));
        for (path, operations) in fields(document, "paths") {
            for (method, operation) in operations.as_object().into_iter().flat_map(Map::iter) {
                if operation["tags"][0] == name {
                    write_operation(&mut page, method, path, operation);
                }
            }
        }
        page.push_str("</section>");
    }
    page.push_str("<section><h2 id=schemas>schemas</h2>");
    for (name, schema) in fields(&document["components"], "schemas") {
        let _ = write!(page, "<article id=\"schema-{0}\"><h3>{0}</h3>", inert(name));
        write_schema(&mut page, schema);
        page.push_str("</article>");
    }
    page.push_str("</section></main></html>\n");
    page
}

fn write_operation(page: &mut String, method: &str, path: &str, operation: &Value) {
    let _ = write!(
        page,
        "<details id=\"{id}\"><summary><b class=\"{method}\">{}</b> <code>{}</code> <span>{}</span></summary><p>{} \
         <small>{id}</small></p>",
        method.to_ascii_uppercase(),
        inert(path),
        prose(said(operation, "summary")),
        prose(said(operation, "description")),
        id = inert(said(operation, "operationId")),
    );
    let parameters = list(operation, "parameters");
    if !parameters.is_empty() {
        page.push_str("<h4>Parameters</h4><table>");
        for parameter in parameters {
            write_row(
                page,
                said(parameter, "name"),
                parameter["required"] == true,
                &parameter["schema"],
                &format!("{}. {}", said(parameter, "in"), said(parameter, "description")),
            );
        }
        page.push_str("</table>");
    }
    if let Some(body) = operation.get("requestBody") {
        let _ = write!(page, "<h4>Body</h4><p>{}</p>", prose(said(body, "description")));
        write_contents(page, body);
    }
    page.push_str("<h4>Answers</h4><table>");
    for (status, answer) in fields(operation, "responses") {
        let _ = write!(page, "<tr><th scope=row>{}<td>{}<td>", inert(status), prose(said(answer, "description")));
        write_contents(page, answer);
    }
    page.push_str("</table></details>");
}

fn write_contents(page: &mut String, of: &Value) {
    for (media_type, content) in fields(of, "content") {
        let _ = write!(page, "<code>{}</code> ", inert(media_type));
        if let Some(schema) = content.get("schema") {
            page.push_str(&kind(schema));
        }
        page.push(' ');
    }
}

fn write_row(page: &mut String, name: &str, is_required: bool, schema: &Value, about: &str) {
    let star = if is_required { " <small>required</small>" } else { "" };
    let _ =
        write!(page, "<tr><th scope=row><code>{}</code>{star}<td>{}<td>{}", inert(name), kind(schema), prose(about));
}

fn write_schema(page: &mut String, schema: &Value) {
    let _ = write!(page, "<p>{}</p>", prose(said(schema, "description")));
    let required = list(schema, "required");
    if schema.get("properties").is_none() {
        let _ = write!(page, "<p>{}</p>", kind(schema));
        return;
    }
    page.push_str("<table>");
    for (name, field) in fields(schema, "properties") {
        write_row(page, name, required.iter().any(|one| one == name), field, said(field, "description"));
    }
    page.push_str("</table>");
}

/// What a schema is, in a few words.
fn kind(schema: &Value) -> String {
    if let Some(name) = said(schema, "$ref").rsplit('/').next().filter(|name| !name.is_empty()) {
        return format!("<a href=\"#schema-{0}\">{0}</a>", inert(name));
    }
    if let Some(only) = schema.get("const") {
        return format!("<code>{}</code>", inert(only.as_str().unwrap_or(&only.to_string())));
    }
    let words = list(schema, "enum");
    if !words.is_empty() {
        let word = |word: &Value| format!("<code>{}</code>", inert(word.as_str().unwrap_or(&word.to_string())));
        return words.iter().map(word).collect::<Vec<_>>().join(" ");
    }
    for name in ["anyOf", "oneOf", "allOf"] {
        let all = list(schema, name);
        if !all.is_empty() {
            return all.iter().map(kind).collect::<Vec<_>>().join(" or ");
        }
    }
    let one = |name: &str| match name {
        "array" => format!("list of {}", schema.get("items").map_or("anything".into(), kind)),
        "object" => match schema.get("additionalProperties").filter(|more| more.is_object()) {
            Some(more) => format!("object of {}", kind(more)),
            None => {
                let names = fields(schema, "properties")
                    .map(|(name, field)| format!("<code>{}</code>: {}", inert(name), kind(field)));
                let names = names.collect::<Vec<_>>().join(", ");
                if names.is_empty() { "object".into() } else { format!("{{ {names} }}") }
            }
        },
        name => inert(name),
    };
    match schema.get("type") {
        Some(Value::String(name)) => one(name),
        Some(Value::Array(names)) => names.iter().filter_map(Value::as_str).map(one).collect::<Vec<_>>().join(" or "),
        _ => "anything".into(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::operations;

    #[test]
    fn page_has_every_operation_and_loads_nothing_from_elsewhere() {
        for operation in operations() {
            assert!(page().contains(&format!("<details id=\"{}\">", operation.id)), "{}", operation.id);
        }
        let text = page();
        assert!(!text.contains("<script") && !text.contains("http://") && !text.contains("https://cdn"), "{text}");
        assert!(!STYLE.contains("url(") && !STYLE.contains("@import"));
    }

    #[test]
    fn texts_are_inert() {
        assert_eq!(prose("a `<b>` **\"c\"** & d"), "a <code>&lt;b&gt;</code> <strong>&quot;c&quot;</strong> &amp; d");
    }
}
