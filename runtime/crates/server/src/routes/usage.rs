//! What attempts have used.

use axum::extract::State;
use serde::Deserialize;
use sunaba_store::NAMES_PAGE;

use super::{Answer, Shared};
use crate::api::{UsageBy, UsageView, UsagesView};
use crate::body::Reply;
use crate::extract::Asked;

/// By what, and where a page begins.
#[derive(Deserialize, schemars::JsonSchema)]
#[serde(deny_unknown_fields)]
pub(super) struct Question {
    #[serde(default)]
    /// Of what.
    by: UsageBy,
    /// After this one, by name: `next` of the page before.
    after: Option<String>,
}

pub(super) async fn usage(
    State(shared): State<Shared>,
    Asked(Question { by, after }): Asked<Question>,
) -> Answer<UsagesView> {
    let usage = shared.runtime.store().usage(by.into(), after).await?;
    let next = usage.last().filter(|_| usage.len() == NAMES_PAGE).map(|usage| usage.name.clone());
    Ok(Reply(UsagesView { usage: usage.into_iter().map(UsageView::from).collect(), next }))
}
