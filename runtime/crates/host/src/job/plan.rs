//! What is checked of the plan of a job before its tasks are: how large it is, and that the groups are there for which tasks wait.

use std::collections::{BTreeSet, HashSet};

use sunaba_task::job::{Awaited, MAX_DEPENDENCIES, MAX_PLAN_EDGES, MAX_PLAN_NODES, PlanError};
use sunaba_task::nearest;

use super::JobRequest;

/// Checks the size of a plan, and its groups. All else that can be wrong with it is found when it is made a graph.
///
/// A group without tasks is nothing to wait for, so that a name that was mistyped would have what waits run at once. In a plan that
/// somebody has written down it is known which groups are meant to be empty; of one that a handler has worked out it is not.
///
/// # Errors
/// It is too large, or tasks wait for a group of which nothing is known.
pub(crate) fn check(request: &JobRequest) -> Result<(), PlanError> {
    let nodes = request.nodes.len().saturating_add(request.empty_maps.len());
    if nodes > MAX_PLAN_NODES {
        return Err(PlanError::TooManyNodes { nodes });
    }
    let all = || request.nodes.iter().chain(&request.empty_maps);
    if let Some(node) = all().find(|node| node.after.len() > MAX_DEPENDENCIES) {
        return Err(PlanError::TooManyDependencies { node: node.name.clone(), found: node.after.len() });
    }
    let edges = all().map(|node| node.after.len()).sum();
    if edges > MAX_PLAN_EDGES {
        return Err(PlanError::TooManyEdges { edges });
    }
    let groups = Groups::of(request);
    for node in all() {
        for after in &node.after {
            if let Awaited::Group(group) = &after.awaited
                && !groups.known.contains(group.as_str())
            {
                let (node, awaited) = (node.name.clone(), after.awaited.clone());
                return Err(PlanError::Unknown { node, awaited, hint: groups.hint(group, request) });
            }
        }
    }
    Ok(())
}

struct Groups<'r> {
    /// Those with tasks, in the order of their names.
    with_tasks: BTreeSet<&'r str>,
    /// These, and those that have none, or may have none.
    known: HashSet<&'r str>,
}

impl<'r> Groups<'r> {
    fn of(request: &'r JobRequest) -> Self {
        let with_tasks: BTreeSet<_> = request.nodes.iter().filter_map(|node| node.name.group()).collect();
        let maps = request.empty_maps.iter().map(|map| map.name.as_str());
        let allowed = request.may_be_empty.iter().filter_map(|awaited| match awaited {
            Awaited::Group(group) => Some(group.as_str()),
            Awaited::Node(_) => None,
        });
        let known = with_tasks.iter().copied().chain(maps).chain(allowed).collect();
        Self { with_tasks, known }
    }

    fn hint(&self, group: &str, request: &JobRequest) -> String {
        if let Some(near) = nearest(group, self.with_tasks.iter().copied()) {
            return format!("there is `{near}/*`");
        }
        if request.nodes.iter().any(|node| node.name.as_str() == group) {
            return format!("for the task write `{group}`");
        }
        format!("a group has tasks named `{group}/NAME`; one that may have none is named in `may_be_empty`")
    }
}

#[cfg(test)]
mod tests {
    use sunaba_task::job::After;

    use super::*;
    use crate::{NodeRequest, TaskRequest};

    fn node(name: &str, after: &[&str]) -> NodeRequest {
        let node = NodeRequest::new(name, TaskRequest::new("words/count".parse().expect("a name"))).expect("a name");
        after.iter().fold(node, |node, name| node.after(name).expect("it can be awaited"))
    }

    fn plan(nodes: &[(&str, &[&str])]) -> JobRequest {
        nodes.iter().fold(JobRequest::new(""), |job, (name, after)| job.node(node(name, after)))
    }

    fn told(request: &JobRequest) -> String {
        check(request).expect_err("it is refused").to_string()
    }

    #[test]
    fn group_that_is_not_there_is_refused_with_the_one_that_is_near() {
        let near = told(&plan(&[("part/1", &[]), ("join", &["parts/*"])]));
        assert_eq!(near, "`join` waits for `parts/*`, which the plan does not have\nhint: there is `part/*`");
        let task = told(&plan(&[("fetch", &[]), ("join", &["fetch/*"])]));
        assert!(task.ends_with("\nhint: for the task write `fetch`"), "{task}");
        let none = told(&plan(&[("join", &["part/*"])]));
        assert!(none.ends_with("one that may have none is named in `may_be_empty`"), "{none}");
    }

    #[test]
    fn group_that_is_known_to_be_empty_can_be_awaited() {
        let join = || plan(&[("join", &["part/*"])]);
        assert_eq!(check(&join().may_be_empty("part").expect("a name")), Ok(()));
        assert_eq!(check(&JobRequest { empty_maps: vec![node("part", &[])], ..join() }), Ok(()));
        assert_eq!(check(&plan(&[("part/1", &[]), ("join", &["part/*"])])), Ok(()));
        let other = join().may_be_empty("parts").expect("a name");
        assert!(check(&other).is_err());
    }

    #[test]
    fn what_tasks_wait_for_obeyed_and_violated() {
        let after = |count: usize| {
            let names = (0..count).map(|number| After::new(number.to_string().parse().expect("a name")));
            NodeRequest { after: names.collect(), ..node("x", &[]) }
        };
        let with = |nodes: Vec<NodeRequest>| check(&JobRequest { nodes, ..JobRequest::default() });
        assert_eq!(with(vec![after(MAX_DEPENDENCIES)]), Ok(()));
        let error = with(vec![after(MAX_DEPENDENCIES + 1)]);
        assert!(matches!(error, Err(PlanError::TooManyDependencies { .. })), "{error:?}");
        let full = vec![after(MAX_DEPENDENCIES); MAX_PLAN_EDGES / MAX_DEPENDENCIES];
        assert_eq!(with(full.clone()), Ok(()));
        let error = with(full.into_iter().chain([after(1)]).collect());
        assert_eq!(error, Err(PlanError::TooManyEdges { edges: MAX_PLAN_EDGES + 1 }));
    }
}
