//! How a plan is shown to people that `sunaba run` got instead of an output.

use sunaba_runtime::task::{Child, Plan, format_bytes, format_count};

use crate::print;

/// Children that are printed for people.
const SHOWN_CHILDREN: usize = 20;

/// On standard error: what would be made of it in a queue.
pub(crate) fn print(plan: &Plan) {
    for child in plan.children.iter().take(SHOWN_CHILDREN) {
        print::note(format_args!("  {}", line(child, plan.join.as_deref())));
    }
    let hidden = plan.children.len().saturating_sub(SHOWN_CHILDREN);
    if hidden > 0 {
        print::note(format_args!("  and {} more (all on standard output)", format_count(hidden as u64)));
    }
    if !plan.settings.is_empty() {
        print::note(format_args!("  rules        {}", pairs(&plan.settings)));
    }
}

/// The rest of the headline.
pub(crate) fn summary(plan: &Plan) -> String {
    let children = match plan.children.len() {
        1 => "1 child".into(),
        count => format!("{} children", format_count(count as u64)),
    };
    let join = plan.join.as_ref().map(|join| format!(", joined by `{join}`")).unwrap_or_default();
    format!("into {children}{join}; a host would run them")
}

fn line(child: &Child, join: Option<&str>) -> String {
    let size = format_bytes(child.input.bytes.len() as u64);
    let after: Vec<_> = child.after.iter().map(|after| after.name.as_str()).collect();
    let after = if after.is_empty() { String::new() } else { format!(", after {}", after.join(", ")) };
    let settings = if child.settings.is_empty() { String::new() } else { format!(" ({})", pairs(&child.settings)) };
    let mark = if join == Some(&*child.name) { " -> output" } else { "" };
    format!("{:<20} {} of {size}{after}{settings}{mark}", child.name, child.handler)
}

fn pairs(settings: &[(String, String)]) -> String {
    settings.iter().map(|(key, value)| format!("{key}={value}")).collect::<Vec<_>>().join(", ")
}
