//! Does the same to many tasks, page by page.

use axum::extract::State;
use sunaba_store::{BulkAction, MAX_PAGE, TaskQuery};
use sunaba_task::StateName;

use super::{Answer, Shared};
use crate::access::Caller;
use crate::api::{Bulk, BulkView, Filter, Groups, GroupsView, NotDone};
use crate::body::{Json, Reply};
use crate::extract::Asked;
use crate::problem::Problem;

/// Dead letters that are sorted into groups at a time.
const MAX_GROUPED: usize = 10_000;
/// Pages that are looked at for them: what is looked at need not be dead.
const MAX_PAGES: usize = 1_000;

pub(super) async fn cancel(State(shared): State<Shared>, Json(mut bulk): Json<Bulk>) -> Answer<BulkView> {
    let wish = bulk.cancel.take().unwrap_or_default().wish()?;
    act(&shared, BulkAction::Cancel(wish), bulk).await
}

pub(super) async fn run_now(State(shared): State<Shared>, Json(bulk): Json<Bulk>) -> Answer<BulkView> {
    act(&shared, BulkAction::RunNow, bulk).await
}

pub(super) async fn rerun(State(shared): State<Shared>, Json(bulk): Json<Bulk>) -> Answer<BulkView> {
    let (page, refused) = shared.runtime.rerun_page(query(bulk)?).await?;
    let refused =
        refused.into_iter().map(|(id, error)| NotDone { id: id.to_string(), problem: error.into() }).collect();
    Ok(Reply(BulkView { refused, ..page.into() }))
}

pub(super) async fn delete(State(shared): State<Shared>, Json(bulk): Json<Bulk>) -> Answer<BulkView> {
    act(&shared, BulkAction::Delete, bulk).await
}

async fn act(shared: &Shared, action: BulkAction, bulk: Bulk) -> Answer<BulkView> {
    Ok(Reply(shared.runtime.store().bulk(action, query(bulk)?).await?.into()))
}

/// To which tasks it is to be done.
fn query(bulk: Bulk) -> Result<TaskQuery, Problem> {
    let Bulk { mut filter, all, cancel } = bulk;
    if cancel.is_some() {
        return Err(Problem::invalid("`cancel` says how to cancel, and nothing is cancelled here\nhint: leave it out"));
    }
    if filter.is_empty() != all {
        let message = if all {
            "there are a filter and `all`\nhint: leave out one"
        } else {
            "nothing says which tasks\nhint: give a filter, or say `\"all\": true`"
        };
        return Err(Problem::invalid(message));
    }
    Caller::now().narrow(&mut filter)?;
    filter.query()
}

/// Dead letters, as far as nothing was made in their stead, by what they died of.
pub(super) async fn groups(State(shared): State<Shared>, Asked(mut filter): Asked<Filter>) -> Answer<GroupsView> {
    Caller::now().narrow(&mut filter)?;
    if filter.state.is_some() || filter.unhandled.is_some() || filter.limit.is_some() {
        let message = "dead letters are dead and unhandled, and all are counted\nhint: leave out `state`, `unhandled` and \
                       `limit`";
        return Err(Problem::invalid(message));
    }
    let mut query = filter.query()?;
    (query.states, query.unhandled) = (vec![StateName::Dead], true);
    let (mut groups, mut left) = (Groups::default(), MAX_GROUPED);
    for _ in 0..MAX_PAGES {
        query.limit = left.min(MAX_PAGE);
        let page = shared.runtime.store().tasks(query.clone()).await?;
        page.tasks.iter().for_each(|task| groups.add(task));
        left -= page.tasks.len().min(left);
        query.before = page.next;
        if page.next.is_none() || left == 0 {
            break;
        }
    }
    Ok(Reply(groups.view(query.before.is_some())))
}
