//! The worker groups that the file declares.

use sunaba_host::WorkerGroup;
use sunaba_store::Queues;
use sunaba_task::{DirGrant, EnvGrant, Grants, is_name};
use sunaba_worker::Slots;

use super::MAX_SLOTS;
use super::declared::{Notes, limits, not_a_name};
use super::gather::Gather;
use super::origin::{Origin, Problem};
use super::sheet::{Item, Section, shown};

const WORKER: [&str; 8] = ["queues", "slots", "max-slots", "memory-budget", "timeout", "limits", "env", "dirs"];
/// Groups of one process.
const MAX_GROUPS: usize = 64;

impl Gather<'_> {
    /// Worker groups, in the order of the file.
    pub(super) fn workers(&mut self) -> Vec<WorkerGroup> {
        let (mut notes, mut groups) = (Notes::default(), Vec::new());
        let mut first = None;
        if let Some(section) = self.section("workers") {
            for item in section.items() {
                first.get_or_insert_with(|| item.origin());
                groups.extend(group(&item, &mut notes));
            }
        }
        let total: usize = groups.iter().map(WorkerGroup::most_slots).sum();
        if let Some(origin) = first {
            let mut wrong = |message: String| notes.problems.push(Problem { origin: origin.clone(), message });
            if total > MAX_SLOTS || groups.len() > MAX_GROUPS {
                wrong(format!(
                    "{} worker groups have {total} slots together\nhint: a process has up to {MAX_GROUPS} groups and \
                     {MAX_SLOTS} slots; start another one for more",
                    groups.len()
                ));
            }
            let slots = self.rows.iter().find(|row| row.key == "host.concurrency" && row.origin != Origin::Default);
            if let Some(slots) = slots {
                wrong(format!(
                    "the worker groups have slots of their own, and {} says `{}` for all\nhint: take one of the two away",
                    slots.origin, slots.value
                ));
            }
        }
        if !groups.is_empty() && groups.iter().all(|group| group.queues != Queues::All) {
            self.warnings.push("no worker group serves all queues: tasks of queues that no group names wait".into());
        }
        self.take(notes);
        groups
    }
}

fn group(item: &Item<'_, '_>, notes: &mut Notes) -> Option<WorkerGroup> {
    if !is_name(item.key) {
        notes.problems.push(not_a_name(item, "a worker group"));
        return None;
    }
    let section = notes.ok(item.section())?;
    section.check(&format!("`[workers.{}]`", item.key), &WORKER, &mut notes.problems);
    let mut group = WorkerGroup::new(item.key, Slots::fixed(1));
    if section.get("slots").is_none() {
        let message = format!(
            "`[workers.{}]` has no slots\nhint: write `slots = 4`, or `slots = \"1..8\"` to have as many as its backlog needs",
            item.key
        );
        notes.problems.push(Problem { origin: item.origin(), message });
    }
    for setting in section.items() {
        let read = set(&mut group, &setting, &mut notes.problems);
        if let Some(Some(value)) = notes.ok(read) {
            notes.row(format!("workers.{}.{}", item.key, setting.key), value, &setting);
        }
    }
    if let Some(most) = section.get("max-slots").filter(|_| group.most_slots() < group.slots.max) {
        notes.problems.push(most.wrong(format!(
            "`max-slots` is {}, and `slots` is {}\nhint: it is the most that can be set while the host runs",
            group.most_slots(),
            group.slots
        )));
    }
    grants(&group, &section, notes);
    Some(group)
}

/// Sets what one key says; as it is shown, none for a key that was told of already.
fn set(group: &mut WorkerGroup, item: &Item<'_, '_>, problems: &mut Vec<Problem>) -> Result<Option<String>, Problem> {
    Ok(Some(match item.key {
        "queues" => {
            let queues = item.list()?;
            if let Some(bad) = queues.iter().find(|queue| !is_name(queue)) {
                let hint = "a queue has up to 64 lower-case letters, digits and `-`";
                return Err(item.wrong(format!("`{}` cannot name a queue\nhint: {hint}", shown(bad))));
            }
            if queues.is_empty() {
                return Err(item.wrong("a group without queues runs nothing\nhint: leave `queues` out to serve all"));
            }
            let shown = queues.join(", ");
            group.queues = Queues::Only(queues);
            shown
        }
        "slots" => {
            let slots: Slots = item.word()?.parse().map_err(|error| item.wrong(error))?;
            group.slots = slots;
            slots.to_string()
        }
        "max-slots" => {
            let slots: Slots = item.word()?.parse().map_err(|error| item.wrong(error))?;
            if !slots.is_fixed() {
                return Err(item.wrong("`max-slots` is a range\nhint: write one number"));
            }
            group.max_slots = Some(slots.max);
            slots.to_string()
        }
        "memory-budget" => {
            let budget = item.word()?.parse().map_err(|error| item.wrong(error))?;
            group.memory = Some(budget);
            budget.to_string()
        }
        "timeout" => {
            let caps = format!("timeout={}", item.word()?).parse().map_err(|error| item.wrong(error))?;
            group.limits = std::mem::take(&mut group.limits).tighter(&caps);
            caps.to_string().trim_start_matches("timeout=").to_owned()
        }
        "limits" => {
            let caps = limits(item, problems)?;
            group.limits = std::mem::take(&mut group.limits).tighter(&caps);
            caps.to_string()
        }
        "env" => {
            for variable in item.section()?.items() {
                let value = variable.word()?;
                group.env.push(EnvGrant { key: variable.key.to_owned(), value });
            }
            // What they are is often a secret.
            let names: Vec<_> = group.env.iter().map(|variable| format!("{}=...", variable.key)).collect();
            names.join(", ")
        }
        "dirs" => {
            for text in item.list()? {
                let mut dir: DirGrant = text.parse().map_err(|error| item.wrong(error))?;
                dir.host = item.path(&dir.host.display().to_string());
                group.dirs.push(dir);
            }
            group.dirs.iter().map(ToString::to_string).collect::<Vec<_>>().join(", ")
        }
        _ => return Ok(None),
    }))
}

/// Whether they can all be given.
fn grants(group: &WorkerGroup, section: &Section<'_, '_>, notes: &mut Notes) {
    let grants = Grants { env: group.env.clone(), dirs: group.dirs.clone(), ..Grants::default() };
    if let Err(error) = grants.check()
        && let Some(item) = section.get("env").or_else(|| section.get("dirs"))
    {
        // Its text may have a variable's value.
        let shown = match error {
            sunaba_task::GrantError::Env(_) | sunaba_task::GrantError::Nul(_) => {
                "a variable has a name without `=`, and no zero byte\nhint: look at the names".to_owned()
            }
            error => error.to_string(),
        };
        notes.problems.push(item.wrong(shown));
    }
}
