//! The children that do a handler's work: what `Outcome::Decompose` has.

use crate::child::{Child, OnFailure};
use crate::{Outcome, TaskError};

/// Children that do a handler's work in its stead, in any order that their dependencies allow.
///
/// The task ends when they have: with the output of its join, if it has one.
///
/// ```
/// use sunaba_sdk::prelude::*;
///
/// #[handler]
/// fn count(text: String) -> Result<usize, TaskError> {
///     Ok(text.split_whitespace().count())
/// }
///
/// #[handler]
/// fn sum(ctx: &Context) -> Result<usize, TaskError> {
///     ctx.outputs::<usize>("count/*").try_fold(0, |sum, counted| Ok(sum + counted?.value))
/// }
///
/// #[handler]
/// fn count_all(texts: Vec<String>) -> Result<Outcome<usize>, TaskError> {
///     Ok(Plan::map("count", texts, count::task).join("sum", sum::task(()).after("count/*")).into())
/// }
/// # fn main() {
/// # let outcome = count_all(vec!["a".into(), "b".into()]).unwrap();
/// # let Outcome::Decompose(plan) = outcome else { panic!("it decomposes") };
/// # assert_eq!(plan.children().map(|(name, _)| name).collect::<Vec<_>>(), ["count/1", "count/2", "sum"]);
/// # assert_eq!(plan.joined_by(), Some("sum"));
/// # }
/// ```
#[derive(Debug, Clone, Default, PartialEq, Eq)]
#[must_use = "a plan is carried out when the handler returns it"]
pub struct Plan {
    children: Vec<(String, Child)>,
    join: Option<String>,
    settings: Vec<(String, String)>,
}

impl Plan {
    /// Nothing to do yet. A plan without children is done at once.
    pub fn new() -> Self {
        Self::default()
    }

    /// Side by side: `GROUP/1`, `GROUP/2` and so on, with as many digits as the last needs, so that they sort as they stand.
    pub fn group(group: &str, children: impl IntoIterator<Item = Child>) -> Self {
        Self::new().and_group(group, children)
    }

    /// A group of one handler for many inputs: `Plan::map("count", texts, count::task)`.
    pub fn map<I>(group: &str, inputs: impl IntoIterator<Item = I>, task: impl FnMut(I) -> Child) -> Self {
        Self::group(group, inputs.into_iter().map(task))
    }

    /// One after the other; the last one's output is the task's.
    ///
    /// ```
    /// # use sunaba_sdk::prelude::*;
    /// let plan = Plan::chain([("fetch", Child::of("web/fetch", "a")), ("parse", Child::of("web/parse", ()))]);
    /// assert_eq!(plan.child_named("parse").unwrap().waits_for().collect::<Vec<_>>(), ["fetch"]);
    /// assert_eq!(plan.joined_by(), Some("parse"));
    /// ```
    pub fn chain<N: Into<String>>(steps: impl IntoIterator<Item = (N, Child)>) -> Self {
        let mut plan = Self::new();
        for (name, child) in steps {
            let child = match &plan.join {
                Some(before) => child.after(before.clone()),
                None => child,
            };
            plan = plan.join(name, child);
        }
        plan
    }

    /// A group, and a body after all of it whose output is the task's.
    pub fn chord(group: &str, children: impl IntoIterator<Item = Child>, name: impl Into<String>, body: Child) -> Self {
        Self::group(group, children).join(name, body.after(format!("{group}/*")))
    }

    /// And this one. Names are unique in a plan: 1 to 128 bytes of visible ASCII without `*`; what stands before the last `/` is
    /// the child's group.
    pub fn child(mut self, name: impl Into<String>, child: Child) -> Self {
        self.children.push((name.into(), child));
        self
    }

    /// And a group, as [`group`](Self::group) has it.
    pub fn and_group(mut self, group: &str, children: impl IntoIterator<Item = Child>) -> Self {
        let first = self.children.len();
        self.children.extend(children.into_iter().map(|child| (String::new(), child)));
        let width = (self.children.len() - first).to_string().len();
        for ((name, _), number) in self.children[first..].iter_mut().zip(1..) {
            *name = format!("{group}/{number:0width$}");
        }
        self
    }

    /// And this one, whose output is the task's. It waits for what it says it waits for, and for nothing else.
    pub fn join(mut self, name: impl Into<String>, child: Child) -> Self {
        let name = name.into();
        self.join = Some(name.clone());
        self.child(name, child)
    }

    /// What it means that a child does not succeed, where nobody who waits for it says otherwise. **With
    /// [`OnFailure::Compensate`] all of the job is undone**, and not this plan alone.
    pub fn on_failure(self, on_failure: OnFailure) -> Self {
        self.setting("on-failure", on_failure.word())
    }

