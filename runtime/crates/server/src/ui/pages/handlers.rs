//! What is deployed: packages, their handlers, what these may do, their versions and what these differ by.

use askama::Template;
use axum::extract::Path;
use serde_json::{Map, Value, json};
use sunaba_host::{Change, asked_by, needs_grant};
use sunaba_task::Digest;

use super::{Answer, confirm, told, unknown};
use crate::api::{ControlView, ControlsView, HandlerView, PackageView, PackagesView, VersionView, VersionsView};
use crate::problem::Problem;
use crate::ui::desk::encoded;
use crate::ui::frame::Frame;
use crate::ui::show;
use crate::ui::visit::Fields;
use crate::ui::{Visit, page};

/// Pages of controls that are looked at.
const MAX_PAGES: usize = 20;

#[derive(Template)]
#[template(path = "handlers.html")]
struct Handlers {
    frame: Frame,
    packages: Vec<PackageView>,
    controls: Vec<ControlView>,
}

impl Handlers {
    fn control(&self, name: &str) -> Option<&ControlView> {
        self.controls.iter().find(|control| control.name == name)
    }
}

#[derive(Template)]
#[template(path = "package.html")]
struct PackagePage {
    frame: Frame,
    package: PackageView,
    versions: Vec<VersionView>,
    imports: Vec<String>,
    compared: Option<Compared>,
}

/// What two versions differ by.
struct Compared {
    was: u32,
    is: u32,
    changes: Vec<Change>,
}

/// What a handler asks for that goes with an import.
struct Cell {
    words: Vec<String>,
    /// Whether this import does nothing without a grant.
    needs: bool,
}

impl PackagePage {
    fn cell(&self, import: &str, handler: &HandlerView) -> Cell {
        let words = asked_by(import).iter().filter_map(|key| Some(format!("{key} {}", handler.settings.get(*key)?)));
        Cell { words: words.collect(), needs: needs_grant(import) }
    }

    fn short<'a>(&self, name: &'a str) -> &'a str {
        name.rsplit('/').next().unwrap_or_default()
    }
}

#[derive(Template)]
#[template(path = "handler.html")]
struct HandlerPage {
    frame: Frame,
    handler: HandlerView,
    control: Option<ControlView>,
    package: String,
}

impl HandlerPage {
    fn is_paused(&self) -> bool {
        self.control.as_ref().is_some_and(|control| control.paused)
    }
}

async fn controls(visit: &Visit) -> Result<Vec<ControlView>, Problem> {
    let (mut all, mut after) = (Vec::new(), String::new());
    for _ in 0..MAX_PAGES {
        let ControlsView { handlers, next } = visit.desk.get(&format!("/v1/handlers?{after}")).await?;
        all.extend(handlers);
        match next {
            Some(next) => after = format!("after={}", encoded(&next)),
            None => break,
        }
    }
    Ok(all)
}

pub(super) async fn list(visit: Visit) -> Answer {
    let PackagesView { packages } = visit.desk.get("/v1/packages").await?;
    let controls = controls(&visit).await?;
    Ok(page(&Handlers { frame: visit.frame("Handlers", "handlers").await, packages, controls }))
}

pub(super) async fn package(visit: Visit, Path(name): Path<String>, Fields(fields): Fields) -> Answer {
    let PackagesView { packages } = visit.desk.get("/v1/packages").await?;
    let none =
        || Problem::not_found(format!("there is no package `{name}`\nhint: `sunaba handler list` shows what there is"));
    let package = packages.into_iter().find(|package| package.name == name).ok_or_else(none)?;
    let versions = visit.desk.maybe::<VersionsView>(&format!("/v1/packages/{}/versions", encoded(&name))).await?;
    let versions = versions.map(|versions| versions.versions).unwrap_or_default();
    let runtime = &visit.ui.shared.runtime;
    let digest = package.component.parse::<Digest>().ok();
    let imports = match digest {
        Some(digest) => runtime.imports_of(digest).await?,
        None => Vec::new(),
    };
    // The last change, unless others are asked for.
    let before = versions.iter().filter(|version| !version.active).map(|version| version.version).max();
    let pair = match (fields.number("from")?, fields.number("to")?) {
        (Some(from), Some(to)) => u32::try_from(from).ok().zip(u32::try_from(to).ok()),
        _ => package.before.or(before).map(|before| (before, package.version)),
    };
    let compared = match pair {
        Some((was, is)) => runtime.compare(&name, was, is).await?.map(|changes| Compared { was, is, changes }),
        None => None,
    };
    let frame = visit.frame(&format!("Package {name}"), "handlers").await;
    Ok(page(&PackagePage { frame, package, versions, imports, compared }))
}

pub(super) async fn roll_back(visit: Visit, Path(name): Path<String>, Fields(fields): Fields) -> Answer {
    if fields.text("action") != "rollback" {
        return Err(unknown(fields.text("action")));
    }
    let to = fields.number("to")?;
    if !fields.has("sure") {
        let question = match to {
            Some(to) => format!("Make version {to} of {name} the active one?"),
            None => format!("Make the version of {name} active that was before?"),
        };
        let what =
            "New tasks are made for it, and so run those that follow; tasks that wait for their own version keep it.";
        return confirm::ask(&visit, &fields, question, what, "Roll back").await;
    }
    let target = format!("/v1/packages/{}/rollback", encoded(&name));
    let wish = json!({"to": to, "allow_signature_change": fields.has("allow_signature_change")});
    let done = visit.desk.send::<PackageView>("POST", &target, &wish).await;
    let note = told(done.map(|package| format!("version {} of {} is active", package.version, package.name)));
    Ok(visit.back(&fields, &format!("/ui/handlers/{}", encoded(&name)), note))
}

pub(super) async fn handler(visit: Visit, Path((package, handler)): Path<(String, String)>) -> Answer {
    let name = format!("{package}/{handler}");
    let target = format!("/v1/handlers/{}/{}", encoded(&package), encoded(&handler));
    let handler: HandlerView = visit.desk.get(&target).await?;
    let control = controls(&visit).await?.into_iter().find(|control| control.name == name);
    let frame = visit.frame(&format!("Handler {name}"), "handlers").await;
    Ok(page(&HandlerPage { frame, handler, control, package }))
}

pub(super) async fn set(
    visit: Visit,
    Path((package, handler)): Path<(String, String)>,
    Fields(fields): Fields,
) -> Answer {
    let mut patch = Map::new();
    let done = match fields.text("action") {
        word @ ("pause" | "resume") => {
            patch.insert("paused".into(), Value::Bool(word == "pause"));
            if word == "pause" { "paused" } else { "resumed" }
        }
        "limits" => {
            patch.insert("concurrency".into(), fields.number("concurrency")?.map_or(Value::Null, Value::from));
            patch.insert("breaker".into(), fields.get("breaker").map_or(Value::Null, Value::from));
            "set"
        }
        other => return Err(unknown(other)),
    };
    let path = format!("handlers/{}/{}", encoded(&package), encoded(&handler));
    let set = visit.desk.send::<ControlView>("PATCH", &format!("/v1/{path}"), &patch).await;
    let note = told(set.map(|control| format!("{} is {done}", control.name)));
    Ok(visit.back(&fields, &format!("/ui/{path}"), note))
}
