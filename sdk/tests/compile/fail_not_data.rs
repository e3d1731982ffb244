use sunaba_sdk::prelude::*;

struct Text {
    text: String,
}

#[handler]
fn takes(input: Text) -> Result<usize, TaskError> {
    Ok(input.text.len())
}

#[data]
struct Borrowed<'a> {
    text: &'a str,
}

fn main() {}
