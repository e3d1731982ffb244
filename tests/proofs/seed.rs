//! Seeds: where they come from, and how one makes many.

/// The variable that runs one seed alone.
pub const VARIABLE: &str = "SUNABA_SEED";

/// The seed that somebody wants to see run alone.
pub fn wanted() -> Option<u64> {
    let text = std::env::var(VARIABLE).ok()?;
    text.strip_prefix("0x").map_or_else(|| text.parse().ok(), |digits| u64::from_str_radix(digits, 16).ok())
}

/// The seed of one round among many. Source: the finisher of SplitMix64.
pub fn nth(master: u64, round: u64) -> u64 {
    let mut mixed = master.wrapping_add(round.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15));
    mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    mixed ^ (mixed >> 31)
}
