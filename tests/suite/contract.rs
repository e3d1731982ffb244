//! The contract in `wit/`: it parses, and every item says what it is.

use wit_parser::{Docs, Resolve, TypeDefKind};

use crate::support::root;

fn contract() -> Resolve {
    let mut resolve = Resolve::default();
    resolve.push_path(root().join("wit")).expect("wit/ is a package");
    resolve
}

/// The names of all items without a description.
fn undocumented(resolve: &Resolve) -> Vec<String> {
    let mut missing = Vec::new();
    let mut check = |name: String, docs: &Docs| {
        if docs.contents.as_ref().is_none_or(|text| text.trim().is_empty()) {
            missing.push(name);
        }
    };
    for (_, package) in &resolve.packages {
        check(package.name.to_string(), &package.docs);
    }
    for (_, world) in &resolve.worlds {
        check(format!("world {}", world.name), &world.docs);
    }
    for (_, interface) in &resolve.interfaces {
        let interface_name = interface.name.clone().unwrap_or_default();
        check(interface_name.clone(), &interface.docs);
        for function in interface.functions.values() {
            check(format!("{interface_name}.{}", function.name), &function.docs);
        }
        for (name, id) in &interface.types {
            let name = format!("{interface_name}.{name}");
            match &resolve.types[*id].kind {
                // A `use` says nothing of its own.
                TypeDefKind::Type(wit_parser::Type::Id(_)) => continue,
                TypeDefKind::Record(record) => {
                    record.fields.iter().for_each(|field| check(format!("{name}.{}", field.name), &field.docs));
                }
                TypeDefKind::Variant(variant) => {
                    variant.cases.iter().for_each(|case| check(format!("{name}.{}", case.name), &case.docs));
                }
                TypeDefKind::Enum(cases) => {
                    cases.cases.iter().for_each(|case| check(format!("{name}.{}", case.name), &case.docs));
                }
                _ => {}
            }
            check(name, &resolve.types[*id].docs);
        }
    }
    missing
}

#[test]
fn every_item_is_documented() {
    assert_eq!(undocumented(&contract()), Vec::<String>::new());
}

#[test]
fn worlds_are_those_that_hosts_look_for() {
    let contract = contract();
    let (_, package) = contract.packages.iter().next().expect("one package");
    assert_eq!(package.name.to_string(), "sunaba:task@0.1.0");
    let mut worlds: Vec<_> = package.worlds.keys().collect();
    worlds.sort();
    assert_eq!(worlds, ["decider", "handler"]);
}
