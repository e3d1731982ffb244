//! Asks for children, outputs and checkpoints: too many of them, too large ones, and ever again.

use sunaba_sdk::RefusalKind;
use sunaba_sdk::prelude::*;

/// Where one crate's text is, and its sibling's, from within a directory of the first.
const PATHS: [&str; 6] =
    ["/one/text", "/all/one/text", "/all/two/text", "/one/../two/text", "/one/link/text", "/two/text"];

/// Plans ten million children: more than it has room for.
#[handler]
pub fn plan_ten_million() -> Result<Outcome<()>, TaskError> {
    Ok(Plan::map("child", 0..10_000_000_u32, nothing::task).into())
}

/// Plans as many small children as its input says.
#[handler(limits = "output=16MiB", memory = "256MiB")]
pub fn plan_many(count: u32) -> Result<Outcome<()>, TaskError> {
    Ok(Plan::map("child", 0..count, nothing::task).into())
}

/// Plans one child with an input of 3 MiB.
#[handler]
pub fn plan_large() -> Result<Outcome<()>, TaskError> {
    Ok(Plan::new().child("large", Child::of("plans/nothing", "x".repeat(3 << 20))).into())
}

/// Plans a child that plans itself, and so on.
#[handler]
pub fn plan_itself() -> Result<Outcome<()>, TaskError> {
    Ok(Plan::new().join("again", plan_itself::task(())).into())
}

/// Asks for one child after the other, for ever, and does not hear that it is refused.
#[handler]
pub fn submit_on(ctx: &Context) -> Result<(), TaskError> {
    for number in 0_u64.. {
        let _ = ctx.submit(format!("child/{number}"), nothing::task(0));
    }
    Ok(())
}

/// Asks for a child with a name of 1 MiB, and for one whose name has line ends and escapes.
#[handler]
pub fn submit_odd_names(ctx: &Context) -> Result<(), TaskError> {
    for name in ["x".repeat(1 << 20), String::new()] {
        let refusal = ctx.submit(name, nothing::task(0)).expect_err("it cannot be a name");
        assert_eq!(refusal.kind, RefusalKind::Invalid);
    }
    // Whoever has a store says what is wrong with it; without one that is told first.
    let _ = ctx.submit("a\r\n\u{1b}[2J*", nothing::task(0)).expect_err("it cannot be a name");
    Ok(())
}

/// Hands the host a child of 16 MiB.
#[handler]
pub fn submit_large(ctx: &Context) -> Result<(), TaskError> {
    let _ = ctx.submit("large", Child::of("plans/nothing", "x".repeat(16 << 20)));
    Ok(())
}

/// Asks for a child that waits for a hundred thousand others.
#[handler]
pub fn submit_with_everything(ctx: &Context) -> Result<(), TaskError> {
    let mut child = nothing::task(0);
    for number in 0..100_000 {
        child = child.after(number.to_string());
    }
    let _ = ctx.submit("busy", child);
    Ok(())
}

/// Keeps 1 MiB, again and again.
#[handler]
pub fn checkpoint_on(ctx: &Context) -> Result<(), TaskError> {
    let large = "x".repeat((1 << 20) - 2);
    loop {
        let _ = ctx.checkpoint(&large);
    }
}

/// Keeps more than may be kept, and is told so each time.
#[handler]
pub fn checkpoint_large(ctx: &Context) -> Result<(), TaskError> {
    for _ in 0..3 {
        let refusal = ctx.checkpoint(&"x".repeat(1 << 20)).expect_err("it is too large");
        assert_eq!(refusal.kind, RefusalKind::Limit);
    }
    Ok(())
}

/// Asks for what was kept last, for ever.
#[handler]
pub fn remember_on(ctx: &Context) -> Result<(), TaskError> {
    loop {
        std::hint::black_box(ctx.last_checkpoint::<String>().is_ok());
    }
}

/// Asks for the outputs of what it never waited for, for ever, and by names of every kind.
#[handler]
pub fn ask_for_outputs(ctx: &Context) -> Result<(), TaskError> {
    let names = ["*", "/*", "a/*", "../*", "a\0b", "\u{1b}[2J"].map(str::to_owned);
    loop {
        for name in names.iter().chain([&"x".repeat(100_000)]) {
            std::hint::black_box(ctx.outputs::<u32>(name.clone()).count());
        }
    }
}

/// Plans a child with whatever of its own directories its input says, and more than that.
#[handler(dirs = "*:rw")]
pub fn pass_on(dirs: String) -> Result<Outcome<Vec<String>>, TaskError> {
    let look = Child::of("look-around", PATHS).setting("dirs", dirs);
    Ok(Plan::new().join("look", look).into())
}

/// Asks for a child with whatever of its own directories its input says.
#[handler(dirs = "*:rw")]
pub fn ask_on(ctx: &Context, dirs: String) -> Result<String, TaskError> {
    let look = Child::of("look-around", PATHS).setting("dirs", dirs);
    Ok(ctx.submit("look", look).map_or_else(|refusal| refusal.message, |_| "it was made".into()))
}

/// Reads all that its input names, by every way to it, and gives what it could read.
#[handler(dirs = "*:rw", max_attempts = 1)]
pub fn look_around(paths: Vec<String>) -> Result<Vec<String>, TaskError> {
    Ok(paths.into_iter().filter(|path| std::fs::read(path).is_ok()).collect())
}

/// Does nothing.
#[handler]
pub fn nothing(_: u32) -> Result<(), TaskError> {
    Ok(())
}

export!(
    plan_ten_million,
    plan_many,
    plan_large,
    plan_itself,
    submit_on,
    submit_odd_names,
    submit_large,
    submit_with_everything,
    checkpoint_on,
    checkpoint_large,
    remember_on,
    ask_for_outputs,
    pass_on,
    ask_on,
    look_around,
    nothing
);
