use sunaba_sdk::prelude::*;

#[handler(timout = "30s")]
fn slow() -> Result<(), TaskError> {
    Ok(())
}

#[handler(speed = "fast")]
fn fast() -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
