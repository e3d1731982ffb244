use sunaba_sdk::prelude::*;

#[handler(limits = "speed=9")]
fn no_limit() -> Result<(), TaskError> {
    Ok(())
}

#[handler(limits = ["open-files=4", "output=1TiB"])]
fn too_much() -> Result<(), TaskError> {
    Ok(())
}

#[handler(env = "COLOR=blue")]
fn value() -> Result<(), TaskError> {
    Ok(())
}

#[handler(dirs = ["/in", "out"])]
fn relative() -> Result<(), TaskError> {
    Ok(())
}

#[handler(http = "api.example.com")]
fn no_scheme() -> Result<(), TaskError> {
    Ok(())
}

#[handler(http = "https://intranet@10.0.0.0/8")]
fn addresses() -> Result<(), TaskError> {
    Ok(())
}

#[handler(secrets = "api-key")]
fn small_letters() -> Result<(), TaskError> {
    Ok(())
}

#[handler(scratch = "lots")]
fn no_size() -> Result<(), TaskError> {
    Ok(())
}

#[handler(clock = "slow")]
fn no_clock() -> Result<(), TaskError> {
    Ok(())
}

#[handler(deterministic = "yes")]
fn no_flag() -> Result<(), TaskError> {
    Ok(())
}

#[handler(dirs = [])]
fn nothing() -> Result<(), TaskError> {
    Ok(())
}

fn main() {}
