//! The attribute macros of `sunaba-sdk`. Documented where they are re-exported.

mod data;
mod handler;
mod manifest;
mod options;

use proc_macro::TokenStream;

/// Turns a function into a task handler.
///
/// The function takes `(ctx: &Context, input: T)`, each of which may be left out, with `T` a `#[data]` type or `Bytes`,
/// and returns `Result<O, TaskError>` or `Result<Outcome<O>, TaskError>`. It stays callable as it is. Its doc comment is
/// shown by `sunaba component inspect`.
///
/// Other handlers of the component make tasks of it by `NAME::task(input)`: see `Child` and `Plan`.
///
/// Options, each a default that a submitter may override:
///
/// | option | value |
/// |---|---|
/// | `name` | the handler's name; the function's with `-` for `_` unless given |
/// | `max_attempts` | failures until the task is dead, from 1 |
/// | `backoff` | `"fixed(5s)"`, `"linear(5s)"`, `"exponential(1s)"`, each with an optional `, max = 1m` |
/// | `retry_on` | error kinds that are retried, `["network", "timeout"]`; without it, all that are not fatal |
/// | `never_retry_on` | error kinds that are not retried, whatever else is said, `["quota"]` |
/// | `retry_for` | no retry begins later than this after the submit, `"48h"` |
/// | `timeout` | how long an attempt may take, `"30s"` |
/// | `fuel` | instructions an attempt may use, `1_000_000_000`; `"off"` does not count them |
/// | `fuel_budget` | instructions all attempts of a task may use together, `10_000_000_000` |
/// | `memory` | how much memory an attempt may use, `"64MiB"` |
/// | `queue` | the queue of its tasks |
/// | `priority` | higher first, from -2147483648 to 2147483647 |
/// | `limits` | other limits of an attempt by their names, `"open-files=16,output=4MiB"` |
/// | `deterministic` | `true`: clock and random numbers come from a seed that is kept with the attempt |
///
/// A submitter may ask for tighter limits than these, and gets no wider ones.
///
/// What the handler asks to be granted. Without these it gets nothing; of what it asks for, it gets what the operator of the
/// host allows and the submitter of the task passes on. Several are a list, or have commas between them:
///
/// | option | value |
/// |---|---|
/// | `env` | the keys of environment variables, `"COLOR"`; `"*"` for any |
/// | `dirs` | directories by the paths at which it looks for them, `"/data"`, `"/out:rw"`; `"*"` and `"*:rw"` for any |
/// | `http` | where it sends requests, `"https://api.example.com"`, `"https://*.example.com"` |
/// | `secrets` | the names of secrets, `"API_KEY"`, which it uses in requests and does not see |
/// | `scratch` | the size of a directory of its own at `/scratch`, `"64MiB"`, gone after the attempt |
/// | `clock` | `"fine"` to see time pass as exactly as the machine does; a millisecond at a time otherwise |
#[proc_macro_attribute]
pub fn handler(attribute: TokenStream, item: TokenStream) -> TokenStream {
    handler::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}

/// Makes a struct or enum an input or output of handlers: `serde` and `schemars` in one.
///
/// `#[serde(...)]` and `#[schemars(...)]` attributes work on it as usual.
#[proc_macro_attribute]
pub fn data(attribute: TokenStream, item: TokenStream) -> TokenStream {
    data::expand(attribute.into(), item.into()).unwrap_or_else(syn::Error::into_compile_error).into()
}
