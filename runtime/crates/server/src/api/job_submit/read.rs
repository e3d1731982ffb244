//! Reads the plans of jobs. What is too much is refused before there is memory for it, what is said twice is no plan, and what has
//! a wrong form is answered with the right one.

use std::cell::RefCell;
use std::fmt;
use std::marker::PhantomData;

use serde::de::value::MapAccessDeserializer;
use serde::de::{DeserializeSeed, Error as _, IntoDeserializer as _, MapAccess, SeqAccess, Visitor};
use serde::{Deserialize, Deserializer};
use serde_json::value::RawValue;
use sunaba_task::format_count;
use sunaba_task::job::{Awaited, MAX_DEPENDENCIES, MAX_PLAN_EDGES, MAX_PLAN_NODES, NodeName, OnFailure};

use super::fields::in_field;
use super::{AfterNode, JobBudget, MapNode, Submit, SubmitNode};

/// What has a form of its own in a job file.
trait Form {
    /// What it is, with an example.
    const FORM: &'static str;
}

impl Form for JobBudget {
    const FORM: &'static str = r#"a budget, such as `{ "attempts": 10, "time": "5m" }`"#;
}

impl Form for MapNode {
    const FORM: &'static str = r#"a map, such as `{ "handler": "package/handler", "inputs": [1, 2] }`"#;
}

/// A dependency, as an object.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Ruled {
    name: Awaited,
    on_failure: Option<OnFailure>,
}

/// An object, and nothing else: serde takes a list for the fields of a struct, too, in their order.
struct Object<T>(T);

impl<'de, T: Deserialize<'de> + Form> Deserialize<'de> for Object<T> {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneObject<T>(PhantomData<T>);
        impl<'de, T: Deserialize<'de> + Form> Visitor<'de> for OneObject<T> {
            type Value = Object<T>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(T::FORM)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Object<T>, A::Error> {
                T::deserialize(MapAccessDeserializer::new(map)).map(Object)
            }
        }
        deserializer.deserialize_map(OneObject(PhantomData))
    }
}

/// The budget of a job, or null.
pub(super) fn budget<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<JobBudget>, D::Error> {
    Ok(Option::<Object<JobBudget>>::deserialize(deserializer)?.map(|Object(budget)| budget))
}

/// A list of which no more is read than it may have.
fn bounded<'de, T, A>(mut list: A, most: usize, too_many: impl FnOnce() -> String) -> Result<Vec<T>, A::Error>
where
    T: Deserialize<'de>,
    A: SeqAccess<'de>,
{
    let mut all = Vec::new();
    while let Some(one) = list.next_element()? {
        if all.len() == most {
            return Err(A::Error::custom(too_many()));
        }
        all.push(one);
    }
    Ok(all)
}

/// The inputs of a map.
pub(super) fn inputs<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Box<RawValue>>, D::Error> {
    struct Inputs;
    impl<'de> Visitor<'de> for Inputs {
        type Value = Vec<Box<RawValue>>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of inputs, one for each task")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            bounded(list, MAX_PLAN_NODES, too_many)
        }
    }
    deserializer.deserialize_seq(Inputs)
}

/// The groups that may have no tasks.
pub(super) fn groups<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<Awaited>, D::Error> {
    struct Groups;
    impl<'de> Visitor<'de> for Groups {
        type Value = Vec<Awaited>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str(r#"a list of groups, such as `["part/*"]`"#)
        }

        fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
            let most = || format!("it has more than {} groups", format_count(MAX_DEPENDENCIES as u64));
            let all: Vec<Awaited> = bounded(list, MAX_DEPENDENCIES, most)?;
            match all.iter().find(|awaited| matches!(awaited, Awaited::Node(_))) {
                Some(name) => Err(A::Error::custom(format!("`{name}` is no group\nhint: write `{name}/*`"))),
                None => Ok(all),
            }
        }
    }
    deserializer.deserialize_seq(Groups)
}