    /// The first failure stops what else runs.
    pub fn stop_on_failure(self) -> Self {
        self.setting("stop-on-failure", "true")
    }

    /// A rule by its name in the contract; the one before of this name is replaced. The host refuses one that it does not know.
    pub fn setting(mut self, key: impl Into<String>, value: impl Into<String>) -> Self {
        let (key, value) = (key.into(), value.into());
        self.settings.retain(|(known, _)| *known != key);
        self.settings.push((key, value));
        self
    }

    /// The children by name, in the order in which they were added.
    pub fn children(&self) -> impl ExactSizeIterator<Item = (&str, &Child)> {
        self.children.iter().map(|(name, child)| (name.as_str(), child))
    }

    /// The child of this name.
    pub fn child_named(&self, name: &str) -> Option<&Child> {
        self.children().find(|(known, _)| *known == name).map(|(_, child)| child)
    }

    /// The child whose output is the task's.
    pub fn joined_by(&self) -> Option<&str> {
        self.join.as_deref()
    }

    /// A rule that was set.
    pub fn option(&self, key: &str) -> Option<&str> {
        self.settings.iter().find(|(known, _)| known == key).map(|(_, value)| value.as_str())
    }

    /// Whether every input could be written.
    ///
    /// # Errors
    /// Fatal, kind `invalid-plan`: one could not.
    pub(crate) fn check(&self) -> Result<(), TaskError> {
        self.children.iter().try_for_each(|(name, child)| match child.payload() {
            Ok(_) => Ok(()),
            Err(error) => {
                Err(TaskError::fatal(format!("the child `{name}`: {}", error.message())).with_kind("invalid-plan"))
            }
        })
    }

    #[cfg(target_family = "wasm")]
    pub(crate) fn into_parts(self) -> (Vec<(String, Child)>, Option<String>, Vec<(String, String)>) {
        (self.children, self.join, self.settings)
    }
}

impl<T> From<Plan> for Outcome<T> {
    fn from(plan: Plan) -> Self {
        Self::Decompose(plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(plan: &Plan) -> Vec<&str> {
        plan.children().map(|(name, _)| name).collect()
    }

    fn child() -> Child {
        Child::of("words/count", "to be")
    }

    #[test]
    fn members_of_a_group_sort_as_they_stand() {
        let plan = Plan::group("count", vec![child(); 10]);
        assert_eq!((names(&plan)[0], names(&plan)[9]), ("count/01", "count/10"));
        let plan = plan.and_group("other", vec![child(); 2]);
        assert_eq!(names(&plan)[10..], ["other/1", "other/2"]);
        assert_eq!(names(&Plan::group("none", [])), [""; 0]);
    }

    #[test]
    fn chord_waits_for_its_group_and_gives_its_body_s_output() {
        let plan = Plan::chord("count", [child()], "sum", child()).on_failure(OnFailure::Continue).stop_on_failure();
        assert_eq!(plan.joined_by(), Some("sum"));
        assert_eq!(plan.child_named("sum").expect("it is there").waits_for().collect::<Vec<_>>(), ["count/*"]);
        assert_eq!((plan.option("on-failure"), plan.option("stop-on-failure")), (Some("continue"), Some("true")));
    }

    #[test]
    fn chain_of_none_and_of_one_waits_for_nothing() {
        assert_eq!(Plan::chain::<&str>([]), Plan::new());
        let plan = Plan::chain([("only", child())]);
        assert_eq!((plan.joined_by(), plan.children().len()), (Some("only"), 1));
        assert_eq!(plan.child_named("only").expect("it is there").waits_for().count(), 0);
    }

    #[test]
    fn input_that_cannot_be_written_is_told_with_its_child() {
        #[derive(serde::Serialize, schemars::JsonSchema)]
        struct Odd(std::collections::BTreeMap<Vec<u8>, u8>);
        let odd = Odd([(vec![1], 1)].into_iter().collect());
        let error = Plan::new().child("odd", Child::of("a/b", odd)).check().expect_err("keys are texts");
        assert_eq!((error.kind(), error.disposition()), ("invalid-plan", crate::Disposition::Fatal));
        assert!(error.message().starts_with("the child `odd`: "), "{}", error.message());
    }

    #[test]
    fn option_that_is_set_again_is_replaced() {
        let child = child().priority(1).priority(-2).undo("words/uncount");
        assert_eq!((child.option("priority"), child.option("undo")), (Some("-2"), Some("words/uncount")));
        assert_eq!(child.option("queue"), None);
    }
}
