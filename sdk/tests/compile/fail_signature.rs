use sunaba_sdk::prelude::*;

#[handler]
fn no_result(input: u32) {
    let _ = input;
}

#[handler]
fn not_a_result(input: u32) -> u32 {
    input
}

#[handler]
fn borrowed(ctx: &Context, input: &str) -> Result<(), TaskError> {
    Ok(())
}

#[handler]
fn too_many(ctx: &Context, a: u32, b: u32) -> Result<(), TaskError> {
    Ok(())
}

#[handler]
fn generic<T>(input: T) -> Result<(), TaskError> {
    Ok(())
}

struct Service;

impl Service {
    #[handler]
    fn method(&self, input: u32) -> Result<(), TaskError> {
        Ok(())
    }
}

#[handler]
struct Handler;

fn main() {}
