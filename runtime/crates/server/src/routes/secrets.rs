//! Secrets: texts come in here, and go out nowhere.

use axum::extract::State;
use sunaba_store::NewSecret;

use super::{Answer, Shared};
use crate::api::{RemovedSecret, SecretView, SecretsView, SetSecret};
use crate::body::{Json, Reply};
use crate::extract::At;
use crate::problem::Problem;

pub(super) async fn list(State(shared): State<Shared>) -> Answer<SecretsView> {
    let secrets = shared.runtime.store().secrets().await?;
    Ok(Reply(SecretsView { secrets: secrets.into_iter().map(SecretView::from).collect() }))
}

pub(super) async fn set(
    State(shared): State<Shared>,
    At(name): At<String>,
    Json(SetSecret { host, text }): Json<SetSecret>,
) -> Answer<SecretView> {
    let host = host.parse().map_err(Problem::invalid)?;
    Ok(Reply(shared.runtime.store().set_secret(NewSecret { name, host, text }).await?.into()))
}

pub(super) async fn remove(State(shared): State<Shared>, At(name): At<String>) -> Answer<RemovedSecret> {
    if !shared.runtime.store().remove_secret(name.clone()).await? {
        let shown: String = name.chars().take(80).collect();
        return Err(Problem::not_found(format!(
            "there is no secret `{shown}`\nhint: `sunaba secret list` shows what there is"
        )));
    }
    Ok(Reply(RemovedSecret { removed: name }))
}
