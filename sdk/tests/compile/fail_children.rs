use sunaba_sdk::prelude::*;

#[handler]
fn count(text: String) -> Result<usize, TaskError> {
    Ok(text.len())
}

#[handler]
fn wrong_input() -> Result<Outcome<usize>, TaskError> {
    Ok(Plan::new().child("count", count::task(7)).into())
}

#[handler]
fn plan_alone() -> Result<Plan, TaskError> {
    Ok(Plan::map("count", ["a".to_owned()], count::task))
}

fn main() {}