/// All that a task waits for: a list, or the only one.
struct Dependencies(Vec<AfterNode>);

impl<'de> Deserialize<'de> for Dependencies {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct All;
        impl<'de> Visitor<'de> for All {
            type Value = Vec<AfterNode>;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                write!(f, "a list of dependencies, each {DEPENDENCY}")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Self::Value, E> {
                text.parse().map(|name| vec![AfterNode::Name(name)]).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Self::Value, A::Error> {
                Ruled::deserialize(MapAccessDeserializer::new(map)).map(|ruled| vec![ruled.into()])
            }

            fn visit_seq<A: SeqAccess<'de>>(self, list: A) -> Result<Self::Value, A::Error> {
                let most = format_count(MAX_DEPENDENCIES as u64);
                let too_many = || {
                    format!(
                        "it waits for more than {most} by name\nhint: name them `GROUP/NAME`, and wait for `GROUP/*`"
                    )
                };
                bounded(list, MAX_DEPENDENCIES, too_many)
            }
        }
        deserializer.deserialize_any(All).map(Self)
    }
}

/// How one dependency is written.
const DEPENDENCY: &str = r#"a name, `GROUP/*`, or an object such as `{ "name": "GROUP/*", "on_failure": "continue" }`"#;

impl From<Ruled> for AfterNode {
    fn from(Ruled { name, on_failure }: Ruled) -> Self {
        match on_failure {
            None => Self::Name(name),
            Some(on_failure) => Self::Ruled { name, on_failure },
        }
    }
}

impl<'de> Deserialize<'de> for AfterNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneOf;
        impl<'de> Visitor<'de> for OneOf {
            type Value = AfterNode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(DEPENDENCY)
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<AfterNode, E> {
                text.parse().map(AfterNode::Name).map_err(E::custom)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<AfterNode, A::Error> {
                Ruled::deserialize(MapAccessDeserializer::new(map)).map(AfterNode::from)
            }
        }
        deserializer.deserialize_any(OneOf)
    }
}

/// What undoes a task: an object, or its handler alone.
struct Undo(Submit);

impl<'de> Deserialize<'de> for Undo {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneUndo;
        impl<'de> Visitor<'de> for OneUndo {
            type Value = Submit;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(
                    r#"what undoes the task, such as `{ "handler": "package/handler" }`, or `"package/handler"`"#,
                )
            }

            fn visit_str<E: serde::de::Error>(self, handler: &str) -> Result<Submit, E> {
                Ok(Submit { handler: handler.to_owned(), ..Submit::default() })
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<Submit, A::Error> {
                Submit::deserialize(MapAccessDeserializer::new(map))
            }
        }
        deserializer.deserialize_any(OneUndo).map(Self)
    }
}

impl<'de> Deserialize<'de> for SubmitNode {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct OneNode;
        impl<'de> Visitor<'de> for OneNode {
            type Value = SubmitNode;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(r#"a task, such as `{ "name": "NAME", "handler": "package/handler" }`"#)
            }

            fn visit_map<A: MapAccess<'de>>(self, map: A) -> Result<SubmitNode, A::Error> {
                let (own, field) = (RefCell::<Own>::default(), RefCell::<String>::default());
                let fields = Fields { map, own: &own, field: &field };
                // serde's own flattening would lose the places of errors, and inputs as they are written.
                let task = Submit::deserialize(MapAccessDeserializer::new(fields));
                let Own { name, after, compensation, map } = own.into_inner();
                let name = name.unwrap_or_default();
                match task {
                    Ok(task) => Ok(SubmitNode { name, after: after.unwrap_or_default(), compensation, map, task }),
                    Err(error) => Err(A::Error::custom(in_field(&name, &field.into_inner(), &error.to_string()))),
                }
            }
        }
        deserializer.deserialize_map(OneNode)
    }
}

