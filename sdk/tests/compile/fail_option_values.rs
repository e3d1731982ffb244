use sunaba_sdk::prelude::*;

#[handler(timeout = 30)]
fn no_unit() -> Result<(), TaskError> {
    Ok(())
}

#[handler(retry_on = "network")]
fn no_list() -> Result<(), TaskError> {
    Ok(())
}

#[handler(max_attempts = 0)]
fn never() -> Result<(), TaskError> {
    Ok(())
}

#[handler(backoff = "5s")]
fn no_growth() -> Result<(), TaskError> {
    Ok(())
}

#[handler(memory = "lots")]
fn no_size() -> Result<(), TaskError> {
    Ok(())
}

#[handler(timeout)]
fn no_value() -> Result<(), TaskError> {
    Ok(())
}

#[handler(queue = "a", queue = "b")]
fn twice() -> Result<(), TaskError> {
    Ok(())
}

#[handler(retry_for = "0s")]
fn no_box() -> Result<(), TaskError> {
    Ok(())
}

#[handler(never_retry_on = [])]
fn no_kinds() -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
