use sunaba_sdk::prelude::*;

#[handler]
async fn fetch() -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
