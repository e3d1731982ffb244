//! What the macros say to the likeliest mistakes. `TRYBUILD=overwrite` writes the expected output anew.

#[test]
fn mistakes_are_told_what_to_write_instead() {
    let cases = trybuild::TestCases::new();
    cases.pass("tests/compile/every_option.rs");
    cases.compile_fail("tests/compile/fail_*.rs");
}
