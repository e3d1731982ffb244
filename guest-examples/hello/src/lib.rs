//! The smallest handler there is: a typed input, a typed output, and a test that needs no sandbox.

use sunaba_sdk::prelude::*;

#[data]
pub struct Person {
    /// Whom to greet.
    name: String,
}

#[data]
pub struct Greeting {
    greeting: String,
}

/// Greets somebody by name.
#[handler(timeout = "5s", memory = "16MiB")]
pub fn hello(input: Person) -> Result<Greeting, TaskError> {
    Ok(Greeting { greeting: format!("Hello, {}!", input.name) })
}

export!(hello);

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn greets_by_name() {
        let greeting = hello(Person { name: "Ada".into() }).expect("greeting cannot fail");
        assert_eq!(greeting.greeting, "Hello, Ada!");
    }
}
