//! Packages and what their handlers are.

use std::sync::Arc;

use axum::extract::{Request, State};
use axum::http::StatusCode;
use axum::response::Response;
use sunaba_host::{DeployError, DeployOptions, MAX_COMPONENT_BYTES};
use sunaba_store::{Package, carried};
use sunaba_task::{HandlerName, is_name};

use super::{Answer, Shared, control};
use crate::api::{
    DeployQuestion, HandlerView, PackageView, PackagesView, PreviewView, Rollback, UsageView, VersionView,
    VersionsView, revision_of,
};
use crate::body::{self, Body, Json, Reply};
use crate::extract::{Asked, At};
use crate::problem::Problem;

pub(super) async fn list(State(shared): State<Shared>) -> Reply<PackagesView> {
    let packages = shared.runtime.packages();
    let view = |package: &Arc<Package>| PackageView {
        problem: shared.runtime.readiness(package).map(super::standing::problem),
        ..PackageView::from(&**package)
    };
    Reply(PackagesView { packages: packages.iter().map(view).collect() })
}

pub(super) async fn deploy(
    State(shared): State<Shared>,
    At(package): At<String>,
    Asked(DeployQuestion { allow_widening, allow_signature_change }): Asked<DeployQuestion>,
    request: Request,
) -> Answer<PackageView> {
    check_name(&package)?;
    let Body { bytes, room } = body::read(request, "application/wasm", MAX_COMPONENT_BYTES).await?;
    // Not given up when the caller goes: what is half done would be done again.
    let deploying = tokio::spawn(carried(async move {
        let _room = room;
        shared.runtime.deploy_with(&package, bytes, DeployOptions { allow_widening, allow_signature_change }).await
    }));
    let deployed = deploying.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(Reply(PackageView::from(deployed?)))
}

/// What a deploy would change; it is compiled as for one, and so is not given up either.
pub(super) async fn preview(
    State(shared): State<Shared>,
    At(package): At<String>,
    request: Request,
) -> Answer<PreviewView> {
    check_name(&package)?;
    let Body { bytes, room } = body::read(request, "application/wasm", MAX_COMPONENT_BYTES).await?;
    let looking = tokio::spawn(async move {
        let _room = room;
        shared.runtime.preview(&package, bytes).await
    });
    let difference = looking.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))?;
    Ok(Reply(PreviewView::from(difference?)))
}

fn check_name(package: &str) -> Result<(), Problem> {
    if is_name(package) { Ok(()) } else { Err(DeployError::Name(package.chars().take(80).collect()).into()) }
}

pub(super) async fn versions(State(shared): State<Shared>, At(package): At<String>) -> Answer<VersionsView> {
    let versions = shared.runtime.versions(&package).await?.into_iter().map(VersionView::from).collect();
    Ok(Reply(VersionsView { package, versions }))
}

pub(super) async fn rollback(
    State(shared): State<Shared>,
    At(package): At<String>,
    Json(Rollback { to, allow_signature_change }): Json<Rollback>,
) -> Answer<PackageView> {
    // Not given up when the caller goes, as a deploy.
    let going =
        tokio::spawn(carried(async move { shared.runtime.rollback(&package, to, allow_signature_change).await }));
    let package = going.await.map_err(|error| Problem::new(StatusCode::INTERNAL_SERVER_ERROR, error))??;
    Ok(Reply(PackageView::from(&*package)))
}

pub(super) async fn handler(
    State(shared): State<Shared>,
    At((package, handler)): At<(String, String)>,
) -> Result<Response, Problem> {
    let name: HandlerName = format!("{package}/{handler}").parse().map_err(Problem::invalid)?;
    let package = shared.runtime.package(&name)?;
    let handler = package.handler(&name.handler).expect("the package was found by this handler");
    let usage = shared.runtime.usage_of(&name).await?.map(UsageView::from);
    let imports = match package.version {
        // Part of the host's program.
        0 => None,
        _ => Some(shared.runtime.imports_of(package.component).await?),
    };
    let asks = Some(shared.runtime.asked(handler).await?);
    // Of what is set for it, which is what can be changed here.
    let control = control::known(&shared, &name).await?.unwrap_or_default();
    let view = HandlerView { usage, imports, asks, ..HandlerView::new(&name.package, handler) };
    Ok(control::tagged(revision_of(&control), Reply(view)))
}