/// What a task of a job has besides what a task alone has.
#[derive(Default)]
struct Own {
    name: Option<String>,
    after: Option<Vec<AfterNode>>,
    compensation: Option<Box<Submit>>,
    map: Option<MapNode>,
}

/// Reads a field that is not there yet.
fn once<T, E: serde::de::Error>(
    place: &mut Option<T>,
    field: &'static str,
    read: impl FnOnce() -> Result<T, E>,
) -> Result<(), E> {
    if place.is_some() {
        return Err(E::duplicate_field(field));
    }
    *place = Some(read()?);
    Ok(())
}

fn name<E: serde::de::Error>(name: String) -> Result<String, E> {
    match name.parse::<NodeName>() {
        Ok(_) => Ok(name),
        Err(error) => Err(E::custom(error)),
    }
}

/// The fields of a task of a job: its own are taken out, and the others handed on.
struct Fields<'a, A> {
    map: A,
    own: &'a RefCell<Own>,
    field: &'a RefCell<String>,
}

impl<'de, A: MapAccess<'de>> MapAccess<'de> for Fields<'_, A> {
    type Error = A::Error;

    fn next_key_seed<K: DeserializeSeed<'de>>(&mut self, seed: K) -> Result<Option<K::Value>, A::Error> {
        while let Some(key) = self.map.next_key::<String>()? {
            self.field.replace(key.clone());
            let (mut own, map) = (self.own.borrow_mut(), &mut self.map);
            match key.as_str() {
                "name" => once(&mut own.name, "name", || map.next_value::<String>().and_then(name))?,
                "after" => once(&mut own.after, "after", || map.next_value().map(|Dependencies(after)| after))?,
                "compensation" => {
                    once(&mut own.compensation, "compensation", || map.next_value().map(|Undo(undo)| Box::new(undo)))?;
                }
                "map" => once(&mut own.map, "map", || map.next_value().map(|Object(map)| map))?,
                _ => return seed.deserialize(key.into_deserializer()).map(Some),
            }
        }
        self.field.replace(String::new());
        Ok(None)
    }

    fn next_value_seed<V: DeserializeSeed<'de>>(&mut self, seed: V) -> Result<V::Value, A::Error> {
        self.map.next_value_seed(seed)
    }
}

/// The nodes of a plan. Reading ends with the first that is too many.
pub(super) fn nodes<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Vec<SubmitNode>, D::Error> {
    struct Nodes;
    impl<'de> Visitor<'de> for Nodes {
        type Value = Vec<SubmitNode>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a list of tasks")
        }

        fn visit_seq<A: SeqAccess<'de>>(self, mut list: A) -> Result<Vec<SubmitNode>, A::Error> {
            let (mut nodes, mut count, mut edges): (Vec<SubmitNode>, usize, usize) = (Vec::new(), 0, 0);
            while let Some(node) = list.next_element::<SubmitNode>()? {
                // A map without inputs is one thing to look at all the same.
                let tasks = node.map.as_ref().map_or(1, |map| map.inputs.len().max(1));
                count += tasks;
                edges = edges.saturating_add(tasks.saturating_mul(node.after.len()));
                if count > MAX_PLAN_NODES {
                    return Err(A::Error::custom(too_many()));
                }
                if edges > MAX_PLAN_EDGES {
                    return Err(A::Error::custom(too_many_edges()));
                }
                nodes.push(node);
            }
            Ok(nodes)
        }
    }
    deserializer.deserialize_seq(Nodes)
}

fn too_many() -> String {
    format!(
        "the plan has more than {} tasks\nhint: let tasks decompose into the rest, or submit several jobs",
        format_count(MAX_PLAN_NODES as u64)
    )
}

fn too_many_edges() -> String {
    format!(
        "the tasks of the plan have more than {} dependencies\nhint: name tasks `GROUP/NAME`, and wait for `GROUP/*`, which is \
         one dependency",
        format_count(MAX_PLAN_EDGES as u64)
    )
}
