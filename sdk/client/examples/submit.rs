//! Submits a task, waits for it, and prints what came of it.
//!
//! `cargo run -p sunaba-client --example submit http://127.0.0.1:7878 Ada`, beside a host that has the guest example `hello`.

use std::error::Error;
use std::time::Duration;

use sunaba_client::{Client, task};

/// What the handler gives.
#[derive(serde::Deserialize)]
struct Hello {
    greeting: String,
}

#[tokio::main(flavor = "current_thread")]
#[expect(clippy::print_stdout, reason = "that is what it is for")]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().ok_or("the address of a host is missing")?;
    let name = arguments.next().unwrap_or_else(|| "you".into());

    let client = Client::builder(&address).timeout(Duration::from_secs(30)).build()?;
    let mut hello = task("hello/hello", &serde_json::json!({ "name": name }))?;
    // With a key a submit can be tried again when its answer is lost: there is one task all the same.
    hello.idempotency_key = Some(format!("greet-{name}"));
    let submitted = match client.submit_task(&hello).await {
        Ok(submitted) => submitted,
        // The code is the host's, and does not change with the words.
        Err(error) if error.code() == Some("not-found") => return Err("nobody has deployed `hello`".into()),
        Err(error) => return Err(error.into()),
    };

    let id = submitted.id.parse()?;
    let Some(ended) = client.wait_at_most(id, Duration::from_secs(60)).await? else {
        return Err(format!("{id} has not ended in a minute").into());
    };
    let result = client.get_task_result(id).await?;
    match (result.output, result.failure) {
        (Some(output), _) => println!("{}", serde_json::from_str::<Hello>(output.get())?.greeting),
        (None, Some(failure)) => return Err(format!("{}: {}", failure.kind, failure.message).into()),
        (None, None) => println!("{}", ended.state),
    }

    // What has happened to it, event by event; `last` is where another process would go on.
    let mut events = client.follow(Some(sunaba_client::EventsOf::Task(id)), Some(0));
    // What was long ago is not kept for ever, and then there is no end to wait for.
    while let Ok(event) = tokio::time::timeout(Duration::from_secs(30), events.next()).await {
        let event = event?;
        println!("{} {}", event.sequence, event.event);
        if event.ends_task() {
            break;
        }
    }
    Ok(())
}
