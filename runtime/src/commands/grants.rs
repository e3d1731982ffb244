//! `sunaba handler grants`: what a handler imports, what it asks for of what lies behind that, and whether its host allows it.

use serde::Serialize;
use sunaba_runtime::server::api::HandlerView;
use sunaba_runtime::task::HandlerName;
use sunaba_runtime::{Asked, Client, asked_by, needs_grant};

use super::frame;
use crate::exit::{CommandError, Exit};
use crate::{Format, Global, print};

/// An interface that a handler imports.
#[derive(Debug, Serialize)]
struct Import {
    name: String,
    /// What the handler asks for of what lies behind it.
    asks: Vec<String>,
    /// Whether it does nothing without a grant.
    needs_grant: bool,
}

#[derive(Debug, Serialize)]
struct Shown {
    handler: String,
    /// Null: it is part of the host's program, which may do everything.
    imports: Option<Vec<Import>>,
    asks: Vec<Asked>,
}

/// Shows it.
///
/// # Errors
/// There is no such handler, or the host does not say.
pub(super) async fn show(global: &Global, client: &Client, handler: &HandlerName) -> Result<(), CommandError> {
    let view = client.get_handler(handler).await?;
    let Some(asks) = view.asks.clone() else {
        let message = "the host does not say what a handler asks for\nhint: it is older than this program; `handler describe` shows what it knows";
        return Err(CommandError::new(Exit::Error, message));
    };
    let imports = view.imports.as_ref().map(|imports| imports.iter().map(|import| of(import, &view)).collect());
    let shown = Shown { handler: view.name, imports, asks };
    if global.output != Format::Text {
        return print::json(global.output, &shown);
    }
    match &shown.imports {
        None => print::aside(global, "it is part of the host's program, and no sandbox is around it"),
        Some(imports) if imports.is_empty() => print::aside(global, "it imports nothing"),
        Some(imports) => print::table(&frame::table(imports, ["IMPORT", "ASKS FOR"], |import| {
            let asks = match (import.asks.is_empty(), import.needs_grant) {
                (false, _) => import.asks.join(", "),
                (true, true) => "nothing, and gets nothing".into(),
                (true, false) => "-".into(),
            };
            [import.name.clone(), asks]
        }))?,
    }
    if shown.asks.is_empty() {
        print::aside(global, "it asks for no grant");
        return Ok(());
    }
    print::data(b"\n")?;
    print::table(&frame::table(&shown.asks, ["ASKS FOR", "ALLOWED", "BY"], |asked| {
        let allowed = if asked.allowed { "by the host" } else { "no" };
        let verb = if asked.allowed { "task submit " } else { "" };
        [format!("{} {}", asked.by, asked.what), allowed.into(), format!("{verb}{}", asked.how)]
    }))
}

fn of(import: &str, view: &HandlerView) -> Import {
    let asks = asked_by(import).iter().filter_map(|key| Some(format!("{key} {}", view.settings.get(*key)?)));
    Import { name: import.to_owned(), asks: asks.collect(), needs_grant: needs_grant(import) }
}
